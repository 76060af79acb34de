from __future__ import annotations

from facewright.core.settings import check
from facewright.training import history
from facewright.training.changes import stage_changes, taken_up
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


def start(s: SaehdTrain, **settings: object) -> dict:
    return {"kind": "start", "given": s.model_dump(mode="json"), "settings": s.model_dump() | settings}


def test_an_interrupted_training_goes_on_with_what_was_changed():
    s = check(SaehdTrain, {"lr": 1e-3})
    changes = [
        {"kind": "setting", "iteration": 10, "name": "lr", "now": 5e-4, "by": "recipe"},
        {"kind": "setting", "iteration": 90, "name": "scale", "now": 0.02, "by": "recipe"},
        {"kind": "setting", "iteration": 95, "name": "shift", "now": 0.01, "by": "user"},
    ]
    went = taken_up([start(s), *changes], s, done=50)
    assert (went.lr, went.scale, went.shift) == (5e-4, 0.15, 0.01)
    assert taken_up([start(s), *changes, {"kind": "end"}], s, 50) == s, "it had ended"
    assert taken_up([start(SaehdTrain()), *changes], s, 50) == s, "other settings were given now"
    assert taken_up([], s, 0) == s
    again = [start(s), *changes[:1], {"kind": "stop"}, start(s, lr=5e-4)]
    assert taken_up(again, s, 50).lr == 5e-4, "over two interruptions"


def test_stages_come_due_once():
    stages = [[0.5, {"lr": 1e-4}], [0.8, {"random_warp": False, "lr": 1e-5}]]
    assert stage_changes(stages, 0.0, 0.4) == {}
    assert stage_changes(stages, 0.4, 0.5) == {"lr": 1e-4}
    assert stage_changes(stages, 0.5, 0.6) == {}
    assert stage_changes(stages, 0.4, 0.9) == {"lr": 1e-5, "random_warp": False}
