"""Several processes that learn one net: the same as one with the whole batch; one writer; an end when one is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.conftest import DrawnFaceset
from tests.training.test_loop import TINY, Desk, plan, run, step
from tests.training.test_masking import write as write_labelled

from facewright.core.errors import SettingRefused, TrainingRefused
from facewright.core.settings import check
from facewright.models import checkpoint
from facewright.training import history, lead
from facewright.training.batches import part_after
from facewright.training.curve import read_losses
from facewright.training.settings import AmpTrain, SaehdTrain, XSegTrain
from facewright.training.swap_step import step_of
from facewright.training.team import Team

ROOT = Path(__file__).resolve().parents[2]
AMP = {"resolution": 64, "ae_dims": 32, "inter_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
PLAIN = {"batch_size": 2, "precision": "float32", "iterations": 3, "preview_seconds": 0, "lr": 1e-3, "threads": 1,
         "device": "cpu"}
ADVERSE = {"gan_power": 0.1, "gan_patch_size": 8, "gan_dims": 4, "true_face_power": 0.05}
RESET = plan({"name": "a", "iterations": 2}, {"name": "b", "reset": "inter", "iterations": 2})
UNBENT = {"2": [{"set": {"random_warp": False, "lr": 2e-3}}]}
CASES = {
    "sum": {"lr_dropout": 0.5, "clipgrad": True},
    "mean": {"optimiser": "adamw", "accumulate": 2},
    "adverse": {**ADVERSE, "uniform_yaw": True},
    "amp": {},
    "xseg": {"lr": 1e-5},
    "told": {"asks": UNBENT, "iterations": 4},
    "recipe": {"recipe": RESET, "iterations": 4},
    "saved": {"asks": {"2": [{"do": "save"}]}},
    "drift": {"asks": {"2": [{"do": "save"}]}, "trick": "drift"},
    "no memory": {"trick": "no memory"},
    "no number": {"trick": "no number", "on_collapse": "safer", "lr": 1e-4},
    "no number, stop": {"trick": "no number"},
}
ALIKE = ("sum", "mean", "adverse", "amp", "xseg", "told", "recipe", "saved", "no memory")
"""Cases that learn what one process would."""


def step_of_case(name, folder, pair, labelled, **more):
    values = {k: v for k, v in CASES[name].items() if k not in ("asks", "trick", "recipe")}
    net = name if name in ("amp", "xseg") else "saehd"
    kind, shape = {"amp": (AmpTrain, AMP), "xseg": (XSegTrain, {"base_dims": 8}), "saehd": (SaehdTrain, TINY)}[net]
    src, dst = (labelled, "") if net == "xseg" else pair
    settings = check(kind, PLAIN | values | more)
    return step_of(net)(str(folder), str(src), str(dst), net, settings, shape=shape,
                        recipe=CASES[name].get("recipe", {}))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return write_labelled(tmp_path_factory.mktemp("labelled") / "faces", DrawnFaceset(8), labelled=8)


@pytest.fixture(scope="module")
def learned(pair, labelled, tmp_path_factory):
    """Every case, learned by two processes: name -> (run, what the first one told)."""
    place = tmp_path_factory.mktemp("two")
    cases = []
    for (name, case), port in zip(CASES.items(), free_ports(len(CASES))):
        step_ = step_of_case(name, place / name, pair, labelled)
        cases.append({
            "folder": str(place / name), "port": port, "step": step_.args(),
            "settings": step_.settings.model_dump(), "asks": case.get("asks", {}), "trick": case.get("trick", ""),
        })
    (place / "plan.json").write_text(json.dumps(cases))
    program = [sys.executable, str(ROOT / "tests/training/two_processes.py"), str(place / "plan.json")]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    said = (place / "said.txt").open("wb")
    both = [subprocess.Popen([*program, str(rank)], env=env, stdout=said, stderr=said) for rank in (0, 1)]
    try:
        assert [p.wait(300) for p in both] == [0, 0], (place / "said.txt").read_text()
    finally:
        for process in both:
            process.kill()
    return {name: (place / name, json.loads((place / f"{name}.json").read_text())) for name in CASES}


@pytest.mark.parametrize("name", ALIKE)
def test_two_processes_learn_what_one_learns_from_the_whole_batch(learned, pair, labelled, tmp_path, name):
    folder, told = learned[name]
    assert told["result"]["processes"] == 2
    single = step_of_case(name, tmp_path / "one", pair, labelled, batch_size=4)
    asks = {f"at{k}": v for k, v in CASES[name].get("asks", {}).items()}
    run(single, **asks)
    one, two = read_losses(tmp_path / "one" / "losses.bin"), read_losses(folder / "losses.bin")
    assert len(one) == len(two) == single.settings.iterations
    sides = ("src",) if name == "xseg" else ("src", "dst")
    for side in sides:
        np.testing.assert_allclose(two[side], one[side], rtol=0, atol=1e-5 * max(1, one[side].max()))
    first, second = (checkpoint.load_latest(f).weights() for f in (tmp_path / "one", folder))
    moved = single.settings.lr * single.settings.iterations
    apart = torch.cat([(first[n] - second[n]).abs().flatten() for n in first])
    # An optimiser that divides by a gradient's size makes much of the rounding of one that is nearly nothing.
    assert apart.mean() < 0.02 * moved


@pytest.mark.parametrize("name", ["saved", "xseg"])
def test_they_are_bit_equal_to_as_many_passes_of_one(learned, pair, labelled, tmp_path, name):
    """So what is left of a difference to the whole batch is its rounding, not theirs."""
    run(step_of_case(name, tmp_path / "one", pair, labelled, accumulate=2))
    assert (tmp_path / "one" / "losses.bin").read_bytes() == (learned[name][0] / "losses.bin").read_bytes()
    first, second = (checkpoint.load_latest(f).weights() for f in (tmp_path / "one", learned[name][0]))
    assert all(torch.equal(first[n], second[n]) for n in first)


def test_processes_that_stay_together_are_left_alone(learned):
    """Compared bit for bit at the save."""
    warnings = [f["text"] for kind, f in learned["saved"][1]["notes"] if kind == "warning"]
    assert not any("drifted" in text for text in warnings)


def test_processes_that_drifted_apart_are_brought_together(learned):
    warnings = [f["text"] for kind, f in learned["drift"][1]["notes"] if kind == "warning"]
    assert sum("drifted apart" in text for text in warnings) == 1
    losses, alike = (read_losses(learned[n][0] / "losses.bin") for n in ("drift", "saved"))
    np.testing.assert_allclose(losses["src"], alike["src"], rtol=1e-5)


def test_there_is_one_writer(learned):
    folder, told = learned["saved"]
    assert [e["kind"] for e in history.events(folder / "history.jsonl")] == ["start", "end"]
    assert [kind for kind, _ in told["notes"]].count("start") == 1
    assert read_losses(folder / "losses.bin")["iteration"].tolist() == [1, 2, 3]


def test_memory_that_one_process_lacks_is_spared_by_all(learned):
    folder, told = learned["no memory"]
    assert any("not enough memory for 2 faces" in f.get("text", "") for _, f in told["notes"])
    assert checkpoint.load_latest(folder).extra["train"]["accumulate"] == 2


def test_a_loss_of_one_process_that_is_no_number_sends_all_back(learned):
    folder, told = learned["no number"]
    assert told["result"]["iterations"] == 3
    assert [kind for kind, _ in told["notes"]].count("collapse") == 1
    assert [kind for kind, _ in told["notes"]].count("start") == 2
    assert np.isfinite(read_losses(folder / "losses.bin")["src"]).all()


def test_or_ends_all(learned):
    error = learned["no number, stop"][1]["error"]
    assert "not a number" in error["what"]


# ---- processes that a training starts itself


@pytest.fixture
def others(monkeypatch):
    """The processes that are started."""
    found, spawn = [], lead._spawn

    def spy(*words):
        found.append(spawn(*words))
        return found[-1]

    monkeypatch.setattr(lead, "_spawn", spy)
    return found


def test_one_that_is_killed_ends_the_training_with_a_save(pair, tmp_path, others):
    folder = tmp_path / "run"
    desk, step_ = Desk(), step(pair, folder, iterations=10_000, gpus=2, device="cpu", log_every=1)

    def killing(done, total=None, note="", **facts):
        if note == "training" and done >= 3 and others[0].poll() is None:
            os.kill(others[0].pid, signal.SIGKILL)
            others[0].wait()
            desk.killed = time.monotonic(), done

    desk.work.progress = killing
    with pytest.raises(TrainingRefused, match="Process 2 of 2 has ended") as refused:
        list(step_.stream(step_.plan(), desk.work))
    assert time.monotonic() - desk.killed[0] < 30
    assert "Run the same command again" in refused.value.remedy
    saved = checkpoint.load_latest(folder)
    assert desk.killed[1] <= saved.iteration <= desk.killed[1] + 1, "nothing learned is lost"
    _, result = run(step(pair, folder, iterations=saved.iteration + 2, device="cpu"))
    assert result["iterations"] == saved.iteration + 2
    assert "processes" not in result


def test_a_connection_whose_end_nobody_noticed_ends_the_training_too(pair, tmp_path, others, monkeypatch):
    """The library may go on waiting for one that is gone: here it is only held, and said to be gone."""
    desk, step_ = Desk(), step(pair, tmp_path / "run", iterations=10_000, gpus=2, device="cpu", log_every=1)

    def holding(done, total=None, note="", **facts):
        if note == "training" and done >= 3 and others[0].poll() is None:
            os.kill(others[0].pid, signal.SIGSTOP)
            monkeypatch.setattr(others[0], "poll", lambda: -signal.SIGKILL)
            desk.held = time.monotonic()

    desk.work.progress = holding
    with pytest.raises(TrainingRefused, match="Process 2 of 2 has ended"):
        list(step_.stream(step_.plan(), desk.work))
    assert time.monotonic() - desk.held < 30
    assert checkpoint.load_latest(tmp_path / "run").iteration >= 3
    assert others[0].returncode == -signal.SIGKILL


FIRST = """
import sys, json
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.training import lead
from facewright.training.settings import SaehdTrain
from facewright.training.swap_step import TrainStep
spawn = lead._spawn
def spy(*words):
    other = spawn(*words)
    print(other.pid, flush=True)
    return other
