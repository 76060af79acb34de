"""DeepFaceLab facesets in and out: CPU and wall seconds for 5,000 faces with every batch synced. Prints JSON.

python -m benchmarks.dfl_facesets FOLDER [--faces 5000] [--side 256]

FOLDER (on the disk that is meant) is filled with drawn faces and emptied again. Faces are noise that was blurred, with
landmarks, a mask and, each second one, polygons: about as many bytes as real ones. `probe` is what the disk takes for
the same number of bare files of the same size, written and synced one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.pickling import dumps
from facewright.faces.align import face_from_frame, template_3d
from facewright.faces.face import FaceType
from facewright.faceset.exchange.dfl_export import ExportStep
from facewright.faceset.exchange.dfl_file import opened, with_payload
from facewright.faceset.exchange.dfl_import import ImportStep
from facewright.faceset.settings import FacesExportSettings
from facewright.image.geometry import apply_affine
from facewright.jobs.run import run_job


class OpenGate:
    """Lets everything through: the gate is not what is measured."""

    def allow(self, step: Any) -> str:
        """A word in the place of a permit."""
        return "permit"

    def record(self, *facts: Any) -> None:
        """Nothing is noted."""


def fill(folder: Path, count: int, side: int) -> int:
    """`count` face files; returns their bytes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (side, side, 3), dtype=np.uint8), (0, 0), 1.5)
    picture = opened(cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    head = template_3d()[:, :2].astype(np.float64)
    yy, xx = np.mgrid[0:256, 0:256]
    size = 0
    for number in range(count):
        points = (head * rng.uniform(1.5, 2.5) + [640, 360] + rng.normal(0, 1.5, head.shape)).astype(np.float32)
        matrix = face_from_frame(points.astype(np.float64), side, FaceType.WHOLE)
        inside = apply_affine(matrix, points)
        mask = (((xx - 128) ** 2 + (yy - 120 - number % 9) ** 2) < 90**2).astype(np.uint8) * 255
        stated: dict[str, Any] = {
            "face_type": "whole_face", "landmarks": inside.tolist(), "source_filename": f"{number + 1:05d}.png",
            "source_rect": np.array([500, 200, 800, 520]), "source_landmarks": points.astype(np.float64).tolist(),
            "image_to_face_mat": matrix[:2], "xseg_mask": cv2.imencode(".png", mask)[1].reshape(-1),
        }
        if number % 2:
            stated["seg_ie_polys"] = {"polys": [{"type": 1, "pts": inside[:27].astype(np.float32)}]}
        data = with_payload(picture, dumps(stated))
        (folder / f"{number + 1:05d}_0.jpg").write_bytes(data)
        size += len(data)
    return size


def probe(folder: Path, count: int, size: int) -> float:
    """Seconds for so many bare files of `size` bytes, each synced."""
    folder.mkdir()
    data, began = os.urandom(size), time.monotonic()
    for number in range(count):
        with (folder / f"{number}").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    took = time.monotonic() - began
    shutil.rmtree(folder)
    return took


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """CPU (all threads) and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    return {"cpu_s": round(time.process_time() - cpu, 2), "wall_s": round(time.monotonic() - wall, 2)}


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faces", type=int, default=5_000)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    work = given.folder / "dfl_facesets"
    shutil.rmtree(work, ignore_errors=True)
    src, ours, back, pak = work / "aligned", work / "set", work / "back", work / "pak"
    size = fill(src, given.faces, given.side)
    found: dict[str, Any] = {
        "faces": given.faces, "side_px": given.side, "bytes_a_face": size // given.faces,
        "machine": platform.platform(),
        "probe_wall_s": round(probe(work / "probe", min(given.faces, 500), size // given.faces)
                              * given.faces / min(given.faces, 500), 2),
    }

    def run(step: Any) -> Callable[[], Any]:
        return lambda: run_job(step, gate=OpenGate())

    found["import"] = measured(run(ImportStep(str(src), str(ours))))
    found["export"] = measured(run(ExportStep(str(ours), str(back))))
    found["export_pak"] = measured(run(ExportStep(str(ours), str(pak), FacesExportSettings(pak=True))))
    shutil.rmtree(ours)
    found["import_pak"] = measured(run(ImportStep(str(pak), str(ours))))
    shutil.rmtree(work)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
