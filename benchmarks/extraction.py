"""Extraction over licensed test clips: frames with a face, false positives, steadiness, rate and where the time goes.

    python -m benchmarks.extraction --footage ../shared/footage [--clips NAME ...] [--json FILE] [--markdown FILE]

Each clip goes through the whole step with the product's defaults, in one process. The truth (how many people every
frame shows) was established by eye; it and the count of false positives are those of `benchmarks.faces_found`: faces
over the true number, or on tracks shorter than three frames. Decode and the search for cuts are timed alone beforehand,
the nets inside their calls; "rest" is all processor time beyond the nets'. Goals: 99.5 % of the frames with a face,
pooled, no clip losing more than one; rest at most 0.6 of the nets; wall at most 1.3 of what the nets alone would take
one by one, which is their processor time.
Steadiness: second difference of the points that align, median over frames, in percent of the eyes' distance (a frame
that repeats the one before it does not count).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.extract import NetClock
from benchmarks.faces_found import CLIPS, strays

from facewright.core.settings import check
from facewright.core.step import Work
from facewright.faces.align import FIT_POINTS
from facewright.faces.candidates import GOOD_PRESENCE
from facewright.faces.face import Face
from facewright.faces.find import FoundFace
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.faceset import Faceset
from facewright.faceset.settings import ExtractSettings
from facewright.media.reader import frames, open_video
from facewright.media.scenes import find_shots

GOAL_FOUND, GOAL_LOST, GOAL_REST, GOAL_WALL = 0.995, 1, 0.6, 1.3


def clip_row(path: Path, folder: Path, people: int, settings: ExtractSettings, clock: NetClock) -> dict[str, Any]:
    """All figures of one clip."""
    video = open_video(path)
    decode_s, _ = _cpu(lambda: sum(1 for _ in frames(video)))
    shots_s, shots = _cpu(lambda: find_shots(video))
    clock.cpu_s = 0.0
    began_cpu, began_wall = time.process_time(), time.perf_counter()
    step = ExtractStep([str(path)], str(folder), settings)
    records = {item.id: step.commit(item, result) for item, result in step.stream(step.plan(), Work())}
    summary = step.finish(records, Work())
    cpu, wall = time.process_time() - began_cpu, time.perf_counter() - began_wall
    return {
        **found_figures(list(Faceset.open(folder)), int(video.frame_count or 0), people),
        "second_look": summary["films"][path.name]["second_look"], "shots": len(shots),
        "people": len(summary["people"]),
        "cpu_s": round(cpu, 3), "nets_cpu_s": round(clock.cpu_s, 3), "decode_cpu_s": round(decode_s, 3),
        "shots_cpu_s": round(shots_s, 3), "wall_s": round(wall, 3),
    }


def found_figures(faces: list[Face], count: int, people: int) -> dict[str, Any]:
    """Counts of one clip, from the faces that were kept of its `count` frames."""
    by_frame: list[list[Face]] = [[] for _ in range(count)]
    for face in faces:
        by_frame[face.source.frame_index].append(face)
    found = sum(bool(row) for row in by_frame)
    flags: dict[str, int] = {}
    for word in (word for face in faces for word in face.flags):
        flags[word] = flags.get(word, 0) + 1
    return {
        "frames": count, "found": found, "lost_frames": [i for i, row in enumerate(by_frame) if not row],
        "faces_shown": people * count, "all_found": sum(min(len(row), people) for row in by_frame),
        "false": strays([[_as_found(face) for face in row] for row in by_frame], people),
        "jitter_percent": jitter(faces), "flags": dict(sorted(flags.items())),
        "sure": sum(face.presence_01 >= GOOD_PRESENCE for face in faces), "faces": len(faces),
    }


def jitter(faces: list[Face]) -> float | None:
    """Median second difference of the aligning points, percent of the eyes' distance; None: no track is long enough."""
    tracks: dict[str, list[Face]] = {}
    for face in faces:
        if face.presence_01 >= GOOD_PRESENCE:
            tracks.setdefault(face.track, []).append(face)
    values: list[float] = []
    for track in tracks.values():
        points = np.stack([face.points_px for face in track]).astype(np.float64)
        eyes = np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1)
        follows = np.diff([face.source.frame_index for face in track]) == 1
        moved = np.abs(np.diff(points, axis=0)).max((1, 2)) > 1e-3
        good = follows[:-1] & follows[1:] & moved[:-1] & moved[1:] if len(track) >= 3 else np.zeros(0, bool)
        second = points[2:] - 2 * points[1:-1] + points[:-2]
        bent = np.linalg.norm(second[:, FIT_POINTS], axis=-1).mean(-1) / np.maximum(eyes[1:-1], 1.0)
        values += (100 * bent[good]).tolist()
    return round(float(np.median(values)), 3) if values else None


