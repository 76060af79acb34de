"""Nets in a script: one contract for every kind of net and file, the gate, and a sentence for whatever does not fit."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tests import closed_form as cf
from tests.api.shelves import entry, make_run, record
from tests.masks.conftest import head, picture
from tests.models.folders import TINY

import facewright
from facewright import api
from facewright.core.errors import ConsentRefused, FacewrightError, FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.masks.by_net import open_xseg
from facewright.masks.maskers import masker
from facewright.masks.settings import MaskSettings
from facewright.merge.predict import predictor
from facewright.merge.settings import MergeSettings
from facewright.models.run_folder import RunFolder

SWAPPING = ("saehd", "liae", "quick96", "amp", "saehd.dfm", "amp.dfm", "foreign.dfm")
MASKING = ("xseg", "xseg.onnx", "foreign.onnx")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of net that there is, and the home of a user who has the records."""
    place = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWRIGHT_HOME", str(place / "home"))
        patch.chdir(place)
        people = [entry(record("Ada")), entry(record("Bob", role="target_performer"), "target_performer")]
        for case in ("saehd", "liae", "quick96", "amp", "xseg"):
            make_run(place / case, case, [] if case == "xseg" else people)
        for name in ("saehd.dfm", "amp.dfm", "xseg.onnx"):
            api.model_export_dfm(place / name.partition(".")[0], place / name)
        for ours, theirs in (("saehd.dfm", "foreign.dfm"), ("xseg.onnx", "foreign.onnx")):
            model = onnx.load(place / ours)
            del model.metadata_props[:]
            (place / theirs).write_bytes(model.SerializeToString())
        api.model_import_dfm(place / "foreign.dfm", records=["Ada"], face_type="full_face")
    return place


@pytest.fixture(autouse=True)
def _the_same_user(shelf: Path, _private_user_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEWRIGHT_HOME", str(shelf / "home"))


def swapper(place: Path, **options: Any) -> facewright.Swapper:
    net = facewright.load_model(place, device="cpu", **options)
    assert isinstance(net, facewright.Swapper)
    return net


def mask_net(place: Path, **options: Any) -> facewright.MaskNet:
    net = facewright.load_model(place, device="cpu", **options)
    assert isinstance(net, facewright.MaskNet)
    return net


def faces_for(net: Any, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, net.resolution, net.resolution, 3), np.float32)


class TestSwappers:
    """What every net that swaps promises, whatever it is kept in."""

    @pytest.fixture(params=SWAPPING)
    def name(self, request: pytest.FixtureRequest) -> str:
        return request.param

    def test_shapes_types_ranges(self, name, shelf):
        net = swapper(shelf / name)
        faces = faces_for(net, 3)
        before = faces.copy()
        made = net.predict(faces)
        side = net.resolution
        assert isinstance(made, facewright.Prediction)
        assert len(made) == 3
        assert made.image.shape == (3, side, side, 3)
        assert made.mask_swap.shape == made.mask_own.shape == (3, side, side, 1)
        for array in (made.image, made.mask_swap, made.mask_own):
            assert array.dtype == np.float32
            assert 0 <= array.min() < array.max() <= 1
        assert np.array_equal(faces, before), "what was given is left alone"
        assert len(net.predict(faces[:0])) == 0
        assert net.predict(faces[:0]).mask_own.shape == (0, side, side, 1)

    def test_it_says_what_it_is(self, name, shelf):
        net = swapper(shelf / name)
        kind = {"liae": "saehd", "saehd.dfm": "saehd", "amp.dfm": "amp", "foreign.dfm": "dfm"}.get(name, name)
        assert (net.net, net.iteration) == (kind, 0 if name == "foreign.dfm" else 7)
        assert net.resolution == (96 if name == "quick96" else 64)
        assert net.face_type == TINY.get(name.partition(".")[0], TINY["saehd"]).face_type
        assert net.takes_morph == (kind == "amp")
        assert net.identity == swapper(shelf / name).identity
        assert kind in repr(net)

    def test_it_answers_as_a_merge_does(self, name, shelf):
        net, ours = swapper(shelf / name), predictor(shelf / name, MergeSettings(device="cpu"))
        faces = faces_for(net, 2)
        made, wanted = net.predict(faces), ours(faces)
        for what in ("image", "mask_swap", "mask_own"):
            np.testing.assert_array_equal(getattr(made, what), getattr(wanted, what))
        assert made.face_type == wanted.face_type

    def test_a_face_does_not_see_the_others(self, name, shelf):
        net = swapper(shelf / name, batch_size=2)
        faces = faces_for(net, 5)
        together = net.predict(faces)
        for i in (0, 3, 4):
            alone = net.predict(faces[i : i + 1])
            np.testing.assert_allclose(together.image[i], alone.image[0], atol=1e-5)
            np.testing.assert_allclose(together.mask_own[i], alone.mask_own[0], atol=1e-5)
        turned = net.predict(np.asfortranarray(faces[::-1]))
        np.testing.assert_allclose(turned.image[::-1], together.image, atol=1e-5)


