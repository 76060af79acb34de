"""Why a face needs a look: its flags in words, and jumps against the frames around it in its track."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from facewright.faces.candidates import GOOD_PRESENCE
from facewright.faceset.index import Row
from facewright.faceset.neighbours import by_hand
from facewright.image.geometry import iou

WORDS = {
    "low_presence": "the landmark net is unsure",
    "five_points": "placed by five points alone",
    "profile_unaligned": "turned too far to be aligned",
    "profile": "turned beyond 60 degrees",
    "far_turn": "turned far, and the landmark net less sure than usual",
    "second_look": "found on the second look only",
    "other_detector": "found by another detector only",
    "passes_disagree": "two looks at its points disagree",
    "jump": "jumps against its track",
    "size_jump": "its size jumps",
    "position_jump": "its place jumps",
    "low_score": "the detector is unsure",
    "box_too_small": "its box and its points disagree",
    "cut_off": "cut off at the frame's edge",
    "obstructed": "a hand or thing before it",
    "misaligned": "looks misaligned",
    "double": "one head found twice",
    "new_face": "came after it was accepted",
    "interpolated": "put in between its neighbours",
}
"""Reason -> what a person reads. The keys that are flags of a face make its frame doubtful."""
FAR_TURN_DEG, SURE_OF_TURN = 40.0, float(1 / (1 + np.exp(-14.8)))
"""A face turned by so much and of a lower presence than this may be turned farther than its mesh says: its far side,
nose and mouth have slid inward. Set on woman_profile_turn, the one real clip of such a turn: of its six frames with the
nose's bridge on the cheek, five have logits of 10.9 to 14.7 and one 15.0; the others have 16.7 and more. Of 250 frames
of rendered heads it names 13, all turned by 50 degrees or more, points 2.7 times as far off as frontal ones; none of
ten other clips."""
ROLLS_DEG, TURNS_DEG, MOVES, GROWS = 12.0, 25.0, 0.22, 0.20
"""A face jumps when it differs by this from the middle of its two neighbours: roll, yaw or pitch (degrees), place and
size (shares of its size)."""
SAME_HEAD_IOU = 0.5
_TOLD = frozenset(("size_jump", "position_jump"))
"""Flags by which extraction has said so already."""
_REACH = 7
"""Frames between neighbours of a track, at most."""


def flag_doubts(row: Row) -> list[str]:
    """What of a face asks for a look by itself: words of its flags, "far_turn". What a person placed or moved is in no
    doubt."""
    if by_hand(row):
        return []
    words = [word for word in row.flags.split() if word in WORDS]
    # A lower presence, or a profile, is said by a flag; presence 0: no net has judged it.
    if abs(row.yaw_deg) >= FAR_TURN_DEG and GOOD_PRESENCE <= row.presence_01 < SURE_OF_TURN and "profile" not in words:
        words.append("far_turn")
    return words


def jumps(rows: Iterable[Row]) -> set[str]:
    """Ids of faces that are out of line with the faces before and after them in their track: one of two neighbours'
    middle by a jump, and both neighbours nearer to each other than to it. Extraction says most of it by flags."""
    ordered = sorted((row for row in rows if row.track), key=lambda row: (row.track, row.frame_index, row.ordinal))
    if len(ordered) < 3:
        return set()
    tracks = np.array([row.track for row in ordered])
    frames = np.array([row.frame_index for row in ordered])
    boxes = np.array([(row.x0_px, row.y0_px, row.x1_px, row.y1_px) for row in ordered], np.float64)
    turns = np.array([(row.roll_deg, row.yaw_deg, row.pitch_deg) for row in ordered], np.float64)
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum((boxes[:, 2:] - boxes[:, :2]).max(-1), 1e-6)
    logs = np.log(sizes)
    limits = np.array([ROLLS_DEG, TURNS_DEG, TURNS_DEG])
    before, here, after = slice(None, -2), slice(1, -1), slice(2, None)
    one_track = (tracks[before] == tracks[here]) & (tracks[here] == tracks[after])
    near = (frames[here] - frames[before] <= _REACH) & (frames[after] - frames[here] <= _REACH)
    near &= (frames[before] < frames[here]) & (frames[here] < frames[after])
    share = ((frames[here] - frames[before]) / np.maximum(frames[after] - frames[before], 1))[:, None]
    place = centres[before] * (1 - share) + centres[after] * share
    size = logs[before] * (1 - share[:, 0]) + logs[after] * share[:, 0]
    turned = turns[before] + _around(turns[after] - turns[before]) * share
    moved = np.linalg.norm(centres[here] - place, axis=-1) / sizes[here]
    alone = np.linalg.norm(centres[after] - centres[before], axis=-1) / sizes[here]
    grown, steady = np.abs(logs[here] - size), np.abs(logs[after] - logs[before])
    off, drift = np.abs(_around(turns[here] - turned)), np.abs(_around(turns[after] - turns[before]))
    out = (moved > MOVES) & (moved > alone)
    out |= (grown > GROWS) & (grown > steady)
    out |= ((off > limits) & (off > drift)).any(-1)
    found = (ordered[i] for i in (np.flatnonzero(one_track & near & out) + 1).tolist())
    return {row.face_id for row in found if not by_hand(row) and not _TOLD.intersection(row.flags.split())}


def doubles(rows: Sequence[Row]) -> set[str]:
    """Ids of the faces of one frame that lie on another of it."""
    boxes = [(row.x0_px, row.y0_px, row.x1_px, row.y1_px) for row in rows]
    found = set[str]()
    for i, a in enumerate(boxes):
        for j in range(i + 1, len(boxes)):
            if iou(a, boxes[j]) > SAME_HEAD_IOU:
                found |= {rows[i].face_id, rows[j].face_id}
    return found


def _around(degrees: np.ndarray) -> np.ndarray:
    return (degrees + 180.0) % 360.0 - 180.0
