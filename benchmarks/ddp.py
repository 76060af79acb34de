"""What learning in several processes costs and brings: one process, and N of them, with the same faces in each.

    python -m benchmarks.ddp [--processes 1 2] [--steps 12] [--batch 4] [--device cpu|cuda] [--case recipe]
                             [--threads 1] [--out FOLDER]

JSON on the screen and in OUT/ddp.json. Per number of processes: wall and processor seconds an iteration (all processes
together), faces a second, its share of that many times one process (`scaling`), and of the parts that only several
have: summing the gradients and hearing what the first one decided, in milliseconds an iteration. The first two
iterations are not counted. On GPUs: `--device cuda --processes 1 2 4 8`. Faces are noise; nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.models import CASES, WARM_UP

WORKER = "--worker"


def main() -> None:
    """Measure, print, keep."""
    words = arguments(sys.argv[1:])
    if words.worker:
        print(json.dumps(work(words)))
        return
    found = [measured(words, size) for size in words.processes]
    alone = next((f for f in found if f["processes"] == 1), None)
    for one in found:
        if alone is not None:
            one["scaling"] = round(one["faces_per_s"] / alone["faces_per_s"] / one["processes"], 3)
    told = {"case": words.case, "batch": words.batch, "device": words.device, "cores": os.cpu_count(), "runs": found}
    words.out.mkdir(parents=True, exist_ok=True)
    (words.out / "ddp.json").write_text(json.dumps(told, indent=1))
    print(json.dumps(told, indent=1))


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="of each process; 0 = its share of the cores")
    parser.add_argument("--case", choices=[n for n, c in CASES.items() if c.net != "xseg"], default="recipe")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument(WORKER, action="store_true")
    return parser.parse_args(given)


def measured(words: argparse.Namespace, size: int) -> dict[str, Any]:
    """`size` processes side by side, each for itself in its memory; what they say together."""
    threads = words.threads or max(1, (os.cpu_count() or 1) // size)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.ddp", WORKER, "--steps", f"{words.steps}", "--batch", f"{words.batch}",
               "--device", words.device, "--case", words.case, "--threads", f"{threads}"]
    env = {**os.environ, "WORLD_SIZE": f"{size}", "LOCAL_WORLD_SIZE": f"{size}", "MASTER_ADDR": "127.0.0.1",
           "MASTER_PORT": f"{port}", "OMP_NUM_THREADS": f"{threads}", "GOMP_SPINCOUNT": "20000"}  # as the command does
    running = [
        subprocess.Popen(command, env={**env, "RANK": f"{r}", "LOCAL_RANK": f"{r}"}, stdout=subprocess.PIPE)
        for r in range(size)
    ]
    said = [json.loads(p.communicate(timeout=1800)[0]) for p in running]
    wall = max(s["wall_s"] for s in said)
    return {
        "processes": size, "threads_each": threads, "wall_s": round(wall, 4),
        "cpu_s": round(sum(s["cpu_s"] for s in said), 4), "faces_per_s": round(2 * words.batch * size / wall, 3),
        "sum_ms": round(1e3 * said[0]["sum_s"], 2), "border_ms": round(1e3 * said[0]["border_s"], 3),
        "megabytes_summed": said[0]["megabytes"], "device": said[0]["device"],
    }


def work(words: argparse.Namespace) -> dict[str, Any]:
    """One of the processes: the product's own loop on faces of noise."""
    from facewright.core.settings import check
    from facewright.training import machine
    from facewright.training.loop import train
    from facewright.training.planner import made_up
    from facewright.training.settings import settings_class
    from facewright.training.team import Team, join, store_of

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = machine.own_device(words.device)
    team = Team() if size == 1 else join(store_of(os.environ), rank, size, device)
    case = CASES[words.case]
    s = check(settings_class(case.net), {**case.settings, "batch_size": words.batch, "precision": "float32",
                                         "device": words.device, "threads": words.threads})
    timed = Timed(team, words.steps)
    with tempfile.TemporaryDirectory() as folder, machine.borrowed(s, device):
        t = made_up(Path(folder), case.net, case.shape, s)
        t.enter(team)
        timed.watch(t)
        train(t, timed)  # type: ignore[arg-type]
        megabytes = sum(p.numel() for p in t.net.parameters() if p.requires_grad) * 4 / 1e6
        told = {**timed.told(), "megabytes": round(megabytes, 1), "device": str(t.facts["device"])}
        t.close()
    team.leave()
    return told


class Timed:
    """In the desk's place: times iterations, and the parts that only several processes have."""

    def __init__(self, team: Any, steps: int) -> None:
        from facewright.core.step import Stop, Work

        self.team, self.left, self.over, self.reports = team, steps + WARM_UP, False, self
        self.work, self.spent = Work(stop=Stop()), {"sum_s": 0.0, "border_s": 0.0}
        self.steps, self.began, self.t = steps, (0.0, 0.0), None

    def watch(self, t: Any) -> None:
        """Time what the team does for this training. Only waits for a GPU where it would wait anyway."""
        self.t = t
        self.team.add_up = self._timed("sum_s", self.team.add_up)
        self.team.border = self._timed("border_s", self.team.border)
        self.team.hear = self._timed("border_s", self.team.hear)

    def serve(self, iteration: int) -> None:
        """Before every iteration, and after the last."""
        if self.team.rank:
            self.team.hear()
        if iteration == WARM_UP:
            self._wait()
            self.spent, self.began = dict.fromkeys(self.spent, 0.0), _now()
        self.left -= 1
        if self.left < 0:
            self._wait()
            self.ended = _now()
            self.over = True

    def told(self) -> dict[str, float]:
        """Seconds an iteration."""
        wall, cpu = (b - a for a, b in zip(self.began, self.ended))
        return {"wall_s": wall / self.steps, "cpu_s": cpu / self.steps,
                **{name: value / self.steps for name, value in self.spent.items()}}

    def scalars(self, iteration: int, losses: Any) -> None:
        """Nobody reads the losses."""

    def back_off(self, iteration: int) -> bool:
        """What does not fit is not measured."""
        return False

    def level(self, iteration: int) -> None:
        """Nothing is saved."""

    def _wait(self) -> None:
        import torch

        if self.t.device.type == "cuda":
            torch.cuda.synchronize(self.t.device)

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any) -> Any:
            self._wait()
            since = time.perf_counter()
            found = function(*words)
            self._wait()
            self.spent[name] += time.perf_counter() - since
            return found

        return call


def _now() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
