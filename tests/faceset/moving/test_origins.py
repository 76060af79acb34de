"""Faces by origin, and sets compiled of chosen ones: nothing lost, everyone's consent kept."""

from __future__ import annotations

import dataclasses

import pytest
from tests.faceset.clean_set import good, write
from tests.faceset.conftest import SHA
from tests.steps import run

from facewright.core.errors import NothingFound, SettingRefused
from facewright.faceset.faceset import Faceset
from facewright.faceset.moving.origins import Choice, compiling, origins
from facewright.faceset.tags import mark

OTHER = "f" * 64


def face(frame, sha256=SHA, file="film.mp4", shot=0, **changes):
    one, image = good(frame, **changes)
    source = dataclasses.replace(one.source, file=file, sha256=sha256, shot=shot)
    return dataclasses.replace(one, source=source, face_id=f"{sha256[:8]}_{frame:07d}_0"), image


def compiled(out, facesets, choice):
    return run(compiling(out, [one.path for one in facesets], choice))


@pytest.fixture
def sets(tmp_path):
    a = write(tmp_path / "a", [face(n, shot=int(n >= 6), person="Ada", consent="sha256:a") for n in range(10)])
    b = write(tmp_path / "b", [face(n, OTHER, "photos/x.jpg", person="Ada" if n % 2 else "Bea", yaw_deg=5.0 * n)
                               for n in range(8)])
    b.set_consent("sha256:b")
    return a, Faceset.open(b.path)


def test_where_faces_come_from(sets):
    mark(sets[0], list(sets[0].rows(frame_index=(8, 9))), add=["parked"])
    rows = origins(sets[0])
    assert [(r["film"], r["shot"], r["faces"], r["first_frame"], r["last_frame"], r["parked"]) for r in rows] == [
        ("film.mp4", 0, 6, 0, 5, 0), ("film.mp4", 1, 4, 6, 9, 2)]
    assert rows[0]["people"] == {"Ada": 6}
    assert [r["film"] for r in origins(sets[1])] == ["photos"]


@pytest.mark.parametrize(("films", "person", "flags", "where", "count"), [
    ((), "", (), (), 18), (("film",), "", (), (), 10), (("film.mp4", "photos"), "", (), (), 18),
    ((OTHER[:8],), "", (), (), 8), ((), "Ada", (), (), 14), ((), "", (), ("yaw-deg=10:20",), 3),
    ((), "", (), ("yaw_deg=10:",), 6), ((), "", (), ("shot=1",), 4), ((), "", (), ("frame_index=3",), 2),
    ((), "Bea", (), ("yaw_deg=:0",), 1), ((), "", (), ("yaw_deg=10..20",), 3),
])
def test_chosen_by_film_person_and_facts(sets, tmp_path, films, person, flags, where, count):
    done = compiled(tmp_path / "out", sets, Choice.of(films, person, flags, where))
    assert (sum(one["chosen"] for one in done["sets"]), done["copied"], done["faces"]) == (count, count, count)
    before = {f.face_id: (one, f) for one in sets for f in one}
    out = Faceset.open(tmp_path / "out")
    for row in out.rows():
        home, old = before[row.face_id]
        assert (row.consent or out.consent) == (old.consent or home.consent)
        assert (out.image(row.face_id) == home.image(row.face_id)).all()
    again = compiled(tmp_path / "out", sets, Choice.of(films, person, flags, where))
    assert (again["copied"], again["faces"]) == (0, count)
    assert [len(one) for one in sets] == [10, 8], "nothing is taken away"


def test_chosen_by_flag(sets, tmp_path):
    mark(sets[0], list(sets[0].rows(frame_index=(2, 3))), add=["good"])
    assert compiled(tmp_path / "out", sets, Choice.of((), "", ("good",), ()))["faces"] == 2


def test_what_chooses_nothing_is_refused(sets, tmp_path):
    with pytest.raises(NothingFound) as caught:
        compiled(tmp_path / "out", sets, Choice.of(("nowhere.mp4",), "", (), ()))
    assert "film.mp4, photos" in caught.value.why
    assert not (tmp_path / "out").exists()
    for wrong in ("beauty=1:2", "yaw_deg=left:right", "shot=x", "yaw_deg", "person="):
        with pytest.raises(SettingRefused):
            Choice.of((), "", (), (wrong,))
