from __future__ import annotations

import numpy as np
import pytest

from facewright.core.errors import SettingRefused
from facewright.faces.detectors import Ensemble, detector_net, make_detector, second_detector
from facewright.faces.face import Detection
from facewright.faces.find import FaceFinder
from facewright.faces.settings import DetectSettings
from facewright.media.frame import Frame

PICTURE = np.zeros((100, 200, 3), np.uint8)


class Fake:
    enlarges = True

    def __init__(self, found, score=0.7, low_score=0.5, sure_score=0.9):
        self.found, self.score, self.low_score, self.sure_score = found, score, low_score, sure_score
        self.asked = []

    def __call__(self, images, *, score=None, long_side_px=640):
        self.asked.append((score, long_side_px))
        limit = self.score if score is None else score
        return [[Detection(0, box, s) for box, s in self.found if s >= limit] for _ in images]


LEFT, LEFT_TOO, RIGHT = (10.0, 10, 50, 50), (14.0, 12, 52, 54), (120.0, 10, 160, 50)


def test_a_union_with_each_head_once_and_the_better_kept():
    first, second = Fake([(LEFT, 0.75)]), Fake([(LEFT_TOO, 0.6), (RIGHT, 0.5)], 0.5, 0.3, 0.75)
    (found,) = Ensemble([first, second])([PICTURE])
    # 0.6 is 0.4 of the way from usual to sure: 0.7 + 0.4 * 0.2 on the first one's scale, more than 0.75.
    assert [d.box_px for d in found] == [LEFT_TOO, RIGHT]
    assert [d.score for d in found] == pytest.approx([0.78, 0.7])
    assert first.asked == [(0.7, 640)]
    assert second.asked == [(pytest.approx(0.5), 640)]


def test_of_two_alike_the_first_member_s_is_kept():
    (found,) = Ensemble([Fake([(LEFT, 0.7)]), Fake([(LEFT_TOO, 0.5)], 0.5, 0.3, 0.75)])([PICTURE])
    assert [d.box_px for d in found] == [LEFT]


def test_limits_are_the_first_one_s():
    second = Fake([], 0.5, 0.3, 0.75)
    both = Ensemble([Fake([]), second])
    assert (both.score, both.low_score, both.sure_score) == (0.7, 0.5, 0.9)
    assert both([PICTURE, PICTURE], score=0.5, long_side_px=99) == [[], []]
    assert second.asked == [(pytest.approx(0.3), 99)]
    assert both([]) == []


def test_names(nets):
    name, detector = make_detector("yunet + blazeface_full+yunet")
    assert name == "yunet+blazeface_full"
    assert isinstance(detector, Ensemble)
    assert detector_net(name) == "yunet:104ee26c+blazeface_full:2c3728e6"
    with pytest.raises(SettingRefused, match="haar"):
        make_detector("yunet+haar")


def test_the_second_look_s_other_detector(nets):
    assert second_detector("yunet") == "blazeface_full"
    assert second_detector("blazeface_full") == "yunet"
    assert second_detector("yunet+blazeface_full") == ""
    assert second_detector("yunet", "none") == ""
    assert second_detector("yunet", "yunet_s") == "yunet_s"
    assert second_detector("yunet", "yunet") == ""
    with pytest.raises(SettingRefused, match="haar"):
        FaceFinder(DetectSettings(second_detector="haar"))


def test_the_other_detector_finds_what_the_first_one_cannot(nets, heads, monkeypatch):
    finder = FaceFinder(DetectSettings(detector="yunet"))
    monkeypatch.setattr(finder, "_detector", Fake([]))
    frame = Frame(0, 0, 1, heads[0])
    (face,) = finder.find([frame])[0]
    assert {"second_look", "other_detector"} <= set(face.flags)
    assert face.presence_01 >= 0.95
    finder._second_name = ""
    assert finder.find([frame]) == [[]]


def test_an_ensemble_finds_each_head_once(nets, heads):
    one, both = FaceFinder(), FaceFinder(DetectSettings(detector="yunet+blazeface_full"))
    assert dict(both.nets)["detector"] == "yunet:104ee26c+blazeface_full:2c3728e6"
    frame = [Frame(0, 0, 1, np.concatenate(heads[:2], 1))]
    (alone,), (found,) = one.find(frame), both.find(frame)
    assert len(alone) == len(found) == 2
    for a, b in zip(alone, found):
        assert np.abs(a.landmarks.points_px - b.landmarks.points_px).mean() < 0.05 * a.eye_distance_px
