"""Acting metrics on constructed tracks."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.fwbench import acting

from facewright.faces.align import canonical_mesh
from facewright.faces.landmark import MESH_FOR_68

RNG = np.random.default_rng(3)


def turn_y(degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])


def track(count: int = 60, mouth: float = 0.6) -> np.ndarray:
    """Meshes in px of a head that turns a little and opens its mouth."""
    base, meshes = np.asarray(canonical_mesh(), np.float64), []
    lips = MESH_FOR_68[48:68]
    for t in range(count):
        shape = base.copy()
        opening = mouth * max(0.0, np.sin(2 * np.pi * t / 23))
        shape[lips, 1] += opening * np.where(base[lips, 1] > base[lips, 1].mean(), 1, -1)
        turned = shape @ turn_y(15 * np.sin(2 * np.pi * t / 40)).T
        meshes.append(turned * (6, -6, -6) + (200, 200, 0))
    return np.stack(meshes)


def test_five_degrees_read_five():
    plate = track()
    middle = np.array([200, 200, 0])
    flip = np.diag([1.0, -1, -1])
    swap = (plate - middle) @ (flip @ turn_y(5.0) @ flip).T + middle
    found = acting.pose(plate, swap)
    assert found["PF1"] == pytest.approx(5.0, abs=1e-3)
    assert found["pose_bias"] == pytest.approx(5.0, abs=0.2)
    assert acting.pose(plate, plate)["PF1"] == pytest.approx(0, abs=1e-3)


def test_a_frozen_face_reads_about_one_and_a_copy_zero():
    plate = track()
    assert acting.expression(plate, plate)["E_norm"] == pytest.approx(0, abs=1e-9)
    frozen = np.repeat(plate[:1], len(plate), 0)
    assert acting.expression(plate, frozen)["E_norm"] == pytest.approx(1, abs=0.02)


def test_late_lips_have_a_lag_and_a_half_open_copy_a_gain():
    points = track()[:, MESH_FOR_68, :2]
    opening = acting.mouth_opening(points)
    late = acting.likeness(opening[2:], opening[:-2])
    assert late["lag"] == 2
    half = acting.likeness(opening, 0.5 * opening)
    assert half["r"] == pytest.approx(1)
    assert half["gain"] == pytest.approx(0.5)
    assert half["lag"] == 0


def test_a_blink_one_frame_late_still_counts():
    eye = np.full(100, 0.3)
    eye[20:23] = eye[60:63] = 0.05
    assert acting.blink_f1(eye, np.roll(eye, 1)) == 1
    assert acting.likeness(eye, np.roll(eye, 1))["r"] < 1
    assert acting.blink_f1(eye, np.roll(eye, 10)) == 0


def test_jitter_of_white_noise():
    noise = RNG.normal(0, 1.0, (4000, 4, 2))
    value = acting.jitter(noise, np.full(4000, 100.0), [slice(0, 4000)])
    assert value == pytest.approx(2.884, abs=0.05)
