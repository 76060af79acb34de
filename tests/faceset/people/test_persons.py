from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face
from tests.faceset.sets import contents, head_of, make_set

from facewright import api
from facewright.core.errors import Mismatch, NothingFound
from facewright.faceset import record
from facewright.faceset.faceset import Faceset, Vectors
from facewright.faceset.header import Person
from facewright.faceset.people import people, persons
from facewright.faceset.people import sheet as people_sheet
from facewright.faceset.store import Writer
from facewright.faceset.trash import bring_back
from facewright.media.stills import read_still

OTHER = "fedcba9876543210" * 4
PLACES = {"a": 10.0, "b": 200.0, "c": 400.0}
"""Three heads beside each other, each of which has its own vector."""


def _face(frame: int, who: str, *, sha256: str = SHA, track: str = "", **more):
    x = PLACES[who] + frame * 0.5
    name = track or f"{sha256[:8]}_{frame // 32 * 32:07d}_{who}"
    return make_face(frame, list(PLACES).index(who), sha256=sha256, track=name, yaw_deg=0.0,
                     box_px=(x, 50.0, x + 80, 140.0), **more)


def _film(frames, who="ab", **more):
    return [_face(frame, one, **more) for frame in frames for one in who]


def _vectors(ids):
    heads = np.eye(3, dtype=np.float32)
    return Vectors(tuple(ids), np.stack([heads[int(i.rpartition("_")[2])] for i in ids]), "net")


@pytest.fixture
def faceset(tmp_path, picture) -> Faceset:
    """Two heads over three chunks of one film; one of them in a second film."""
    faces = _film(range(0, 96, 4)) + _film(range(0, 64, 8), "a", sha256=OTHER)
    made = make_set(tmp_path / "set", faces, picture, head_of(SHA, OTHER))
    persons.tell_apart(made.path, _vectors)
    return Faceset.open(made.path)


def _by_name(faceset):
    rows = persons.listed(faceset.path)["people"]
    return {one["name"]: (one["faces"], one["tracks"], one["settled"]) for one in rows}


def test_tracks_go_over_chunks_and_people_over_films(faceset):
    assert _by_name(faceset) == {"person-1": (32, 2, False), "person-2": (24, 1, False)}
    assert [len(whole) for whole in faceset.header.tracks] == [3, 3, 2]
    row = persons.listed(faceset.path)["people"][0]
    assert row["films"] == {"film.mp4": 32}
    assert row["share"] == round(32 / 56, 4)
    assert (faceset.path / row["sample"]).is_file()
    tracks = persons.tracks_of(faceset.path, "person-1")
    assert [(t["first_frame"], t["last_frame"], t["faces"], len(t["parts"])) for t in tracks] == [
        (0, 92, 24, 3), (0, 56, 8, 2)]


def test_a_new_shot_ends_a_track(tmp_path, picture):
    faces = _film(range(0, 64, 4), "a")
    cut = [f if f.source.frame_index < 32 else _shot(f, 1) for f in faces]
    made = make_set(tmp_path / "set", cut, picture, head_of(SHA))
    assert people.link(made, _vectors).tracks == ()
    assert len(people.link(made, _vectors).people) == 1


def _shot(face, shot):
    return dataclasses.replace(face, source=dataclasses.replace(face.source, shot=shot))


def test_pictures_of_a_folder_make_no_track(tmp_path, picture):
    faces = [dataclasses.replace(f, source=dataclasses.replace(f.source, file=f"photos/{f.face_id}.jpg"))
             for f in (_face(frame, "a", track=f"t{frame}") for frame in range(6))]
    made = make_set(tmp_path / "set", faces, picture, head_of(SHA))
    linked = people.link(made, _vectors)
    assert linked.tracks == ()
    assert len(linked.people) == 1


def test_linking_again_and_in_another_order_changes_nothing(faceset, tmp_path, picture):
    before = faceset.header
    persons.tell_apart(faceset.path, _vectors)
    assert faceset.header == before
    faces = list(faceset)
    other = make_set(tmp_path / "other", faces[::-1], picture, head_of(SHA, OTHER))
    persons.tell_apart(other.path, _vectors)
    assert other.header.tracks == before.tracks
    assert other.header.people == before.people


