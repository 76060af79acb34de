from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from facewright.core.errors import DiskRefused, Mismatch, SettingRefused, TrainingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models import checkpoint
from facewright.models.net import build
from facewright.models.settings import AmpSettings
from facewright.models.tensors import read_tensors
from facewright.training import history, snapshots, start, swapping
from facewright.training.curve import read_losses
from facewright.training.reports import Reports
from facewright.training.settings import AmpTrain, Quick96Train, SaehdTrain
from facewright.training.swap_step import TrainStep
from facewright.training.swapping import Swapping
from facewright.training.training import Training

TINY = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


def plan(*stages, mine=(), begin=""):
    """A recipe of stages, as JSON."""
    return {"recipe": "test", "stages": list(stages), "mine": list(mine), "begin": begin, "where": ""}


def step(pair, run, net="saehd", shape=None, recipe=None, **settings):
    values = {"batch_size": 2, "precision": "float32", "iterations": 4, "preview_seconds": 0, "lr": 1e-3, "threads": 1}
    kind = SaehdTrain if net == "saehd" else Quick96Train
    return TrainStep(
        str(run), str(pair[0]), str(pair[1]), net, check(kind, values | settings),
        shape=(TINY if net == "saehd" else {}) if shape is None else shape, recipe=recipe or {},
    )


class Desk:
    """A Work that records, and asks at given iterations."""

    def __init__(self, **asks):
        self.notes, self.progress, self.asks = [], [], {int(k[2:]): v for k, v in asks.items()}
        self.calls = 0
        self.work = Work(progress=self._progress, changes=self._changes, note=self._note)

    def _progress(self, done, total=None, note="", **facts):
        self.progress.append((done, total, note, facts))

    def _note(self, kind, **facts):
        self.notes.append((kind, facts))

    def _changes(self):
        wish = self.asks.get(self.calls, [])
        self.calls += 1
        if wish == "stop":
            self.work.stop.ask()
            return []
        return wish

    def kinds(self, kind):
        return [facts for k, facts in self.notes if k == kind]


def run(step_, **asks):
    desk = Desk(**asks)
    results = list(step_.stream(step_.plan(), desk.work))
    return desk, results[0][1] if results else None


