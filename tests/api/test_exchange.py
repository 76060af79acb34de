"""Models in and out: nothing of a weight changes on the way, and no face travels without its record."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tests import closed_form as cf
from tests.models.folders import TINY, options_of, tiny, write

from facewright import api
from facewright.core.errors import ConsentRefused, DiskRefused, FileRefused, Mismatch, SettingRefused
from facewright.core.step import Likeness
from facewright.core.unpickle import read_pickle_file
from facewright.merge.predict import predictor
from facewright.merge.settings import MergeSettings
from facewright.models import checkpoint, exchange
from facewright.models.run_folder import RunFolder
from facewright.models.taken_over import taken_over
from facewright.training import history
from facewright.training.curve import LossFile, read_losses

USE = "Film A, scene 12: her face on the stunt double on the roof."
ALL = ("train", "preview", "merge", "export_model")


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(name: str = "Ada", *, uses: tuple[str, ...] = ALL, role: str = "source_likeness") -> str:
    made = api.consent_new(who="adult", use=USE, proof="now", adult_agreed=True, name=name, role=role, uses=uses)
    return str(made["reference"])


def content(folder: Path) -> dict[str, Any]:
    return {f.name: read_pickle_file(f) for f in sorted(folder.iterdir()) if f.suffix in (".npy", ".dat")}


def same(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in b)
    return a == b


BACK = "read, kept as a run, written again"
SAVED = {"saehd_df-ud_64": "SAEHD", "saehd_liae-udt_64": "SAEHD", "amp_64": "AMP"}


@pytest.mark.parametrize("case", SAVED)
def test_there_and_back_every_array_is_bit_equal(case, golden, tmp_path, parity):
    source = golden / f"models/saved_{case}"
    done = api.model_import_dfl(source, tmp_path / "run", records=[record()])
    assert (done["model"], done["iteration"], done["losses"]) == ("tiny", 4, 3)
    out = api.model_export_dfl(tmp_path / "run", tmp_path / "out")
    before, after = content(source), content(tmp_path / "out")
    assert set(before) - set(after) == {f"{SAVED[case]}_default_options.dat"}
    variables = json.loads((golden / "models/saved_variables.json").read_text())[case]
    for name, wanted in before.items():
        if name.endswith("_data.dat"):
            for key in ("iter", "options", "loss_history", "choosed_gpu_indexes"):
                parity.same(f"saved_{case}/{name}", after[name][key], wanted[key], BACK)
            assert after[name]["sample_for_preview"] is None
        elif name.endswith(".npy"):
            assert set(after[name]) == set(wanted)
            parity.same(f"saved_{case}/{name}", same(after[name], wanted), True, BACK)
            part = name.removeprefix(f"tiny_{SAVED[case]}_")
            keys = [n if part == "src_dst_opt.npy" else n.split("/", 1)[1] for n, _, _ in variables[part]]
            keys = [k.removeprefix("src_dst_opt/") for k in keys]
            # AMP's decoder names the same layers in another order, which nobody reads by.
            order = list if "amp" not in case else sorted
            parity.same(f"saved_variables.json/{case}", order(after[name]), order(keys), "names and their order")
    assert [Path(f).name for f in out["files"]][-1] == f"tiny_{SAVED[case]}_data.dat"
    assert b"numpy._core" not in b"".join(f.read_bytes() for f in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("case", SAVED)
def test_an_imported_run_and_its_dfm_predict_as_the_original(case, golden, tmp_path, parity):
    api.model_import_dfl(golden / f"models/saved_{case}", tmp_path / "run", records=[record()])
    done = api.model_export_dfm(tmp_path / "run", tmp_path / "t.dfm")
    assert done["difference"] <= 1e-5
    expected = np.load(golden / f"models/saved_{case}_expected.npz", allow_pickle=False)
    rgb = cf.img(1, 64, 64, 3, "merge")[..., ::-1]
    for place in (tmp_path / "run", tmp_path / "t.dfm"):
        for morph in (0.33, 1.0) if "amp" in case else (1.0,):
            swapper = predictor(place, MergeSettings(device="cpu", morph=morph))
            assert (swapper.resolution, swapper.iteration) == (64, 4)
            assert str(swapper.face_type) == ("whole_face" if "amp" in case else "full_face")
            made = swapper(rgb, face_ids=["a"])
            prefix, step = (f"mf{morph}_", 2) if "amp" in case else ("", 1)
            what = "predictions as a run" if place.is_dir() else "predictions as a DFM file"
            face = made.image[0, ::step, ::step, ::-1]
            for value, key in ((face, "face"), (made.mask_swap, "mask_src_dst"), (made.mask_own, "mask_dst_dst")):
                wanted = expected[f"{prefix}{key}"]
                have = value.reshape(wanted.shape)
                parity.near(f"saved_{case}_expected.npz/{prefix}{key}", have, wanted, what, atol=5e-5)


def test_another_morph_is_another_prediction(tmp_path):
    write(tmp_path / "dfl", "amp", data={"iter": 3, "options": options_of("amp")})
    api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=[record()])
    api.model_export_dfm(tmp_path / "run", tmp_path / "t.dfm", half=True)
    for place in (tmp_path / "run", tmp_path / "t.dfm"):
        names = {predictor(place, MergeSettings(device="cpu", morph=m)).identity for m in (0.0, 0.5, 1.0)}
        assert len(names) == 3, "predictions are cached by this name"


@pytest.mark.parametrize("case", ["saehd", "liae", "amp", "xseg", "quick96"])
def test_every_class_goes_there_and_back(case, tmp_path):
    slots = ("acc",) if case in ("quick96", "xseg") else ("ms", "vs")
    history = [[0.5], [0.25]] if case == "xseg" else [[0.5, 0.25], [0.125, 1.0]]
    data = {"iter": 9, "options": options_of(case), "loss_history": history, "sample_for_preview": [np.zeros(3)],
            "choosed_gpu_indexes": [0]}
    write(tmp_path / "dfl", case, slots=slots, data=data)
    people = [] if case == "xseg" else [record()]
    done = api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=people)
    assert done["records"] == people
    api.model_export_dfl(tmp_path / "run", tmp_path / "out")
    before, after = content(tmp_path / "dfl"), content(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, wanted in before.items():
        if name.endswith(".npy"):
            frozen = {k for k in wanted if case == "amp" and "inter" in k}
            assert same({k: after[name][k] for k in wanted if k not in frozen or k in after[name]},
                        {k: v for k, v in wanted.items() if k not in frozen or k in after[name]}), name
        else:
            assert (after[name]["iter"], after[name]["loss_history"]) == (9, history)
            assert after[name]["sample_for_preview"] is None


def test_what_the_run_keeps(tmp_path):
    reference = record()
    options = {**options_of("saehd"), "lr_dropout": True, "eyes_prio": True, "adabelief": False, "batch_size": 6,
               "target_iter": 5, "ct_mode": "rct", "random_warp": False, "uniform_yaw": True}
    history_in = [[0.5, 0.25]] * 9
    write(tmp_path / "dfl", "saehd", slots=("acc",), data={"iter": 9, "options": options, "loss_history": history_in})
    done = api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=[reference])
    folder = RunFolder.open(tmp_path / "run", "saehd")
    assert folder.shape == TINY["saehd"]
    assert folder.extra["imported"]["faces"] == "unknown"
    assert folder.extra["imported"]["options"]["eyes_prio"] is True
    (who,) = folder.extra["likenesses"]
    assert (who["role"], who["consent"], who["footage_sha256"]) == ("source_likeness", reference, [])
    stored = history.stored_settings(folder.history)
    assert (stored["optimiser"], stored["lr_dropout"], stored["lr_schedule"]) == ("rmsprop", 0.3, "cycle")
    assert (stored["batch_size"], stored["random_warp"], stored["iterations"]) == (6, False, 0)
    assert read_losses(tmp_path / "run" / "losses.bin")["iteration"].tolist() == list(range(1, 10))
    saved = checkpoint.load_latest(tmp_path / "run")
    assert (saved.iteration, saved.net, saved.resumable) == (9, "saehd", True)
    state = saved.optimiser_state()
    assert (state.kind, state.iterations) == ("RMSprop", 41)
    assert all(torch.equal(v, dict(tiny("saehd").named_parameters())[k]) for k, v in saved.weights().items())
    assert [e["type"] for e in api.ledger_show()][-1] == "model.imported"
    assert done["optimiser"] == "RMSprop"
    assert not [p for p in tmp_path.rglob("*.part")]


def test_missing_parts_begin_anew_and_are_said(tmp_path):
    write(tmp_path / "dfl", "liae", data={"iter": 9, "options": options_of("liae")})
    (tmp_path / "dfl" / "ada_SAEHD_inter_AB.npy").unlink()
    (tmp_path / "dfl" / "ada_SAEHD_src_dst_opt.npy").unlink()
    done = api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=[record()])
    assert any("inter_AB" in note for note in done["notes"])
    assert done["optimiser"] == ""
    assert not checkpoint.load_latest(tmp_path / "run").resumable


def test_discriminators_go_there_and_back(tmp_path):
    folder = write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})
    rng = np.random.default_rng(0)
    for part, scope, opt in (("GAN", "D_src", "GAN_opt"), ("code_discriminator", "dis", "D_code_opt")):
        arrays = {"convs_0/weight:0": rng.random((3, 3, 4, 8), np.float32),
                  "upconvs_0/weight:0": rng.random((3, 3, 5, 7), np.float32), "x/bias:0": rng.random(8, np.float32)}
        memory = {"iters:0": np.int64(6)}
        for slot in ("ms", "vs"):
            memory |= {f"{slot}_{scope}/{k.removesuffix(':0')}_0:0": v + 1 for k, v in arrays.items()}
        (folder / f"ada_SAEHD_{part}.npy").write_bytes(pickle.dumps(arrays))
        (folder / f"ada_SAEHD_{opt}.npy").write_bytes(pickle.dumps(memory))
    done = api.model_import_dfl(folder, tmp_path / "run", records=[record()])
    assert done["adversaries"] == ["gan", "true_face"]
    assert set(taken_over(tmp_path / "run")) == {"gan", "true_face"}
    api.model_export_dfl(tmp_path / "run", tmp_path / "out")
    before, after = content(folder), content(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(same(after[n], before[n]) for n in before if n.endswith(".npy"))
    file = tmp_path / "run" / "model" / "taken_over" / "gan.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with pytest.raises(FileRefused, match="damaged"):
        taken_over(tmp_path / "run")


class TestConsent:
    """An imported model is not a way around consent."""

    @pytest.fixture
    def dfl(self, tmp_path: Path) -> Path:
        return write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})

    def test_no_import_without_the_source_s_record(self, dfl, tmp_path):
        with pytest.raises(ConsentRefused, match="not known whose face") as refused:
            api.model_import_dfl(dfl, tmp_path / "run")
        assert "--record" in refused.value.remedy
        with pytest.raises(ConsentRefused, match="not known whose face"):
            api.model_import_dfl(dfl, tmp_path / "run", records=[record("Bob", role="target_performer")])
        with pytest.raises(ConsentRefused, match="no consent record"):
            api.model_import_dfl(dfl, tmp_path / "run", records=["sha256:" + "0" * 64])
        with pytest.raises(ConsentRefused, match="does not allow this use"):
            api.model_import_dfl(dfl, tmp_path / "run", records=[record("Cy", uses=("merge",))])
        assert not (tmp_path / "run").exists()

    def test_records_of_films_cannot_vouch_for_a_model_whose_films_nobody_knows(self, dfl, tmp_path):
        shipped = next(row["reference"] for row in api.consent_list() if row["basis"] == "synthetic")
        with pytest.raises(ConsentRefused, match="listed films only"):
            api.model_import_dfl(dfl, tmp_path / "run", records=[shipped])

    def test_a_revoked_record_stops_everything(self, dfl, tmp_path):
        reference = record()
        api.model_import_dfl(dfl, tmp_path / "run", records=[reference])
        api.model_export_dfm(tmp_path / "run", tmp_path / "a.dfm")
        api.consent_revoke(reference, "withdrawn")
        for go in (lambda: api.model_export_dfm(tmp_path / "run", tmp_path / "b.dfm"),
                   lambda: api.model_export_dfl(tmp_path / "run", tmp_path / "out"),
                   lambda: api.model_import_dfl(dfl, tmp_path / "again", records=[reference])):
            with pytest.raises(ConsentRefused, match="revoked"):
                go()
        assert not (tmp_path / "b.dfm").exists()
        assert not (tmp_path / "out").exists()

    def test_giving_a_model_away_needs_export_model(self, dfl, tmp_path):
        api.model_import_dfl(dfl, tmp_path / "run", records=[record(uses=("train", "preview", "merge"))])
        with pytest.raises(ConsentRefused, match="does not allow this use") as refused:
            api.model_export_dfm(tmp_path / "run", tmp_path / "a.dfm")
        assert "export_model" in refused.value.why
        with pytest.raises(ConsentRefused):
            api.model_export_dfl(tmp_path / "run", tmp_path / "out")
        assert {p.name for p in tmp_path.iterdir()} >= {"dfl", "run"}
        assert not (tmp_path / "a.dfm").exists()

    def test_a_run_that_says_nobody_is_not_given_away(self, dfl, tmp_path):
        api.model_import_dfl(dfl, tmp_path / "run", records=[record()])
        RunFolder.open(tmp_path / "run").note(likenesses=[])
        for go in (lambda: api.model_export_dfm(tmp_path / "run", tmp_path / "a.dfm"),
                   lambda: api.model_export_dfl(tmp_path / "run", tmp_path / "out")):
            with pytest.raises(ConsentRefused, match="does not say whose face"):
                go()

    def test_a_permit_for_something_else_opens_nothing(self, dfl, tmp_path):
        reference = record()
        api.model_import_dfl(dfl, tmp_path / "run", records=[reference])
        from facewright.api.trust import permit_at

        other = record("Bob")
        for permit in (permit_at(tmp_path, "train", [Likeness("source_likeness", reference, "", tmp_path)]),
                       permit_at(tmp_path, "export_model", [Likeness("source_likeness", other, "", tmp_path)]),
                       permit_at(tmp_path, "label", [])):
            with pytest.raises(ConsentRefused, match="no leave"):
                exchange.export_onnx(tmp_path / "run", tmp_path / "a.dfm", permit=permit, enter=lambda *a: None)

    def test_pretraining_is_left_on_the_way_in_and_then_needs_nobody(self, tmp_path):
        options = {**options_of("saehd"), "pretrain": True}
        dfl = write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options, "loss_history": [[1.0, 1.0]]})
        done = api.model_import_dfl(dfl, tmp_path / "run")
        assert (done["iteration"], done["records"]) == (0, [])
        weights, known = checkpoint.load_latest(tmp_path / "run").weights(), dict(tiny("saehd").named_parameters())
        for name, value in weights.items():
            assert torch.equal(value, known[name]) != name.startswith("inter"), name
        assert RunFolder.open(tmp_path / "run").extra["likenesses"] == []
        with pytest.raises(ConsentRefused, match="does not say whose face"):
            api.model_export_dfm(tmp_path / "run", tmp_path / "a.dfm")
        kept = api.model_import_dfl(dfl, tmp_path / "other", records=[record()])
        assert kept["iteration"] == 9

    def test_xseg_shows_nobody(self, tmp_path):
        dfl = write(tmp_path / "dfl", "xseg", slots=("acc",), data={"iter": 2, "options": options_of("xseg")})
        api.model_import_dfl(dfl, tmp_path / "run")
        done = api.model_export_dfm(tmp_path / "run", tmp_path / "XSeg_model.onnx")
        assert done["difference"] <= 1e-4
        assert api.ledger_show()[-1]["type"] == "model.exported"


def test_a_dfm_says_its_records_and_no_names(tmp_path):
    reference = record("Ada Lovelace")
    write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})
    api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=[reference])
    done = api.model_export_dfm(tmp_path / "run", tmp_path / "t.dfm")
    model = onnx.load(tmp_path / "t.dfm")
    facts = {p.key: p.value for p in model.metadata_props}
    assert facts["facewright.records"] == reference == done["records"][0]
    assert (facts["facewright.net"], facts["facewright.face_type"]) == ("saehd", "full_face")
    assert model.producer_name == "facewright"
    data = (tmp_path / "t.dfm").read_bytes()
    assert b"Lovelace" not in data
    assert str(tmp_path).encode() not in data
    entry = api.ledger_show()[-1]
    assert entry["type"] == "model.exported"
    assert entry["body"]["permit"]["grants"][0]["record"] == reference
    assert entry["body"]["files"][0][0] == "t.dfm"


def test_refusals_leave_nothing_behind(tmp_path, monkeypatch):
    dfl = write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})
    run, reference = tmp_path / "run", record()
    api.model_import_dfl(dfl, run, records=[reference])
    with pytest.raises(FileRefused, match="exists already"):
        api.model_import_dfl(dfl, run, records=[reference])
    with pytest.raises(SettingRefused, match="no good name"):
        api.model_export_dfm(run, tmp_path / "a.onnx")
    for name in ("a_b", "a/b", "..", " a"):
        with pytest.raises(SettingRefused, match="model's name"):
            api.model_export_dfl(run, tmp_path / "out", name=name)
    api.model_export_dfl(run, tmp_path / "out", name="eva")
    with pytest.raises(DiskRefused, match="already"):
        api.model_export_dfl(run, tmp_path / "out", name="eva")
    api.model_export_dfl(run, tmp_path / "out", name="eva 2")
    with monkeypatch.context() as patch:
        patch.setattr(exchange, "compare", lambda net, file: 0.5)
        with pytest.raises(Mismatch, match="same faces"):
            api.model_export_dfm(run, tmp_path / "a.dfm")
    assert sorted(p.name for p in tmp_path.iterdir() if "dfm" in p.name) == []
    api.model_export_dfm(run, tmp_path / "a.dfm")
    with pytest.raises(DiskRefused, match="there already"):
        api.model_export_dfm(run, tmp_path / "a.dfm")


class Killed(BaseException):
    """As a kill: nothing of ours may catch it."""


@pytest.mark.parametrize("deed", ["dfm", "dfl", "bundle", "import-dfl", "import-dfm"])
def test_nothing_appears_before_its_entry_is_in_the_ledger(deed, tmp_path, monkeypatch):
    reference = record()
    dfl = write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})
    run, foreign = tmp_path / "run", tmp_path / "foreign.dfm"
    api.model_import_dfl(dfl, run, records=[reference])
    api.model_export_dfm(run, tmp_path / "own.dfm")
    model = onnx.load(tmp_path / "own.dfm")
    del model.metadata_props[:]
    foreign.write_bytes(model.SerializeToString())
    go, made = {
        "dfm": (lambda: api.model_export_dfm(run, tmp_path / "a.dfm"), "a.dfm"),
        "dfl": (lambda: api.model_export_dfl(run, tmp_path / "out"), "out/*"),
        "bundle": (lambda: api.model_bundle(run, tmp_path / "a.zip"), "a.zip"),
        "import-dfl": (lambda: api.model_import_dfl(dfl, tmp_path / "two", records=[reference]), "two"),
        "import-dfm": (lambda: api.model_import_dfm(foreign, records=[reference]), "foreign.dfm.*"),
    }[deed]

    def killed(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("facewright.api.exchange.note", killed)
        with pytest.raises(Killed):
            go()
    assert not list(tmp_path.glob(made))
    before = len(api.ledger_show(0))
    go()
    assert len(api.ledger_show(0)) == before + 1
    assert list(tmp_path.glob(made))


def test_an_import_that_fails_makes_no_run(tmp_path):
    dfl = write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})
    file = dfl / "ada_SAEHD_inter.npy"
    bad = {**read_pickle_file(file), "dense1/bias:0": np.zeros(3, np.float32)}
    file.write_bytes(pickle.dumps(bad))
    with pytest.raises(Mismatch, match=r"inter\.dense1\.bias"):
        api.model_import_dfl(dfl, tmp_path / "run", records=[record()])
    assert not (tmp_path / "run").exists()


def test_a_trained_run_of_our_own_optimiser_is_handed_over_without_its_memory(tmp_path):
    net = tiny("saehd")
    entry = {"role": "source_likeness", "consent": record(), "person": "", "where": str(tmp_path),
             "footage_sha256": []}
    folder = RunFolder.create(tmp_path / "my_run", "saehd", TINY["saehd"], {"likenesses": [entry]})
    optimiser = torch.optim.AdamW(list(net.named_parameters()))
    checkpoint.save(folder.path, 5, net, optimiser, {n: p.detach() * 2 for n, p in net.named_parameters()})
    used = {"optimiser": "adamw", "lr_dropout": 1.0, "batch_size": 0, "iterations": 50, "random_warp": False}
    history.note(folder.history, "start", given=used | {"random_warp": True}, settings=used)
    done = api.model_export_dfl(folder.path, tmp_path / "out")
    assert any("AdamW" in note for note in done["notes"])
    assert any("running mean" in note for note in done["notes"])
    found = content(tmp_path / "out")
    assert not [name for name in found if "opt" in name]
    assert found["my-run_SAEHD_data.dat"]["options"] == {
        **found["my-run_SAEHD_data.dat"]["options"], **options_of("saehd"), "target_iter": 50, "random_warp": False,
        "batch_size": 4, "lr_dropout": "n", "adabelief": True,
    }
    again = api.model_import_dfl(tmp_path / "out", tmp_path / "back", records=[record("Ada B")])
    assert again["iteration"] == 5
    assert torch.equal(checkpoint.load_latest(tmp_path / "back").weights()["inter.dense1.weight"],
                       net.inter.dense1.weight)


def test_a_save_is_verified_once_and_losses_end_with_it(tmp_path, monkeypatch):
    data = {"iter": 9, "options": options_of("saehd"), "loss_history": [[0.5, 0.25]] * 9}
    write(tmp_path / "dfl", "saehd", data=data)
    api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=[record()])
    LossFile(tmp_path / "run" / "losses.bin", 9).add([10, 11], np.ones((2, 2)))  # a training that was killed
    history.note(tmp_path / "run" / "history.jsonl", "start", given={}, settings={})
    verified, real = [], checkpoint._broken_file
    monkeypatch.setattr(checkpoint, "_broken_file", lambda *a: verified.append(a[0].name) or real(*a))
    api.model_export_dfl(tmp_path / "run", tmp_path / "out")
    assert verified == ["000000009"]
    (found,) = (v for n, v in content(tmp_path / "out").items() if n.endswith("data.dat"))
    assert (found["iter"], len(found["loss_history"])) == (9, 9)


class TestForeignDfm:
    """A file of another program says nothing of itself: somebody must, and the gate asks as for runs."""

    @pytest.fixture
    def dfm(self, tmp_path: Path) -> Path:
        write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd")})
        api.model_import_dfl(tmp_path / "dfl", tmp_path / "run", records=[record()])
        api.model_export_dfm(tmp_path / "run", tmp_path / "own.dfm")
        model = onnx.load(tmp_path / "own.dfm")
        del model.metadata_props[:]
        file = tmp_path / "foreign.dfm"
        file.write_bytes(model.SerializeToString())
        return file

    def test_it_runs_once_somebody_said_whose_it_is(self, dfm, tmp_path):
        with pytest.raises(FileRefused, match="part of the head"):
            predictor(dfm, MergeSettings(device="cpu"))
        with pytest.raises(ConsentRefused):
            api.model_import_dfm(dfm, records=[])
        with pytest.raises(SettingRefused, match="face type"):
            api.model_import_dfm(dfm, records=[record("B")], face_type="nose")
        done = api.model_import_dfm(dfm, records=[record("C")], face_type="f")
        assert done["face_type"] == "full_face"
        images = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
        ours, theirs = (predictor(p, MergeSettings(device="cpu"))(images) for p in (tmp_path / "own.dfm", dfm))
        np.testing.assert_array_equal(ours.image, theirs.image)
        assert api.ledger_show()[-1]["type"] == "model.imported"

    def test_the_note_is_about_this_very_file(self, dfm, tmp_path):
        api.model_import_dfm(dfm, records=[record("C")])
        note = dfm.with_name("foreign.dfm.facewright.json")
        shutil.copy(tmp_path / "own.dfm", dfm)
        with pytest.raises(FileRefused, match="another file"):
            predictor(dfm, MergeSettings(device="cpu"))
        note.write_text("{}")
        with pytest.raises(FileRefused, match="damaged"):
            predictor(dfm, MergeSettings(device="cpu"))