def pool(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Sums over clips, the rates that are goals, and whether each is met."""
    keys = ("frames", "found", "faces_shown", "all_found", "false", "faces", "cpu_s", "nets_cpu_s", "decode_cpu_s",
            "shots_cpu_s", "wall_s")
    total: dict[str, Any] = {key: round(sum(row[key] for row in rows.values()), 3) for key in keys}
    lost = max((row["frames"] - row["found"] for row in rows.values()), default=0)
    rest = (total["cpu_s"] - total["nets_cpu_s"]) / max(total["nets_cpu_s"], 1e-9)
    wall = total["wall_s"] / max(total["nets_cpu_s"], 1e-9)
    share = total["found"] / max(total["frames"], 1)
    return total | {
        "found_share": round(share, 5), "most_lost_by_a_clip": lost, "rest_over_nets": round(rest, 3),
        "wall_over_nets": round(wall, 3), "frames_per_s": round(total["frames"] / max(total["wall_s"], 1e-9), 1),
        "goals": {"found": share >= GOAL_FOUND and lost <= GOAL_LOST, "rest": rest <= GOAL_REST,
                  "wall": wall <= GOAL_WALL},
    }


def markdown(result: dict[str, Any]) -> str:
    """The table that people read."""
    head = ("clip", "frames", "with a face", "%", "faces of shown", "false", "second look", "shots", "jitter %",
            "frames/s", "ms CPU a frame", "nets", "decode", "cuts", "rest/nets", "wall/nets")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in [*result["clips"].items(), ("**all**", result["pooled"])]:
        per = 1000 / max(row["frames"], 1)
        again = row.get("second_look", {}).get("found", "")
        lines.append("| " + " | ".join(str(v) for v in (
            name, row["frames"], row["found"], f"{100 * row['found'] / max(row['frames'], 1):.2f}",
            f"{row['all_found']}/{row['faces_shown']}", row["false"], again, row.get("shots", ""),
            "" if row.get("jitter_percent") is None else row["jitter_percent"],
            f"{row['frames'] / max(row['wall_s'], 1e-9):.1f}",
            *(f"{per * row[part]:.1f}" for part in ("cpu_s", "nets_cpu_s", "decode_cpu_s", "shots_cpu_s")),
            f"{(row['cpu_s'] - row['nets_cpu_s']) / max(row['nets_cpu_s'], 1e-9):.2f}",
            f"{row['wall_s'] / max(row['nets_cpu_s'], 1e-9):.2f}")) + " |")
    goals = ", ".join(f"{name} {'met' if met else 'MISSED'}" for name, met in result["pooled"]["goals"].items())
    load = ", ".join(f"{v:g}" for v in result["load"])
    return "\n".join([*lines, "", f"Goals: {goals}. Load before and after: {load}.", ""])


def _as_found(face: Face) -> FoundFace:
    """What `strays` needs of a face: its box."""
    from facewright.faces.face import Detection
    from facewright.faces.landmark import Landmarks

    points = Landmarks(face.mesh, face.points_px, face.presence_01, 0.0, face.roll_deg)
    return FoundFace(Detection(face.source.frame_index, face.box_px, face.score), points, (0.0, 0.0, 0.0), face.flags)


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    at = time.process_time()
    result = work()
    return time.process_time() - at, result


def main() -> None:
    """See the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--footage", type=Path, default=Path("../shared/footage"))
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--resolution", default="512", help="as in `facewright extract`")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    clock = NetClock()
    settings = check(ExtractSettings, {"detector": given.detector, "resolution": given.resolution, "workers": 1})
    loads, rows = [round(os.getloadavg()[0], 2)], {}
    with tempfile.TemporaryDirectory() as folder:
        for clip in given.clips:
            people = CLIPS[clip][0]
            rows[clip] = clip_row(given.footage / f"{clip}.mp4", Path(folder) / clip, people, settings, clock)
    result = {"detector": given.detector, "resolution": given.resolution, "clips": rows, "pooled": pool(rows),
              "load": [*loads, round(os.getloadavg()[0], 2)]}
    text = json.dumps(result, indent=1)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")
    if given.markdown:
        given.markdown.write_text(markdown(result), encoding="utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
