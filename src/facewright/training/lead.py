"""The first of several processes: it calls the others together, and sends them home."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from facewright.core.errors import FacewrightError, Mismatch, SettingRefused, TrainingRefused
from facewright.core.step import Work
from facewright.training import machine
from facewright.training.settings import TrainSettings
from facewright.training.team import WAIT, Parted, Team, fingerprint, join, store_of
from facewright.training.training import Training

_FAREWELL_S = 20.0


def size_of(s: TrainSettings) -> int:
    """How many processes learn together: torchrun's word counts, else the setting's."""
    return int(os.environ.get("WORLD_SIZE", s.gpus))


def check_gpus(s: TrainSettings) -> None:
    """Raise SettingRefused where that many processes cannot each have a GPU."""
    if size_of(s) == 1:
        return
    if s.device.startswith("cuda:"):
        raise SettingRefused(
            "--gpus and --device do not go together.", why="Each process takes one GPU, from the first on.",
            remedy="Leave --device out; CUDA_VISIBLE_DEVICES chooses among several.", where="--device",
        )
    count = torch.cuda.device_count() if s.device != "cpu" and torch.cuda.is_available() else 0
    here = machine.local_processes(s)
    if count and here > count:
        raise SettingRefused(
            f"--gpus {here} is more than there are.", why=f"{count} GPU{'s are' if count > 1 else ' is'} usable here.",
            remedy=f"Use --gpus {count}; or --device cpu, where processes share the processor.", where="--gpus",
        )


@contextmanager
def called(net: str, s: TrainSettings, work: Work) -> Iterator[Team]:
    """The team of a training, this process first; it goes home when training ends, however it ends."""
    size = size_of(s)
    if size == 1:
        yield Team()
        return
    others: list[subprocess.Popen[bytes]] = []
    team = Team()
    if "WORLD_SIZE" in os.environ:
        store = store_of(os.environ)
    else:
        host = dist.TCPStore("127.0.0.1", 0, size, is_master=True, timeout=WAIT, wait_for_workers=False)
        store = dist.PrefixStore("facewright/0", host)
        others += [_spawn(net, rank, size, host.port, work) for rank in range(1, size)]
    try:
        store.set("device", s.device)
        _await(store, others)
        team = join(store, 0, size, machine.own_device(s.device))
        team.lives = lambda: all(other.poll() is None for other in others)
        yield team
        with suppress(Parted):  # one that goes now has nothing more to do
            team.say({"end": "home"})
    except BaseException as error:
        _leave_word(store, error.what if isinstance(error, FacewrightError) else type(error).__name__)
        if isinstance(error, Parted):
            for other in others:
                other.kill()  # they can do nothing without the one that is gone, and have nothing to save
        raise
    finally:
        team.leave()
        for other in others:
            _see_off(other)


def _await(store: Any, others: list[subprocess.Popen[bytes]]) -> None:
    """Wait until those that were started here have come. Raises TrainingRefused: one has ended instead."""
    for rank, other in enumerate(others, 1):
        while not store.check([f"here/{rank}"]):
            if other.poll() is not None:
                raise TrainingRefused(
                    f"Process {rank + 1} of {len(others) + 1} ended before it began.",
                    why=f"Its exit status is {other.returncode}.",
                    remedy=f"What it said is in process-{rank + 1}.txt of the job's folder (`facewright jobs list`).",
                )
            time.sleep(0.05)


def _leave_word(store: Any, text: str) -> None:
    with suppress(RuntimeError):
        store.set("words/0", text)


def _spawn(net: str, rank: int, size: int, port: int, work: Work) -> subprocess.Popen[bytes]:
    """Process `rank`, as torchrun would start it; what it says lies in the job's folder."""
    env = {
        **os.environ, "RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{size}",
        "LOCAL_WORLD_SIZE": f"{size}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}",
    }
    command = [sys.executable, "-m", "facewright", "train", net]
    apart: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is the first one's to act on
    if os.name == "nt":
        apart = {"creationflags": 0x00000200}  # CREATE_NEW_PROCESS_GROUP
    path = Path(os.devnull) if work.folder is None else work.folder / f"process-{rank + 1}.txt"
    with path.open("ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, **apart)


def _see_off(other: subprocess.Popen[bytes]) -> None:
    try:
        other.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        other.kill()
        other.wait()


def advice(t: Training[Any]) -> list[str]:
    """What a user should hear before hours are spent."""
    if t.team.alone or t.device.type != "cpu":
        return []
    if machine.local_processes(t.settings) == 1:
        return []
    return ["Processes of one machine share its processor, which seldom pays; they are meant for GPUs, and for several "
            "machines."]


def facts_of(t: Training[Any]) -> dict[str, Any]:
    """What must be equal in all processes before they learn together."""
    return {
        "rank": t.team.rank, "host": platform.node(), "device": t.facts["device"], "precision": t.facts["precision"],
        "batch": t.batches.batch, "iteration": t.done, "weights": fingerprint(t.modules()),
    }


def meet(team: Team, facts: Mapping[str, Any]) -> None:
    """Compare. Raises TrainingRefused: another process could not begin; Mismatch: they are not alike."""
    if team.alone:
        return
    found = team.gather(facts)
    for other in found:
        if "error" in other and other["rank"] != team.rank:
            said = other["error"]
            raise TrainingRefused(
                f"Process {other['rank'] + 1} of {team.size} could not begin: {said['what']}", why=said["why"],
                remedy=said["remedy"], where=said["where"],
            )
    for name in ("device", "precision", "batch", "iteration", "weights"):
        values = {str(other[name]) for other in found if name in other}
        if len(values) > 1:
            shown = " and ".join(sorted(values)) if name != "weights" else "other ones"
            raise Mismatch(
                f"The processes do not begin alike: {name} {shown}.",
                why="Only like processes stay at the same weights without sending them to each other all the time.",
                remedy="All machines must reach the same model folder and have GPUs of one kind; CUDA_VISIBLE_DEVICES "
                "leaves others out.",
            )
