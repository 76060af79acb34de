"""Training as a loop over events: what is told, and that leaving the loop in any way ends in a sound save."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.api.shelves import record
from tests.training.conftest import DrawnFaceset, write_faceset
from tests.training.test_masking import label_of

import facewright
from facewright import api
from facewright.core.errors import (
    ConsentRefused,
    FileRefused,
    Mismatch,
    NothingFound,
    SettingRefused,
    TrainingRefused,
)
from facewright.faceset.record import encode_face
from facewright.faceset.store import Writer
from facewright.jobs.job import Job
from facewright.models import checkpoint
from facewright.training import history, learn_step
from facewright.training.curve import read_losses

SHAPE = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
TRAIN = {"batch_size": 2, "precision": "float32", "preview_seconds": 0, "threads": 1, "log_every": 1, "lr": 1e-3}
FOREVER = {**SHAPE, **TRAIN, "iterations": 100_000}


@dataclasses.dataclass(frozen=True)
class Sets:
    """Two facesets with their people's records, one of them with labels, and the home of the user who has them."""

    home: Path
    src: Path
    dst: Path
    labelled: Path


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    place = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWRIGHT_HOME", str(place / "home"))
        patch.chdir(place)
        made = [record(role, role=role) for role in ("source_likeness", "target_performer")]
    source, target = DrawnFaceset(6, (220, 180, 150), "a"), DrawnFaceset(6, (120, 80, 60), "b")
    src = write_faceset(place / "src", source, consent=made[0])
    dst = write_faceset(place / "dst", target, consent=made[1])
    faces = [dataclasses.replace(face, polygons=label_of(source, face)) for face in source]
    with Writer(place / "labelled") as writer:
        writer.add_chunk(source.sha, 0, [(f"{f.face_id}.jpg", encode_face(f, source.image(f))) for f in faces])
        writer.update_header(lambda h: dataclasses.replace(h, face_type="whole_face", side_px=160, consent=made[0]))
    return Sets(place / "home", src, dst, place / "labelled")