class TestMaskNets:
    """The same for nets that draw masks."""

    @pytest.fixture(params=MASKING)
    def name(self, request: pytest.FixtureRequest) -> str:
        return request.param

    def test_the_contract(self, name, shelf):
        net = mask_net(shelf / name, batch_size=2)
        assert (net.net, net.resolution, net.takes_morph) == ("xseg", 256, False)
        assert net.iteration == (0 if name == "foreign.onnx" else 7)
        assert net.face_type == (None if name == "foreign.onnx" else "head")
        faces = faces_for(net, 3)
        masks = net.predict_mask(faces)
        assert masks.shape == (3, 256, 256, 1)
        assert masks.dtype == np.float32
        assert 0 <= masks.min() < masks.max() <= 1
        assert not ((masks > 0) & (masks < 0.1)).any(), "what is faint is none"
        np.testing.assert_allclose(net.predict_mask(faces[1:2])[0], masks[1], atol=1e-4)
        with pytest.raises(Mismatch, match="255"):
            net.predict_mask(faces * 255)

    def test_run_and_file_agree(self, shelf):
        net, file = mask_net(shelf / "xseg"), mask_net(shelf / "xseg.onnx")
        faces = faces_for(net, 1)
        a, b = net.predict_mask(faces), file.predict_mask(faces)
        border = np.abs(a - 0.1) < 1e-3
        assert np.abs(a - b)[~border].max() < 1e-3

    def test_the_run_answers_as_the_masker_does_in_rgb(self, shelf):
        inner = open_xseg(shelf / "xseg", MaskSettings(device="cpu")).net.net
        faces = faces_for(inner, 1)
        with torch.inference_mode():
            wanted = cf.nhwc(inner.mask(cf.nchw(faces[..., ::-1].copy())))
        np.testing.assert_array_equal(mask_net(shelf / "xseg").predict_mask(faces), wanted)
        assert np.abs(mask_net(shelf / "xseg").predict_mask(faces[..., ::-1].copy()) - wanted).max() > 1e-3

    def test_as_maskers_run_and_file_agree_and_one_that_does_not_say_its_faces_is_refused(self, shelf):
        face = head()
        run, file = (masker(shelf / name, MaskSettings(device="cpu")) for name in ("xseg", "xseg.onnx"))
        a, b = (m(picture(face), face, 128) for m in (run, file))
        assert run.identity != file.identity
        assert np.abs(a - b).mean() < 1e-3
        with pytest.raises(Mismatch, match="does not say which part of the head"):
            masker(shelf / "foreign.onnx", MaskSettings(device="cpu"))

    def test_its_options(self, shelf):
        faces = faces_for(mask_net(shelf / "xseg"), 1)
        mean, last, half = (mask_net(shelf / "xseg", **o).predict_mask(faces)
                            for o in ({}, {"ema": False}, {"precision": "bfloat16"}))
        assert np.abs(mean - last).max() > 1e-3
        assert 0 < np.abs(mean - half).mean() < 0.1


SAVED = {"saehd_df-ud_64": (1.0,), "saehd_liae-udt_64": (1.0,), "amp_64": (0.0, 0.33, 1.0)}


def test_a_dfm_is_read_once_for_the_gate_and_for_its_net(shelf, monkeypatch):
    from facewright.merge import dfm
    from facewright.models import onnx_read

    read, real = [], onnx_read.read_file
    monkeypatch.setattr(onnx_read, "read_file", lambda path, **limits: read.append(path) or real(path, **limits))
    for _ in range(2):
        facewright.load_model(shelf / "amp.dfm", device="cpu")
    assert read == [shelf / "amp.dfm"] * 2, "once each: it may be another file by then"
    gc.collect()
    assert "amp.dfm" not in {place.name for place, _ in dfm._held}, "two gigabytes are not held for nobody"


