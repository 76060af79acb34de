from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.training.course import AHEAD, Course, Now, Place
from facewright.training.stages import Plan, Stage


def course(*stages: Stage, begin: str = "", saved: dict | None = None) -> Course:
    return Course(Plan("mine", stages, begin=begin), saved)


def follow(c: Course, until: int, *, flat=lambda i: False, go=(), total: int = 0) -> list[tuple]:
    """What happens in `until` iterations: (iteration, move, stage)."""
    found = []
    for i in range(until + 1):
        now = Now(i, float(i), i / total if total else 0.0, flat(i))
        wants = i in go
        while move := c.move(now, wants):
            if move == "enter":
                c.enter(now)
                wants = False
            found.append((i, move, c.stage.name))
            if move not in ("tell", "enter"):
                break
        if part := c.resets(i):
            found.append((i, f"reset {part}", c.stage.name))
            c.was_reset(i)
    return [f for f in found if f[1] != "over"] + [f for f in found if f[1] == "over"][:1]


def test_stages_follow_each_other_by_their_own_iterations_and_are_shown_before():
    c = course(Stage("a", iterations=20), Stage("b", iterations=100), Stage("c"))
    assert follow(c, 200) == [
        (0, "enter", "a"), (19, "tell", "a"), (20, "enter", "b"), (115, "tell", "b"), (120, "enter", "c")]
    assert not c.next


def test_a_long_stage_is_followed_a_thousand_iterations_after_the_next_one_was_shown():
    c = course(Stage("a", iterations=100_000), Stage("b"))
    assert follow(c, 100_000)[1:] == [(100_000 - AHEAD, "tell", "a"), (100_000, "enter", "b")]


@pytest.mark.parametrize(("ends", "at"), [
    ({"hours": 0.01}, 36), ({"total_hours": 0.01}, 36), ({"share": 0.25}, 50), ({"iterations": 30, "hours": 0.01}, 30),
])
def test_the_first_of_several_ends_counts(ends, at):
    assert follow(course(Stage("a", **ends), Stage("b")), 100, total=200)[-1] == (at, "enter", "b")


def test_hours_are_the_stage_s_total_hours_the_recipe_s():
    c = course(Stage("a", iterations=10), Stage("b", hours=0.01), Stage("c", total_hours=0.02), Stage("d"))
    assert [f[0] for f in follow(c, 100) if f[1] == "enter"] == [0, 10, 46, 72]


def test_after_a_plateau_the_next_stage_is_shown_first():
    c = course(Stage("a", plateau=0.02), Stage("b"))
    assert follow(c, 3000, flat=lambda i: i >= 500 and c.index == 0)[1:] == [
        (500, "tell", "a"), (500 + AHEAD, "enter", "b")]


def test_stages_that_lie_behind_are_passed_at_once():
    c = course(Stage("a", share=0.1), Stage("b", share=0.2), Stage("c"))
    c.enter(Now(0, 0.0))
    moves = []
    while move := c.move(Now(50, 50.0, 0.5)):
        moves.append(move)
        if move == "enter":
            c.enter(Now(50, 50.0, 0.5))
    assert (c.stage.name, moves.count("enter")) == ("c", 2)


def test_a_stage_waits_for_the_go_ahead_and_at_most_so_long():
    stages = (Stage("a", iterations=10), Stage("b", hold=30))
    assert follow(course(*stages), 100)[2:] == [(10, "wait", "a"), (40, "enter", "b")]
    assert follow(course(*stages), 100, go=[15])[2:] == [(10, "wait", "a"), (15, "enter", "b")]
    assert follow(course(*stages), 100, go=[5])[1:] == [(5, "enter", "b")], "also before its end"


def test_a_session_stops_before_a_stage_and_the_next_one_begins_it():
    stages = (Stage("a", iterations=10), Stage("b", stop="exchange the faces"))
    c = course(*stages)
    assert follow(c, 10)[-1] == (10, "stop", "a")
    again = course(*stages, saved=json.loads(json.dumps(c.as_json())))
    assert again.move(Now(10, 10.0)) == "enter"


