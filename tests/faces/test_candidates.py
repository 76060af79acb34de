from __future__ import annotations

import dataclasses

import numpy as np

from facewright.faces.align import template_3d
from facewright.faces.candidates import Candidate, Memory, choose, same_head, sure
from facewright.faces.face import Detection
from facewright.faces.landmark import Landmarks


def _candidate(box=(0, 0, 100, 100), score=0.9, logit=10.0, quarter=0, roll=None):
    presence = 1 / (1 + np.exp(-logit))
    roll = -90.0 * quarter if roll is None else roll
    points = Landmarks(np.zeros((468, 3), np.float32), np.zeros((68, 2), np.float32), float(presence), logit, roll)
    return Candidate(Detection(0, box, score), points, quarter)


def test_presence_decides_between_orientations_not_the_score():
    upright, down = _candidate(score=0.91, logit=15.0), _candidate(score=0.80, logit=22.0, quarter=2)
    assert choose([upright, down]) == [down]
    assert choose([down, upright]) == [down]


def test_where_the_mesh_sees_nothing_upright_stays():
    upright, turned = _candidate(score=0.75, logit=-8.0), _candidate(score=0.95, logit=-7.0, quarter=1)
    assert choose([upright, turned]) == [upright]


def test_a_turned_find_needs_the_mesh():
    assert choose([_candidate(quarter=1, logit=1.0)]) == []
    assert len(choose([_candidate(quarter=1, logit=10.0)])) == 1


def test_two_heads_stay_two():
    assert len(choose([_candidate(), _candidate((120, 0, 220, 100))])) == 2


def test_a_part_of_a_head_in_another_orientation_is_no_head():
    whole, part = _candidate(logit=20.0), _candidate((35, 35, 135, 135), logit=4.0, quarter=1)
    assert choose([whole, part]) == [whole]
    assert len(choose([whole, _candidate((35, 35, 135, 135), logit=4.0)])) == 2  # the same orientation: two people


def test_sure_needs_both():
    assert sure(_candidate(score=0.93, logit=10.0), 0.92)
    assert not sure(_candidate(score=0.91, logit=10.0), 0.92)
    assert not sure(_candidate(score=0.93, logit=5.0), 0.92)  # presence 0.993


def test_same_head_by_centre():
    small = Detection(0, (40, 40, 60, 60), 1.0)
    assert same_head(small, Detection(0, (0, 0, 100, 100), 1.0))
    assert not same_head(small, Detection(0, (45, 60, 100, 100), 1.0))


def test_memory_believes_the_same_place_and_orientation_for_a_while():
    memory = Memory(lasts_frames=3)
    memory.keep([(_candidate(quarter=1), 0)])
    assert memory.quarters() == {1}
    assert memory.believes(_candidate(score=0.71, quarter=1), 2) == 0
    assert memory.believes(_candidate(score=0.71, quarter=1), 3) is None  # too long ago
    assert memory.believes(_candidate(score=0.71, quarter=0), 1) is None  # another orientation
    assert memory.believes(_candidate((300, 0, 400, 100), quarter=1), 1) is None  # another place
    assert memory.believes(_candidate(quarter=1, roll=-30.0), 1) is None  # fits another orientation better
    assert memory.believes(_candidate(quarter=1, logit=1.0), 1) is None  # worse than it was


def test_fresh_memory_knows_nothing():
    assert Memory().quarters() == set()
    assert Memory().believes(_candidate(), 0) is None


def _with_points(candidate, shift):
    points = (template_3d()[:, :2] + 100 + shift).astype(np.float32)
    return dataclasses.replace(candidate, landmarks=dataclasses.replace(candidate.landmarks, points_px=points))


def test_two_boxes_with_one_face_in_them_are_one_head_and_the_better_stays():
    """A box around hair and shoulders beside one around the face: they hardly overlap, yet the points agree."""
    face, head = _candidate((0, 0, 60, 60), logit=12.0), _candidate((45, 30, 200, 200), logit=9.0)
    assert len(choose([face, head])) == 2
    assert choose([_with_points(face, 0.0), _with_points(head, 5.0)])[0].landmarks.presence_logit == 12.0
    assert len(choose([_with_points(face, 0.0), _with_points(head, 5.0)])) == 1
    assert len(choose([_with_points(face, 0.0), _with_points(head, 60.0)])) == 2
