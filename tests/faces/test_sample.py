from __future__ import annotations

import numpy as np
import pytest

from facewright.faces.landmark import crop_matrix
from facewright.faces.sample import sample


def _ramp(height, width):
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 100)], -1).round().astype(np.uint8)


@pytest.mark.parametrize("side", [48.0, 96.0, 200.0, 333.0, 600.0])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_a_ramp_stays_a_ramp_at_any_scale(side, angle):
    image = _ramp(900, 1000)
    matrix = crop_matrix(np.array([[510.0, 440.0]]), np.array([side]), np.array([angle]), 96)[0]
    cut = sample(image, matrix, 96)
    rows, columns = np.mgrid[:96, :96] + 0.5
    frame = np.stack([columns, rows, np.ones_like(rows)], -1) @ matrix.T - 0.5
    expected = frame[..., :2] * [255 / 1000, 255 / 900]
    assert cut.shape == (96, 96, 3)
    assert np.abs(cut[..., :2] - expected).max() < 2.0
    assert (cut[..., 2] == 100).all()


@pytest.mark.parametrize("side", [60.0, 600.0])
def test_outside_is_black(side):
    matrix = crop_matrix(np.array([[-2000.0, 50.0]]), np.array([side]), np.zeros(1), 64)[0]
    assert not sample(np.full((100, 100, 3), 200, np.uint8), matrix, 64).any()
    corner = crop_matrix(np.zeros((1, 2)), np.array([side]), np.zeros(1), 64)[0]
    half = sample(np.full((700, 700, 3), 200, np.uint8), corner, 64)
    assert half[-1, -1].tolist() == [200] * 3
    assert not half[0, 0].any()