def test_parts_begin_afresh_at_the_beginning_or_again_and_again_within():
    c = course(Stage("a", iterations=50, reset="inter_AB", reset_every=20), Stage("b", iterations=40, reset="inter_AB"),
               Stage("c", iterations=30))
    assert [f for f in follow(c, 200) if f[1].startswith("reset")] == [
        (20, "reset inter_AB", "a"), (40, "reset inter_AB", "a"), (50, "reset inter_AB", "b")]
    even = course(Stage("a", iterations=40, reset="x", reset_every=20), Stage("b"))
    assert [f[0] for f in follow(even, 100) if f[1] == "reset x"] == [20], "the next stage says what it wants at 40"


def test_a_reset_is_done_once_where_a_save_knows_of_it_and_again_where_not():
    c = course(Stage("a", reset="x", reset_every=20))
    before = c.enter(Now(0, 0.0)) and c.as_json()
    assert c.resets(20) == "x"
    c.was_reset(20)
    assert not c.resets(20)
    assert not course(*c.plan.stages, saved=c.as_json()).resets(20)
    assert course(*c.plan.stages, saved=before).resets(20) == "x"


def test_the_recipe_is_over_after_the_last_stage_s_end():
    assert follow(course(Stage("a", iterations=5)), 10) == [(0, "enter", "a"), (5, "over", "a")]


def test_a_recipe_can_begin_in_the_middle():
    c = course(Stage("a", iterations=5), Stage("b"), begin="b")
    assert follow(c, 10) == [(0, "enter", "b")]


def test_the_place_of_another_recipe_or_of_nonsense_counts_for_nothing():
    saved = course(Stage("a"))
    saved.enter(Now(3, 1.0))
    place = saved.as_json()
    assert course(Stage("a"), saved=place).place == Place("mine", "a", 3, 1.0, 1.0)
    assert Course(Plan("other", (Stage("a"),)), place).index == -1
    assert course(Stage("b"), saved=place).index == -1
    assert course(Stage("z", iterations=1), Stage("a"), saved=place).index == 1, "an edited recipe: by the stage's name"
    assert Course(Plan(), place).move(Now(1, 1.0)) == ""


def test_when_it_ends_is_told_where_it_is_known():
    c = course(Stage("a", iterations=10), Stage("b", iterations=20))
    assert c.end() == (0, 0.0)
    c.enter(Now(5, 60.0))
    assert c.end() == (35, 0.0)
    assert c.left(Now(7, 62.0)) == 8
    c = course(Stage("a", iterations=10), Stage("b", total_hours=2))
    c.enter(Now(0, 60.0))
    assert c.end() == (0, 121.0)
    c.enter(Now(10, 3660.0))
    assert c.left(Now(20, 3760.0)) == pytest.approx((7260 - 3760) / 10)


ENDS = st.fixed_dictionaries({}, optional={
    "iterations": st.integers(1, 60), "hours": st.floats(0.001, 0.02), "share": st.floats(0.01, 1),
    "total_hours": st.floats(0.001, 0.05)}).filter(bool)


@given(st.lists(ENDS, min_size=1, max_size=5), st.integers(0, 150))
def test_a_kill_at_any_iteration_changes_nothing(ends, killed):
    stages = tuple(Stage(f"s{i}", **e) for i, e in enumerate(ends))
    whole = [f for f in follow(course(*stages), 200, total=200) if f[1] == "enter"]
    first = course(*stages)
    before = [f for f in follow(first, killed, total=200) if f[1] == "enter"]
    again, found = course(*stages, saved=first.as_json()), []
    for i in range(killed, 201):
        now = Now(i, float(i), i / 200)
        while move := again.move(now):
            if move == "enter":
                again.enter(now)
                found.append((i, "enter", again.stage.name))
            if move == "over":
                break
    assert before + found == whole
