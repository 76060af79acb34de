from __future__ import annotations

from fractions import Fraction

import numpy as np
from tests.faceset.extraction.test_extract import fake

from facewright.faceset.doubt_flags import box_too_small, cut_off, jumps
from facewright.media.frame import Frame

PICTURE = np.zeros((4, 4, 3), np.uint8)


def chunk(places: list[tuple[float, float, float] | None], rate: int = 25):
    frames = [Frame(i, i, Fraction(1, rate), PICTURE) for i in range(len(places))]
    found = [[] if p is None else [fake.found(i, *p)] for i, p in enumerate(places)]
    return frames, found, [["t"] * len(row) for row in found]


def words(places, rate: int = 25):
    return [row[0].flags if row else None for row in jumps(*chunk(places, rate))]


def test_a_steady_walk_is_no_jump():
    assert words([(50 + 6 * i, 60, 50 + 0.5 * i) for i in range(8)]) == [()] * 8


def test_one_face_out_of_its_track():
    places = [(60.0 + i, 60.0, 50.0) for i in range(7)]
    places[3] = (84.0, 60.0, 50.0)
    assert words(places) == [(), (), (), ("position_jump",), (), (), ()]
    places[3] = (63.0, 60.0, 66.0)
    assert words(places) == [(), (), (), ("size_jump",), (), (), ()]


def test_what_cannot_be_judged_is_not_flagged():
    places = [(60.0, 60.0, 50.0)] * 3 + [None] + [(110.0, 60.0, 50.0)] * 2
    assert words(places) == [(), (), (), None, (), ()]
    leap = [(60.0, 60.0, 50.0), (110.0, 60.0, 50.0), (60.0, 60.0, 50.0)]
    assert words(leap)[1] == ("position_jump",)
    assert words(leap, rate=5) == [(), (), ()]  # 0.2 s apart: it may have moved
    assert words(leap[:2]) == [(), ()]


def test_two_tracks_are_judged_apart():
    frames, found, _ = chunk([(60.0, 60.0, 50.0)] * 4)
    for i, row in enumerate(found):
        row.append(fake.found(i, 150 + (40 if i == 2 else 0), 60, 50))
    marked = jumps(frames, found, [["a", "b"]] * 4)
    assert [[f.flags for f in row] for row in marked] == [[(), ()], [(), ()], [(), ("position_jump",)], [(), ()]]


def test_cut_off_is_the_face_not_the_crop():
    mesh = fake.mesh_at(60, 60, 50)
    assert not cut_off(mesh, (150, 200, 3))
    assert not cut_off(fake.mesh_at(60, 25.5, 50), (150, 200, 3))
    assert cut_off(fake.mesh_at(60, 20, 50), (150, 200, 3))
    assert cut_off(fake.mesh_at(190, 60, 50), (150, 200, 3))


def test_box_too_small():
    assert not box_too_small((0, 0, 50, 60), 100)
    assert box_too_small((0, 0, 40, 40), 81)
    assert box_too_small((0, 0, 0, 0), 10)
