from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from facewright.training import degrade
from facewright.training.degrade import LIGHT_DRAWS, WEAR_DRAWS, coarse, jpeg, lit, moved, worn

KINDS = pytest.mark.parametrize(("change", "draws"), [(lit, LIGHT_DRAWS), (worn, WEAR_DRAWS)])


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """Eight smooth coloured pictures with an edge, (8, 3, 48, 48)."""
    rng = torch.Generator().manual_seed(0)
    nodes = torch.rand(8, 3, 6, 6, generator=rng)
    pictures = F.interpolate(nodes, (48, 48), mode="bicubic").clamp(0, 1)
    pictures[:, :, 20:30, 10:40] *= 0.4
    return pictures


def dice(count: int, draws: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, draws))


@KINDS
def test_a_face_s_fate_is_its_own(faces, change, draws):
    before, u = faces.clone(), dice(8, draws)
    together = change(faces, u, 0.8)
    assert torch.equal(faces, before)
    assert together.min() >= 0
    assert together.max() <= 1
    torch.testing.assert_close(change(faces[3:5], u[3:5], 0.8), together[3:5], atol=1e-6, rtol=0)
    assert torch.equal(change(faces, u, 0.8), together)


@KINDS
def test_power_is_strength(faces, change, draws):
    u = dice(8, draws)
    away = [float((change(faces, u, power) - faces).abs().mean()) for power in (0.0, 0.3, 1.0)]
    assert away[0] < 3e-3  # JPEG of quality 100 rounds to whole 1/255
    assert away[0] < away[1] < away[2]
    assert away[2] > 0.02


def test_an_effect_comes_upon_half_of_the_faces(faces):
    many, u = faces.repeat(64, 1, 1, 1)[:, :, :16, :16], dice(512, LIGHT_DRAWS)
    untouched = (lit(many, u, 1.0) - many).abs().amax((1, 2, 3)) == 0
    assert abs(float(untouched.float().mean()) - 0.5**4) < 0.04


@pytest.mark.parametrize("quality", [15, 50, 85])
def test_jpeg_is_what_a_decoder_shows(faces, quality):
    made = jpeg(faces, torch.full((8, 1, 1, 1), float(quality)))
    for picture, ours in zip(faces, made, strict=True):
        rgb = (picture.flip(0).permute(1, 2, 0) * 255).round().byte().numpy()
        out = io.BytesIO()
        Image.fromarray(rgb).save(out, "JPEG", quality=quality, subsampling="4:2:0")
        theirs = torch.from_numpy(np.array(Image.open(out)).astype(np.float32) / 255).permute(2, 0, 1).flip(0)
        lost = float((theirs - picture).abs().mean())
        assert float((ours.clamp(0, 1) - theirs).abs().mean()) < 0.25 * lost + 1 / 255


def test_jpeg_takes_any_side(faces):
    made = jpeg(faces[:, :, :37, :41], torch.full((8, 1, 1, 1), 90.0))
    assert made.shape[-2:] == (37, 41)
    assert float((made - faces[:, :, :37, :41]).abs().mean()) < 0.02


def test_half_the_pixels_are_means_of_four_enlarged(faces):
    half = (2 - 1) / (1 / degrade.SMALLEST - 1)  # the draw that halves
    made = coarse(faces, torch.full((8, 1), half), 1.0)
    wanted = F.interpolate(F.avg_pool2d(faces, 2), scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(coarse(faces, torch.zeros(8, 1), 1.0), faces, atol=1e-6, rtol=0)


def test_no_size_makes_a_flat_picture_uneven():
    flat = torch.full((40, 3, 33, 33), 0.5)
    torch.testing.assert_close(coarse(flat, torch.linspace(0, 1, 40)[:, None], 1.0), flat, atol=1e-5, rtol=0)


def test_motion_smears_along_its_line_alone():
    dot = torch.zeros(2, 3, 65, 65)
    dot[:, :, 32, 32] = 1
    still, along_x = moved(dot, torch.tensor([[0.0, 0.3], [1.0, 0.0]]), 1.0)
    torch.testing.assert_close(still, dot[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(along_x.sum((1, 2)), torch.ones(3), atol=1e-5, rtol=0)
    width = int((along_x[0].sum(0) > 1e-4).sum())
    assert width in (5, 7)  # 65 / 16 px, and soft ends
    assert int((along_x[0].sum(1) > 1e-4).sum()) == 1


def test_noise_is_a_function_of_key_and_place():
    key = torch.tensor([1, 2, 123456], dtype=torch.int32).view(-1, 1, 1, 1)
    noise = degrade._bell(key, (3, 64, 64))
    assert torch.equal(degrade._bell(key[1:2], (3, 64, 64))[0], noise[1])
    assert float(noise.mean().abs()) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    flat = noise.flatten(1)
    between = torch.corrcoef(flat)
    assert float((between - torch.eye(3)).abs().max()) < 0.03
    for step in (1, 64, 4096):  # neighbours in a row, in a column, in another colour
        pairs = torch.stack([flat[:, :-step].flatten(), flat[:, step:].flatten()])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.03
