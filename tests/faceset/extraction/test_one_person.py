from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.faceset.conftest import SHA
from tests.faceset.people.test_persons import OTHER, _film, _vectors
from tests.faceset.sets import head_of, make_set
from tests.steps import run

from facewright.core.errors import Mismatch, NothingFound
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.extraction.one_person import keep_one, vector_of, wanted
from facewright.faceset.faceset import Faceset
from facewright.faceset.people import people, persons
from facewright.faceset.store import Writer
from facewright.faceset.trash import bring_back
from facewright.media.reader import frames, open_video

ADA, BOB = np.eye(3, dtype=np.float32)[:2]


@pytest.fixture
def faceset(tmp_path, picture):
    """Two heads at once in one film; one of them in another; a third that no net can judge, at another time."""
    faces = _film(range(0, 64, 4)) + _film(range(0, 40, 8), "a", sha256=OTHER)
    faces += _film(range(70, 80), "c", presence_01=0.4) + _film(range(0, 20, 4), "c", presence_01=0.4)
    return make_set(tmp_path / "set", faces, picture, head_of(SHA, OTHER))


def _keep(faceset, vector, films=(SHA, OTHER), text="someone"):
    who = wanted(text, faceset.path) or wanted(str(faceset.path), faceset.path)
    with Writer(faceset.path) as writer:
        linked, facts = keep_one(writer, people.link(faceset, _vectors), who, vector, films, _vectors)
        writer.update_header(linked.into)
    return facts


def test_one_stays_the_others_go_and_can_come_back(faceset):
    facts = _keep(faceset, BOB, (SHA,))
    left = Faceset.open(faceset.path)
    # Bob's, the unsure head while Bob was away, and the other film, which was not asked about.
    assert {f.track[-1] for f in left.where(source_sha256=SHA)} == {"b", "c"}
    assert {f.source.frame_index >= 70 for f in left if f.track.endswith("c")} == {True}
    assert len(left.where(source_sha256=OTHER)) == 5
    assert (facts["kept"], facts["out"], len(facts["doubtful"])) == (16 + 10, 16 + 5, 1)
    assert len(left.people()) == 3
    bring_back(faceset.path, facts["trash"])
    persons.tell_apart(faceset.path, _vectors)
    assert sorted(one["faces"] for one in persons.listed(faceset.path)["people"]) == [5, 10, 16, 21]


def test_where_nobody_is_like_that_all_stay(faceset):
    facts = _keep(faceset, np.array([0.0, 0.0, 1.0], np.float32))
    assert facts["nobody"]
    assert len(Faceset.open(faceset.path)) == 52


def test_what_person_means(faceset, tmp_path, picture):
    assert wanted("Ada", faceset.path) is None
    assert wanted("", faceset.path) is None
    persons.tell_apart(faceset.path, _vectors)
    assert wanted("person-1", faceset.path).name == "person-1"
    assert wanted(str(faceset.path), tmp_path / "new").place == faceset.path
    assert wanted(f"{faceset.path}:Bob", tmp_path / "new").name == "Bob"
    cv2.imwrite(str(tmp_path / "who.png"), picture)
    assert wanted(str(tmp_path / "who.png"), tmp_path / "new").picture
    assert np.allclose(vector_of(wanted(f"{faceset.path}:person-1", tmp_path / "new"), _vectors), ADA)
    with pytest.raises(Mismatch, match="several people"):
        vector_of(wanted(str(faceset.path), tmp_path / "new"), _vectors)
    with pytest.raises(NothingFound, match="no clear face of Zoe"):
        vector_of(wanted(f"{faceset.path}:Zoe", tmp_path / "new"), _vectors)


def _extract(film, place, person):
    step = ExtractStep([str(film)], str(place), person=person)
    return run(step)


@pytest.mark.shared
def test_a_picture_picks_one_of_two_people_in_a_real_film(shared, weights, tmp_path):
    """He is told by a frame of another film; she goes to the trash."""
    man, both = (shared / "footage" / f"{name}.mp4" for name in ("man_headpose", "two_people_headpose"))
    face = next(iter(frames(open_video(man), 5, 6))).image
    cv2.imwrite(str(tmp_path / "him.png"), face[..., ::-1])
    done = _extract(both, tmp_path / "set", str(tmp_path / "him.png"))
    assert done["faces"] == 56
    assert len(done["people"]) == 1
    assert (done["person"]["kept"], done["person"]["out"], done["person"]["doubtful"]) == (56, 56, [])
    left = Faceset.open(tmp_path / "set")
    assert min(face.box_px[0] for face in left) > 200  # he sits on the right
    again = _extract(both, tmp_path / "set", str(tmp_path / "him.png"))
    assert again["faces"] == 56
    bring_back(tmp_path / "set", done["person"]["trash"])
    persons.tell_apart(tmp_path / "set")
    assert sorted(one["faces"] for one in persons.listed(tmp_path / "set")["people"]) == [56, 56]
