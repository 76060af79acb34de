"""Grouping by identity with made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest
from tests.faceset.conftest import make_face
from tests.faceset.sets import write_set

from facewright.core.errors import FileRefused, WeightsMissing
from facewright.faceset.faceset import Faceset, Vectors
from facewright.faceset.people.identity_groups import grouped
from facewright.faceset.sorting.sort import ranked


def a_set(folder, tracks, people):
    faces = [make_face(n, track=track, person=name) for n, (track, name) in enumerate(zip(tracks, people))]
    return write_set(folder, [(face, np.zeros((8, 8, 3), np.uint8)) for face in faces])


def knowing(monkeypatch, who, noise=0.25, broken=-1):
    """Vectors: people are orthogonal, faces of one differ a little."""
    rng = np.random.default_rng(0)
    vectors = np.eye(64, dtype=np.float32)[np.array(who)] + rng.normal(0, noise / 8, (len(who), 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def made(self, face_ids=None, **_):
        places = [int(face_id[9:16]) for face_id in face_ids]
        if broken in places:
            raise FileRefused("It cannot be read.", why="broken", remedy="-")
        return Vectors(tuple(face_ids), vectors.astype(np.float32)[places], "00" * 32)

    monkeypatch.setattr(Faceset, "vectors", made)


def groups_of(faceset, who):
    return [{who[place] for place in group.places} for group in grouped(faceset, list(faceset.rows()))]


@pytest.mark.parametrize("tracks", [[""] * 30, [f"t{n // 3}" for n in range(30)]])
def test_people_lie_behind_each_other_with_tracks_and_without(tracks, tmp_path, monkeypatch):
    who = [0] * 15 + [1] * 9 + [2] * 6
    faceset = a_set(tmp_path / "set", tracks, [""] * 30)
    knowing(monkeypatch, who)
    assert groups_of(faceset, who) == [{0}, {1}, {2}]
    made = ranked(faceset, "identity")
    assert [n for _, n in made.groups] == [15, 9, 6]
    for at, size in ((0, 15), (15, 9), (24, 6)):
        part = made.scores[at : at + size]
        assert list(part) == sorted(part, reverse=True), "the most typical first"


def test_a_stray_in_a_track_goes_where_it_belongs(tmp_path, monkeypatch):
    who = [0] * 10 + [1] * 10
    who[4] = 1
    faceset = a_set(tmp_path / "set", ["a"] * 10 + ["b"] * 10, [""] * 20)
    knowing(monkeypatch, who)
    assert groups_of(faceset, who) == [{1}, {0}]


@pytest.mark.parametrize("track", ["a", ""])
def test_one_that_cannot_be_read_stays_with_its_track_and_is_told(track, tmp_path, monkeypatch):
    who = [0] * 5 + [1] * 4
    faceset = a_set(tmp_path / "set", [track] * 5 + ["b"] * 4, [""] * 9)
    knowing(monkeypatch, who, broken=2)
    refused = {}
    found = grouped(faceset, list(faceset.rows()), refused=refused)
    assert list(refused.values()) == ["broken"]
    assert sorted(place for group in found for place in group.places) == list(range(9))
    assert [s for g in found for p, s in zip(g.places, g.likeness) if p == 2] == [None]
    assert found[0].places[-1] == 2 if track else [len(group.places) for group in found] == [4, 4, 1]


def test_names_count_even_where_vectors_differ(tmp_path, monkeypatch):
    who = [0] * 4 + [5] * 4 + [1] * 4
    faceset = a_set(tmp_path / "set", [f"t{n // 4}" for n in range(12)], ["Ada"] * 8 + ["Bo"] * 4)
    knowing(monkeypatch, who)
    found = grouped(faceset, list(faceset.rows()))
    assert [(group.name, len(group.places)) for group in found] == [("Ada", 8), ("Bo", 4)]


def test_without_the_net_names_and_tracks_group(tmp_path, monkeypatch):
    monkeypatch.setattr(Faceset, "vectors", lambda *a, **k: None)
    faceset = a_set(tmp_path / "set", ["a", "b", "a", "b", "b"], ["", "", "", "", "Ada"])
    found = grouped(faceset, list(faceset.rows()))
    assert [(group.name, group.places) for group in found] == [("", (0, 2)), ("", (1, 3)), ("Ada", (4,))]
    assert ranked(faceset, "identity").scores == (None,) * 5
    loose = a_set(tmp_path / "loose", ["", ""], ["", ""])
    with pytest.raises(WeightsMissing):
        grouped(loose, list(loose.rows()))


def test_everybody_is_in_one_group_whatever_the_vectors(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    faceset = a_set(tmp_path / "set", ["", "a", "a", "b", "", "c"] * 5, (["", "", "Ada", "", "", ""] * 5))
    for seed in range(10):
        knowing(monkeypatch, rng.integers(0, 6, 30), noise=float(seed))
        found = grouped(faceset, list(faceset.rows()))
        assert sorted(place for group in found for place in group.places) == list(range(30))
