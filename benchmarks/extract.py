"""What extraction costs beside its nets, at 1280x720: CPU, wall, peak memory; JSON out.

    python -m benchmarks.extract FILM [--frames 250] [--side 512] [--detector auto] [--crop cubic] [--json FILE]

The film is brought to 1280x720 first (H.264, crf 18), so that any clip with faces will do. Nets are timed inside
their calls, on the calling thread; everything else is the process's CPU time less that. Aim: all but the nets <= 60 %
of the nets' CPU, wall <= 1.3x the nets alone. Identity vectors (for telling people apart) count as nets.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from facewright.core.step import Work
from facewright.faces import nets
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.settings import ExtractSettings
from facewright.media.reader import frames, open_video

SIZE = (1280, 720)


class NetClock:
    """CPU seconds spent inside the nets, on whatever threads they run: also the time that they alone would take, one
    picture and one net at a time."""

    def __init__(self) -> None:
        self.cpu_s, self._lock = 0.0, threading.Lock()
        self.calls = 0
        for kind in (nets.OnnxNet, nets.LiteNet):
            self._wrap(kind)

    def _wrap(self, kind: type) -> None:
        call = kind.__call__

        def timed(net: Any, data: np.ndarray) -> list[np.ndarray]:
            began = time.thread_time()
            try:
                return call(net, data)
            finally:
                with self._lock:
                    self.cpu_s += time.thread_time() - began
                    self.calls += 1

        kind.__call__ = timed  # type: ignore[method-assign]


def make_720p(source: Path, target: Path, count: int) -> int:
    """Scale the first `count` frames into 1280x720 (black bars where the shape differs); returns how many there are."""
    video, written = open_video(source), 0
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(video.rate), options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in frames(video, 0, count):
            height, width = frame.image.shape[:2]
            factor = min(SIZE[0] / width, SIZE[1] / height)
            small = cv2.resize(frame.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            canvas = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            top, left = (SIZE[1] - small.shape[0]) // 2, (SIZE[0] - small.shape[1]) // 2
            canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
            for packet in stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")):
                out.mux(packet)
            written += 1
        for packet in stream.encode():
            out.mux(packet)
    return written


def measure(film: Path, folder: Path, settings: ExtractSettings, clock: NetClock) -> dict[str, Any]:
    """Run the whole step as the runner does and take its times apart."""
    step = ExtractStep([str(film)], str(folder), settings)
    began_cpu, began_wall = time.process_time(), time.perf_counter()
    plan = step.plan()
    planned_cpu = time.process_time() - began_cpu
    records, commit_s = {}, 0.0
    for item, result in step.stream(plan, Work()):
        at = time.perf_counter()
        records[item.id] = step.commit(item, result)
        commit_s += time.perf_counter() - at
    at_cpu, at_nets = time.process_time(), clock.cpu_s
    summary = step.finish(records, Work())
    finish_cpu = time.process_time() - at_cpu - (clock.cpu_s - at_nets)
    cpu, wall = time.process_time() - began_cpu, time.perf_counter() - began_wall
    looked = sum(record["frames"] for record in records.values())
    rest = cpu - clock.cpu_s
    return {
        "frames": looked, "faces": summary["faces"], "people": len(summary["people"]),
        "cpu_ms_per_frame": {
            "nets": round(1000 * clock.cpu_s / looked, 2), "all_else": round(1000 * rest / looked, 2),
            "of_which_plan": round(1000 * planned_cpu / looked, 2),
            "of_which_finish": round(1000 * finish_cpu / looked, 2),
        },
        "all_else_over_nets": round(rest / clock.cpu_s, 3), "wall_over_nets": round(wall / clock.cpu_s, 3),
        "wall_s": round(wall, 2), "commit_wall_s": round(commit_s, 2), "net_calls": clock.calls,
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load": [round(v, 2) for v in os.getloadavg()],
    }


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--crop", default="cubic")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        make_720p(given.film, film, given.frames)
        settings = ExtractSettings(resolution=given.side, detector=given.detector, crop=given.crop)
        # Libraries load and nets warm up outside of the measurement.
        warm = Path(folder) / "warm.mp4"
        make_720p(given.film, warm, 2)
        clock = NetClock()
        measure(warm, Path(folder) / "warm", settings, clock)
        clock.cpu_s = 0.0
        clock.calls = 0
        result = {"film": given.film.name, "side_px": given.side, "detector": given.detector, "crop": given.crop,
                  **measure(film, Path(folder) / "faces", settings, clock)}
    text = json.dumps(result, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