@pytest.fixture(scope="module")
def trained(pair, tmp_path_factory):
    """One undisturbed run of six iterations."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    desk, result = run(step(pair, folder, iterations=6, preview_history=True))
    return folder, desk, result


def test_a_run_leaves_everything_in_its_place(trained):
    folder, desk, result = trained
    assert result["iterations"] == 6
    saved = checkpoint.load_latest(folder)
    assert saved.iteration == 6
    assert saved.resumable
    assert saved.extra["ema_updates"] == 6
    assert saved.state["loss"] == pytest.approx(result["loss_src"] + result["loss_dst"], abs=1e-4)
    losses = read_losses(folder / "losses.bin")
    assert losses["iteration"].tolist() == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(losses["src"]).all()
    assert Image.open(folder / "preview" / "latest.png").size == (2 * 5 * 128 + 10, 26 + 22 + 4 * 128)
    assert (folder / "preview" / "000000006.png").is_file()
    assert Image.open(folder / "loss.png").size == (960, 420)
    assert [e["kind"] for e in history.events(folder / "history.jsonl")] == ["start", "end"]
    assert desk.kinds("save")[-1]["iteration"] == 6
    assert desk.kinds("start")[0]["preview"].endswith("latest.png")
    done, total, note, facts = desk.progress[-1]
    assert (done, total, note) == (6, 6, "training")
    assert {"loss_src", "loss_dst", "it_per_s", "used_s", "eta_s", "share"} <= set(facts)
    assert desk.progress[0][2] == "preparing src faces"


def test_the_run_remembers_whose_likeness_it_holds(trained, pair):
    folder = trained[0]
    extra = json.loads((folder / "run.json").read_text())["extra"]
    roles = {l["role"]: l for l in extra["likenesses"]}
    assert roles["source_likeness"]["consent"] == "sha256:" + "1" * 64
    assert roles["source_likeness"]["where"] == str(pair[0])
    assert len(roles["target_performer"]["footage_sha256"]) == 1
    assert extra["data"]["src"]["faces"] == 12
    assert len(extra["data"]["dst"]["digest"]) == 64


def test_a_new_net_may_begin_with_what_learned_drawn_heads(pair, tmp_path):
    folder, shape = tmp_path / "run", TINY | {"ae_dims": 128, "e_dims": 24, "d_mask_dims": 8}
    desk, _ = run(step(pair, folder, shape=shape, iterations=1, begin_with="drawn-heads", lr=1e-7))
    assert not any("drawn heads" in w["text"] for w in desk.kinds("warning"))
    assert history.events(folder / "history.jsonl", "start")[0]["begun_with"].startswith("drawn heads, ")
    weights = checkpoint.load_latest(folder).weights()
    first = "decoder_src.upscale0.conv1.weight"
    assert first in weights, sorted(weights)[:40]
    assert torch.allclose(weights[first], weights[first.replace("src", "dst")], atol=1e-5)
    run(step(pair, folder, shape=shape, iterations=3, begin_with="drawn-heads", lr=1e-2))
    moved = checkpoint.load_latest(folder).weights()[first]
    run(step(pair, folder, shape=shape, iterations=4, begin_with="drawn-heads", lr=1e-7))
    assert torch.allclose(checkpoint.load_latest(folder).weights()[first], moved, atol=1e-5), "only at the beginning"


def test_a_net_of_another_shape_says_that_it_begins_with_random_numbers(pair, tmp_path):
    desk, _ = run(step(pair, tmp_path / "run", iterations=1, begin_with="drawn-heads"))
    assert any("begins with random numbers" in w["text"] for w in desk.kinds("warning"))


def test_losses_fall(pair, tmp_path):
    folder = tmp_path / "falls"
    run(step(pair, folder, iterations=24, optimiser="adamw", lr=2e-3, scale=0.02, shift=0.0, rotation_deg=1.0))
    losses = read_losses(folder / "losses.bin")
    assert losses["src"][-5:].mean() < 0.6 * losses["src"][:3].mean()
    assert losses["dst"][-5:].mean() < 0.6 * losses["dst"][:3].mean()


@pytest.mark.parametrize("changes", [{}, {"optimiser": "rmsprop", "lr_dropout": 0.3, "lr_schedule": "cycle"}],
                         ids=["adabelief", "rmsprop with dropout"])
def test_stopped_at_a_save_and_taken_up_again_is_bit_equal(pair, tmp_path, changes):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(step(pair, whole, iterations=5, **changes))
    desk, result = run(step(pair, parts, iterations=5, **changes), at3="stop")
    assert result is None
    assert desk.kinds("save")[-1]["iteration"] == 3
    _, result = run(step(pair, parts, iterations=5, **changes))
    assert result["iterations"] == 5
    assert (whole / "losses.bin").read_bytes() == (parts / "losses.bin").read_bytes()
    one, two = (checkpoint.load_latest(p) for p in (whole, parts))
    for a, b in ((one.weights(), two.weights()), (one.ema(), two.ema())):
        assert all(torch.equal(a[n], b[n]) for n in a)


def test_after_a_restore_it_is_built_as_it_learns(pair, tmp_path):
    """Settings that are read at the start are those that the save brings along, not the command's."""
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=2))
    snapshots.snapshot(folder, "early")
    other = {"optimiser": "adamw", "lr": 2e-3, "ema": False}
    run(step(pair, folder, iterations=9, **other), at2="stop")
    snapshots.restore(folder, "early")
    run(step(pair, folder, iterations=9, **other), at1="stop")
    saved = checkpoint.load_latest(folder)
    assert (saved.iteration, saved.extra["train"]["optimiser"]) == (3, "adabelief")
    assert saved.extra["train"]["iterations"] == 9, "but the end is the command's"
    assert saved.optimiser_state().kind == "AdaBelief"
    assert saved.ema() is not None