@pytest.mark.parametrize("kept", ["run", "dfm"])
@pytest.mark.parametrize("case", SAVED)
def test_red_stays_red_as_in_the_original(case, kept, golden, tmp_path):
    """Models that the original saved predict in RGB what it predicts in BGR."""
    record(f"{case}-{kept}")
    api.model_import_dfl(golden / f"models/saved_{case}", tmp_path / "run", records=[f"{case}-{kept}"])
    place = tmp_path / "run"
    if kept == "dfm":
        place = tmp_path / "a.dfm"
        api.model_export_dfm(tmp_path / "run", place)
    expected = np.load(golden / f"models/saved_{case}_expected.npz", allow_pickle=False)
    net, bgr = swapper(place), cf.img(1, 64, 64, 3, "merge")
    for morph in SAVED[case]:
        made = net.predict(bgr[..., ::-1], morph)
        prefix, every = (f"mf{morph}_", 2) if net.takes_morph else ("", 1)
        face = expected[f"{prefix}face"]
        np.testing.assert_allclose(made.image[0, ::every, ::every, ::-1], face, atol=5e-5)
        np.testing.assert_allclose(made.mask_swap[0, ..., 0], expected[f"{prefix}mask_src_dst"], atol=5e-5)
        np.testing.assert_allclose(made.mask_own[0, ..., 0], expected[f"{prefix}mask_dst_dst"], atol=5e-5)
        assert np.abs(made.image[0, ::every, ::every] - face).max() > 0.1, "the other order is another picture"


class TestMorph:
    """The dose of the likeness."""

    @pytest.mark.parametrize("name", ["amp", "amp.dfm"])
    def test_it_changes_the_face(self, name, shelf):
        net = swapper(shelf / name)
        faces = faces_for(net, 1)
        none, half, whole = (net.predict(faces, morph).image for morph in (0, np.float32(0.5), 1.0))
        assert min(np.abs(a - b).max() for a, b in ((none, half), (half, whole))) > 1e-3
        np.testing.assert_array_equal(net.predict(faces).image, whole)
        np.testing.assert_array_equal(
            predictor(shelf / name, MergeSettings(device="cpu", morph=0.5))(faces).image, half)

    @pytest.mark.parametrize("morph", [-0.1, 1.5, float("nan"), "1", None, True, np.ones(2)])
    def test_other_doses_are_refused(self, morph, shelf):
        net = swapper(shelf / "amp")
        with pytest.raises(SettingRefused, match="morph cannot be") as refused:
            net.predict(faces_for(net, 1), morph)
        assert "0" in refused.value.remedy

    def test_a_net_that_cannot_dose_says_so(self, shelf):
        net = swapper(shelf / "saehd")
        with pytest.raises(SettingRefused, match="cannot dose") as refused:
            net.predict(faces_for(net, 1), 0.5)
        assert "takes_morph" in refused.value.remedy


