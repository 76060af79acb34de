"""Every order of the registry passes this suite: a permutation, stable, repeatable, and nothing changed."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face
from tests.faceset.golden_set import IDENTITY, golden_faceset
from tests.faceset.sets import write_set

from facewright.faceset.faceset import Faceset
from facewright.faceset.sorting.orders import Ranking
from facewright.faceset.sorting.settings import ORDERS
from facewright.faceset.sorting.sort import ranked

NAMES = ORDERS.names()


@pytest.fixture(scope="module", autouse=True)
def _without_nets(tmp_path_factory):
    """Orders must not hang on what happens to lie on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path_factory.mktemp("none")))
        yield


@pytest.fixture(scope="module")
def drawn(golden, tmp_path_factory):
    return golden_faceset(golden, tmp_path_factory.mktemp("drawn") / "set")[0]


@pytest.fixture(scope="module")
def equal_faces(tmp_path_factory):
    """Eight faces that no measure tells apart, one of them unreadable."""
    image = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    like = make_face(3, side_px=64, face_from_frame=IDENTITY)
    faces = [(make_face(n, points_px=like.points_px, side_px=64, face_from_frame=IDENTITY), image) for n in range(8)]
    faceset = write_set(tmp_path_factory.mktemp("equal") / "set", faces)
    path = faceset.file(f"{SHA[:8]}_0000004_0")
    path.write_bytes(path.read_bytes()[:-3000])
    return Faceset.open(faceset.path)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "set"
    (folder / "faces").mkdir(parents=True)
    return Faceset.open(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_permutation_and_repeatable(name, drawn):
    ids = [row.face_id for row in drawn.rows()]
    first, again = ranked(drawn, name), ranked(Faceset.open(drawn.path), name)
    assert sorted(first) == sorted(ids)
    assert first == again
    assert len(first) == len(first.face_ids) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_called_with_the_set_alone_it_gives_face_ids(name, drawn):
    assert list(ORDERS.load(name)(drawn)) == list(ranked(drawn, name))


@pytest.mark.parametrize("name", NAMES)
def test_equal_faces_stay_as_they_stood_and_unreadable_ones_are_kept(name, equal_faces):
    refused: dict[str, str] = {}
    made = ranked(equal_faces, name, refused=refused)
    ids = [row.face_id for row in equal_faces.rows()]
    assert sorted(made) == sorted(ids)
    if refused:
        assert made[-1] == ids[4]
    if name not in ("best", "best-fast"):  # whose ranges of pitch take turns
        assert [i for i in made if i != ids[4]] == [i for i in ids if i != ids[4]]


@pytest.mark.parametrize("name", NAMES)
def test_scores_rest_and_groups_fit(name, drawn):
    made = ranked(drawn, name)
    assert isinstance(made, Ranking)
    assert len(made.scores) in (0, len(made))
    assert 0 <= made.rest <= len(made)
    known = [score for score in made.scores if score is not None]
    if known and not made.groups:
        assert known == sorted(known) or known == sorted(known, reverse=True)
        assert made.meaning
    if made.groups:
        assert sum(n for _, n in made.groups) == len(made)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_set_has_an_empty_order(name, empty):
    assert list(ranked(empty, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_file_changes(name, drawn):
    before = {p: p.read_bytes() for p in (drawn.path / "faces").rglob("*") if p.is_file()}
    ranked(drawn, name)
    assert before == {p: p.read_bytes() for p in (drawn.path / "faces").rglob("*") if p.is_file()}


def test_states_help_and_takes_known_keywords_alone():
    for plug in ORDERS:
        assert plug.help
        assert plug.licence
        wants = list(inspect.signature(ORDERS.load(plug.name)).parameters)
        assert set(wants[1:]) <= {"progress", "refused", "settings"}