def test_names_and_merges_and_splits_outlive_another_film(faceset, picture):
    folder = faceset.path
    persons.rename(folder, "person-1", "Ada")
    other = next(t for t in persons.tracks_of(folder, "Ada") if t["faces"] == 8)
    persons.split(folder, "Ada", [other["track"]], "Twin")
    assert _by_name(faceset) == {"Ada": (24, 1, True), "person-2": (24, 1, False), "Twin": (8, 1, True)}
    third = "1111111111111111" * 4
    with Writer(folder) as writer:
        for face in _film(range(0, 40, 4), "abc", sha256=third):
            writer.add_files([(f"faces/{third[:8]}/0000000/{face.face_id}.jpg", record.encode_face(face, picture))])
    persons.tell_apart(folder, _vectors)
    found = _by_name(faceset)
    assert found["Ada"][0] + found["Twin"][0] == 32 + 10  # vectors cannot tell twins apart: the new one goes to one
    assert found["person-2"] == (34, 2, False)
    assert len(found) == 4
    names = Faceset.open(folder).namer()
    for face in Faceset.open(folder).where(source_sha256=OTHER):
        assert names(face) == "Twin"
    persons.merge(folder, ["Ada", "Twin"])
    persons.tell_apart(folder, _vectors)
    assert _by_name(faceset)["Ada"] == (42, 3, True)


def test_heads_seen_together_may_be_merged_by_hand_and_stay_so(faceset):
    persons.merge(faceset.path, ["person-2", "person-1"])
    persons.tell_apart(faceset.path, _vectors)
    assert _by_name(faceset) == {"person-2": (56, 3, True)}


def test_one_part_of_a_track_can_be_split_off(faceset):
    whole = persons.tracks_of(faceset.path, "person-2")[0]
    done = persons.split(faceset.path, "person-2", [whole["parts"][1]])
    assert done["name"] == "person-3"
    assert done["faces"] == 8
    assert all(whole["parts"][1] not in parts for parts in faceset.header.tracks)
    persons.tell_apart(faceset.path, _vectors)
    assert _by_name(faceset)["person-3"] == (8, 1, True)
    assert _by_name(faceset)["person-2"][0] == 16


def test_a_track_that_went_over_to_another_head_is_cut_and_split(faceset):
    whole = persons.tracks_of(faceset.path, "person-2")[0]
    assert len(whole["parts"]) == 3
    done = persons.cut(faceset.path, whole["track"], 44)  # inside the second chunk
    assert done["faces"] == 13
    assert _by_name(faceset)["person-2"] == (24, 2, False)
    persons.split(faceset.path, "person-2", [done["new"]], "Zoe")
    assert _by_name(faceset) == {"person-1": (32, 2, False), "person-2": (11, 1, True), "Zoe": (13, 1, True)}
    persons.tell_apart(faceset.path, _vectors)
    assert _by_name(faceset)["Zoe"] == (13, 1, True)
    assert [t["first_frame"] for t in persons.tracks_of(faceset.path, "Zoe")] == [44]
    first = persons.tracks_of(faceset.path, "person-1")[0]
    edge = persons.cut(faceset.path, first["track"], 64)  # where a chunk begins: no file changes
    assert edge["new"] == first["parts"][2]
    with pytest.raises(Mismatch, match="does not part"):
        persons.cut(faceset.path, first["track"], 0)
    with pytest.raises(NothingFound):
        persons.cut(faceset.path, "x", 5)


def test_names_that_faces_carry_themselves(tmp_path, picture):
    faces = _film(range(0, 64, 4), "ab", person="Ada", mask_by="hull")
    made = make_set(tmp_path / "set", faces, picture, head_of(SHA, person="Ada"))
    persons.tell_apart(made.path, _vectors)
    tracks = persons.tracks_of(made.path, "Ada")
    assert len(tracks) == 2
    persons.split(made.path, "Ada", [tracks[1]["track"]], "Bea")
    persons.rename(made.path, "Ada", "Adele")
    found = Faceset.open(made.path)
    assert {one["name"]: one["faces"] for one in persons.listed(made.path)["people"]} == {"Adele": 16, "Bea": 16}
    assert {face.person for face in found} == {"Adele", "Bea"}
    assert found.header.person == "Adele"
    assert all(found.mask(face) is not None for face in found)


