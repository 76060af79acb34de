"""Who is replaced: one person or none; bystanders never."""

from __future__ import annotations

import pytest

from facewright.core.errors import Mismatch, NothingFound
from facewright.faceset.faceset import Faceset
from facewright.faceset.tags import PARKED, mark
from facewright.merge.cast import cast


def test_a_set_of_one_unnamed_person(world):
    who = cast(Faceset.open(world.fill("one")), world.sha256, "drawn.mkv")
    plan = who.plan(10, 13)
    assert sorted(plan) == [10, 11, 12]
    assert all(len(p.targets) == 1 and not p.reason for p in plan.values())
    assert plan[10].targets[0].motion_px == 0
    assert len(who.face_ids()) == 100


def test_parked_faces_are_replaced_as_ever(world):
    faceset = Faceset.open(world.fill("parked"))
    before = cast(faceset, world.sha256, "drawn.mkv").plan(0, 20)
    mark(faceset, list(faceset.rows(frame_index=(5, 9))), add=[PARKED])
    assert faceset.info().flags["parked"] == 5
    assert cast(Faceset.open(faceset.path), world.sha256, "drawn.mkv").plan(0, 20).keys() == before.keys()
    after = cast(faceset, world.sha256, "drawn.mkv").plan(5, 10)
    assert [len(after[i].targets) for i in range(5, 10)] == [1] * 5


def test_motion_between_the_neighbours(world):
    who = cast(Faceset.open(world.fill("moving")), world.sha256, "drawn.mkv")
    target = who.plan(10, 11, with_motion=True)[10].targets[0]
    assert target.motion_px == pytest.approx(0.8, abs=0.01)
    assert target.motion_deg == pytest.approx(0, abs=0.5)
    assert who.plan(0, 1, with_motion=True)[0].targets[0].motion_px == pytest.approx(0.4, abs=0.01)


def test_several_people_must_be_chosen_among(world):
    faceset = Faceset.open(world.fill("two", second=range(20, 30), people=True))
    with pytest.raises(Mismatch, match="Ada, Bob"):
        cast(faceset, world.sha256, "drawn.mkv")
    with pytest.raises(Mismatch, match="Eve"):
        cast(faceset, world.sha256, "drawn.mkv", "Eve")
    bob = cast(faceset, world.sha256, "drawn.mkv", "Bob")
    plan = bob.plan(18, 22)
    assert [plan[i].reason for i in (18, 19)] == ["other_person", "other_person"]
    assert [len(plan[i].targets) for i in (20, 21)] == [1, 1]
    assert plan[20].targets[0].face_id.endswith("_1")
    assert len(bob.face_ids()) == 10


def test_two_faces_at_once_and_nobody_named_is_refused(world):
    faceset = Faceset.open(world.fill("crowd", second=[40]))
    with pytest.raises(Mismatch, match="Frame 40"):
        cast(faceset, world.sha256, "drawn.mkv")


def test_a_face_that_could_not_be_aligned_stays(world):
    who = cast(Faceset.open(world.fill("profile", flags=("profile_unaligned",))), world.sha256, "drawn.mkv")
    assert who.plan(5, 6)[5].reason == "profile_unaligned"


def test_empty_and_foreign_facesets(world):
    with pytest.raises(NothingFound):
        cast(Faceset.open(world.fill("empty", frames=[])), world.sha256, "drawn.mkv")
    with pytest.raises(Mismatch, match=r"comes from drawn\.mkv"):
        cast(Faceset.open(world.fill("foreign", frames=[1], sha="ab" * 32)), world.sha256, "drawn.mkv")


def test_consents_of_the_person(world):
    record = "sha256:" + "12" * 32
    assert cast(Faceset.open(world.fill("agreed", consent=record)), world.sha256, "f").consents() == [record]
    assert cast(Faceset.open(world.fill("silent")), world.sha256, "f").consents() == [""]


def test_a_name_of_the_whole_set_does_not_cover_a_bystander(world):
    """`extract --person Ada` names every face of the film Ada, whoever else walks through it."""
    faceset = Faceset.open(world.fill("claimed", second=range(40, 42), person="Ada"))
    for person in ("", "Ada"):
        with pytest.raises(Mismatch, match="Frame 40") as caught:
            cast(faceset, world.sha256, "drawn.mkv", person)
        assert "without --person" in caught.value.remedy
    assert len(cast(Faceset.open(world.fill("alone", person="Ada")), world.sha256, "f").face_ids()) == 100


def test_another_extraction_is_another_input(world):
    one, again = (cast(Faceset.open(world.fill(name)), world.sha256, "f") for name in ("first", "copy"))
    assert one.digest() == again.digest()
    flagged = cast(Faceset.open(world.fill("other", flags=("low_presence",))), world.sha256, "f")
    assert flagged.face_ids() == one.face_ids()
    assert flagged.digest() != one.digest()
