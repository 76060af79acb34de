"""DeepFaceLab's files made for tests: drawn pictures and numbers, no person. Also a program: import or export in a job.

python dfl_sets.py import|export SRC DST [limit=BYTES] [pause=SECONDS] [pak]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.pickling import dumps
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset.exchange.dfl_file import opened, with_payload
from facewright.image.geometry import apply_affine


class OpenGate:
    """Lets everything through and notes nothing."""

    def allow(self, step: Any) -> str:
        return "permit"

    def record(self, *facts: Any) -> None: ...


def head(golden: Path, number: int) -> np.ndarray:
    """(68, 2) float32 landmarks in a frame: one of the drawn heads."""
    return np.load(golden / "data" / "align.npz")["landmarks"][number % 40].astype(np.float32)


def jpeg(side: int, seed: int = 0, **options: int) -> bytes:
    """A drawn JPEG with a JFIF header."""
    yy, xx = np.mgrid[0:side, 0:side]
    image = np.stack([xx * 3 + seed * 7, yy * 2, (xx + yy) * (1 + seed % 3)], -1).astype(np.uint8)
    flags = [part for name, value in options.items() for part in (getattr(cv2, f"IMWRITE_JPEG_{name}"), value)]
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


def facts(points: np.ndarray, side: int, frame: str, word: str = "whole_face", **more: Any) -> dict[str, Any]:
    """What DeepFaceLab writes about a face."""
    kind = FaceType(word.removesuffix("_no_align"))
    matrix = face_from_frame(points.astype(np.float64), side, kind, upright=word.endswith("_no_align"))
    return {
        "face_type": word, "landmarks": apply_affine(matrix, points).tolist(), "source_filename": frame,
        "source_rect": np.array([10, 20, 110, 130]), "source_landmarks": points.astype(np.float64).tolist(),
        "image_to_face_mat": matrix[:2], **more,
    }


def file_of(picture: bytes, stated: dict[str, Any]) -> bytes:
    """A face file."""
    return with_payload(opened(picture), dumps(stated))


def stated_in(path: Path) -> dict[str, Any]:
    """The dict of a file, by the safe reader."""
    from facewright.core.unpickle import read_pickle

    return read_pickle(opened(path.read_bytes()).coded)


def make_set(folder: Path, golden: Path, count: int, side: int = 64) -> Path:
    """A folder `aligned` of `count` faces of as many frames."""
    folder.mkdir(parents=True)
    for number in range(count):
        stated = facts(head(golden, number), side, f"{number + 1:05d}.png")
        (folder / f"{number + 1:05d}_0.jpg").write_bytes(file_of(jpeg(side, number), stated))
    return folder


def main() -> int:
    from facewright.core.errors import FacewrightError
    from facewright.faceset.exchange.dfl_export import ExportStep
    from facewright.faceset.exchange.dfl_import import ImportStep
    from facewright.faceset.settings import FacesExportSettings
    from facewright.jobs.run import run_job

    what, src, dst, *rest = sys.argv[1:]
    options = dict(part.partition("=")[::2] for part in rest)
    if "limit" in options:
        import resource

        limit = int(options["limit"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    def tell(event: Any) -> None:
        print(event["kind"], flush=True)
        time.sleep(float(options.get("pause", 0)))

    step = ImportStep(src, dst) if what == "import" else ExportStep(src, dst, FacesExportSettings(pak="pak" in options))
    try:
        run_job(step, gate=OpenGate(), on_event=tell)  # type: ignore[arg-type]
    except FacewrightError as error:
        print(type(error).__name__, error, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