lead._spawn = spy
step = TrainStep(**json.loads(sys.argv[1]), settings=check(SaehdTrain, json.loads(sys.argv[2])))
work = Work(progress=lambda done, total=None, note="", **facts: print(note, done, flush=True))
list(step.stream(step.plan(), work))
"""


def lives(process):
    try:
        return "Z" not in (process / "stat").read_text().rsplit(")", 1)[1][:3]
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at /proc")
def test_when_the_first_is_killed_the_others_end(pair, tmp_path):
    step_ = step(pair, tmp_path / "run", iterations=10_000, gpus=2, device="cpu", log_every=1)
    words = [json.dumps(step_.args()), json.dumps(step_.settings.model_dump())]
    first = subprocess.Popen([sys.executable, "-c", FIRST, *words], stdout=subprocess.PIPE, text=True)
    lines = iter(first.stdout.readline, "")
    other = Path("/proc") / next(lines).strip()
    assert any(line.startswith("training 3") for line in lines)
    first.kill()
    first.wait()
    first.stdout.close()
    until = time.monotonic() + 30
    while lives(other):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.1)


def test_one_that_cannot_begin_says_why(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(lead, "_spawn", lambda *words: subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]))
    step_ = step(pair, tmp_path / "run", gpus=2, device="cpu")
    with pytest.raises(TrainingRefused, match="Process 2 of 2 ended before it began") as refused:
        list(step_.stream(step_.plan(), Desk().work))
    assert "3" in refused.value.why


def test_a_stop_ends_all_with_a_save(pair, tmp_path, others):
    desk, result = run(step(pair, tmp_path / "run", iterations=10_000, gpus=2, device="cpu"), at2="stop")
    assert result is None
    assert desk.kinds("save")[-1]["iteration"] == 2
    assert [p.returncode for p in others] == [0]


def test_more_gpus_than_there_are_are_refused(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingRefused, match="--gpus 3 is more than there are") as refused:
        step(pair, tmp_path / "run", gpus=3).plan()
    assert "--gpus 1" in refused.value.remedy
    step(pair, tmp_path / "run", gpus=3, device="cpu").plan()
    with pytest.raises(SettingRefused, match="do not go together"):
        step(pair, tmp_path / "run", gpus=2, device="cuda:0").plan()


# ---- by itself


def test_parts_of_all_processes_are_the_batch():
    parts = [part for rank in range(3) for part in Team(rank, 3).parts(2)]
    assert parts == [(k, 6) for k in range(6)]


def test_what_a_process_takes_next_is_its_own_part():
    at, seen = (0, 2), []
    for _ in range(5):
        seen.append(at)
        at = part_after(*at, each=2)
    assert seen == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 2)]
    assert part_after(4, 5, 1) == (5, 5)


def test_one_alone_talks_to_nobody():
    team, more = Team(), torch.ones(3)
    assert team.add_up([torch.nn.Parameter(torch.ones(2))], more) is more
    assert team.border("over", 1.0) is False
    assert team.gather({"a": 1}) == [{"a": 1}]