@pytest.fixture(autouse=True)
def _the_same_user(
    sets: Sets, tmp_path: Path, _private_user_folders: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("FACEWRIGHT_HOME", str(sets.home))
    monkeypatch.chdir(tmp_path)
    yield
    assert "training" not in {thread.name for thread in threading.enumerate()}, "no thread is left behind"


def begin(sets: Sets, run: Path | str = "run", **settings: Any) -> Any:
    return facewright.train("saehd", run, sets.src, sets.dst, **(settings or FOREVER))


def ended(run: str = "run") -> tuple[int, str]:
    """Iteration of the newest sound save, and how the training ended."""
    saved = checkpoint.load_latest(Path(run))
    assert saved is not None
    return saved.iteration, history.events(Path(run) / "history.jsonl")[-1]["kind"]


def test_a_whole_training_tells_what_it_does(sets, tmp_path):
    told = list(begin(sets, **SHAPE, **TRAIN, iterations=5))
    kinds = [event.kind for event in told]
    assert kinds[0] == "job"
    assert kinds.index("preparing") < kinds.index("start") < kinds.index("progress") < kinds.index("done")
    assert kinds[-1] == "done"
    assert {"save", "preview"} <= set(kinds)
    assert [e.iteration for e in told] == sorted(e.iteration for e in told)
    steps = [e for e in told if e.kind == "progress"]
    assert steps[-1].iteration == 5
    assert steps[-1].share == 1
    for event in steps:
        assert min(event.loss_src, event.loss_dst, event.it_per_s) > 0
        assert event.text == "training"
    done, start = told[-1], told[kinds.index("start")]
    assert (done.iteration, done.path) == (5, Path("run/preview/latest.png"))
    assert done.path.is_file()
    assert done.loss_src > 0
    assert start.facts["batch"] == 2
    assert {event.job for event in told} == {done.job} == {api.jobs_list()[-1]["id"]}
    assert json.dumps([dict(event.facts) for event in told])
    assert ended() == (5, "end")
    with pytest.raises(dataclasses.FrozenInstanceError):
        done.kind = "x"


def test_it_learns_what_the_command_learns(sets):
    settings = {**TRAIN, "iterations": 3}
    api.train("saehd", Path("command"), sets.src, sets.dst, settings=settings, shape=SHAPE)
    for event in begin(sets, **SHAPE, **settings):
        if event.iteration == 2 and event.kind == "progress":
            break
    assert list(begin(sets, **SHAPE, **settings))[-1].iteration == 3
    ours, theirs = (checkpoint.load_latest(Path(run)) for run in ("run", "command"))
    assert ours is not None
    assert theirs is not None
    for name, value in theirs.weights().items():
        assert torch.equal(ours.weights()[name], value), name


def test_leaving_the_loop_saves_at_that_very_iteration_and_the_same_call_goes_on(sets):
    for event in begin(sets):
        if event.kind == "progress" and event.iteration >= 2:
            break
    assert ended() == (event.iteration, "stop")
    assert Job.find(event.job).state() == "stopped"
    for again in begin(sets):
        if again.kind == "start":
            assert again.iteration == event.iteration
        if again.kind == "progress":
            assert again.iteration == event.iteration + 1
            break
    assert again.job == event.job, "an unfinished job is continued"
    assert ended() == (again.iteration, "stop")


def test_closing_and_failing_loops_save_too(sets):
    held = begin(sets)
    next(event for event in held if event.kind == "progress")
    held.close()
    assert ended() == (1, "stop")

    def body() -> None:
        for event in begin(sets):
            _ = 1 / (event.kind != "progress")

    with pytest.raises(ZeroDivisionError):
        body()
    assert ended() == (2, "stop")


def test_while_faces_are_prepared_nothing_can_be_saved(sets):
    for event in begin(sets):
        if event.kind == "preparing":
            break
    assert checkpoint.load_latest(Path("run")) is None
    assert Job.find(event.job).state() == "stopped"


def test_a_loop_that_never_begins_does_nothing(sets):
    begin(sets).close()
    assert not Path("run").exists()


def test_training_waits_for_the_body_of_the_loop(sets):
    for event in begin(sets):
        if event.kind == "progress" and event.iteration >= 2:
            time.sleep(0.3)
            assert read_losses(Path("run/losses.bin"))["iteration"][-1] == event.iteration
            break


def test_others_may_steer_and_stop_it(sets):
    told, asked = [], False
    for event in begin(sets):
        told.append(event)
        if event.kind == "progress" and not asked:
            asked = True
            api.jobs_set(event.job, {"lr": "0.002"})
        if event.kind == "setting":
            api.jobs_request(event.job, {"do": "stop"})
    changed = next(e for e in told if e.kind == "setting")
    assert changed.settings == {"lr": 0.002}
    assert told[-1].kind == "stopped"
    assert told[-1].iteration == ended()[0]


def test_a_mask_net_learns_from_one_set(sets):
    for event in facewright.train("xseg", "masks", sets.labelled, base_dims=8, **{**TRAIN, "batch_size": 1}):
        if event.kind == "progress":
            break
    assert event.loss_src > 0
    assert event.loss_dst is None
    assert ended("masks") == (1, "stop")
    net = facewright.load_model("masks", device="cpu")
    assert isinstance(net, facewright.MaskNet)
    assert net.iteration == 1


class TestRefusals:
    """What is wrong is raised where the loop stands."""

    def test_before_anything_is_made(self, sets, tmp_path, monkeypatch):
        for settings, error, said in (
            ({"lerning_rate": 1}, SettingRefused, "no setting"), ({"lr": 9}, SettingRefused, "lr"),
            ({"resolution": 65}, SettingRefused, "resolution"), ({"recipe": "cake"}, SettingRefused, "recipe"),
        ):
            with pytest.raises(error, match=said):
                next(begin(sets, **settings))
        with pytest.raises(SettingRefused, match="no net called"):
            next(facewright.train("styleGAN", "run", sets.src, sets.dst))
        with pytest.raises((FileRefused, NothingFound)):
            next(facewright.train("saehd", "run", sets.src))
        with pytest.raises(FileRefused):
            next(facewright.train("saehd", "run", sets.src, tmp_path / "nothing"))
        monkeypatch.setenv("FACEWRIGHT_HOME", str(tmp_path / "stranger"))
        with pytest.raises(ConsentRefused, match="record"):
            next(begin(sets))
        assert not Path("run").exists()

    def test_the_run_of_another_net(self, sets):
        for event in begin(sets):
            if event.kind == "start":
                break
        with pytest.raises(Mismatch, match="another model"):
            next(facewright.train("amp", "run", sets.src, sets.dst))

    def test_in_the_middle(self, sets, monkeypatch):
        def fail(*_: Any) -> bool:
            raise TrainingRefused("The loss is no number.", remedy="Lower the rate.", where="loss")

        monkeypatch.setattr(learn_step, "train", fail)
        told = begin(sets)
        kinds = [next(told).kind]
        with pytest.raises(TrainingRefused, match="no number") as refused:
            kinds.extend(event.kind for event in told)
        assert refused.value.remedy == "Lower the rate."
        assert kinds[0] == "job"
        assert "failed" not in kinds

    def test_a_save_that_fails_is_not_passed_over(self, sets, monkeypatch):
        """Somebody who leaves the loop believes that all is saved."""
        held = begin(sets)
        next(event for event in held if event.kind == "progress")

        def full(*_: Any, **__: Any) -> Any:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(checkpoint, "save", full)
        with pytest.raises(OSError, match="No space"):
            held.close()


SCRIPT = """
import os, signal, sys, threading
import facewright

if __name__ == "__main__":
    events = facewright.train("saehd", "run", {src!r}, {dst!r}, **{settings!r})
    for event in events:
        if event.kind == "progress":
            break
    print(event.iteration, flush=True)
    if sys.argv[1] == "interrupt":
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        for event in events:
            pass
"""


@pytest.mark.parametrize("how", ["exit", "interrupt"])
def test_a_script_that_ends_or_is_interrupted_leaves_a_save(how, sets, tmp_path):
    """The generator is still held when the interpreter goes down."""
    (tmp_path / "script.py").write_text(SCRIPT.format(src=str(sets.src), dst=str(sets.dst), settings=FOREVER))
    done = subprocess.run([sys.executable, "script.py", how], capture_output=True, text=True, timeout=120, check=False)
    seen = int(done.stdout)
    saved, kind = ended()
    assert kind == "stop"
    if how == "exit":
        assert (done.returncode, saved) == (0, seen), done.stderr
    else:
        assert "KeyboardInterrupt" in done.stderr
        assert saved >= seen