def test_a_wish_that_is_in_the_save_is_followed_at_the_next_start(pair, tmp_path, monkeypatch):
    folder, decays = tmp_path / "run", []
    run(step(pair, folder, iterations=2), at0=[{"set": {"ema_decay": 0.95}}])
    real = start.Ema

    def seen(named, decay):
        decays.append(decay)
        return real(named, decay)

    monkeypatch.setattr(start, "Ema", seen)
    run(step(pair, folder, iterations=3))
    assert decays == [0.95]


def test_a_refused_picture_costs_nothing_learned(pair, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def refused(*_, **__):
        raise DiskRefused("The disk is full.", remedy="Free space.")

    monkeypatch.setattr("facewright.training.reports.write_atomic", refused)
    with pytest.raises(DiskRefused):
        run(step(pair, folder, iterations=9), at3=[{"do": "preview"}])
    assert checkpoint.load_latest(folder).iteration > 0


def test_an_end_in_doubt_is_no_end(pair, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=2))
    with monkeypatch.context() as patch:
        patch.setattr("facewright.training.collapse.Signs.doubt", "the loss is high")
        with pytest.raises(TrainingRefused, match="are not saved") as caught:
            run(step(pair, folder, iterations=4))
    assert "from iteration 2" in caught.value.remedy
    assert [e["kind"] for e in history.events(folder / "history.jsonl")][-1] == "start"
    assert run(step(pair, folder, iterations=4))[1]["iterations"] == 4


def test_a_second_stop_ends_at_once_without_a_save(pair, tmp_path):
    desk = Desk()

    def changes():
        if desk.calls == 2:
            desk.work.stop.ask()
            desk.work.stop.ask()
        desk.calls += 1
        return []

    desk.work.changes = changes
    step_ = step(pair, tmp_path / "run", iterations=9)
    assert list(step_.stream(step_.plan(), desk.work)) == []
    assert checkpoint.load_latest(tmp_path / "run") is None


def test_a_stop_while_faces_are_prepared_is_heard(pair, tmp_path):
    desk = Desk()

    def progress(done, total=None, note="", **facts):
        if note.startswith("preparing"):
            desk.work.stop.ask()

    desk.work.progress = progress
    step_ = step(pair, tmp_path / "run", iterations=9)
    assert list(step_.stream(step_.plan(), desk.work)) == []
    assert not list((tmp_path / "run" / ".cache").rglob("faces.u8")), "nothing half-prepared stays"
    _, result = run(step(pair, tmp_path / "run", iterations=1))
    assert result["iterations"] == 1


def test_a_finished_run_goes_on_when_the_end_is_moved(pair, tmp_path):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=2))
    desk, result = run(step(pair, folder, iterations=2))
    assert result["iterations"] == 2
    assert not desk.kinds("save"), "nothing to do, nothing saved again"
    _, result = run(step(pair, folder, iterations=4, lr=1e-4))
    assert result["iterations"] == 4
    assert read_losses(folder / "losses.bin")["iteration"].tolist() == [1, 2, 3, 4]


def test_changes_of_a_running_training(pair, tmp_path):
    folder = tmp_path / "run"
    desk, _ = run(
        step(pair, folder, iterations=5),
        at1=[{"set": {"lr": 5e-4}}], at2=[{"do": "save"}], at3=[{"do": "preview"}],
        at4=[{"set": {"optimiser": "adamw"}}, {"set": {"lr": 99}}, {"set": {"nonsense": 1}}],
    )
    assert desk.kinds("setting") == [{"iteration": 1, "name": "lr", "before": 1e-3, "now": 5e-4, "by": "user"}]
    assert [s["iteration"] for s in desk.kinds("save")] == [2, 5]
    assert 3 in [p["iteration"] for p in desk.kinds("preview")]
    assert len(desk.kinds("refused")) == 3
    assert all(r["remedy"] for r in desk.kinds("refused"))
    assert checkpoint.load_latest(folder).extra["train"]["lr"] == 5e-4


