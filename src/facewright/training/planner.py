"""What a training will take, from a few real iterations: seconds, memory, the largest batch that fits.

They run in a process of their own, on made-up faces: what a face shows changes neither time nor memory. Of this file
that process is the lower half.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from facewright.core.errors import FacewrightError, TrainingRefused
from facewright.core.settings import check
from facewright.core.step import Stop, Work
from facewright.models.settings import SHAPES, XSegSettings
from facewright.training import guard, labelled, lead, machine, samples, start
from facewright.training.loop import train
from facewright.training.settings import SwapTrain, TrainSettings, settings_class
from facewright.training.training import Training

HEADROOM = 0.9
"""Share of the free memory that a plan uses."""
_LARGEST_BATCH = 512
_FACES = 16
_STEPS = {"cpu": (1, 3), "cuda": (2, 5)}
"""Iterations with half of the batch (for the memory), and with all of it; the first one of those is not timed."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What was measured: of one iteration with `batch` faces of each side, in `accumulate` passes; and what follows.

    fixed_bytes + batch of a pass * face_bytes is the peak; free_bytes is what may be used. Bytes are 0 where they
    could not be known. Of several processes that will learn together, all of this is one's own; what they tell each
    other comes on top.
    """

    device: str
    batch: int
    accumulate: int
    seconds: float
    processor_seconds: float
    peak_bytes: int
    fixed_bytes: int
    face_bytes: int
    free_bytes: int
    processes: int = 1

    @property
    def largest_batch(self) -> int:
        """Faces of each side that one pass has memory for; 0 = not even one, or not known."""
        if not self.face_bytes or not self.free_bytes:
            return 0
        return max(0, min(_LARGEST_BATCH, int((self.free_bytes * HEADROOM - self.fixed_bytes) // self.face_bytes)))

    def hours(self, iterations: int) -> float:
        """For so many iterations."""
        return self.seconds * iterations / 3600

    def as_dict(self, *milestones: int) -> dict[str, Any]:
        """JSON-able, with the hours to each of `milestones`."""
        hours = {str(n): round(self.hours(n), 3) for n in milestones}
        return asdict(self) | {"largest_batch": self.largest_batch, "hours": hours}


def look_ahead(net: str, shape: Mapping[str, Any], settings: TrainSettings) -> Outlook:
    """Measure a net of this shape under these settings. A batch that does not fit is halved until it does.

    Raises TrainingRefused: not even one face fits; SettingRefused: no such device, not so many GPUs.
    """
    lead.check_gpus(settings)
    batch = machine.batch_of(settings, machine.device_of(settings))
    while True:
        found = _in_a_process(net, shape, settings, batch)
        if found is not None:
            return found
        if batch == 1:
            raise TrainingRefused(
                "There is not enough memory for this net.", why="An iteration with one face of each side does not fit.",
                remedy="Use --checkpoint-decoder, --optimiser-device cpu, fewer dims or a lower resolution.",
            )
        batch //= 2


def _in_a_process(net: str, shape: Mapping[str, Any], settings: TrainSettings, batch: int) -> Outlook | None:
    """None when the memory did not suffice, also when the system ended the process for it."""
    job = {"net": net, "shape": dict(shape), "settings": settings.model_dump(mode="json"), "batch": batch}
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(job), capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    if done.returncode in (-9, 137) or answer.get("refused") == "memory":
        return None
    if "device" not in answer:
        why = answer.get("refused") or (done.stderr.strip().splitlines() or ["It ended without an answer."])[-1]
        raise TrainingRefused("The trial iterations failed.", why=str(why)[:300],
                              remedy="Train without --plan to see the whole error.")
    return Outlook(**answer)


# ---- in the process of its own


def measured(net: str, shape: Mapping[str, Any], settings: TrainSettings, batch: int) -> Outlook:
    """Learn for a few iterations in this process. Memory is that of the whole process."""
    # No end, no small beginning; one pass stands for all.
    s = settings.model_copy(update={"iterations": 0, "minutes": 0.0, "accumulate": 1, "progressive": 0.0})
    device = machine.device_of(s)
    sharing = settings.gpus if device.type == "cpu" else 1  # each GPU has memory of its own
    free = usable_bytes(device) // sharing + peak_bytes(device)  # what this process has already is in its peak too
    half = max(1, batch // 2)
    with tempfile.TemporaryDirectory() as folder, machine.borrowed(s, device):
        t = made_up(Path(folder), net, shape, s.model_copy(update={"batch_size": half}))
        try:
            watch = _Stopwatch(t, ((half, _STEPS[device.type][0]), (max(batch, 2), _STEPS[device.type][1])))
            train(t, cast(Any, watch))
        finally:
            t.close()
    (few, low), (many, high) = watch.peaks
    each = max(0, (high - low) // (many - few))
    count = settings.accumulate
    # A batch of one was measured by means of two.
    share = batch / many * count
    return Outlook(
        str(device), batch, count, watch.wall_s * share, watch.cpu_s * share, low + each * (batch - few),
        low - each * few, each, free, settings.gpus,
    )


class _Stopwatch:
    """In the desk's place: lets a training learn so many iterations with each of the batches, and times them."""

    def __init__(self, t: Training[Any], batches: tuple[tuple[int, int], ...]) -> None:
        self.t, self.work, self.over, self.reports = t, Work(stop=Stop()), False, self
        self.peaks: list[tuple[int, int]] = []
        self.wall_s = self.cpu_s = 0.0
        self._batches, self._left = list(batches), 0
        self._marks: list[tuple[float, float]] = []

    def serve(self, iteration: int) -> None:
        """Before each iteration, and after the last."""
        if self.t.device.type == "cuda":
            torch.cuda.synchronize(self.t.device)
        self._marks.append((time.monotonic(), time.process_time()))
        if self._left == 0 and iteration:
            self.peaks.append((self._batches.pop(0)[0], peak_bytes(self.t.device)))
            if not self._batches:
                self._read()
                self.work.stop.ask()
                return
        if self._left == 0:
            batch, self._left = self._batches[0]
            self.t.settings = self.t.settings.model_copy(update={"batch_size": batch})
            self.t.settle()
            self._marks = self._marks[-1:]
        self._left -= 1

    def _read(self) -> None:
        """Means of the last batch's iterations but the first."""
        (wall, cpu), (wall_end, cpu_end), count = self._marks[1], self._marks[-1], len(self._marks) - 2
        self.wall_s, self.cpu_s = (wall_end - wall) / count, (cpu_end - cpu) / count

    def back_off(self, iteration: int) -> bool:
        """Here the question is what fits."""
        return False

    def scalars(self, iteration: int, losses: torch.Tensor) -> None:
        """Nobody reads the losses."""


