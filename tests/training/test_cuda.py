"""What only a GPU shows: the same numbers as on the processor, batches made ahead, memory that runs out, NCCL.

Nothing here runs on a machine without one.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.training.conftest import DrawnFaceset
from tests.training.test_loop import TINY, run, step
from tests.training.test_masking import write as write_labelled
from tests.training.test_team import AMP

from facewright.core.errors import SettingRefused
from facewright.core.settings import check
from facewright.faces.face import FaceType
from facewright.merge.settings import MergeSettings
from facewright.merge.trained import open_run
from facewright.models import checkpoint
from facewright.training import batches, samples
from facewright.training.batches import Batches
from facewright.training.curve import read_losses
from facewright.training.planner import look_ahead
from facewright.training.settings import settings_class
from facewright.training.swap_step import step_of
from facewright.training.team import join

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
NETS = {
    "df-ud": ("saehd", TINY), "liae-ud": ("saehd", TINY | {"archi": "liae-ud"}), "df-udt": ("saehd", TINY | {
        "archi": "df-udt"}), "amp": ("amp", AMP), "quick96": ("quick96", {}), "xseg": ("xseg", {"base_dims": 8}),
}
ADVERSE = {"gan_power": 0.1, "gan_patch_size": 8, "gan_dims": 4, "true_face_power": 0.05}
WAYS = {
    "bf16": {"precision": "bf16"},
    "gan and true face": ADVERSE,
    "adversaries with a pass of their own": {**ADVERSE, "adversary_pass": "fresh"},
    "styles": {"face_style_power": 1.0, "bg_style_power": 1.0},
    "parts": {"accumulate": 3},
    "dropout": {"lr_dropout": 0.3, "optimiser": "rmsprop", "lr_schedule": "cycle"},
    "adamw, clipped": {"optimiser": "adamw", "clipgrad": True},
    "optimiser in the computer's memory": {"optimiser_device": "cpu"},
    "pixels first": {"memory_format": "channels_last"},
    "computed twice": {"checkpoint_decoder": True},
    "other light and cameras": {"light_power": 0.7, "degrade_power": 0.7, "random_hsv_power": 0.1},
    "colours of the target": {"ct_mode": "rct"},
    "colours of the target, sot": {"ct_mode": "sot"},
    "matched, blurred, uniform": {"match_colour": True, "blur_out_mask": True, "uniform_yaw": True},
    "grows": {"progressive": 0.5},
    "the original's way": {"parity": "dfl", "ema": False},
    "translated": {"compile": True},
}


@pytest.fixture(autouse=True)
def exact():
    """Float32 means float32, so that what differs is an error."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return write_labelled(tmp_path_factory.mktemp("labelled") / "faces", DrawnFaceset(8), labelled=8)


def learned(folder, pair, labelled, name="df-ud", device="cuda", **settings):
    """The losses (n, 2) of a few iterations."""
    net, shape = NETS[name]
    values = {"batch_size": 2, "precision": "float32", "iterations": 4, "preview_seconds": 0, "threads": 1,
              "device": device} | settings
    src, dst = (labelled, "") if net == "xseg" else pair
    run(step_of(net)(str(folder), str(src), str(dst), net, check(settings_class(net), values), shape=shape, recipe={}))
    losses = read_losses(folder / "losses.bin")
    return np.stack([losses["src"], losses["dst"]], 1)


@pytest.mark.parametrize("name", NETS)
def test_every_net_learns_as_on_the_processor(name, pair, labelled, tmp_path):
    """Sums in another order: the first loss is the same, later ones drift apart slowly."""
    here = learned(tmp_path / "gpu", pair, labelled, name, lr=1e-4)
    there = learned(tmp_path / "cpu", pair, labelled, name, device="cpu", lr=1e-4)
    assert here.shape == there.shape
    np.testing.assert_allclose(here[0], there[0], rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(here, there, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_every_option_learns_as_on_the_processor(way, pair, labelled, tmp_path):
    ways, far = WAYS[way], 0.1 if way in ("bf16", "gan and true face") else 2e-2
    here = learned(tmp_path / "gpu", pair, labelled, **{"lr": 1e-4} | ways)
    there = learned(tmp_path / "cpu", pair, labelled, device="cpu", **{"lr": 1e-4} | ways | {"compile": False})
    assert np.isfinite(here).all()
    np.testing.assert_allclose(here, there, rtol=far, atol=2e-3)


@pytest.mark.parametrize("resident", [True, False], ids=["faces on the card", "faces from the disk"])
@pytest.mark.parametrize("settings", [{}, {"ct_mode": "rct", "random_hsv_power": 0.1, "degrade_power": 0.5}])
def test_batches_made_ahead_are_those_of_the_processor(resident, settings, drawn, tmp_path, monkeypatch):
    if not resident:
        monkeypatch.setattr(batches, "_RESIDENT_BYTES", 0)
    sides = [
        samples.prepare(tmp_path / name, list(faces), faces.load, 7, digest=name, face_type=FaceType.FULL, side=80,
                        mouth_area="lips")
        for name, faces in (("a", drawn(7)), ("b", drawn(7, (120, 80, 60), "b")))
    ]
    s = check(settings_class("saehd"), settings)
    found = []
    for device in (CPU, GPU):
        maker = Batches(*sides, 64, 4, device)
        found.append([maker.get(i, s) for i in (0, 1, 2, 7, 8)])
        maker.close()
    for one, other in zip(*found):
        for a, b in ((one.src, other.src), (one.dst, other.dst)):
            for name in ("input", "target", "mask", "priority"):
                apart = (getattr(a, name) - getattr(b, name).cpu()).abs()
                assert apart.mean() < 2e-5, name
                assert torch.quantile(apart.flatten(), 0.999) < 5e-3, name


def test_a_training_moves_from_gpu_to_processor_and_back(pair, tmp_path):
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=3, device="cuda"))
    run(step(pair, folder, iterations=5, device="cpu"))
    run(step(pair, folder, iterations=7, device="cuda", optimiser_device="cpu"))
    saved = checkpoint.load_latest(folder)
    assert (saved.iteration, saved.resumable) == (7, True)
    assert all(w.device.type == "cpu" for w in saved.weights().values())


