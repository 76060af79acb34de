"""kill -9 at random moments over the whole road: resumed by the same command, the result equals an undisturbed one."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.torture import road as roads
from tests.torture.forge import Forge, Started, real
from tests.torture.road import PLACE, STAGES, Road

from facewright.core.errors import FacewrightError
from facewright.jobs.control import request

POLL_S = 0.005
SAVES_OF_A_TRAINING = 6
AFTER = "after the last line"


@dataclass
class Tally:
    """What happened in a stage: kills, rounds (each from nothing to a result), processor seconds."""

    kills: int = 0
    rounds: int = 0
    cpu_s: float = 0.0
    moments: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Moment:
    """When to kill: `cpu` seconds of work, or at the `change`-th change of the output folder's content."""

    cpu_s: float = float("inf")
    change: float = float("inf")


class Round:
    """One output of one stage, killed until it is done."""

    def __init__(self, forge: Forge, road: Road, stage: str, folder: Path, rng: random.Random) -> None:
        self.forge, self.road, self.stage, self.folder, self.rng = forge, road, stage, folder, rng
        self.home = folder / "home"
        self.merged: Path | None = None
        if stage == "render":  # jobs of a render lie in the merge's folder: each round has its own
            self.merged = folder / "merged"
            shutil.copytree(road.output("merge"), self.merged, ignore=shutil.ignore_patterns(".facewright"))

    def go(self, kills: int, real_first: bool, tally: Tally) -> None:
        """Kill up to `kills` times, then let it end; check the result."""
        words = self.road.words(self.stage, self.folder, self.merged)
        env, done, jobs = self.road.environment(self.home), 0, 1
        while True:
            as_real = real_first and done == 0 and kills > 0
            process = real(words, env) if as_real else self.forge.start(words, env)
            if done < kills:
                self._wait_and_kill(process, as_real)
            ended = process.end()
            tally.cpu_s += ended.cpu_s
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.said
            done += 1
            tally.kills += 1
            reached = self._reached()
            jobs += reached == AFTER  # killed on its way out: the same command is a new job, which finds all done
            tally.moments[reached] += 1
        tally.rounds += 1
        self._check(jobs)

    def _wait_and_kill(self, process: Started, as_real: bool) -> None:
        moment, base, seen, changes = self._moment(), 0.0, self._snapshot(), 0
        saves = iter(range(1, 1 + SAVES_OF_A_TRAINING))
        next_save = next(saves) * self._share(1 / SAVES_OF_A_TRAINING)
        while process.running():
            used, now = process.cpu_s(), self._snapshot()
            if now != seen:
                seen, changes = now, changes + 1
                if as_real and changes == 1:
                    base = used  # what came before was the start-up of Python and torch
            worked = used - base if changes or not as_real else 0.0
            if worked >= moment.cpu_s or changes >= moment.change:
                time.sleep(self.rng.uniform(0, 0.005))
                process.kill()
                return
            if self.stage == "train" and worked >= next_save:
                next_save += self._share(1 / SAVES_OF_A_TRAINING)
                self._ask_for_a_save()
            time.sleep(POLL_S)

    def _moment(self) -> Moment:
        """Three in four by processor time, the rest where something has just appeared on the disk."""
        if self.rng.random() < 0.25:
            return Moment(change=self.rng.randint(1, 12))
        return Moment(cpu_s=self._share(self.rng.uniform(0.02, 0.9)))

    def _share(self, part: float) -> float:
        return part * self.road.cpu_s[self.stage]

    def _snapshot(self) -> frozenset[str]:
        """Names below the round's folder (those of a killed process vanish while one looks)."""
        names: set[str] = set()
        with contextlib.suppress(OSError):
            names.update(str(p) for p in self.folder.rglob("*") if "progress.json" not in p.name)
        return frozenset(names)

    def _ask_for_a_save(self) -> None:
        for job in roads.jobs_of("train", self.folder):
            with contextlib.suppress(FacewrightError):
                request(job, {"do": "save"})

    def _reached(self) -> str:
        """How far it had come when it was killed, for the summary."""
        jobs = roads.jobs_of(self.stage, self.folder)
        if not jobs:
            return "before the job"
        assert jobs[-1].state() in ("interrupted", "done")
        return "at work" if jobs[-1].state() == "interrupted" else AFTER

    def _check(self, jobs: int) -> None:
        if self.stage == "render":
            shutil.copytree(self.merged / ".facewright", self.folder / "job" / ".facewright")
        assert roads.state_of(self.stage, self.folder) == roads.state_of(self.stage, self.road.folder)
        assert roads.leftovers(self.folder) == []
        roads.check_books(self.stage, self.folder if self.stage != "render" else self.folder / "job", self.home, jobs)


@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("kills", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_anywhere_the_same_command_ends_with_the_same_result(forge, road, tmp_path, kills, capsys):
    tallies = {}
    for number, stage in enumerate(STAGES):
        rng, tally = random.Random(1000 * kills + number), Tally()
        while tally.kills < kills // len(STAGES):
            assert tally.rounds < 4 * kills, "it is done before it can be killed"
            folder = tmp_path / f"{stage}-{tally.rounds}"
            folder.mkdir()
            rest = kills // len(STAGES) - tally.kills
            Round(forge, road, stage, folder, rng).go(min(rest, 4), tally.kills == 0, tally)
            shutil.rmtree(folder)
        tallies[stage] = tally
    with capsys.disabled():
        print(f"\n{'stage':8} {'kills':>5} {'rounds':>6} {'CPU-s':>7}  where (undisturbed CPU-s; output {PLACE})")
        for stage, tally in tallies.items():
            print(f"{stage:8} {tally.kills:5} {tally.rounds:6} {tally.cpu_s:7.1f}  {dict(tally.moments)}"
                  f" ({road.cpu_s[stage]:.1f})")
        print(f"{'all':8} {sum(t.kills for t in tallies.values()):5} {sum(t.rounds for t in tallies.values()):6} "
              f"{sum(t.cpu_s for t in tallies.values()):7.1f}")
    assert sum(tally.kills for tally in tallies.values()) == kills
