from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from facewright.faces.align import canonical_mesh
from facewright.faces.candidates import Candidate
from facewright.faces.detectors import auto_detector
from facewright.faces.face import Detection
from facewright.faces.find import FaceFinder, Settled, faces_of
from facewright.faces.five_points import five_of_mesh
from facewright.faces.landmark import Landmarks, corrected_points
from facewright.faces.settings import DETECTORS, DetectSettings
from facewright.media.frame import Frame


def _frames(images):
    return [Frame(i + 100, i, Fraction(1, 25), image) for i, image in enumerate(images)]


@pytest.fixture
def finder(nets):
    return FaceFinder()


def _turn(image, degrees):
    """The picture turned counter-clockwise on a larger canvas, and the matrix that did it."""
    height, width = image.shape[:2]
    side = int(np.hypot(height, width))
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    return cv2.warpAffine(image, matrix, (side, side)), matrix


def test_a_run_of_frames(finder, heads):
    found = finder.find(_frames(heads))
    assert [len(row) for row in found] == [1] * len(heads)
    for i, (face,) in enumerate(found):
        assert face.detection.frame_index == 100 + i
        assert face.presence_01 > 0.99
        assert face.flags == ()
        assert len(face.pose_deg) == 3
        assert face.eye_distance_px > 10
    assert finder.find([]) == []


def test_the_same_run_gives_the_same_answer(finder, heads):
    a, b = finder.find(_frames(heads)), finder.find(_frames(heads))
    for (x,), (y,) in zip(a, b, strict=True):
        assert x.detection.box_px == y.detection.box_px
        assert np.array_equal(x.landmarks.points_px, y.landmarks.points_px)


@pytest.mark.parametrize("degrees", [45, 90, 135, 180, -90])
def test_turned_heads_are_found_as_they_lie(finder, heads, degrees):
    (here,) = finder.find(_frames(heads[:1]))[0]
    turned, matrix = _turn(heads[0], degrees)
    (there,) = finder.find(_frames([turned]))[0]
    expected = here.landmarks.points_px @ matrix[:, :2].T + matrix[:, 2]
    error = np.linalg.norm(there.landmarks.points_px - expected, axis=1).mean()
    assert error < 0.08 * here.eye_distance_px
    assert abs((there.pose_deg[2] - here.pose_deg[2] - degrees + 180) % 360 - 180) < 5


def test_upside_down_film_needs_all_orientations_only_at_its_start(finder, heads, monkeypatch):
    looks = []
    plain = finder._detector

    class Counting:
        score, low_score, sure_score, enlarges = plain.score, plain.low_score, plain.sure_score, plain.enlarges

        def __call__(self, images, **how):
            looks.append(len(images))
            return plain(images, **how)

    monkeypatch.setattr(finder, "_detector", Counting())
    found = finder.find(_frames([np.ascontiguousarray(heads[0][::-1, ::-1])] * 6))
    assert [len(row) for row in found] == [1] * 6
    assert all(abs(abs(row[0].pose_deg[2]) - 180) < 30 for row in found)
    # Upright once for all; then 3 more orientations for the first frame and the remembered one for the others.
    assert sum(looks) <= 6 + 3 + 5


def test_two_heads_of_different_orientation_in_one_frame(finder, heads):
    both = np.concatenate([heads[0], np.ascontiguousarray(np.rot90(heads[0], 2))], 1)
    left, right = finder.find(_frames([both]))[0]
    assert abs(left.pose_deg[2]) < 45
    assert abs(right.pose_deg[2]) > 135
    assert left.detection.box_px[2] < right.detection.box_px[0]


def test_upright_only(nets, heads):
    finder = FaceFinder(DetectSettings(orientations="upright", second_look=False))
    (row,) = finder.find(_frames(heads[:1]))
    assert len(row) == 1


def test_blank_and_noise_frames_hold_no_face(finder):
    noise = np.random.default_rng(5).integers(0, 256, (180, 240, 3), dtype=np.uint8)
    assert finder.find(_frames([np.full((180, 240, 3), 90, np.uint8), noise])) == [[], []]


def test_deep_frames_are_understood(finder, heads):
    (here,) = finder.find(_frames(heads[:1]))[0]
    (there,) = finder.find(_frames([heads[0].astype(np.uint16) * 257]))[0]
    assert np.allclose(here.landmarks.points_px, there.landmarks.points_px)


def test_second_look_finds_what_the_first_one_misses(nets, heads):
    # With a limit that nothing reaches, only the second look is left; it takes what the mesh confirms.
    strict = DetectSettings(score=1.0)
    (face,) = FaceFinder(strict).find(_frames(heads[:1]))[0]
    assert "second_look" in face.flags
    assert face.presence_01 >= 0.95
    assert FaceFinder(DetectSettings(score=1.0, second_look=False)).find(_frames(heads[:1])) == [[]]


