from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.align import canonical_mesh, pose_deg
from facewright.faces.face import Detection
from facewright.faces.five_points import five_of_mesh, landmarks_from_hint
from facewright.faces.landmark import Landmarks, corrected_points

UNSEEN = Landmarks(np.zeros((468, 3), np.float32), np.zeros((68, 2), np.float32), 0.01, -4.6, 0.0)
FLIP = np.array([1.0, -1.0, -1.0])


def _rotation(yaw, pitch, roll):
    y, p, r = np.radians([yaw, pitch, roll])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rz = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return rz @ rx @ ry


angles = st.floats(-85, 85)


@given(angles, st.floats(-40, 40), st.floats(-170, 170), st.floats(1, 30))
def test_a_neutral_head_is_recovered_from_its_five_points(yaw, pitch, roll, scale):
    mesh = (canonical_mesh() @ _rotation(yaw, pitch, roll).T * scale + [300, -200, 0]) * FLIP
    hint = five_of_mesh(mesh[:, :2])
    found = landmarks_from_hint(Detection(0, (0, 0, 1, 1), 0.9, 0.0, hint), UNSEEN)
    assert np.abs(found.mesh_px[:, :2] - mesh[:, :2]).max() < 0.02 * scale
    assert np.abs((pose_deg(found.mesh_px) - [yaw, pitch, roll] + 180) % 360 - 180).max() < 0.5
    assert found.presence_01 == UNSEEN.presence_01


def test_needs_all_five():
    hint = np.full((5, 2), np.nan)
    hint[:3] = [[10, 10], [20, 10], [15, 15]]
    assert landmarks_from_hint(Detection(0, (0, 0, 1, 1), 0.9, 0.0, hint), UNSEEN) is None
    assert landmarks_from_hint(Detection(0, (0, 0, 1, 1), 0.9, 0.0, None), UNSEEN) is None


def test_five_points_on_one_place_are_no_head():
    assert landmarks_from_hint(Detection(0, (0, 0, 1, 1), 0.9, 0.0, np.full((5, 2), 7.0)), UNSEEN) is None


@given(angles, st.floats(-40, 40), st.floats(-170, 170), st.floats(0.5, 30))
def test_the_correction_turns_and_scales_with_the_head(yaw, pitch, roll, scale):
    rotation = _rotation(yaw, pitch, roll)
    plain = corrected_points(canonical_mesh() * FLIP).astype(np.float64)
    turned = corrected_points((canonical_mesh() @ rotation.T * scale + [5, 7, 0]) * FLIP)
    # Frontal correction is seen as it is; turned by the roll alone it must turn likewise.
    if abs(yaw) < 1e-9 and abs(pitch) < 1e-9:
        assert np.allclose(turned, (plain * [1, -1] @ rotation[:2, :2].T * scale + [5, 7]) * [1, -1], atol=1e-2)
    assert np.isfinite(turned).all()


def test_correction_is_mirror_symmetric():
    from facewright.faces.align import MIRROR_68
    from facewright.faces.correction import CORRECTION_CM

    assert np.allclose(CORRECTION_CM, CORRECTION_CM[MIRROR_68] * [-1, 1, 1], atol=1.01e-4)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["synthetic_person_a", "synthetic_person_b"])
def test_crop_scale_has_no_bias_against_the_truth(weights, clip_frames, shared, name):
    from facewright.faces.align import face_from_frame
    from facewright.faces.detectors import make_detector
    from facewright.faces.face import FaceType
    from facewright.faces.landmark import MESH_FOR_68, make_landmarker
    from facewright.image.geometry import scale_of

    truth = np.load(shared / "footage" / f"{name}.npz", allow_pickle=False)
    usable = np.abs(truth["yaw_pitch_roll_deg"][:, 0]) < 45
    frames = [f.image for f in clip_frames(name, 0, 125) if usable[f.index]]
    found = make_landmarker()(frames, [row[0] for row in make_detector("yunet")[1](frames)])

    def scales(points):
        return np.array([scale_of(face_from_frame(p, 256, FaceType.WHOLE)) for p in points])

    true = scales(truth["landmarks68"][usable])
    assert abs((true / scales([p.points_px for p in found])).mean() - 1) <= 0.005
    # Without the correction crops are 2.5 to 3.4 % too large.
    assert (true / scales([p.mesh_px[MESH_FOR_68, :2] for p in found])).mean() - 1 > 0.02
