"""A step without pictures, and a program that runs it: python fake_step.py OUTPUT ITEMS [NAME=VALUE ...]"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from facewright.core.files import make_folder, write_atomic
from facewright.core.settings import Settings, knob
from facewright.core.step import Item, Likeness, Work

STEPS = {"extract": "fake_step:CountStep"}


class CountSettings(Settings):
    size: int = knob(100, "Bytes of a file", low=1, high=10_000_000)
    pause_s: float = knob(0.0, "Seconds an item takes", low=0.0, high=1000.0)


class CountStep:
    stage = "extract"
    settings: CountSettings

    def __init__(self, output: str, items: int, inputs_digest: str = "a", fail_at: int = -1,
                 settings: CountSettings | None = None) -> None:
        self.output, self.items, self.digest, self.fail_at = output, items, inputs_digest, fail_at
        self.settings = settings or CountSettings()
        self.seen: list[dict[str, Any]] = []

    def home(self) -> Path:
        return Path(self.output)

    def args(self) -> dict[str, Any]:
        return {"output": self.output, "items": self.items, "inputs_digest": self.digest, "fail_at": self.fail_at}

    def likenesses(self) -> list[Likeness]:
        return []

    def inputs(self) -> dict[str, str]:
        return {"film.mp4": self.digest}

    def plan(self) -> list[Item]:
        return [Item(f"i{n:04d}", n) for n in range(self.items)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        return (Path(self.output) / f"{item.id}.bin").exists()

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, bytes]]:
        for item in todo:
            self.seen += work.changes()
            if item.payload == self.fail_at:
                raise ValueError("a bug")
            if self.settings.pause_s:
                time.sleep(self.settings.pause_s)
            yield item, content(item.payload, self.settings.size)
            if work.stop.asked:
                return

    def commit(self, item: Item, result: bytes) -> dict[str, Any]:
        make_folder(Path(self.output))
        write_atomic(Path(self.output) / f"{item.id}.bin", result)
        return {"sha256": hashlib.sha256(result).hexdigest(), "pid": os.getpid()}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        work.note("ended", count=len(records))
        return {"count": len(records), "loss": 0.25}


def content(number: int, size: int) -> bytes:
    return (b"%d " % number * (size // 2 + 1))[:size]


class OpenGate:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def allow(self, step: Any) -> str:
        return "permit"

    def record(self, step: Any, job: Any, summary: Mapping[str, Any], state: str) -> None:
        self.told.append((job.id, state))


def main() -> int:
    from facewright.core.errors import FacewrightError
    from facewright.jobs.run import Stopped, run_job

    pairs = dict(pair.split("=") for pair in sys.argv[3:])
    limit = int(pairs.pop("limit", 0))
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    step = CountStep(sys.argv[1], int(sys.argv[2]), settings=CountSettings(**{k: float(v) for k, v in pairs.items()}))
    try:
        run_job(step, gate=OpenGate(), on_event=lambda e: print(e["kind"], flush=True))
    except Stopped:
        return 130
    except FacewrightError as error:
        print(type(error).__name__, error, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