def test_a_person_gets_a_set_of_their_own_and_can_come_back(faceset, tmp_path):
    persons.rename(faceset.path, "person-2", "Bea")
    before = contents(faceset)
    done = api.faces_people_move_out(faceset.path, "Bea", tmp_path / "bea")
    assert (done["moved"], len(done["trash"])) == (24, 1)
    again = api.faces_people_move_out(faceset.path, "Bea", tmp_path / "bea")
    assert (again["moved"], again["faces"]) == (0, 24), "as after a kill behind the last face"
    with pytest.raises(NothingFound, match="fits what was asked") as caught:
        api.faces_people_move_out(faceset.path, "Zoe", tmp_path / "zoe")
    assert "person-1" in caught.value.why
    assert Faceset.open(tmp_path / "bea").people().keys() == {"Bea"}
    assert len(Faceset.open(tmp_path / "bea")) == 24
    left = Faceset.open(faceset.path)
    assert left.people().keys() == {"person-1"}
    assert {**contents(left), **contents(Faceset.open(tmp_path / "bea"))} == before
    persons.tell_apart(faceset.path, _vectors)
    bring_back(faceset.path, done["trash"][0])
    assert contents(Faceset.open(faceset.path)) == before
    assert _by_name(faceset)["Bea"] == (24, 1, True)


def test_what_cannot_be_done_says_why(faceset):
    folder = faceset.path
    with pytest.raises(NothingFound, match="Nobody in set is called 'Zoe'"):
        persons.rename(folder, "Zoe", "Ada")
    with pytest.raises(Mismatch, match="called person-2 already"):
        persons.rename(folder, "person-1", "person-2")
    with pytest.raises(Mismatch, match="no name"):
        persons.rename(folder, "person-1", " ")
    with pytest.raises(Mismatch):
        persons.merge(folder, ["person-1", "person-1"])
    with pytest.raises(NothingFound, match="no track 'x'"):
        persons.split(folder, "person-1", ["x"])
    with pytest.raises(Mismatch, match="all tracks"):
        persons.split(folder, "person-2", [t["track"] for t in persons.tracks_of(folder, "person-2")])


def test_sheets(faceset, tmp_path):
    (page,) = people_sheet.people_sheet(faceset.path, tmp_path / "people.png")
    assert read_still(page).shape[0] > 2 * 128
    (page,) = people_sheet.people_sheet(faceset.path, tmp_path / "tracks.png", "person-1", across=4)
    assert read_still(page).shape[1] == 4 * 136 + 8
    assert people_sheet._shelves([8, 8, 5, 1, 1, 1, 3], 8) == [[0], [1], [2, 3, 4, 5], [6]], "small groups share a row"


def test_old_files_say_nothing_of_tracks(faceset):
    path = faceset.path / "faceset.json"
    stored = json.loads(path.read_text())
    del stored["tracks"]
    stored["people"] = [{"name": one["name"], "tracks": one["tracks"]} for one in stored["people"]]
    path.write_text(json.dumps(stored))
    assert faceset.header.tracks == ()
    assert not any(person.settled for person in faceset.header.people)
    persons.tell_apart(faceset.path, _vectors)
    assert [len(whole) for whole in faceset.header.tracks] == [3, 3, 2]


def test_people_who_left_are_not_told(faceset):
    with Writer(faceset.path) as writer:
        writer.update_header(lambda h: persons._settled(h, set(), "Ghost", []))
        writer.update_header(lambda h: people.Linked((*h.people, Person("Ghost", ("gone",), True)), h.tracks).into(h))
    assert "Ghost" not in faceset.people()
    persons.tell_apart(faceset.path, _vectors)
    assert Person("Ghost", ("gone",), True) in faceset.header.people


@pytest.mark.parametrize("word", ["rename", "merge"])
def test_killed_among_the_files_the_same_command_goes_on(tmp_path, picture, monkeypatch, word):
    faces = [_face(f, "a", person="Eve", track=f"t{f}") for f in range(70)] + [_face(0, "b", person="Ada")]
    made = make_set(tmp_path / "set", faces, picture, head_of(SHA))
    say = {"rename": lambda: persons.rename(made.path, "Eve", "Ida"),
           "merge": lambda: persons.merge(made.path, ["Ada", "Eve"])}[word]
    real, calls = Writer.write_faces, list[int]()

    def killed(writer, changes):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return real(writer, changes)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write_faces", killed)
        with pytest.raises(KeyboardInterrupt):
            say()
    assert _by_name(made)["Eve"][0] == 6, "64 files were written"
    say()
    assert {who: one[0] for who, one in _by_name(made).items()} == (
        {"Ida": 70, "Ada": 1} if word == "rename" else {"Ada": 71})
