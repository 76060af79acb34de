from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.media.frame import ColourTags
from facewright.media.pixels import FromRgb, ToRgb, matrix_of, rotation_deg, turned

TURNS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]
LAYOUTS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv444p12le",
           "gbrp16le", "bgr0", "rgb24", "rgb48le", "gbrp"]  # fmt: skip


def flat(colours: np.ndarray) -> np.ndarray:
    return np.kron(colours, np.ones((16, 16, 1), colours.dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_round_trip(layout, matrix, full_range, deep):
    """RGB -> samples -> RGB: within the rounding of the samples; white and black stay exact to that."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
    colours[0, 0], colours[0, 1] = 255, 0
    image = flat(colours)
    image = image.astype(np.uint16) * 257 if deep else image
    rgb = layout.startswith(("gbr", "rgb", "bgr"))
    raw = FromRgb(layout, matrix, full_range=full_range)(image)
    assert raw.format.name == layout
    back = ToRgb(ColourTags(matrix=0 if rgb else matrix, full_range=full_range or rgb), (128, 64))(raw)
    many = any(depth in layout for depth in ("10", "12", "16", "48"))
    assert back.dtype == (np.uint16 if many else np.uint8)
    error = np.abs(back / (257 if many else 1) - image / (257 if deep else 1))[8::16, 8::16]
    # 8-bit YUV: half a step each of Y, U, V; 10 bit and more: a quarter of that
    assert error.max() <= (0.26 if rgb and many else 0.51 if rgb else 0.9 if many else 2.6)


@given(st.sampled_from(TURNS), st.integers(1, 5), st.integers(1, 5))
def test_turned_moves_each_pixel_where_the_matrix_says(matrix, height, width):
    image = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1)
    a, b, c, d = matrix
    out = turned(image, matrix)
    points = np.array([(a * x + c * y, b * x + d * y) for y in range(height) for x in range(width)])
    points -= points.min(0)
    for value, (x, y) in enumerate(points):
        assert out[y, x, 0] == value


def test_rotation_deg_agrees_with_numpy():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    for matrix in [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)]:
        np.testing.assert_array_equal(turned(image, matrix), np.rot90(image, rotation_deg(matrix) // 90))


def test_matrix_rule():
    assert matrix_of(ColourTags(), (1280, 720)) == 1
    assert matrix_of(ColourTags(), (720, 576)) == 6
    assert matrix_of(ColourTags(matrix=9), (64, 64)) == 9
    assert matrix_of(ColourTags(matrix=0), (1920, 1080)) == 1
    assert matrix_of(ColourTags(matrix=10), (64, 64)) == 9


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("layout", ["gray", "gray10le"])
def test_grey(layout, limited):
    bits = 8 if layout == "gray" else 10
    raw = av.VideoFrame(32, 16, layout)
    plane = np.frombuffer(memoryview(raw.planes[0]), np.uint8 if bits == 8 else np.uint16)
    plane[:] = (235 << (bits - 8)) if limited else (1 << bits) - 1
    raw.color_range = 1 if limited else 2
    image = ToRgb(ColourTags(full_range=not limited), (32, 16))(raw)
    assert image.shape == (16, 32, 3)
    assert image.max() == image.min() == pytest.approx(np.iinfo(image.dtype).max, rel=0.002)


def test_a_frame_of_another_size_is_scaled():
    raw = av.VideoFrame.from_ndarray(np.full((20, 30, 3), 77, np.uint8))
    assert ToRgb(ColourTags(matrix=0, full_range=True), (60, 40))(raw).shape == (40, 60, 3)