def test_the_smoothed_loss_of_a_save_is_of_its_own_settings(pair, tmp_path):
    """Losses with and without bending are not comparable; the best save is chosen by this figure."""
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=4), at2=[{"set": {"eyes_mouth_prio": True}}])

    def mean(first, last):
        rows = read_losses(folder / "losses.bin")[first:last]
        return pytest.approx(float(rows["src"].mean() + rows["dst"].mean()), abs=1e-4)

    assert checkpoint.load_latest(folder).state["loss"] == mean(2, 4)
    run(step(pair, folder, iterations=5, eyes_mouth_prio=True))
    assert checkpoint.load_latest(folder).state["loss"] == mean(2, 5)
    run(step(pair, folder, iterations=6))
    assert checkpoint.load_latest(folder).state["loss"] == mean(5, 6)


def test_the_end_can_be_moved_while_it_runs(pair, tmp_path):
    _, result = run(step(pair, tmp_path / "run", iterations=9), at2=[{"set": {"iterations": 3}}])
    assert result["iterations"] == 3


HALF = plan({"name": "one", "share": 0.5}, {"name": "two", "settings": {"random_warp": False, "lr": 1e-4}})


def test_a_recipes_stages_come_at_their_share(pair, tmp_path):
    desk, _ = run(step(pair, tmp_path / "run", iterations=6, recipe=HALF))
    assert {(c["name"], c["iteration"], c["by"]) for c in desk.kinds("setting")} == {
        ("random_warp", 3, "recipe"), ("lr", 3, "recipe")}


def test_stages_survive_an_interruption_and_leave_later_wishes_alone(pair, tmp_path):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=6, recipe=HALF), at4=[{"set": {"lr": 2e-4}}], at5="stop")
    desk, _ = run(step(pair, folder, iterations=6, recipe=HALF))
    assert not desk.kinds("setting")
    assert checkpoint.load_latest(folder).extra["train"]["lr"] == 2e-4
    desk, _ = run(step(pair, folder, iterations=7, recipe=HALF))
    assert not desk.kinds("setting"), "with more iterations the stage goes on, with what the user changed"
    assert checkpoint.load_latest(folder).extra["train"] | {"lr": 2e-4, "random_warp": False} == (
        checkpoint.load_latest(folder).extra["train"])


def test_a_face_once_learned_stays_in_the_record(pair, drawn, write, tmp_path):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=1))
    other = write(tmp_path / "other", drawn(4, name="c"), consent="sha256:" + "9" * 64)
    run(step((other, pair[1]), folder, iterations=2))
    kept = json.loads((folder / "run.json").read_text())["extra"]["likenesses"]
    assert [l["consent"][-1] for l in kept if l["role"] == "source_likeness"] == ["1", "9"]
    assert len(kept) == 3


def test_a_loss_that_is_no_number_stops_before_the_update(pair, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=2))
    good = checkpoint.load_latest(folder).weights()
    real = swapping.objective

    def broken(name, views, batch, settings, **how):
        terms = real(name, views, batch, settings, **how)
        return terms | {"src_mse": terms["src_mse"] * float("nan")}

    monkeypatch.setattr(swapping, "objective", broken)
    seen = {}
    monkeypatch.setattr(Training, "before_step", lambda self, *a: seen.setdefault("updated", True))
    with pytest.raises(TrainingRefused, match=r"iteration 3.*src_mse"):
        run(step(pair, folder, iterations=9))
    assert not seen
    after = checkpoint.load_latest(folder)
    assert after.iteration == 2
    assert all(torch.equal(good[n], w) for n, w in after.weights().items())


def test_another_net_or_shape_is_refused(trained, pair):
    folder = trained[0]
    with pytest.raises(Mismatch, match="another model"):
        step(pair, folder, net="quick96").plan()
    with pytest.raises(SettingRefused, match="locked") as caught:
        step(pair, folder, shape={"resolution": 96}).plan()
    assert "new RUN" in caught.value.remedy
    step(pair, folder, shape={}).plan()