GOOD = np.full((2, 64, 64, 3), 0.5, np.float32)
UNFIT = {
    "a list": (GOOD.tolist(), "a list", "numpy"),
    "a tensor": (torch.from_numpy(GOOD), "a Tensor", "faces.cpu().numpy()"),
    "one face": (GOOD[0], "(64, 64, 3)", "faces[None]"),
    "one channel less": (GOOD[..., 0], "(2, 64, 64)", "(B, 64, 64, 3): full_face pictures of 64 px"),
    "grey": (GOOD[..., :1], "(2, 64, 64, 1)", "repeat(3, axis=3)"),
    "alpha": (np.concatenate([GOOD, GOOD[..., :1]], 3), "(2, 64, 64, 4)", "faces[..., :3]"),
    "channels first": (GOOD.transpose(0, 3, 1, 2), "(2, 3, 64, 64)", "transpose(0, 2, 3, 1)"),
    "another side": (GOOD[:, :32, :32], "(2, 32, 32, 3)", "64 px"),
    "not square": (GOOD[:, :32], "(2, 32, 64, 3)", "64 px"),
    "bytes": ((GOOD * 255).astype(np.uint8), "uint8", "faces.astype(np.float32) / 255"),
    "doubles": (GOOD.astype(np.float64), "float64", "astype(np.float32)"),
    "halves": (GOOD.astype(np.float16), "float16", "astype(np.float32)"),
    "0 to 255": (GOOD * 400, "from 200 to 200", "faces / np.float32(255)"),
    "a little over": (GOOD * 2.1, "to 1.05", "np.clip"),
    "-1 to 1": (GOOD - 1, "from -0.5", "0..1"),
    "no number": (np.where(np.arange(64)[:, None] == 9, np.float32("nan"), GOOD), "nan", "isfinite"),
    "without end": (np.where(np.arange(64)[:, None] == 9, np.float32("inf"), GOOD), "inf", "isfinite"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_does_not_fit_is_told_with_a_remedy(what, shelf):
    faces, said, remedy = UNFIT[what]
    with pytest.raises(Mismatch) as refused:
        swapper(shelf / "saehd").predict(faces)
    assert said in refused.value.what
    assert remedy in refused.value.remedy
    assert "RGB" in refused.value.why


def test_options(shelf):
    plain, faces = swapper(shelf / "saehd"), np.random.default_rng(1).random((1, 64, 64, 3), np.float32)
    last = swapper(shelf / "saehd", ema=False)
    assert plain.identity != last.identity
    assert np.abs(plain.predict(faces).image - last.predict(faces).image).max() > 1e-3
    half = swapper(str(shelf / "saehd"), precision="bfloat16").predict(faces).image
    assert 0 < np.abs(plain.predict(faces).image - half).mean() < 0.05
    for options, word in (({"precision": "half"}, "float32"), ({"batch_size": 0}, "1..256")):
        with pytest.raises(SettingRefused) as refused:
            facewright.load_model(shelf / "saehd", **options)
        assert word in refused.value.remedy
    for name in ("saehd", "xseg", "saehd.dfm", "xseg.onnx"):
        with pytest.raises(SettingRefused, match="not to be had"):
            facewright.load_model(shelf / name, device="mars")
    for name in ("saehd.dfm", "xseg.onnx"):
        for options in ({"ema": False}, {"precision": "bfloat16"}):
            with pytest.raises(SettingRefused, match="of its own"):
                facewright.load_model(shelf / name, **options)


def test_what_cannot_be_loaded(shelf, tmp_path):
    with pytest.raises(FileRefused, match="not a training run"):
        facewright.load_model(tmp_path / "nowhere")
    for name in ("no.dfm", "no.onnx"):
        with pytest.raises(FileRefused):
            facewright.load_model(tmp_path / name)
    RunFolder.create(tmp_path / "fresh", "saehd", TINY["saehd"], RunFolder.open(shelf / "saehd").extra)
    with pytest.raises(NothingFound, match="no trained weights"):
        facewright.load_model(tmp_path / "fresh")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(FileRefused, match="XSeg model"):
        facewright.load_model(tmp_path / "junk.onnx")


def test_many_faces_need_no_more_memory_than_few(shelf):
    """The net never sees more than batch_size faces at once, and only one call's at a time."""
    net, seen = swapper(shelf / "saehd", batch_size=4), []
    predict = net._inner.predict
    net._inner.predict = lambda part, morph: seen.append(len(part)) or predict(part, morph)  # type: ignore[method-assign]
    net.predict(faces_for(net, 11))
    assert seen == [4, 4, 3]


@pytest.mark.parametrize("name", ["saehd", "amp.dfm", "xseg"])
def test_threads_may_share_a_net(name, shelf):
    net: Any = facewright.load_model(shelf / name, device="cpu", batch_size=2)
    run = (lambda f: net.predict_mask(f)) if name == "xseg" else (lambda f: net.predict(f).image)
    sets = [faces_for(net, 3, seed) for seed in range(4)]
    wanted, made = [run(faces) for faces in sets], [None] * 4
    busy, most = [0], [0]
    predict = net._inner.predict

    def counted(*words: Any) -> Any:
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        try:
            return predict(*words)
        finally:
            busy[0] -= 1

    net._inner.predict = counted

    def work(i: int) -> None:
        made[i] = run(sets[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    for a, b in zip(made, wanted):
        np.testing.assert_array_equal(a, b)


class TestGate:
    """A prediction is a look at people: whom a net learned must allow `preview`."""

    def load(self, tmp_path: Path, people: list[dict[str, Any]], kept: str) -> Any:
        place = make_run(tmp_path / f"run-{kept}", "saehd", people)
        if kept == "dfm":
            place = tmp_path / "a.dfm"
            api.model_export_dfm(tmp_path / f"run-{kept}", place)
        return facewright.load_model(place, device="cpu")

    @pytest.fixture(params=["run", "dfm"])
    def kept(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("FACEWRIGHT_HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        return request.param

    @pytest.mark.parametrize("whose", ["source_likeness", "target_performer"])
    def test_a_revoked_record_closes_the_door(self, kept, whose, tmp_path):
        records = {role: record(role, role=role) for role in ("source_likeness", "target_performer")}
        self.load(tmp_path, [entry(reference, role) for role, reference in records.items()], kept)
        api.consent_revoke(records[whose], "withdrawn")
        with pytest.raises(ConsentRefused, match="revoked"):
            facewright.load_model(tmp_path / ("a.dfm" if kept == "dfm" else "run-run"))

    def test_a_record_without_preview_opens_nothing(self, kept, tmp_path):
        with pytest.raises(ConsentRefused, match="does not allow this use") as refused:
            self.load(tmp_path, [entry(record("Ada", uses=("train", "merge", "export_model")))], kept)
        assert "preview" in refused.value.why

    def test_nobody_is_not_everybody(self, kept, tmp_path):
        with pytest.raises(ConsentRefused, match="does not say whose face"):
            self.load(tmp_path, [], kept)
        with pytest.raises(ConsentRefused, match="There is no consent record"):
            facewright.load_model(make_run(tmp_path / "other", "saehd", [entry("sha256:" + "1" * 64)]))

    def test_a_file_of_another_program_is_asked_for_its_people(self, kept, shelf, tmp_path):
        shutil.copy(shelf / "foreign.dfm", tmp_path / "x.dfm")
        with pytest.raises(ConsentRefused, match="does not say whose face") as refused:
            facewright.load_model(tmp_path / "x.dfm")
        assert "import-dfm" in refused.value.remedy
        reference = record("Cleo")
        api.model_import_dfm(tmp_path / "x.dfm", records=[reference])
        assert swapper(tmp_path / "x.dfm").face_type == "whole_face"
        api.consent_revoke(reference, "withdrawn")
        with pytest.raises(ConsentRefused, match="revoked"):
            facewright.load_model(tmp_path / "x.dfm")

    def test_the_records_of_a_project_count_inside_of_it(self, kept, tmp_path, monkeypatch):
        project = api.new(tmp_path / "film")
        place = project.run("ada")
        with monkeypatch.context() as inside:
            inside.chdir(project.root)
            reference = record("Dora")
        make_run(place, "saehd", [entry(reference)])
        assert swapper(place).iteration == 7
        shutil.move(place, tmp_path / "outside")
        with pytest.raises(ConsentRefused, match="no consent record"):
            facewright.load_model(tmp_path / "outside")

    def test_a_swapping_net_does_not_pass_as_a_mask_net(self, kept, shelf, tmp_path):
        shutil.copy(shelf / "saehd.dfm", tmp_path / "masks.onnx")
        with pytest.raises(FileRefused, match="XSeg model"):
            facewright.load_model(tmp_path / "masks.onnx")
        shutil.copy(shelf / "xseg.onnx", tmp_path / "a.dfm")
        with pytest.raises(ConsentRefused):
            facewright.load_model(tmp_path / "a.dfm")

    def test_masks_show_nobody(self, kept, shelf):
        assert mask_net(shelf / "xseg").iteration == 7


class TestThePackage:
    """`import facewright` costs nothing, and says what it has."""

    def test_it_loads_nothing_heavy(self):
        code = (
            "import sys, facewright\nfacewright.__version__\n"
            "from facewright import load_model, train, Swapper, MaskNet, TrainEvent, FacewrightError\n"
            "heavy = {'torch', 'cv2', 'scipy', 'av', 'onnxruntime', 'onnx'} & set(sys.modules)\nassert not heavy, heavy"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_every_name_is_there_typed_and_described(self):
        assert set(facewright._HOMES) == set(facewright.__all__) <= set(dir(facewright))
        for name in facewright.__all__:
            assert getattr(facewright, name).__doc__
        with pytest.raises(AttributeError, match="no_such"):
            facewright.no_such  # noqa: B018
        folder = Path(facewright.__file__).parent
        assert (folder / "py.typed").is_file()
        text = (folder / "__init__.py").read_text()
        for name, home in facewright._HOMES.items():
            line = next(l for l in text.splitlines() if l.strip().startswith(f"from {home} import"))
            assert name in line, "type checkers see the same"

    def test_its_errors_are_of_one_family(self):
        assert issubclass(facewright.ConsentRefused, facewright.FacewrightError)
        assert facewright.FacewrightError is FacewrightError
