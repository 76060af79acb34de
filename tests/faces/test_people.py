from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.people import BORDER_GAP, Track, join, people


def _box(x, y=50.0, side=20.0):
    return (x, y, x + side, y + side)


boxes = st.builds(lambda x, y, s: (x, y, x + s, y + s), *[st.integers(0, 200)] * 2, st.integers(5, 60))


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


def test_a_track_goes_on_over_the_border_of_chunks_and_no_further_than_its_shot():
    a, b, c = _track("a", 0, 31), _track("b", 32, 60), _track("c", 61, 90)
    assert join([a, b, c]) == [("a", "b", "c")]
    assert join([a, b, dataclasses.replace(c, shot=1)]) == [("a", "b"), ("c",)]
    assert join([a, dataclasses.replace(b, source="other")]) == [("a",), ("b",)]
    assert join([]) == []


def test_a_pause_is_counted_in_frames_that_were_looked_at():
    a, late = _track("a", 0, 31), _track("b", 32 + BORDER_GAP, 60)
    assert len(join([a, late])) == 2
    assert len(join([dataclasses.replace(a, step=5), late])) == 1


def test_two_heads_that_pass_each_other_at_a_border_are_told_apart_by_their_motion():
    right = Track("r0", "film", 0, 31, _box(0), _box(93), 32, 0, (3.0, 0.0))
    left = Track("l0", "film", 0, 31, _box(193), _box(100), 32, 0, (-3.0, 0.0))
    goes_on, other = Track("r1", "film", 34, 60, _box(102), _box(180)), Track("l1", "film", 34, 60, _box(91), _box(0))
    assert join([right, left, goes_on, other]) == [("l0", "l1"), ("r0", "r1")]


def test_a_head_that_hurries_is_found_where_it_was_going():
    a = Track("a", "film", 0, 31, _box(0), _box(200), 32, 0, (12.0, 0.0))
    b = Track("b", "film", 34, 60, _box(236), _box(236))
    assert join([a, b]) == [("a", "b")]
    assert join([dataclasses.replace(a, drift_px=(0.0, 0.0)), b]) == [("a",), ("b",)]


def test_a_mirror_or_a_split_screen_is_two_tracks_and_two_people():
    tracks = [_track(f"{side}{k}", 32 * k, 32 * k + 31, x) for side, x in (("a", 10), ("m", 120)) for k in range(3)]
    vectors = {t.id: A for t in tracks}
    assert join(tracks, vectors) == [("a0", "a1", "a2"), ("m0", "m1", "m2")]
    assert len(people(tracks, vectors)) == 2


def test_what_a_user_settled_stays_together_and_apart():
    tracks = [_track("a", 0, 31), _track("b", 32, 63), _track("c", 0, 31, 100), _track("d", 64, 90)]
    vectors = {"a": A, "b": A, "c": B, "d": A}
    assert people(tracks, vectors) == {"person-1": ("a", "b", "d"), "person-2": ("c",)}
    apart = people(tracks, vectors, {"a": "Ada", "b": "Bea"})
    assert {name: ids for name, ids in apart.items() if name in ("Ada", "Bea")} == {"Ada": ("a",), "Bea": ("b", "d")}
    assert ("a", "b") not in [group[:2] for group in join(tracks, vectors, {"a": "Ada", "b": "Bea"})]
    together = people(tracks, vectors, {"a": "Ada", "c": "Ada"})
    assert together == {"Ada": ("a", "c", "b", "d")} or sorted(together["Ada"]) == ["a", "b", "c", "d"]


def test_a_settled_name_that_looks_like_a_number_is_given_to_nobody_else():
    tracks = [_track("a", 0, 31, count=5), _track("b", 0, 31, 100, count=50)]
    assert people(tracks, None, {"a": "person-1"}) == {"person-2": ("b",), "person-1": ("a",)}


@given(st.composite(lambda draw: (_films(draw), draw(st.lists(st.sampled_from(["", "Ada", "Bea"]), min_size=8))))(),
       st.randoms(use_true_random=False))
def test_settled_people_do_not_depend_on_order_either(case, random):
    (tracks, vectors), names = case
    settled = {t.id: name for t, name in zip(tracks, names) if name}
    found = people(tracks, vectors, settled)
    assert sorted(t for group in found.values() for t in group) == sorted(t.id for t in tracks)
    for track, name in settled.items():
        assert track in found[name]
    joined = join(tracks, vectors, settled)
    for group in joined:
        assert any(set(group) <= set(ids) for ids in found.values())
        assert len({settled[t] for t in group if t in settled}) <= 1
    shuffled = list(tracks)
    random.shuffle(shuffled)
    assert people(shuffled, vectors, settled) == found
    assert join(shuffled, vectors, settled) == joined