def test_auto_takes_what_is_at_hand(nets, monkeypatch, tmp_path):
    import shutil

    for file in ("face_detection_full_range_sparse.tflite", "face_landmark.tflite"):
        shutil.copy(nets / file, tmp_path / file)
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path))
    assert auto_detector() == "blazeface_full"
    finder = FaceFinder()
    assert finder.detector_name == "blazeface_full"
    assert dict(finder.nets)["detector"] == "blazeface_full:2c3728e6"
    assert dict(finder.nets)["landmarks"] == "face_mesh:1055cb9d+corr1"


def test_help_names_every_detector():
    text = DetectSettings.model_fields["detector"].description or ""
    assert all(name in text for name in DETECTORS.names() if DETECTORS.plug(name).target.startswith("facewright."))


@pytest.mark.shared
def test_bystanders_are_kept_apart(weights, clip_frames):
    found = FaceFinder(DetectSettings(detector="yunet")).find(clip_frames("two_people_headpose", 20, 26))
    assert [len(row) for row in found] == [2] * 6
    assert all(row[0].detection.box_px[0] < row[1].detection.box_px[0] for row in found)


@pytest.mark.shared
def test_small_dim_faces_are_found_and_flagged(weights, clip_frames):
    found = FaceFinder(DetectSettings(detector="yunet")).find(clip_frames("corridor_walking_small", 5, 13))
    assert [len(row) for row in found] == [2] * 8
    flags = {flag for row in found for face in row for flag in face.flags}
    assert {"low_presence", "five_points"} <= flags


@pytest.mark.shared
def test_pose_agrees_with_the_synthetic_truth(weights, clip_frames, shared):
    truth = np.load(shared / "footage" / "synthetic_person_b.npz", allow_pickle=False)["yaw_pitch_roll_deg"]
    frames = clip_frames("synthetic_person_b", 0, 125, 5)
    found = FaceFinder(DetectSettings(detector="yunet")).find([replace(f, index=f.index) for f in frames])
    pose = np.array([row[0].pose_deg for row in found])
    assert (np.abs(pose - truth[[f.index for f in frames]]).mean(0) < [4.0, 4.0, 2.5]).all()


def _head(yaw_deg: float) -> np.ndarray:
    """(468, 3) mesh of a neutral head turned to the side, in frame px."""
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    turned = canonical_mesh() @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    return (turned * 8 + [160, -160, 0]) * [1, -1, -1]


@pytest.mark.parametrize(("mesh_deg", "hint_deg", "flags"), [
    (50, 55, ()), (-50, -55, ()), (30, 70, ()), (50, -70, ()),
    (50, 70, ("profile",)), (-50, -70, ("profile",)), (65, 20, ("profile",)),
])
def test_a_profile_shows_in_the_mesh_or_in_the_five_points(finder, mesh_deg, hint_deg, flags):
    mesh = _head(mesh_deg)
    points = Landmarks(mesh.astype(np.float32), corrected_points(mesh), 1.0, 9.0, 0.0)
    detection = Detection(0, (120, 100, 200, 220), 0.93, 0.0, five_of_mesh(_head(hint_deg)[:, :2]))
    assert faces_of([Settled(Candidate(detection, points, 0), finder.detector)])[0].flags == flags


def test_what_is_doubtful_is_said(finder):
    mesh = _head(0)
    detection = Detection(0, (120, 100, 200, 220), 0.79, 0.0, five_of_mesh(mesh[:, :2]))
    points = Landmarks(mesh.astype(np.float32), corrected_points(mesh), 0.9, 2.0, 0.0, 0.2)
    doubtful = Settled(Candidate(detection, points, 0), finder.detector, ("second_look",))
    sound = Candidate(replace(detection, score=0.93), replace(points, presence_01=0.99, unsteady=0.05), 0)
    face, other = faces_of([doubtful, Settled(sound, finder.detector)])
    assert set(face.flags) == {"second_look", "low_score", "low_presence", "passes_disagree"}
    assert other.flags == ()


@pytest.mark.shared
def test_passes_that_disagree_mean_points_that_are_wrong(finder, clip_frames):
    """A tilted head that was first seen upright: flagged; talking heads in the open: not."""
    found = finder.find(clip_frames("two_people_headpose", 36, 44))
    assert sum("passes_disagree" in face.flags for row in found for face in row) >= 4
    found = finder.find(clip_frames("webcam_man_take1", 100, 116))
    assert [face.flags for row in found for face in row] == [()] * 16
