"""Swappers: the registry, the null one, a trained run, and the colour border between house and net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facewright.core.errors import FileRefused, NothingFound, SettingRefused
from facewright.faces.face import FaceType
from facewright.merge.predict import SWAPPERS, NullSwapper, net_input, predictor
from facewright.merge.settings import MergeSettings
from facewright.merge.trained import NetSwapper, run_record
from facewright.models import checkpoint
from facewright.models.net import Swap, build
from facewright.models.run_folder import RunFolder
from facewright.models.settings import SaehdSettings

SHAPE = SaehdSettings(archi="df-ud", resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16)


class Watcher(nn.Module):
    """Answers with what it was shown, and remembers it."""

    resolution, face_type = 16, "full_face"

    def swap(self, face: torch.Tensor) -> Swap:
        self.seen = face
        return Swap(face * 1.5 - 0.1, face[:, :1] * 0 + 2, face[:, :1] * 0 - 1)


def _watched() -> tuple[Watcher, NetSwapper]:
    net = Watcher()
    return net, NetSwapper(net, identity="w", iteration=1, device=torch.device("cpu"))


def test_a_red_square_crosses_the_border_and_comes_back_red():
    net, swapper = _watched()
    red = np.zeros((1, 16, 16, 3), np.float32)
    red[..., 0] = 1
    made = swapper(red, face_ids=["a"])
    assert net.seen[0, 2].min() == 1, "the net is BGR: red is its third channel"
    assert net.seen[0, :2].max() == 0
    assert made.image[..., 0].min() == 1
    assert made.image[..., 1:].max() == 0


def test_answers_are_clipped_and_shaped():
    _, swapper = _watched()
    made = swapper(np.full((3, 16, 16, 3), 0.9, np.float32), face_ids=["a", "b", "c"])
    assert made.image.shape == (3, 16, 16, 3)
    assert made.mask_swap.shape == made.mask_own.shape == (3, 16, 16, 1)
    assert (made.image.max(), made.mask_swap.max(), made.mask_own.min()) == (1, 1, 0)
    assert made.image.dtype == made.mask_own.dtype == np.float32
    assert made.pick([2, 0]).face_ids == ("c", "a")
    assert len(made) == 3


@pytest.fixture
def run(tmp_path: Path) -> Path:
    RunFolder.create(tmp_path / "run", "saehd", SHAPE, {"likenesses": [{"role": "source_likeness"}]})
    return tmp_path / "run"


def test_a_trained_run_predicts_with_its_mean_weights(run):
    net = build("saehd", SHAPE, seed=1)
    mean = {name: value * 0.5 for name, value in net.named_parameters()}
    checkpoint.save(run, 7, net, ema={n: v.detach() for n, v in mean.items()})
    images = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    raw = predictor(run, MergeSettings(ema=False, device="cpu"))
    smooth = predictor(run, MergeSettings(device="cpu"))
    assert raw.iteration == smooth.iteration == 7
    assert raw.identity != smooth.identity
    with torch.inference_mode():
        expected = net.swap(torch.from_numpy(images[..., ::-1].transpose(0, 3, 1, 2).copy()))
    made = raw(images)
    assert np.allclose(made.image[..., ::-1], expected.image.permute(0, 2, 3, 1).numpy(), atol=1e-5)
    assert np.allclose(made.mask_own, expected.mask_own.permute(0, 2, 3, 1).numpy(), atol=1e-5)
    assert not np.allclose(smooth(images).image, made.image, atol=1e-4)
    assert run_record(run)["likenesses"] == [{"role": "source_likeness"}]


def test_a_run_of_one_face_at_a_time_equals_a_batch(run):
    checkpoint.save(run, 1, build("saehd", SHAPE, seed=2))
    swapper = predictor(run, MergeSettings(device="cpu"))
    images = np.random.default_rng(1).random((3, 64, 64, 3), np.float32)
    assert np.allclose(swapper(images).image[1], swapper(images[1:2]).image[0], atol=1e-5)


def test_refusals(run, tmp_path):
    with pytest.raises(NothingFound, match="no trained weights"):
        predictor(run)
    with pytest.raises(FileRefused):
        predictor(tmp_path / "nowhere")
    checkpoint.save(run, 1, build("saehd", SHAPE))
    with pytest.raises(SettingRefused, match="no_such"):
        predictor(run, MergeSettings(device="no_such"))
    with pytest.raises(SettingRefused, match="null"):
        predictor("null:many")


def test_null_gives_back_what_it_got(golden):
    swapper = predictor("null:32:full_face")
    assert (swapper.resolution, swapper.face_type) == (32, FaceType.FULL)
    images = np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    assert swapper(images).image is images
    points = np.load(golden / "data" / "masks.npz")["lm32"][:1]
    mask = swapper(images, points_px=points).mask_swap[0, ..., 0]
    assert 0.05 < mask.mean() < 0.9
    assert isinstance(predictor("null"), NullSwapper)


def test_every_swapper_says_what_it_is():
    assert SWAPPERS.names() == ["run", "dfm", "null"]
    for plug in SWAPPERS:
        assert plug.help


def test_null_needs_no_torch():
    import subprocess
    import sys

    code = ("import sys; from facewright.merge.predict import predictor; import facewright.merge.run; "
            "predictor('null'); assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_net_input_outside_of_the_frame_is_black(golden):
    points = np.load(golden / "data" / "merge_inputs.npz")["landmarks1"]
    cut, inside = net_input(np.full((96, 96, 3), 255, np.uint8), points + 5000, 32, FaceType.FULL)
    assert not cut.any()
    assert inside.shape == (68, 2)
