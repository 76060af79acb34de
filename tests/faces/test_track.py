from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.face import Detection
from facewright.faces.track import MAX_GAP, Track, likeness, link, people, shot_breaks, track_ids


def _box(x, y=50.0, side=20.0):
    return (x, y, x + side, y + side)


def test_two_heads_that_pass_each_other_in_separate_rows():
    rows = [[_box(10 + 3 * t, 20), _box(100 - 3 * t, 80)] for t in range(20)]
    assert link(rows) == [[0, 1]] * 20


def test_a_gap_is_bridged_up_to_its_limit():
    there, gone = [_box(10)], []
    assert link([there] + [gone] * MAX_GAP + [there])[-1] == [0]
    assert link([there] + [gone] * (MAX_GAP + 1) + [there])[-1] == [1]


def test_no_track_crosses_a_new_shot():
    assert link([[_box(10)], [_box(10)], [_box(10)]], breaks=[2]) == [[0], [0], [1]]


def test_a_head_of_another_size_is_another_head():
    assert link([[_box(10, side=20)], [_box(10, side=60)]]) == [[0], [1]]


def test_names():
    rows = [[Detection(0, _box(10), 0.9)], [Detection(1, _box(11), 0.9), Detection(1, _box(90), 0.9)]]
    assert track_ids(rows, "0123abcd_0000064") == [["0123abcd_0000064_0"], ["0123abcd_0000064_0", "0123abcd_0000064_1"]]


boxes = st.builds(lambda x, y, s: (x, y, x + s, y + s), *[st.integers(0, 200)] * 2, st.integers(5, 60))


@given(st.lists(st.lists(boxes, max_size=4, unique=True), max_size=6), st.randoms(use_true_random=False))
def test_order_within_a_frame_does_not_matter(rows, random):
    straight = link(rows)
    for row, numbers in zip(rows, straight):
        assert len(set(numbers)) == len(row)  # two faces of one frame never share a track
    shuffled, orders = [], []
    for row in rows:
        order = list(range(len(row)))
        random.shuffle(order)
        orders.append(order)
        shuffled.append([row[i] for i in order])
    again = link(shuffled)
    assert [[numbers[o.index(i)] for i in range(len(o))] for numbers, o in zip(again, orders)] == straight


@given(boxes, boxes)
def test_likeness_is_symmetric_and_in_range(a, b):
    there, back = likeness(np.array([a]), np.array([b])), likeness(np.array([b]), np.array([a]))
    assert np.allclose(there, back.T)
    assert 0 <= there.item() <= 1
    assert likeness(np.array([a]), np.array([a])).item() == 1


def _track(name, first, last, x=10.0, source="film", count=10):
    return Track(name, source, first, last, _box(x), _box(x), count)


A, B, C = (np.eye(3, dtype=np.float32)[i] for i in range(3))


def test_tracks_that_follow_each_other_are_one_person():
    tracks = [_track("a0", 0, 31), _track("a1", 32, 63), _track("b0", 0, 31, 100), _track("b1", 32, 63, 100, count=5)]
    assert people(tracks) == {"person-1": ("a0", "a1"), "person-2": ("b0", "b1")}


def test_without_vectors_a_return_after_long_is_not_believed():
    assert len(people([_track("a", 0, 31), _track("b", 400, 431)])) == 2


def test_vectors_find_people_again_in_another_film():
    tracks = [_track("a", 0, 31), _track("b", 0, 31, 100), _track("c", 0, 31, 100, "other", 3)]
    assert people(tracks, {"a": A, "b": B, "c": A}) == {"person-1": ("a", "c"), "person-2": ("b",)}


def test_seen_together_are_never_one_person():
    tracks = [_track("a", 0, 31), _track("b", 20, 50, 100)]
    assert len(people(tracks, {"a": A, "b": A})) == 2


def test_a_cut_at_the_same_place_is_seen_by_the_vectors():
    tracks = [_track("a", 0, 31), _track("b", 32, 63)]
    assert len(people(tracks, {"a": A, "b": B})) == 2
    assert len(people(tracks, {"a": A, "b": A})) == 1
    assert len(people(tracks, {"a": A})) == 1  # nothing speaks against it


def test_nobody():
    assert people([]) == {}


def _films(draw):
    count = draw(st.integers(1, 8))
    tracks = []
    for i in range(count):
        first = draw(st.integers(0, 200))
        tracks.append(Track(f"t{i}", draw(st.sampled_from(["x", "y"])), first, first + draw(st.integers(0, 60)),
                            draw(boxes), draw(boxes), draw(st.integers(1, 40))))
    vectors = {t.id: draw(st.sampled_from([A, B, C])) for t in tracks if draw(st.booleans())}
    return tracks, vectors


@given(st.composite(lambda draw: _films(draw))(), st.randoms(use_true_random=False))
def test_people_do_not_depend_on_the_order_of_tracks(film, random):
    tracks, vectors = film
    found = people(tracks, vectors)
    assert sorted(t for group in found.values() for t in group) == sorted(t.id for t in tracks)
    by_id = {t.id: t for t in tracks}
    for group in found.values():
        for i, a in enumerate(group):
            for b in group[i + 1 :]:
                x, y = by_id[a], by_id[b]
                assert x.source != y.source or x.last_frame < y.first_frame or y.last_frame < x.first_frame
    shuffled = list(tracks)
    random.shuffle(shuffled)
    assert people(shuffled, vectors) == found


def test_shot_breaks():
    rng = np.random.default_rng(3)
    one, other = (rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(30, 0).repeat(40, 1) for _ in range(2))
    film = [one] * 5 + [other] * 5
    assert shot_breaks(film) == [5]
    assert shot_breaks([one] * 10) == []
    assert shot_breaks([one]) == []
    # A flickering light changes every frame alike: no cut.
    assert shot_breaks([np.full_like(one, 40 + 60 * (i % 2)) for i in range(10)]) == []
