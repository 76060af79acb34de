"""What a new face takes over from the faces around it in time: its track (and so its person), shot, consent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from facewright.core.errors import FileRefused
from facewright.faces.face import Face
from facewright.faces.track import LEAST_LIKENESS, likeness
from facewright.faceset import record
from facewright.faceset.index import Row
from facewright.faceset.store import FACES
from facewright.image.geometry import Box, iou

PLACED = "placed"
"""Flag of a face that a person added, and name of the folder for such files: no chunk of an extraction is called so."""
REACH_FRAMES = 7
SAME_HEAD_IOU = 0.4
FIRST_OF_HAND = 1000
"""Numbers of faces that people add begin here: extraction counts from 0."""


def follow(rows: Sequence[Row], frame: int, box_px: Box, taken: Collection[str] = ()) -> Row | None:
    """The face within a few frames that a head at `box_px` continues best, nearer ones first; none of the tracks
    `taken` (those that the frame has already)."""
    near = [row for row in rows if row.track and row.track not in taken
            and 0 < abs(row.frame_index - frame) <= REACH_FRAMES]
    if not near:
        return None
    score = likeness(np.array([box_of(row) for row in near]), np.array([box_px]))[:, 0]
    ranked = [(abs(row.frame_index - frame), -value, row.path, at)
              for at, (row, value) in enumerate(zip(near, score.tolist())) if value >= LEAST_LIKENESS]
    return near[min(ranked)[-1]] if ranked else None


def shot_of(rows: Sequence[Row], frame: int) -> int:
    """The shot of the nearest face in time, 0 where there is none."""
    near = min(rows, key=lambda row: (abs(row.frame_index - frame), row.frame_index), default=None)
    return near.shot if near is not None else 0


def free_ordinal(rows: Sequence[Row], sha256: str, frame: int, reserved: Collection[str]) -> int:
    """A number that no face of the frame has, had, or may get from an extraction that goes on."""
    start = f"{sha256[:8]}_{frame:07d}_"
    used = [row.ordinal for row in rows if row.frame_index == frame]
    used += [int(one[len(start):]) for one in reserved if one.startswith(start) and one[len(start):].isdigit()]
    return max([FIRST_OF_HAND - 1, *used]) + 1


def by_hand(row: Row) -> bool:
    """Whether a person placed the face or moved its points: nothing but a person changes it again."""
    return bool(row.edited) or PLACED in row.flags.split()


def without_placed(
    folder: Path, sha256: str, files: Sequence[tuple[str, bytes, Face]]
) -> list[tuple[str, bytes, Face]]:
    """What an extraction found, less the heads that a person has placed in those frames before it came to them."""
    place = folder / FACES / sha256[:8] / PLACED
    if not place.is_dir():
        return list(files)
    wanted = {face.source.frame_index for _, _, face in files}
    boxes: dict[int, list[Box]] = {}
    for path in sorted(place.iterdir()):
        frame = path.stem.split("_")[-2:-1]
        if path.suffix in (".jpg", ".png") and frame and frame[0].isdigit() and int(frame[0]) in wanted:
            try:
                boxes.setdefault(int(frame[0]), []).append(record.read_face(path).box_px)
            except FileRefused:  # a damaged file stands for no face
                continue
    return [one for one in files if not covered(one[2].box_px, boxes.get(one[2].source.frame_index, ()))]


def box_of(row: Row) -> Box:
    """Its box in frame px."""
    return row.x0_px, row.y0_px, row.x1_px, row.y1_px


def covered(box_px: Box, others: Sequence[Box]) -> bool:
    """Whether a box shows a head that one of the others shows."""
    return any(iou(box_px, other) > SAME_HEAD_IOU or _centre_within(box_px, other) for other in others)


def _centre_within(a: Box, b: Box) -> bool:
    side = min(max(a[2] - a[0], a[3] - a[1]), max(b[2] - b[0], b[3] - b[1]))
    distance = np.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)
    return bool(distance < 0.35 * side)