def test_nonsense_is_refused_before_anything_is_written(pair, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(SettingRefused, match="resolution"):
        step(pair, folder, shape=TINY | {"resolution": 80}).plan()
    with pytest.raises(Mismatch, match="too narrow"):
        step(pair, folder, shape=TINY | {"face_type": "head"}).plan()
    with pytest.raises(SettingRefused, match="no device"):
        step(pair, folder, device="cuda:7").plan()
    with pytest.raises(SettingRefused):
        step(pair, folder, recipe=plan({"name": "a", "settings": {"lr": 7}})).plan()
    assert not folder.exists()


def test_a_step_is_rebuilt_from_its_job(pair, tmp_path):
    one = step(pair, tmp_path / "run", net="quick96")
    text = json.dumps({"args": one.args(), "settings": one.settings.model_dump(mode="json")})
    again = TrainStep.from_job(**json.loads(text))
    assert again == one
    assert type(again.settings) is Quick96Train
    assert again.inputs() == one.inputs()


def test_a_job_can_be_resumed_from_any_folder(pair, tmp_path, monkeypatch):
    monkeypatch.chdir(pair[0].parent)
    args = TrainStep("run", pair[0].name, str(pair[1]), "saehd", SaehdTrain()).args()
    assert (args["run"], args["src"], args["dst"]) == (str(pair[0].parent / "run"), str(pair[0]), str(pair[1]))


def test_likenesses_of_both_sides(pair, tmp_path):
    assert [l.role for l in step(pair, tmp_path / "run").likenesses()] == ["source_likeness", "target_performer"]


def test_quick96_shows_every_third_batch_again_unbent():
    asked = []
    batches = SimpleNamespace(get=lambda i, s, part, parts: asked.append((i, s.random_warp)))
    t = SimpleNamespace(settings=Quick96Train(), batches=batches, parts=lambda: [(0, 1)])
    for i in range(7):
        list(Swapping.passes(t, i))
    assert asked == [(0, True), (1, True), (2, True), (2, False), (4, True), (5, True), (5, False)]


def test_frozen_parts_rest_and_the_clock_ends_a_training(pair, tmp_path):
    folder = tmp_path / "run"
    shape = TINY | {"archi": "liae-ud"}
    _, result = run(step(pair, folder, shape=shape, iterations=0, minutes=0.01, random_warp=False))
    assert result["iterations"] >= 1
    assert result["minutes"] >= 0.01
    initial = build("saehd", step(pair, folder, shape=shape).shape_settings(), seed=0).state_dict()
    now = checkpoint.load_latest(folder).weights()
    resting = [n for n in now if n.startswith("inter_AB.")]
    assert resting
    assert all(torch.equal(now[n], initial[n]) for n in resting)
    assert not torch.equal(now["inter_B.dense1.weight"], initial["inter_B.dense1.weight"])


def test_without_running_mean(pair, tmp_path):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=1, ema=False))
    assert checkpoint.load_latest(folder).ema() is None
    run(step(pair, folder, iterations=2, ema=True))
    assert checkpoint.load_latest(folder).ema() is not None


KILLED = """
import sys
sys.path.insert(0, sys.argv[4])
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.training.swap_step import TrainStep
from facewright.training.settings import SaehdTrain
settings = check(SaehdTrain, {settings})
step = TrainStep(sys.argv[1], sys.argv[2], sys.argv[3], "saehd", settings, shape={shape})
asked = iter(range(10**9))
changes = lambda: [{"do": "save"}] if next(asked) % 3 == 0 else []
list(step.stream(step.plan(), Work(changes=changes)))
"""


