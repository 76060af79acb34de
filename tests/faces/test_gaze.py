from __future__ import annotations

import numpy as np
import pytest

from facewright.faces import gaze
from facewright.faces.align import mirror_points, pose_deg
from facewright.faces.detectors import make_detector
from facewright.faces.landmark import make_landmarker
from facewright.media.reader import frames, open_video


@pytest.fixture
def rendered(shared, weights):
    """Some frames of a drawn head: picture, its points, yaw."""
    film = open_video(shared / "footage" / "synthetic_person_a.mp4")
    found = []
    detect, mark = make_detector("auto")[1], make_landmarker()
    for frame in list(frames(film))[::8]:
        detections = detect([frame.image])[0]
        if detections:
            face = mark([frame.image], detections[:1])[0]
            found.append((frame.image, face.points_px, float(pose_deg(face.mesh_px)[0])))
    return found


def turned_eyes(image: np.ndarray, points: np.ndarray, shift: float) -> np.ndarray:
    """A white eyeball and a dark iris, `shift` eye widths to image right of the middle, drawn into both eyes."""
    import cv2

    out = image.copy()
    for left, right in ((36, 39), (42, 45)):
        a, b = points[left], points[right]
        width, middle = np.linalg.norm(b - a), (a + b) / 2
        lids = np.rint(points[left : left + 6] * 16).astype(np.int32)
        white, mask = out.copy(), np.zeros(out.shape[:2], np.uint8)
        cv2.fillPoly(mask, [lids], 255, cv2.LINE_AA, 4)
        white[:] = (215, 210, 205)
        x, y = np.rint((middle + (b - a) * shift) * 16).astype(int).tolist()
        cv2.circle(white, (x, y), round(width * 0.22 * 16), (70, 60, 50), -1, cv2.LINE_AA, 4)
        cv2.circle(white, (x, y), round(width * 0.09 * 16), (8, 8, 8), -1, cv2.LINE_AA, 4)
        share = mask[..., None] / 255.0
        out = np.rint(white * share + out * (1 - share)).astype(np.uint8)
    return out


@pytest.mark.shared
def test_it_follows_eyes_that_look_aside(rendered):
    judged = [(image, points, yaw) for image, points, yaw in rendered
              if abs(yaw) <= 12 and np.isfinite(gaze.gaze_deg(image, points, yaw))]
    assert len(judged) >= 2
    for image, points, yaw in judged:
        left, ahead, right = (gaze.gaze_deg(turned_eyes(image, points, s), points, yaw) for s in (-0.2, 0.0, 0.2))
        assert left + 12 < ahead < right - 12
        width = image.shape[1]
        flipped = gaze.gaze_deg(np.ascontiguousarray(image[:, ::-1]), mirror_points(points, width), -yaw)
        assert abs(flipped + gaze.gaze_deg(image, points, yaw)) < 3


@pytest.mark.shared
def test_turned_heads_and_closed_eyes_are_not_judged(rendered):
    image, points, _ = rendered[0]
    assert np.isnan(gaze.gaze_deg(image, points, 30.0))
    shut = points.copy()
    shut[37:39], shut[43:45] = shut[[41, 40]], shut[[47, 46]]
    assert np.isnan(gaze.gaze_deg(image, shut, 0.0))


def test_without_the_net_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("FACEWRIGHT_HOME", str(tmp_path / "home"))
    assert not gaze.at_hand()