def made_up(folder: Path, net: str, shape: Mapping[str, Any], s: TrainSettings) -> Training[Any]:
    """A fresh training on faces of noise."""
    form = check(SHAPES[net], shape)
    if isinstance(form, XSegSettings):
        some = _noise(folder / "faces", form.resolution, labelled.CHANNELS)
        t: Training[Any] = start.begin_masking(folder, form, s, [some], np.zeros((0, 3, 8, 8), np.uint8))
    else:
        side = samples.crop_side(form.resolution, float(2 * form.resolution))  # type: ignore[attr-defined]
        some = _noise(folder / "faces", side, samples.CHANNELS)
        t = start.begin(folder, net, cast(Any, form), cast(SwapTrain, s), some, some)
    t.take_up_others()
    return t


def _noise(path: Path, side: int, channels: int) -> samples.Samples:
    faces = np.random.default_rng(0).integers(0, 256, (_FACES, channels, side, side), np.uint8)
    faces[:, samples.MASK] = np.where(faces[:, samples.MASK] > 127, 255, 0)
    path.write_bytes(faces.tobytes())
    numbers = np.arange(_FACES)
    colour = np.full((2, 3), 0.5)
    return samples.Samples(path, side, numbers, np.zeros(_FACES, np.float32), colour, numbers, channels)


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has had at once: of the GPU, or of the computer (0 = not known)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    status = Path("/proc/self/status")
    if status.exists():  # of this program alone; getrusage may count what started it
        line = next(x for x in status.read_text(encoding="ascii").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def usable_bytes(device: torch.device) -> int:
    """Memory that nobody uses: of the GPU, or of the computer (0 = not known)."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    table = Path("/proc/meminfo")
    if table.exists():
        line = next((x for x in table.read_text(encoding="ascii").splitlines() if x.startswith("MemAvailable")), "x 0")
        return int(line.split()[1]) << 10
    return 0


def _answer(job: Mapping[str, Any]) -> dict[str, Any]:
    s = check(settings_class(str(job["net"])), job["settings"])
    try:
        return asdict(measured(str(job["net"]), job["shape"], s, int(job["batch"])))
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        return {"refused": "memory" if guard.no_memory(error) else str(error)}
    except FacewrightError as error:
        return {"refused": error.what}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(json.load(sys.stdin))) + "\n")