def test_kill_9_costs_at_most_what_was_not_saved(pair, tmp_path):
    """Killed at some moment, taken up again: the same losses as an undisturbed run, bit for bit."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    step_ = step(pair, whole, iterations=14)
    run(step_)
    code = KILLED.replace("{settings}", repr(step_.settings.model_dump())).replace("{shape}", repr(TINY))
    source = str(Path(swapping.__file__).parents[2])
    process = subprocess.Popen([sys.executable, "-c", code, str(killed), str(pair[0]), str(pair[1]), source],
                               env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    current = killed / "model" / "CURRENT"
    while not (current.exists() and current.read_text() > "000000006") and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    saved = checkpoint.load_latest(killed)
    assert 6 <= saved.iteration < 14, "killed in the middle"
    run(step(pair, killed, iterations=14))
    assert (whole / "losses.bin").read_bytes() == (killed / "losses.bin").read_bytes()


ADVERSE = {"gan_power": 0.1, "gan_patch_size": 8, "gan_dims": 4, "true_face_power": 0.05, "face_style_power": 1.0,
           "bg_style_power": 1.0}


@pytest.mark.parametrize("way", ["shared", "fresh"])
def test_adversaries_go_on_where_they_were(pair, tmp_path, way):
    """Bit-equal with and without an interruption: their weights and optimisers are in every save."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changes = {**ADVERSE, "adversary_pass": way}
    run(step(pair, whole, iterations=4, **changes))
    run(step(pair, parts, iterations=4, **changes), at2="stop")
    run(step(pair, parts, iterations=4, **changes))
    assert (whole / "losses.bin").read_bytes() == (parts / "losses.bin").read_bytes()
    one, two = (checkpoint.load_latest(p) for p in (whole, parts))
    assert {"gan", "gan_optimiser", "true_face", "true_face_optimiser"} <= set(one.state["files"])
    for name in ("weights", "gan", "gan_optimiser", "true_face"):
        a, b = (read_tensors(c.folder / f"{name}.safetensors") for c in (one, two))
        assert all(torch.equal(a[n], b[n]) for n in a)


def test_adversaries_change_what_the_net_learns_and_learn_themselves(pair, tmp_path):
    for name, changes in (("plain", {}), ("adverse", ADVERSE)):
        run(step(pair, tmp_path / name, iterations=2, **changes))
    plain, adverse = (checkpoint.load_latest(tmp_path / n) for n in ("plain", "adverse"))
    a, b = plain.weights(), adverse.weights()
    assert any(not torch.equal(a[n], b[n]) for n in a)
    run(step(pair, tmp_path / "adverse", iterations=3, **ADVERSE))
    later = checkpoint.load_latest(tmp_path / "adverse")
    for name in ("gan", "true_face"):
        a, b = (read_tensors(c.folder / f"{name}.safetensors") for c in (adverse, later))
        assert any(not torch.equal(a[n], b[n]) for n in a)


def test_a_discriminator_joins_while_it_runs_and_rests_without_forgetting(pair, tmp_path):
    desk, _ = run(step(pair, tmp_path / "run", iterations=4), at1=[{"set": {"gan_power": 0.2, "gan_dims": 4}}],
                  at3=[{"set": {"gan_power": 0.0}}])
    assert [s["name"] for s in desk.kinds("setting")] == ["gan_power", "gan_dims", "gan_power"]
    saved = checkpoint.load_latest(tmp_path / "run")
    assert "gan" in saved.state["files"], "it is kept while its power is 0"
    assert saved.extra["adversaries"]["gan"] == [0, 4]
    run(step(pair, tmp_path / "run", iterations=5, gan_power=0.2, gan_dims=8))
    assert checkpoint.load_latest(tmp_path / "run").extra["adversaries"]["gan"] == [0, 8], "another shape, afresh"


