"""Grading by its formula, denoising by what it leaves of noise and of edges; moments and time codes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import SettingRefused
from facewright.core.settings import check
from facewright.media.denoise import arguments, check_depth, denoised, margin
from facewright.media.frame import ColourTags, Timecode, Video
from facewright.media.grade import LUMA, Grade
from facewright.media.moments import clock, later, select
from facewright.media.settings import CutSettings, DenoiseSettings, GradeSettings, seconds


def scene() -> np.ndarray:
    """(90, 160, 3) float: soft light with two blocks that have hard edges."""
    y, x = np.mgrid[:90, :160]
    image = np.stack([120 + 60 * np.sin(x / 40), 110 + 50 * np.cos(y / 30), 100 + 40 * np.sin((x + y) / 50)], -1)
    image[20:60, 30:80], image[30:50, 100:150] = (200, 60, 40), (20, 40, 180)
    return image


def noisy(sigma: float, count: int = 9) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    clean = scene()
    return [np.clip(np.rint(clean + rng.normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8) for _ in range(count)]


def left(images: list[np.ndarray]) -> float:
    return float(np.std([image - scene() for image in images]))


@pytest.mark.parametrize(("sigma", "strength"), [(3, 5), (6, 8), (12, 16)])
def test_nlmeans_takes_the_noise_that_its_strength_stands_for_and_leaves_edges(sigma, strength):
    before = noisy(sigma, 3)
    after = list(denoised(before, DenoiseSettings(strength=strength, filter="nlmeans")))
    assert left(after) < 0.35 * left(before)
    edge = np.mean([image[40, 82].astype(float) - image[40, 77] for image in after], axis=0)
    assert np.abs(edge - (scene()[40, 82] - scene()[40, 77])).max() < 0.15 * 160
    assert left(list(denoised(noisy(12, 1), DenoiseSettings(strength=1, filter="nlmeans")))) > 11


def test_atadenoise_averages_over_time_and_does_not_smear_what_moves():
    before = noisy(6)
    after = list(denoised(before, DenoiseSettings(strength=15, filter="atadenoise")))
    assert left(after) < 0.6 * left(before)
    moving = [np.full((64, 64, 3), 30, np.uint8) for _ in range(9)]
    for at, image in enumerate(moving):
        image[:, 5 * at : 5 * at + 10] = 220
    calm = list(denoised(moving, DenoiseSettings(strength=15, filter="atadenoise")))
    assert all(np.array_equal(a, b) for a, b in zip(moving, calm))


def test_stronger_takes_more_and_the_numbers_go_to_the_filter():
    assert arguments(DenoiseSettings(strength=20, filter="nlmeans")) == "s=15"
    assert arguments(DenoiseSettings(strength=1, filter="nlmeans")) == "s=1"
    assert "0a=0.1600:0b=0.3200" in arguments(DenoiseSettings(strength=20, filter="atadenoise"))
    strengths = [DenoiseSettings(strength=s, filter="nlmeans") for s in (4, 8, 12)]
    found = [left(list(denoised(noisy(10, 1), one))) for one in strengths]
    assert found[0] > found[1] > found[2]


def test_depth_size_and_count_stay():
    rng = np.random.default_rng(1)
    deep = [rng.integers(0, 65536, (40, 61, 3)).astype(np.uint16) for _ in range(3)]
    after = list(denoised(deep, DenoiseSettings(strength=1, filter="atadenoise")))
    assert [a.dtype for a in after] == [np.uint16] * 3
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(deep, after)) < 1500
    mixed = [np.full((*size, 3), level, np.uint8) for size, level in (((30, 40), 9), ((50, 20), 200), ((50, 20), 201))]
    assert [a.shape for a in denoised(mixed, DenoiseSettings())] == [a.shape for a in mixed]
    assert margin(DenoiseSettings()) == 4
    assert margin(DenoiseSettings(filter="nlmeans")) == 0
    film = Video(Path("x"), "", 0, (2, 2), Fraction(25), 1, 1.0, 0, 10, ColourTags())
    with pytest.raises(SettingRefused, match="10 bit"):
        check_depth(film, DenoiseSettings(filter="nlmeans"))
    check_depth(film, DenoiseSettings())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "values",
    [{"brightness": 20}, {"contrast": 50}, {"gamma": 2.2}, {"saturation": 60}, {"saturation": -100},
     {"brightness": -10, "contrast": -30, "gamma": 0.7, "saturation": 25}],
)  # fmt: skip
def test_grading_is_its_formula_rounded_once(dtype, values):
    white = int(np.iinfo(dtype).max)
    image = np.random.default_rng(2).integers(0, white + 1, (31, 17, 3)).astype(dtype)
    settings = GradeSettings(**values)
    v = image / white
    v = np.clip((v - 0.5) * (1 + settings.contrast / 100) + 0.5 + settings.brightness / 100, 0, 1)
    v **= 1 / settings.gamma
    luma = (v @ np.array(LUMA))[..., None]
    wanted = np.clip(luma + (v - luma) * (1 + settings.saturation / 100), 0, 1) * white
    found = Grade(settings)(image)
    assert found.dtype == dtype
    assert found.shape == image.shape
    assert np.abs(found - wanted).max() <= 0.51 + white * 1e-6


def test_grading_that_does_nothing_is_refused():
    with pytest.raises(SettingRefused, match="as it is"):
        Grade(GradeSettings())


@given(st.integers(0, 200), st.floats(0.5, 60), st.floats(0, 3), st.floats(0.1, 8))
def test_picked_frames_lie_in_the_range_and_are_no_more_than_asked(count, fps, start, length):
    times = np.arange(count) / 25
    found = select(times, fps, start, start + length)
    assert np.all(np.diff(found) > 0)
    assert np.all((times[found] >= start - 1e-3) & (times[found] <= start + length + 1e-3))
    assert len(found) <= min(25, fps) * length + 2


def test_clock_and_seconds_are_inverse():
    for moment in (0.0, 62.5, 3723.004):
        assert seconds(clock(moment)) == pytest.approx(moment)


@pytest.mark.parametrize(
    ("text", "rate", "frames", "wanted"),
    [("01:00:00:00", 25, 30, "01:00:01:05"), ("00:00:59;28", Fraction(30000, 1001), 1, "00:00:59;29"),
     ("00:00:59;29", Fraction(30000, 1001), 1, "00:01:00;02"), ("00:09:59;29", Fraction(30000, 1001), 1, "00:10:00;00"),
     ("00:00:00;00", Fraction(30000, 1001), 107892, "01:00:00;00"), ("23:59:59:24", 25, 1, "00:00:00:00"),
     ("00:00:59;59", Fraction(60000, 1001), 1, "00:01:00;04")],
)  # fmt: skip
def test_time_codes_count_on(text, rate, frames, wanted):
    assert later(Timecode(text, Fraction(rate)), frames).text == wanted


def test_a_broken_time_code_is_none_and_a_wrong_choice_is_refused():
    assert later(Timecode("soon", Fraction(25)), 3) is None
    assert later(None, 3) is None
    with pytest.raises(SettingRefused):
        check(CutSettings, {"sound": "loud"})
    with pytest.raises(SettingRefused, match="before --start"):
        check(GradeSettings, {"start": "5", "end": "3"})
    for wrong in (0, 21):
        with pytest.raises(SettingRefused):
            check(DenoiseSettings, {"strength": wrong})
