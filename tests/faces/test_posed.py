from __future__ import annotations

import numpy as np
import pytest

from facewright.faces.align import canonical_mesh
from facewright.faces.landmark import corrected_points
from facewright.faces.posed import posed


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(468, 3) mesh in frame px of the neutral head, turned as our angles say, seen from far away."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (canonical_mesh() @ (about_z @ about_x @ about_y).T) * [1, -1, -1] * 20 + [500, 400, 0]


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (20, 0, 0), (0, -20, 0), (0, 0, -40), (25, 10, 15), (-40, -10, 30), (75, 5, 0)])
def test_a_known_head_is_found_again(angles):
    mesh = turned(*angles)
    found, pose = posed(corrected_points(mesh))
    assert np.abs(pose - angles).max() < 0.1
    assert np.abs(found[:, :2] - mesh[:, :2]).max() < 0.01
    assert np.abs((found - found[0])[:, 2] - (mesh - mesh[0])[:, 2]).max() < 0.01


def test_the_mesh_follows_the_points_and_a_batch_is_its_faces(golden):
    points = np.load(golden / "data" / "align.npz")["landmarks"]
    meshes, poses = posed(points)
    assert np.abs(corrected_points(meshes) - points).mean() < 0.01 * np.ptp(points, axis=1).mean()
    one, pose = posed(points[7])
    assert np.allclose(one, meshes[7], atol=1e-3)
    assert np.allclose(pose, poses[7])
    theirs = np.degrees(np.load(golden / "data" / "align.npz")["pose"][:, 1])
    assert np.corrcoef(poses[:, 0], theirs[:, 1])[0, 1] < -0.99, "their yaw has the other sign"
    assert np.corrcoef(poses[:, 1], theirs[:, 0])[0, 1] < -0.98


def test_points_that_span_nothing_give_no_number():
    assert np.isnan(posed(np.zeros((68, 2)))[0]).all()