def test_a_discriminator_that_joined_is_taken_up_by_the_same_command(pair, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    joins = [{"set": {"gan_power": 0.2, "gan_dims": 4}}]
    run(step(pair, whole, iterations=5), at1=joins)
    run(step(pair, parts, iterations=5), at1=joins, at3="stop")
    run(step(pair, parts, iterations=5))
    assert (whole / "losses.bin").read_bytes() == (parts / "losses.bin").read_bytes()
    one, two = (read_tensors(checkpoint.load_latest(p).folder / "gan.safetensors") for p in (whole, parts))
    assert all(torch.equal(one[n], two[n]) for n in one)


def test_advice_is_given_before_hours_are_spent(pair, tmp_path):
    odd = step(pair, tmp_path / "run", iterations=1, face_style_power=1.0)
    odd.shape = {**odd.shape, "ae_dims": 512}
    desk, _ = run(odd)
    told = " ".join(w["text"] for w in desk.kinds("warning"))
    assert "ae_dims 512 is large" in told.lower()
    assert "--face-style-power works inside the mask" in told


def test_without_previews_a_save_renews_the_curve(pair, tmp_path, monkeypatch):
    drawn, real = [], Reports.draw
    monkeypatch.setattr(Reports, "draw", lambda self: drawn.append(self.t.done) or real(self))
    desk, _ = run(step(pair, tmp_path / "run", iterations=6), at4=[{"do": "save"}])
    (saved, _) = (facts["iteration"] for facts in desk.kinds("save"))
    assert saved < 6
    assert saved in drawn


def test_a_curve_that_cannot_be_drawn_spoils_no_save(pair, tmp_path, monkeypatch):
    real = Reports.draw

    def full(self):
        if self.t.done == 4:
            raise DiskRefused("The disk is full.", remedy="Free space.")
        real(self)

    monkeypatch.setattr(Reports, "draw", full)
    desk, result = run(step(pair, tmp_path / "run", iterations=6), at4=[{"do": "save"}])
    assert [facts["iteration"] for facts in desk.kinds("save")] == [4, 6]
    assert "loss.png could not be renewed" in desk.kinds("warning")[0]["text"]
    assert result["iterations"] == 6


def test_true_face_is_refused_where_codes_are_shared(pair, tmp_path):
    liae = step(pair, tmp_path / "a", iterations=1, true_face_power=0.1)
    liae.shape = {**liae.shape, "archi": "liae-ud"}
    with pytest.raises(SettingRefused, match="df nets only"):
        liae.plan()
    live = step(pair, tmp_path / "b", iterations=2)
    live.shape = {**live.shape, "archi": "liae-ud"}
    desk, result = run(live, at1=[{"set": {"true_face_power": 0.1}}])
    assert "df nets only" in desk.kinds("refused")[0]["text"]
    assert result["iterations"] == 2


AMP = {"resolution": 64, "ae_dims": 32, "inter_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16,
       "face_type": "full_face"}


def amp(pair, run, **settings):
    values = {"batch_size": 2, "precision": "float32", "iterations": 3, "preview_seconds": 0, "threads": 1}
    return TrainStep(str(run), str(pair[0]), str(pair[1]), "amp", check(AmpTrain, values | settings), shape=AMP)


def test_amp_learns_and_goes_on_where_it_was(pair, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(amp(pair, whole, gan_power=0.1, gan_dims=4))
    run(amp(pair, parts, gan_power=0.1, gan_dims=4), at2="stop")
    run(amp(pair, parts, gan_power=0.1, gan_dims=4))
    assert (whole / "losses.bin").read_bytes() == (parts / "losses.bin").read_bytes()
    fresh = build("amp", check(AmpSettings, AMP)).state_dict()
    learned = checkpoint.load_latest(whole).weights()
    moved = {n for n in learned if not torch.equal(learned[n], fresh[n])}
    assert moved
    assert not any(n.startswith("inter_") for n in moved), "the inters keep their start, as the original's"


def test_amp_s_inters_learn_when_asked(pair, tmp_path):
    run(amp(pair, tmp_path / "run", train_inters=True, iterations=1))
    fresh = build("amp", check(AmpSettings, AMP)).state_dict()
    learned = checkpoint.load_latest(tmp_path / "run").weights()
    assert not torch.equal(learned["inter_src.dense2.weight"], fresh["inter_src.dense2.weight"])
