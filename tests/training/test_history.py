from __future__ import annotations

from facewright.core.settings import check
from facewright.training import history
from facewright.training.changes import goes_on, says_now, taken_up
from facewright.training.settings import SaehdTrain


def test_events_come_back_and_torn_lines_do_no_harm(tmp_path):
    path = tmp_path / "history.jsonl"
    assert history.events(path) == []
    history.note(path, "start", iteration=0, settings={"lr": 1e-4})
    with path.open("ab") as file:
        file.write(b'{"kind": "setting", "na')
    history.note(path, "setting", iteration=7, name="lr", now=2e-4)
    assert [e["kind"] for e in history.events(path)] == ["start", "setting"]
    assert history.events(path, "setting")[0]["now"] == 2e-4
    assert history.events(path)[0]["at"].endswith("Z")


def start(s: SaehdTrain, iteration: int = 0, **more: object) -> dict:
    return {"kind": "start", "iteration": iteration, "given": s.model_dump(mode="json"), **more}


def test_a_training_goes_on_with_what_was_changed():
    s = check(SaehdTrain, {"lr": 1e-3})
    saved = s.model_dump() | {"lr": 5e-4}  # a recipe's stage, or a change that a save knows of
    later = {"kind": "setting", "iteration": 95, "name": "shift", "now": 0.01, "by": "user"}
    stage = {"kind": "setting", "iteration": 90, "name": "scale", "now": 0.02, "by": "recipe"}
    early = {"kind": "setting", "iteration": 10, "name": "lr", "now": 7e-4, "by": "user"}
    events = [start(s), early, stage, later]
    went = taken_up(events, s, 50, saved, {})
    assert (went.lr, went.scale, went.shift) == (5e-4, 0.15, 0.01), "after the save: what the user wished, no stage"
    assert taken_up([*events, {"kind": "end", "iteration": 50}], s, 50, saved, {}) == went, "also over an end"
    assert taken_up([], s, 0, None, {}) == s
    assert taken_up([start(s), early], s, 0, None, {}).lr == 7e-4, "killed before the first save"


def test_what_a_new_command_says_wins():
    s = check(SaehdTrain, {"lr": 1e-3})
    saved = s.model_dump() | {"lr": 5e-4, "random_warp": False, "scale": 0.02}
    other = check(SaehdTrain, {"lr": 1e-3, "batch_size": 6})
    now = says_now([start(s)], other, ["lr"], {})
    assert now == {"lr": 1e-3, "batch_size": 6}, "what it names, and what is otherwise than before"
    went = taken_up([start(s)], other, 50, saved, now)
    assert (went.lr, went.batch_size, went.random_warp) == (1e-3, 6, False)
    killed = [start(s), start(other, 50, says=now)]
    assert taken_up(killed, other, 50, saved, {}).batch_size == 6, "killed before that was saved"
    assert taken_up(killed, other, 80, saved | {"lr": 9e-4}, {}).lr == 9e-4, "the save knows better"
    assert says_now([start(s)], s, ["lr"], {}) == {}, "the same command goes on"
    assert says_now([start(s), {"kind": "end"}], s, ["lr"], {}) == {"lr": 1e-3}
    assert says_now([], s, ["lr"], {}) == {}


def test_a_restored_snapshot_undoes_what_was_changed_after_it():
    s = SaehdTrain()
    wish = {"kind": "setting", "iteration": 90, "name": "gan_power", "now": 0.1, "by": "user"}
    assert taken_up([start(s), wish], s, 50, s.model_dump(), {}).gan_power == 0.1
    assert taken_up([start(s), wish, {"kind": "restore", "iteration": 50}], s, 50, s.model_dump(), {}).gan_power == 0


def test_settings_of_another_version_do_no_harm():
    s = SaehdTrain()
    old = {k: v for k, v in s.model_dump().items() if k != "plateau"}
    events = [{"kind": "start", "iteration": 0, "given": old | {"gone": 1}}]
    new = s.model_copy(update={"plateau": 0.1})
    went = taken_up(events, new, 5, old | {"gone": 1, "lr": 1e-3}, says_now(events, new, [], {}))
    assert (went.lr, went.plateau) == (1e-3, 0.1)


def test_the_same_command_goes_on_until_its_end():
    s, plan = SaehdTrain(), {"recipe": "rtm", "stages": []}
    begun = [{**start(s), "plan": plan}]
    assert goes_on(begun, s, plan)
    assert not goes_on(begun, s, {})
    assert not goes_on(begun, check(SaehdTrain, {"lr": 1e-3}), plan)
    assert not goes_on([*begun, {"kind": "end"}], s, plan)
    assert not goes_on([], s, plan)


def test_when_a_run_began_and_which_plan_it_follows(tmp_path):
    path = tmp_path / "history.jsonl"
    assert (history.began_s(path), history.stored_plan(path)) == (None, {})
    path.write_text('{"at": "nonsense", "kind": "start"}\n{"at": "1970-01-02T00:00:00Z", "kind": "stop"}\n')
    assert (history.began_s(path), history.stored_plan(path)) == (86400.0, {})
    history.note(path, "start", plan={"recipe": "rtm"})
    assert history.stored_plan(path) == {"recipe": "rtm"}


def test_after_a_collapse_holds_what_was_noted_with_it():
    s = check(SaehdTrain, {})
    wish = {"kind": "setting", "by": "user", "name": "lr", "now": 0.1, "iteration": 60}
    back = {"kind": "collapse", "iteration": 50, "set": {"clipgrad": True}}
    now = taken_up([start(s), wish, back], s, 50, s.model_dump(), {})
    assert (now.lr, now.clipgrad) == (s.lr, True)
    later = taken_up([start(s), wish, back], s, 55, s.model_dump() | {"clipgrad": True, "lr": 1e-5}, {})
    assert (later.lr, later.clipgrad) == (1e-5, True), "the save knows"
