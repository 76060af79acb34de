"""Needs torch and the mask net that comes along."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from facewright.core.weights import available
from facewright.faces.face import SourceRef
from facewright.faceset import cut
from facewright.faceset.settings import ExtractSettings
from facewright.media.reader import frames, open_video

HAND, OPEN = range(150, 230, 20), (10, 30, 255, 275)


@pytest.mark.shared
def test_a_hand_on_the_chin_is_seen_and_an_open_face_is_not_flagged(shared, weights):
    from facewright.faces.find import FaceFinder

    if available("face_mesh") is None:
        pytest.skip("no nets at hand")
    settings = ExtractSettings(resolution=256, obstructions="generic")
    finder = FaceFinder(settings.detection())
    how = cut.Cutting(settings, 256, finder.detector_name, finder.nets)
    video = open_video(shared / "footage" / "webcam_man_hand.mp4")
    flagged = {}
    for index in (*HAND, *OPEN):
        frame = next(iter(frames(video, index, index + 1)))
        ((found,),) = finder.find([frame])
        one = cut.plan_face(found, frame.image, SourceRef("hand", "0" * 64, index, 0, Fraction(1)), 0, "", how)
        flagged[index] = "obstructed" in cut.finish_face(one, settings)[2].flags
    assert [flagged[i] for i in OPEN] == [False] * 4
    assert sum(flagged[i] for i in HAND) >= 3


def test_a_mask_without_a_face_hides_all_of_it(monkeypatch):
    from tests.faceset.conftest import make_face

    from facewright.masks import hidden

    monkeypatch.setattr(hidden, "generic_net", lambda device: device)
    points = np.random.default_rng(0).normal(32, 9, (68, 2)).astype(np.float32)
    face = make_face(points_px=points, face_from_frame=np.eye(3))
    picture = np.zeros((64, 64, 3), np.uint8)
    for value, wanted in ((0.0, 1.0), (1.0, 0.0)):
        monkeypatch.setattr(hidden, "NetMasker", lambda net, v=value: lambda p, f, s: np.full((s, s), v, np.float32))
        assert hidden.generic()(picture, face) == wanted
    half = np.concatenate([np.zeros((256, 128)), np.ones((256, 128))], 1).astype(np.float32)
    monkeypatch.setattr(hidden, "NetMasker", lambda net: lambda p, f, s: half)
    assert 0.2 < hidden.generic()(picture, face) < 0.8
