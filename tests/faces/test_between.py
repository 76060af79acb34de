from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.align import canonical_mesh, template_3d
from facewright.faces.between import between

FACE = template_3d()[:, :2].astype(np.float64) * 0.6 + 200
MESH = canonical_mesh() * [6, -6, -6] + [200, 200, 0]
TIMES = np.array([0, 1, 2, 9, 10, 11]) / 25
INSIDE = np.arange(3, 9) / 25


def _moved(path):
    return FACE + path[:, None], MESH + np.concatenate([path, np.zeros((len(path), 1))], 1)[:, None]


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_even_motion_goes_on(x, y):
    path = np.array([x, y]) * TIMES[:, None]
    points, meshes = between(TIMES, *_moved(path), INSIDE)
    wanted = _moved(np.array([x, y]) * INSIDE[:, None])
    assert np.abs(points - wanted[0]).max() < 1e-6
    assert np.abs(meshes - wanted[1]).max() < 1e-6


def test_a_curve_is_followed_closer_than_by_a_line():
    def path(t):
        return np.stack([40 * np.sin(6 * t), 40 * np.cos(6 * t)], -1)

    points, _ = between(TIMES, *_moved(path(TIMES)), INSIDE)
    off = np.abs(points - _moved(path(INSIDE))[0]).max()
    share = ((INSIDE - TIMES[2]) / (TIMES[3] - TIMES[2]))[:, None]
    line = path(TIMES)[2] * (1 - share) + path(TIMES)[3] * share
    assert off < 0.35 * np.abs(line - path(INSIDE)).max()


def test_features_go_straight_and_never_overshoot():
    points = np.repeat(FACE[None], 6, 0)
    points[:3, 66, 1] += [0, 4, 8]
    points[3:, 66, 1] += 10
    found, _ = between(TIMES, points, np.repeat(MESH[None], 6, 0), INSIDE)
    opened = found[:, 66, 1] - FACE[66, 1]
    assert opened.min() > 7.5
    assert opened.max() < 10.5


def test_one_face_on_either_side_is_enough_and_turning_takes_the_mesh_along():
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    ends = np.stack([FACE, (FACE - 200) @ turn.T * 1.2 + 200])
    meshes = np.stack([MESH, MESH])
    meshes[1, :, :2] = (MESH[:, :2] - 200) @ turn.T * 1.2 + 200
    found, mesh = between(np.array([0.0, 1.0]), ends, meshes, np.array([0.25, 0.5]))
    assert found.shape == (2, 68, 2)
    assert mesh.shape == (2, 468, 3)
    assert np.isfinite(found).all()
    assert np.isfinite(mesh).all()
