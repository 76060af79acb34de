"""What every order of a faceset costs: a set of drawn faces is made in a temporary folder, each order runs in a process
of its own that finds nothing measured, and one JSON document says seconds, seconds of processor and peak memory.

    python benchmarks/sorts.py --faces 15000 [--side 256] [--orders hist,blur] [--keep FOLDER]

`original_cpu_s`: what DeepFaceLab's own code takes for as many faces on one core of the machine it was measured on, by
the measurements of 1,000 faces in data-formats-and-merging.md 15 (greedy chains grow with the square of the number).
`identity` computes vectors where the identity net is at hand; elsewhere it goes by tracks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

ORIGINAL_S = {"blur": (105.0, 1), "motion-blur": (3.35, 1), "hist": (2.0, 2)}
"""Order -> (processor seconds for 1,000 faces of 256 px, power of the number by which they grow)."""
PER_TRACK, CHUNK = 300, 500


def points_of(yaw: float, pitch: float, mouth: float, side: int) -> np.ndarray:
    """(68, 2) of the mean head turned by radians, seen from afar."""
    from facewright.faces.align import template_3d

    head = template_3d().astype(np.float64) / 80
    head[65:68, 1] += mouth
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turned = head @ np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    centred = turned[:, :2] - turned[:, :2].mean(0)
    return (0.5 + 0.3 * centred) * side


def drawn(number: int, side: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """(picture, points, yaw, pitch in degrees) of one face: a soft head of its track's colours, features, grain."""
    track, step = divmod(number, PER_TRACK)
    person = np.random.default_rng(track)
    own = np.random.default_rng(number + 10_000_000)
    phase = 2 * np.pi * step / PER_TRACK
    yaw = person.uniform(-0.6, 0.6) + 0.4 * np.sin(phase)
    pitch = 0.3 * np.sin(2 * phase + track)
    points = points_of(yaw, pitch, 0.08 * (1 + np.sin(9 * phase)), side)
    back = person.uniform(20, 230, (5, 5, 3)).astype(np.float32)
    image, skin = cv2.resize(back, (side, side), interpolation=cv2.INTER_CUBIC), person.uniform(90, 220, 3)
    hull = cv2.convexHull(points.astype(np.int32))
    cv2.fillConvexPoly(image, hull, skin.tolist(), cv2.LINE_AA)
    for part, tone in ((slice(36, 42), 0.3), (slice(42, 48), 0.3), (slice(48, 60), 0.6), (slice(17, 22), 0.4),
                       (slice(22, 27), 0.4), (slice(27, 36), 0.85)):
        cv2.fillConvexPoly(image, cv2.convexHull(points[part].astype(np.int32)), (skin * tone).tolist(), cv2.LINE_AA)
    x = np.linspace(-1, 1, side, dtype=np.float32)
    image *= (person.uniform(0.6, 1.1) * (1 + 0.35 * np.sin(phase + track) * x))[None, :, None]
    image += own.normal(0, 5, (side // 2, side // 2, 1)).repeat(2, 0).repeat(2, 1)
    if step % 7 == 0:
        image = cv2.GaussianBlur(image, (0, 0), 2.5)
    return np.clip(image, 0, 255).astype(np.uint8), points, float(np.degrees(yaw)), float(np.degrees(pitch))


def make(folder: Path, count: int, side: int) -> None:
    """A faceset of drawn faces."""
    from facewright.faces.align import canonical_mesh
    from facewright.faces.face import Face, FaceType, SourceRef, face_id
    from facewright.faceset.record import encode_face
    from facewright.faceset.store import Writer

    sha, mesh = "ab" * 32, np.rint(16 * (canonical_mesh() * [1, -1, -1] / 25 + 0.5) * side).astype(np.int16)
    with Writer(folder) as writer:
        for start in range(0, count, CHUNK):
            files = []
            for number in range(start, min(start + CHUNK, count)):
                image, points, yaw, pitch = drawn(number, side)
                x0, y0, x1, y1 = *points.min(0), *points.max(0)
                name = face_id(sha, number, 0)
                face = Face(
                    face_id=name, source=SourceRef("drawn.mp4", sha, number, number, Fraction(1, 25)),
                    box_px=(float(x0), float(y0), float(x1), float(y1)), score=0.9, presence_01=0.99, mesh_px=mesh,
                    mesh_scale=16.0, points_px=points.astype(np.float32), face_type=FaceType.WHOLE, side_px=side,
                    face_from_frame=np.eye(3), yaw_deg=yaw, pitch_deg=pitch, roll_deg=0.0, sharpness=100.0,
                    track=f"ab:{number // PER_TRACK}")
                files.append((f"{name}.jpg", encode_face(face, image, None, 90)))
            writer.add_chunk(sha, start, files)


def run_one(folder: Path, order: str) -> dict[str, float]:
    """Sort in this process; what it took."""
    from facewright.faceset.sorting.sort import sort

    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    done = sort(folder, order)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"faces": done["faces"], "wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(cpu, 2),
            "peak_mb": round(after.ru_maxrss / 1024)}


def measured(folder: Path, order: str) -> dict[str, float]:
    """The order in a process of its own, twice: with nothing measured, and again."""
    from facewright.faceset.index import Index

    with Index(folder).connect() as db:
        db.execute("DELETE FROM measures")
        db.execute("DELETE FROM vectors")
    command = [sys.executable, __file__, "--one", str(folder), order]
    first, again = (json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(2))
    row = first | {"again_wall_s": again["wall_s"], "again_cpu_s": again["cpu_s"]}
    if order in ORIGINAL_S:
        seconds, power = ORIGINAL_S[order]
        row["original_cpu_s"] = round(seconds * (first["faces"] / 1000) ** power)
    return row


def main() -> None:
    """Make the set, run the orders, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=15_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--orders", default="", help="names with commas between; all")
    parser.add_argument("--keep", type=Path, help="folder for the set; one that is there is used as it is")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run_one(Path(given.one[0]), given.one[1])))
        return
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.sorting.settings import ORDERS

    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary) / "set"
        begun = time.perf_counter()
        if not folder.exists():
            make(folder, given.faces, given.side)
        faceset = Faceset.open(folder)
        report = {"faces": len(faceset), "side_px": given.side, "cores": os.cpu_count(),
                  "load": os.getloadavg()[0], "made_s": round(time.perf_counter() - begun, 1), "orders": {}}
        for order in given.orders.split(",") if given.orders else ORDERS.names():
            report["orders"][order] = measured(folder, order)
            print(order, report["orders"][order], file=sys.stderr, flush=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
