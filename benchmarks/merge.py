"""What a merge costs at 1280x720 beside the net: decode, crops, compositing, encoding; JSON out.

    python -m benchmarks.merge [--run RUN] [--frames 96] [--face-px 550] [--json FILE]

A drawn film and its made-up faceset are merged with the null swapper (or a trained RUN). Each part is measured alone
in CPU milliseconds per frame on one thread, then the whole step as it runs. Floors: copying a frame in memory, bare
decoding of the same film. The original needs 62 to 70 CPU-ms for compositing such a frame (Lab transfer, no blur).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.step import Work
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face, FaceType, SourceRef, face_id
from facewright.faceset import record
from facewright.faceset.header import Header
from facewright.faceset.store import Writer
from facewright.image.geometry import scale_of
from facewright.media.frame import ColourTags, Frame, Video
from facewright.media.reader import frames, open_video
from facewright.media.writer import FilmWriter, write_chunk
from facewright.merge.composite import composite
from facewright.merge.paste import Target
from facewright.merge.predict import net_input, predictor
from facewright.merge.run import MergeStep
from facewright.merge.settings import MergeSettings

SIZE = (1280, 720)
BASE = Fraction(1, 25)


def head_points(width_px: float) -> np.ndarray:
    """(68, 2): the mean face from the front, its whole_face square `width_px` wide, centred on the frame."""
    from facewright.faces.align import template_3d

    flat = template_3d()[:, :2].astype(np.float64)
    side = 1.0 / scale_of(face_from_frame(flat, 1, FaceType.WHOLE))
    return (flat - flat.mean(0)) * (width_px / side) + np.array(SIZE) / 2


def make_film(path: Path, count: int) -> Video:
    """Slowly moving soft noise, H.264: a decoder has something to do."""
    noise = np.random.default_rng(0).random((SIZE[1], SIZE[0] + count, 3), np.float32)
    wide = (np.clip((cv2.GaussianBlur(noise, (0, 0), 4) - 0.5) * 8 + 0.5, 0, 1) * 255).astype(np.uint8)
    like = Video(path, "", 0, SIZE, 1 / BASE, count, None, 0, 8, ColourTags(1, 1, 1), BASE)
    with FilmWriter(path, like, encoder="h264", crf=18) as writer:
        for index in range(count):
            writer.write(np.ascontiguousarray(wide[:, index : index + SIZE[0]]), index)
    return open_video(path)


def make_faceset(path: Path, video: Video, count: int, points: np.ndarray) -> None:
    """One face a frame, trembling a little."""
    files = []
    for index in range(count):
        own = (points + np.sin([index * 0.7, index * 0.3])).astype(np.float32)
        face = Face(
            face_id(video.sha256, index, 0), SourceRef(video.path.name, video.sha256, index, index, BASE),
            (0.0, 0.0, 1.0, 1.0), 1.0, 1.0, np.zeros((468, 3), np.int16), 16.0, own, FaceType.WHOLE, 16, np.eye(3),
            0.0, 0.0, 0.0, 1.0, track="0",
        )
        files.append((f"{face.face_id}.jpg", record.encode_face(face, np.zeros((16, 16, 3), np.uint8), None, 90)))
    (path / "faces").mkdir(parents=True)
    with Writer(path) as store:
        store.add_chunk(video.sha256, 0, files)
        store.update_header(lambda _: Header("whole_face", 16))


def cpu_ms(work: Callable[[], object], times: int, per_call: int = 1) -> float:
    """CPU milliseconds per unit, every thread of the process counted; one call first to warm up."""
    work()
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) * 1000 / (times * per_call)


def parts(run: str, video: Video, points: np.ndarray, settings: MergeSettings, folder: Path) -> dict[str, float]:
    """CPU-ms per frame of each part alone."""
    cv2.setNumThreads(1)
    some: list[Frame] = list(frames(video, 0, 24))
    swapper = predictor(run, settings)
    side, kind = swapper.resolution, swapper.face_type
    cut, inside = net_input(some[0].image, points, side, kind, settings.crop)
    batch, inner = np.stack([cut] * settings.batch_size), np.stack([inside] * settings.batch_size)
    prediction = swapper(batch, points_px=inner).pick([0])
    targets = [Target("a", points)]
    made = composite(some[0], targets, prediction, settings)
    masks = [(made.alpha * 255).astype(np.uint8)] * 24
    images, pts = [f.image for f in some], range(24)
    return {
        "floor_copy": cpu_ms(some[0].image.copy, 50),
        "floor_decode": cpu_ms(lambda: list(frames(video, 0, 24)), 2, 24),
        "crop": cpu_ms(lambda: net_input(some[0].image, points, side, kind, settings.crop), 20),
        "net": cpu_ms(lambda: swapper(batch, points_px=inner), 3, settings.batch_size),
        "composite": cpu_ms(lambda: composite(some[0], targets, prediction, settings), 20),
        "encode": cpu_ms(lambda: write_chunk(folder / "c.mkv", images, masks, pts, BASE), 1, 24),
    }


def whole(run: str, video: Video, faceset: Path, out: Path, settings: MergeSettings) -> dict[str, float]:
    """The step as it runs: CPU-ms and wall-ms per frame, start-up left out."""
    step = MergeStep(str(video.path), str(faceset), run, str(out), settings)
    items = step.plan()
    cpu, wall = time.process_time(), time.monotonic()
    records = {item.id: step.commit(item, made) for item, made in step.stream(items, Work())}
    summary = step.finish(records, Work())
    count = summary["frames"]
    return {
        "cpu_ms": (time.process_time() - cpu) * 1000 / count, "wall_ms": (time.monotonic() - wall) * 1000 / count,
        "frames": count, "swapped": summary["swapped"],
    }


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure, print one JSON document, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="null:128:whole_face", help="a trained RUN, or null[:RESOLUTION[:FACE_TYPE]]")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--face-px", type=float, default=550.0, help="width of the whole_face square")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    settings = MergeSettings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = head_points(given.face_px)
        video = make_film(folder / "film.mp4", given.frames)
        make_faceset(folder / "faces", video, given.frames, points)
        alone = parts(given.run, video, points, settings, folder)
        step = whole(given.run, video, folder / "faces", folder / "out", settings)
    sums = alone["floor_decode"] + alone["crop"] + alone["net"] + alone["composite"] + alone["encode"]
    report = {
        "size_px": SIZE, "face_px": given.face_px, "run": given.run,
        "cpu_ms_per_frame": {k: round(v, 3) for k, v in alone.items()},
        "ratio": {
            "composite_to_copy": round(alone["composite"] / alone["floor_copy"], 1),
            "composite_to_decode": round(alone["composite"] / alone["floor_decode"], 2),
            "encode_to_decode": round(alone["encode"] / alone["floor_decode"], 2),
            "step_to_sum_of_parts": round(step["cpu_ms"] / sums, 3),
        },
        "step": {k: round(v, 2) for k, v in step.items()},
    }
    text = json.dumps(report, indent=1)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
