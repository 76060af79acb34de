"""Faces without nets: where they are follows from the frame's number. As a program: extract a film, in a job.

python fake_finder.py FILM FACESET [NAME=VALUE ...]
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from facewright.faces.align import canonical_mesh, pose_deg
from facewright.faces.face import Detection
from facewright.faces.find import FoundFace
from facewright.faces.landmark import Landmarks, corrected_points
from facewright.media.frame import Frame


def mesh_at(x: float, y: float, size: float) -> np.ndarray:
    """(468, 3) float32 frontal head, `size` px high, centred at x, y."""
    mesh = canonical_mesh() * [1, -1, -1]
    mesh = (mesh - mesh.mean(0)) * size / np.ptp(mesh[:, 1])
    return (mesh + np.array([x, y, 0])).astype(np.float32)


def found(index: int, x: float, y: float, size: float, presence: float = 1.0) -> FoundFace:
    mesh = mesh_at(x, y, size)
    half = size / 2
    detection = Detection(index, (x - half, y - half, x + half, y + half), 0.9)
    yaw, pitch, roll = (float(a) for a in pose_deg(mesh))
    return FoundFace(detection, Landmarks(mesh, corrected_points(mesh), presence, 5.0, 0.0), (yaw, pitch, roll))


class FakeFinder:
    """No face in every seventh frame, two in every third, one (drifting) in the others."""

    detector_name = "fake"
    pause_s = 0.0
    nets = (("detector", "fake:00000000"),)

    def __init__(self, settings: Any = None) -> None:
        self.calls = 0

    def glimpse(self, frame: Frame) -> None:
        """Needs no detector."""

    def find(self, frames: list[Frame], glimpses: list[None] | None = None) -> list[list[FoundFace]]:
        self.calls += 1
        time.sleep(self.pause_s)
        return [self.faces(f.index) for f in frames]

    def faces(self, index: int) -> list[FoundFace]:
        if index % 7 == 3:
            return []
        row = [found(index, 60 + index * 0.25, 60, 50)]
        if index % 3 == 0:
            row.append(found(index, 150, 70, 40, presence=0.6))
        return row


class BlindFinder(FakeFinder):
    def faces(self, index: int) -> list[FoundFace]:
        return []


def main() -> int:
    from facewright.core.errors import FacewrightError
    from facewright.faceset.extraction.extract import ExtractStep
    from facewright.faceset.settings import ExtractSettings
    from facewright.jobs.run import run_job

    class OpenGate:
        def allow(self, step: Any) -> str:
            return "permit"

        def record(self, *facts: Any) -> None: ...

    pairs = dict(pair.split("=") for pair in sys.argv[3:])
    FakeFinder.pause_s = float(pairs.pop("pause", 0))
    limit = int(pairs.pop("limit", 0))
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    settings = ExtractSettings(**{k: int(v) if v.isdigit() else v for k, v in pairs.items()})
    step = ExtractStep([sys.argv[1]], sys.argv[2], settings, make_finder=FakeFinder)
    try:
        run_job(step, gate=OpenGate(), on_event=lambda e: print(e["kind"], flush=True))
    except FacewrightError as error:
        print(type(error).__name__, error, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
