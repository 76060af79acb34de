"""Several processes, some of them killed: the same bytes as from one."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.faceset.extraction.test_extract import fake, film, make_film, run, step_for, tree  # noqa: F401

from facewright.core.errors import FileRefused, SettingRefused
from facewright.core.step import Stop, Work
from facewright.faceset.extraction import crew
from facewright.faceset.extraction.crew import Crew, Order, worker_count
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.selection import Chunk
from facewright.faceset.settings import ExtractSettings

FRAMES = 260


class Slow(fake.FakeFinder):
    """Takes its time, so that it can be killed in the middle."""

    pause_s = 0.15


class Fatal(fake.FakeFinder):
    """Ends its process at one frame, as a hostile file might."""

    def faces(self, index):
        if index == 70:
            os._exit(9)
        return super().faces(index)


class Broken(fake.FakeFinder):
    def faces(self, index):
        raise SettingRefused("Nothing can be found.", why="So it is.", remedy="Give up.", where="here")


class Bug(fake.FakeFinder):
    def faces(self, index):
        raise ZeroDivisionError("a bug")


@pytest.fixture(scope="module")
def long_film(tmp_path_factory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "long.mp4", FRAMES)


@pytest.fixture(scope="module")
def alone(long_film, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("alone") / "set"
    run(step_for(long_film, folder, workers=1))
    return tree(folder)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Workers are processes of their own: they import the finder from here."""
    root = str(Path(__file__).resolve().parents[3])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))


def test_two_workers_give_the_bytes_of_one(long_film, alone, tmp_path):
    step = step_for(long_film, tmp_path / "set", Slow, workers=2, debug=True)
    assert len(step.plan()) == 9
    _, summary = run(step)
    assert summary["films"]["long.mp4"]["frames"] == FRAMES
    assert {k: v for k, v in tree(tmp_path / "set").items() if not k.startswith("debug")} == alone


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_killed_workers_cost_nothing_but_time(long_film, alone, tmp_path, monkeypatch):
    made = []
    real = Crew._start

    def start(self):
        real(self)
        made.append(self._hands[-1].process)

    monkeypatch.setattr(Crew, "_start", start)
    step = step_for(long_film, tmp_path / "set", Slow, workers=2)
    notes, work, records = [], Work(), {}
    work.note = lambda kind, **facts: notes.append(kind)
    for at, (item, result) in enumerate(step.stream(step.plan(), work)):
        records[item.id] = step.commit(item, result)
        if at in (0, 3):
            alive = [process for process in made if process.poll() is None]
            os.kill(alive[0].pid, signal.SIGKILL)
    step.finish(records, Work())
    assert tree(tmp_path / "set") == alone
    assert notes.count("worker_lost") == 2
    assert len(made) >= 3
    assert all(process.poll() is not None for process in made)


def test_a_chunk_that_ends_its_worker_again_and_again_is_told(long_film, tmp_path):
    with pytest.raises(FileRefused, match="frames 64 to 95") as caught:
        run(step_for(long_film, tmp_path / "set", Fatal, workers=2))
    assert "--workers" in caught.value.remedy
    assert str(long_film) in str(caught.value.where)


def test_the_film_that_ends_its_workers_is_named(monkeypatch):
    order = Order({}, ExtractSettings(), 0, {}, {"/films/a.mp4": "a" * 64, "/films/b.mp4": "b" * 64}, "")
    team = Crew(order, 1, {})
    monkeypatch.setattr(team, "_start", lambda: None)
    hands = [crew._Hand(SimpleNamespace(wait=lambda: -9), deque([Chunk("b" * 64, (3, 4))])) for _ in range(3)]
    team._hands += hands
    for hand in hands[:2]:
        team._lost(hand, Stop())
    with pytest.raises(FileRefused) as caught:
        team._lost(hands[2], Stop())
    assert str(caught.value.where) == "/films/b.mp4"


def test_errors_of_workers_are_raised_as_what_they_are(long_film, tmp_path):
    with pytest.raises(SettingRefused, match="Nothing can be found") as caught:
        run(step_for(long_film, tmp_path / "set", Broken, workers=2))
    assert (caught.value.why, caught.value.where) == ("So it is.", "here")
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        run(step_for(long_film, tmp_path / "set", Bug, workers=2))


@pytest.mark.parametrize("asks", [1, 2])
def test_stop_ends_all_of_them(long_film, tmp_path, asks):
    work, step, done = Work(stop=Stop()), step_for(long_film, tmp_path / "set", Slow, workers=2), []
    for item, result in step.stream(step.plan(), work):
        step.commit(item, result)
        done.append(item.id)
        if len(done) == 1:
            for _ in range(asks):
                work.stop.ask()
    assert 1 <= len(done) <= (5 if asks == 1 else 1)


def test_how_many():
    assert worker_count(3, 100) == 3
    assert worker_count(3, 2) == 2
    assert worker_count(1, 0) == 1
    assert worker_count(0, 0) == 1
    assert worker_count(0, crew.LEAST_CHUNKS) == 1
    assert 1 <= worker_count(0, 10_000) <= crew.MOST_WORKERS


def test_an_order_crosses_whole():
    order = Order({"faceset": "ü"}, ExtractSettings(resolution="auto"), 0, {"a": [0, 5]}, {"p": "q"}, "m:n")
    assert Order.from_json(order.as_json()) == order


def test_the_house_s_finder_has_a_name(tmp_path):
    from facewright.faceset.extraction.extract import house_finder

    step = ExtractStep(["x"], str(tmp_path), None)
    assert step._make_finder is house_finder
