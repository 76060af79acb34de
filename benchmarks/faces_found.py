"""Frames with a face found / frames with a face, false positives and aligned faces over licensed test footage.

    python benchmarks/faces_found.py --footage ../shared/footage [--detectors yunet blazeface_full] [--json FILE]

The truth was established by eye, frame by frame (README of the footage folder): every frame of every clip shows the
number of people below. "found": frames with at least one face; "all_found": faces found of faces shown; "false": faces
over that number or on tracks shorter than three frames, and for a later detector also faces where the first one, if it
is right about that frame's number, has none; "aligned": faces with a mesh presence of at least 0.95,
outside frames whose faces are too small or too far turned for the mesh.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from facewright.faces.candidates import GOOD_PRESENCE, same_head
from facewright.faces.find import FaceFinder, FoundFace
from facewright.faces.settings import DetectSettings
from facewright.faces.track import link
from facewright.media.frame import Frame
from facewright.media.reader import frames, open_video

EVERY = range(0, 1 << 31)

CLIPS: dict[str, tuple[int, range | None]] = {
    "franck_conversation": (1, EVERY),
    "webcam_man_take1": (1, EVERY),
    "webcam_man_take2": (1, EVERY),
    "webcam_man_distance": (1, EVERY),
    "webcam_man_hand": (1, EVERY),
    "two_people_headpose": (2, EVERY),
    "woman_profile_turn": (1, range(7, EVERY.stop)),
    "man_headpose": (1, EVERY),
    "corridor_walking_small": (2, None),
    "classroom_small_faces": (4, None),
    "glasses_man_expressions": (1, EVERY),
    "synthetic_person_a": (1, EVERY),
    "synthetic_person_b": (1, EVERY),
}
"""Clip -> people in every frame, and the frames whose faces the mesh can align (None: none)."""

CHUNK = 32


Found = list[list[FoundFace]]


def measure(
    path: Path, finder: FaceFinder, people: int, alignable: range | None, reference: Found | None
) -> tuple[dict[str, Any], Found]:
    """All counts of one clip, and what was found."""
    found: Found = []
    begun = time.process_time()
    for chunk in _chunks(frames(open_video(path))):
        found += finder.find(chunk)
    seconds = time.process_time() - begun
    false = strays(found, people) if reference is None else elsewhere(found, reference, people)
    wanted = [face for i, row in enumerate(found) if alignable and i in alignable for face in row]
    counts = {
        "frames": len(found), "found": sum(bool(row) for row in found),
        "faces_shown": people * len(found), "all_found": sum(min(len(row), people) for row in found),
        "false": false, "missed_frames": [i for i, row in enumerate(found) if not row],
        "aligned": sum(f.presence_01 >= GOOD_PRESENCE for f in wanted), "alignable": len(wanted),
        "second_look": sum("second_look" in f.flags for row in found for f in row),
        "five_points": sum("five_points" in f.flags for row in found for f in row),
        "cpu_ms_per_frame": round(1000 * seconds / max(len(found), 1), 2),
    }
    return counts, found


def strays(found: Found, people: int) -> int:
    """Faces over the true number, or that no neighbouring frame knows."""
    tracks = link([[f.detection.box_px for f in row] for row in found])
    lengths: dict[int, int] = {}
    for number in (n for row in tracks for n in row):
        lengths[number] = lengths.get(number, 0) + 1
    short = [sum(lengths[n] < 3 for n in row) for row in tracks]
    return sum(max(len(row) - people, alone, 0) for row, alone in zip(found, short))


def elsewhere(found: Found, reference: Found, people: int) -> int:
    """Faces over the true number, or where the reference shows none (in frames in which its number is right)."""
    false = 0
    for row, truth in zip(found, reference):
        lost = [f for f in row if not any(same_head(f.detection, t.detection) or _holds(f, t) for t in truth)]
        false += max(len(row) - people, len(lost) if len(truth) == people else 0, 0)
    return false


def _chunks(stream: Iterator[Frame]) -> Iterator[list[Frame]]:
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def _holds(face: FoundFace, other: FoundFace) -> bool:
    """Whether a (loosely placed) box holds the middle of another one."""
    (x0, y0, x1, y1), (a, b, c, d) = face.detection.box_px, other.detection.box_px
    return x0 <= (a + c) / 2 <= x1 and y0 <= (b + d) / 2 <= y1


def pool(clips: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Sums over clips, and the rates that are gates."""
    keys = ("frames", "found", "faces_shown", "all_found", "false", "aligned", "alignable")
    total: dict[str, Any] = {key: sum(clip[key] for clip in clips.values()) for key in keys}
    total["found_rate"] = round(total["found"] / max(total["frames"], 1), 5)
    total["aligned_rate"] = round(total["aligned"] / max(total["alignable"], 1), 5)
    total["most_frames_lost_by_a_clip"] = max((c["frames"] - c["found"] for c in clips.values()), default=0)
    total["gate"] = bool(
        total["found_rate"] >= 0.99 and total["most_frames_lost_by_a_clip"] <= 1 and total["false"] == 0
    )
    return total


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--footage", type=Path, default=Path("../shared/footage"))
    parser.add_argument("--detectors", nargs="+", default=["yunet", "blazeface_full"])
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result: dict[str, Any] = {}
    reference: dict[str, Found] = {}
    for name in given.detectors:
        finder = FaceFinder(DetectSettings(detector=name))
        clips = {}
        for clip in given.clips:
            path = given.footage / f"{clip}.mp4"
            clips[clip], found = measure(path, finder, *CLIPS[clip], reference.get(clip))
            reference.setdefault(clip, found)
        result[name] = {"pooled": pool(clips), "clips": clips, "nets": dict(finder.nets)}
    text = json.dumps(result, indent=1)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