def test_taken_up_again_it_goes_on_as_it_would_have(pair, tmp_path):
    run(step(pair, tmp_path / "whole", iterations=6, device="cuda", lr=1e-4))
    run(step(pair, tmp_path / "parts", iterations=6, device="cuda", lr=1e-4), at3="stop")
    run(step(pair, tmp_path / "parts", iterations=6, device="cuda", lr=1e-4))
    one, two = (read_losses(tmp_path / name / "losses.bin") for name in ("whole", "parts"))
    np.testing.assert_allclose(one["src"], two["src"], rtol=5e-3)


def test_too_large_a_batch_learns_in_parts(pair, tmp_path):
    """The card's own refusal, not a made one."""
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved(GPU) + (1200 << 20)) / total), GPU)
    try:
        shape = TINY | {"resolution": 256, "e_dims": 32, "d_dims": 32}
        desk, result = run(step(pair, tmp_path / "run", shape=shape, iterations=2, batch_size=16, device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, GPU)
    assert result["iterations"] == 2
    assert any("There is not enough memory for 16 faces" in w["text"] for w in desk.kinds("warning"))


def test_the_plan_measures_the_card():
    found = look_ahead("saehd", TINY, check(settings_class("saehd"), {"batch_size": 4, "device": "cuda"}))
    assert found.device == str(GPU)
    assert found.batch == 4
    assert 0 < found.seconds < 5
    assert 10 << 20 < found.peak_bytes < found.free_bytes


def test_a_model_answers_as_on_the_processor(pair, tmp_path):
    run(step(pair, tmp_path / "run", iterations=2, device="cuda"))
    faces = np.random.default_rng(0).random((3, 64, 64, 3), dtype=np.float32)
    one, two = (open_run(tmp_path / "run", check(MergeSettings, {"device": d})).predict(faces) for d in ("cpu", "cuda"))
    for name in ("image", "mask_swap", "mask_own"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=2e-4)


def test_more_gpus_than_there_are_is_refused(pair, tmp_path):
    with pytest.raises(SettingRefused, match="is more than there are"):
        step(pair, tmp_path / "run", device="cuda", gpus=torch.cuda.device_count() + 1).plan()


def test_gradients_are_summed_over_nccl():
    """Over a group of one, which is all that one card can hold: the same calls, the same waiting."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, 1, is_master=True)
    team = join(store, 0, 1, GPU)
    try:
        assert torch.distributed.get_backend(team.sums) == "nccl"
        team.size = 2
        one, none = (torch.nn.Parameter(torch.ones(3, 5, device=GPU)) for _ in range(2))
        one.grad = torch.arange(15.0, device=GPU).reshape(3, 5)
        more = team.add_up([one, none], torch.tensor([2.0, 3.0], device=GPU))
        assert more.tolist() == [2, 3]
        assert one.grad.flatten().tolist() == list(range(15))
        assert none.grad is None
    finally:
        team.size = 1
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_cards_learn_what_one_learns_from_the_whole_batch(pair, tmp_path):
    run(step(pair, tmp_path / "one", iterations=4, batch_size=4, device="cuda", lr=1e-4))
    run(step(pair, tmp_path / "two", iterations=4, batch_size=2, device="cuda", lr=1e-4, gpus=2))
    one, two = (read_losses(tmp_path / name / "losses.bin") for name in ("one", "two"))
    np.testing.assert_allclose(one["src"], two["src"], rtol=1e-3)


def test_memory_is_given_back(pair, tmp_path):
    run(step(pair, tmp_path / "one", iterations=2, device="cuda"))
    before = torch.cuda.memory_allocated(GPU)
    run(step(pair, tmp_path / "two", iterations=2, device="cuda"))
    assert torch.cuda.memory_allocated(GPU) <= before + (1 << 20)
