"""Alignment, pose and mirroring against the original's numbers and against geometry."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import NothingFound
from facewright.faces import align
from facewright.faces.face import FaceType
from facewright.image.geometry import apply_affine, invert

TYPES = {
    0: (FaceType.HALF, False), 1: (FaceType.MIDFULL, False), 2: (FaceType.FULL, False), 3: (FaceType.FULL, True),
    4: (FaceType.WHOLE, False), 10: (FaceType.HEAD, False), 20: (FaceType.HEAD, True),
}


@pytest.fixture(scope="module")
def g(golden):
    return np.load(golden / "data" / "align.npz")


def test_templates_are_the_original_s(golden):
    facts = json.loads((golden / "data" / "templates.json").read_text())
    assert np.array_equal(align.template_2d(), np.float32(facts["landmarks_2D_51_points_17_to_67"]))
    assert np.array_equal(align.template_3d(), np.float32(facts["landmarks_3D_68"]))
    assert align.FIT_POINTS.tolist() == facts["umeyama_point_indices"]
    assert align.POSE_POINTS.tolist() == facts["pose_point_indices"]
    for a, b in facts["mirror_pairs"]:
        assert align.MIRROR_68[a] == b
        assert align.MIRROR_68[b] == a


def test_unit_fit_matches(g):
    np.testing.assert_allclose(align.unit_from_frame(g["landmarks"]), g["umeyama"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("number", sorted(TYPES))
def test_crop_matrices_match(g, number):
    kind, upright = TYPES[number]
    column = g["face_types"].tolist().index(number)
    for k, side in enumerate(g["sizes"]):
        ours = align.face_from_frame(g["landmarks"], int(side), kind, upright=upright)
        theirs = g["mats"][:, column, k]
        assert np.abs(ours[:, :2, :2] - theirs[..., :2]).max() < 3e-5
        gap = apply_affine(ours, g["landmarks"]) - apply_affine(theirs, g["landmarks"])
        assert np.abs(gap).max() < 2e-3


def test_scaled_matrices_match(g):
    for t, kind in enumerate((FaceType.FULL, FaceType.WHOLE, FaceType.HEAD)):
        for k, scale in enumerate(g["scale_values"]):
            ours = align.face_from_frame(g["landmarks"], 256, kind, scale=float(scale))
            gap = apply_affine(ours, g["landmarks"]) - apply_affine(g["mats_scaled"][:, t, k], g["landmarks"])
            assert np.abs(gap).max() < 2e-3


def test_aligned_points_pose_box_and_mirror_match(g):
    for t, kind in enumerate((FaceType.FULL, FaceType.WHOLE, FaceType.HEAD)):
        aligned = apply_affine(align.face_from_frame(g["landmarks"], 256, kind), g["landmarks"])
        assert np.abs(aligned - g["aligned"][:, t]).max() < 1e-3
        pose = np.array([align.dfl_pose_rad(points, 256) for points in g["aligned"][:, t]])
        assert np.abs(pose - g["pose"][:, t]).max() < 1e-4
    in_unit = apply_affine(align.unit_from_frame(g["landmarks"]), g["landmarks"])
    assert np.abs(align.averaged_yaw(in_unit) - g["averaged_yaw"]).max() < 1e-9
    boxes = np.array([align.landmark_box(points) for points in g["landmarks"]])
    assert np.abs(boxes - g["rect"]).max() < 1e-3
    assert np.abs(align.mirror_points(g["aligned"][:5, 1], 256) - g["mirrored"]).max() < 1e-3


def test_one_face_equals_its_row_in_a_batch(g):
    alone = align.face_from_frame(g["landmarks"][3], 256, FaceType.HEAD)
    assert np.allclose(alone, align.face_from_frame(g["landmarks"], 256, FaceType.HEAD)[3], atol=1e-9)


def test_a_point_is_refused():
    with pytest.raises(NothingFound):
        align.face_from_frame(np.ones((68, 2)), 256, FaceType.FULL)


def test_crops_grow_with_the_type(g):
    corners = np.array([[0.0, 0.0], [256.0, 256.0]])
    sides = [
        np.linalg.norm(np.diff(apply_affine(invert(align.face_from_frame(g["landmarks"][0], 256, t)), corners), axis=0))
        for t in FaceType
    ]
    assert sides == sorted(sides)


def _turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The canonical head turned by R = Rz(roll) Rx(pitch) Ry(yaw), as mesh pixels."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    head = align.canonical_mesh() @ (about_z @ about_x @ about_y).T
    return head * np.array([1.0, -1.0, -1.0]) * 12.5 + np.array([320.0, 240.0, 0.0])


@given(st.floats(-80, 80), st.floats(-60, 60), st.floats(-170, 170))
def test_pose_is_recovered_and_mirrors(yaw, pitch, roll):
    mesh = _turned(yaw, pitch, roll)
    assert np.allclose(align.pose_deg(mesh), [yaw, pitch, roll], atol=1e-6)
    mirrored = align.mirror_points(mesh, 640)
    assert np.allclose(align.pose_deg(mirrored), [-yaw, pitch, -roll], atol=1e-4)


def test_pose_signs_by_eye():
    right = _turned(30, 0, 0)
    assert right[1, 0] > right[[33, 263], 0].mean(), "yaw > 0: the nose points to image right"
    down = _turned(0, 30, 0)
    assert down[1, 1] - down[[33, 263], 1].mean() > (_turned(0, 0, 0)[1, 1] - _turned(0, 0, 0)[[33, 263], 1].mean())
    turned = _turned(0, 0, 20)
    assert turned[263, 1] < turned[33, 1], "roll > 0: counter-clockwise, the right eye of the picture rises"


def test_mirror_tables_are_involutions():
    for table in (align.MIRROR_68, align.MIRROR_468):
        assert np.array_equal(table[table], np.arange(len(table)))
    mesh = align.canonical_mesh()
    assert np.allclose(mesh[align.MIRROR_468] * [-1, 1, 1], mesh, atol=1e-6)


def test_pose_of_many_meshes_at_once():
    meshes = np.stack([_turned(a, -a / 2, a / 3) for a in (-40, 0, 25)])
    assert np.allclose(align.pose_deg(meshes)[:, 0], [-40, 0, 25], atol=1e-6)


def test_crop_puts_landmarks_where_the_matrix_says():
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[90:93, 140:143, 0] = 255
    matrix = np.array([[1.5, 0, -160], [0, 1.5, -90], [0, 0, 1.0]])
    face = align.crop(frame, matrix, 128)
    x, y = apply_affine(matrix, np.array([[141.0, 91.0]]))[0]
    assert face[round(y), round(x), 0] > 200
    assert face[..., 1:].max() == 0
