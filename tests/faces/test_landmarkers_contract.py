"""Every landmarker of the registry passes this suite."""

from __future__ import annotations

import numpy as np
import pytest

from facewright.core.weights import WEIGHTS
from facewright.faces.align import mirror_points
from facewright.faces.detectors import make_detector
from facewright.faces.landmark import make_landmarker
from facewright.faces.settings import LANDMARKERS


@pytest.fixture(params=LANDMARKERS.names())
def landmarker(request, nets):
    return make_landmarker(request.param)


def _points(landmarker, image):
    (found,) = make_detector("blazeface_full")[1]([image])
    return landmarker([image], found[:1])[0]


def _eyes(points):
    return np.linalg.norm(points[36] - points[45])


def test_states_licence_and_weights(landmarker):
    for plug in LANDMARKERS:
        assert plug.licence
        assert plug.help
        assert all(name in WEIGHTS for name in plug.weights)
    assert ":" in landmarker.net


def test_68_points_on_the_head(landmarker, heads):
    for image in heads:
        points = _points(landmarker, image)
        assert points.points_px.shape == (68, 2)
        assert points.mesh_px.shape == (468, 3)
        assert points.points_px.dtype == points.mesh_px.dtype == np.float32
        assert points.presence_01 > 0.99
        # Brows over eyes over mouth over chin; image-left before image-right.
        p = points.points_px
        assert p[17:27, 1].mean() < p[36:48, 1].mean() < p[48:60, 1].mean() < p[8, 1]
        assert p[36:42, 0].mean() < p[42:48, 0].mean()


def test_mirrored_picture_gives_mirrored_points(landmarker, heads):
    for image in heads[:3]:
        here = _points(landmarker, image)
        there = _points(landmarker, np.ascontiguousarray(image[:, ::-1]))
        back = mirror_points(there.points_px, image.shape[1])
        error = np.linalg.norm(back - here.points_px, axis=1) / _eyes(here.points_px)
        assert error.mean() < 0.05  # measured 0.016 to 0.029, the largest single point 0.095
        assert abs(there.roll_deg + here.roll_deg) < 5


def test_turned_by_90_degrees(landmarker, heads):
    from dataclasses import replace

    image = heads[0]
    (found,) = make_detector("blazeface_full")[1]([image])
    here = landmarker([image], found[:1])[0]
    turned = np.ascontiguousarray(np.rot90(image))  # counter-clockwise
    width = image.shape[1]
    x0, y0, x1, y1 = found[0].box_px
    box = replace(found[0], box_px=(y0, width - 1 - x1, y1, width - 1 - x0), roll_deg=found[0].roll_deg + 90)
    there = landmarker([turned], [box])[0]
    expected = np.stack([here.points_px[:, 1], width - 1 - here.points_px[:, 0]], -1)
    assert np.linalg.norm(there.points_px - expected, axis=1).mean() < 0.03 * _eyes(here.points_px)
    assert abs(there.roll_deg - here.roll_deg - 90) < 2


def test_batch_equals_one_by_one(landmarker, heads):
    detector = make_detector("blazeface_full")[1]
    found = [row[0] for row in detector(heads)]
    together = landmarker(heads, found)
    for image, detection, points in zip(heads, found, together):
        assert np.array_equal(landmarker([image], [detection])[0].mesh_px, points.mesh_px)


def test_no_face_no_points(landmarker):
    assert landmarker([], []) == []


def test_large_face_gives_the_same_points(landmarker, heads):
    # Seven times the size is far over the net's 192 px: no pixel may be skipped, none shifted.
    image = heads[0]
    here = _points(landmarker, image)
    there = _points(landmarker, image.repeat(7, 0).repeat(7, 1))
    back = (there.points_px + 0.5) / 7 - 0.5
    assert np.linalg.norm(back - here.points_px, axis=1).mean() < 0.02 * _eyes(here.points_px)
