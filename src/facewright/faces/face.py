"""Detection and Face: what one frame can tell about a head, as frozen plain data.

Points are (x, y) in upright frame pixels, pixel centres at integers. Angles are degrees with the signs of
pretrained-weights.md 5.3: yaw > 0 nose to image right, pitch > 0 looks down, roll > 0 counter-clockwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

MESH_SCALE = 16
"""`mesh_px` holds pixels x 16 as int16 (frames up to 2,047 px are exact to 1/16 px; larger: see mesh_scale)."""


class FaceType(StrEnum):
    """Crop types, from tight to wide; names and paddings of data-formats-and-merging.md 1.1."""

    HALF = "half_face"
    MIDFULL = "midfull_face"
    FULL = "full_face"
    WHOLE = "whole_face"
    HEAD = "head"

    @property
    def padding(self) -> float:
        """Padding p of the crop: side in unit space is 1 + 2 sqrt(2) p."""
        return _PADDING[self]


_PADDING = {
    FaceType.HALF: 0.0, FaceType.MIDFULL: 0.0675, FaceType.FULL: 0.2109375, FaceType.WHOLE: 0.40, FaceType.HEAD: 0.70,
}


@dataclass(frozen=True, slots=True)
class Detection:
    """A head found in a frame. `hint_px`: five points (image-left eye, image-right eye, nose tip, image-left and
    image-right mouth corner; or fewer known ones as NaN), None when the detector gives none."""

    frame_index: int
    box_px: tuple[float, float, float, float]
    score: float
    roll_deg: float = 0.0
    hint_px: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Which frame of which film a face came from. `file` is a name, never a path."""

    file: str
    sha256: str
    frame_index: int
    pts: int
    time_base: Fraction
    shot: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face as stored: never pixels, never identity vectors.

    mesh_px (468, 3) int16 = frame px * mesh_scale (z likewise, negative toward the camera); points_px (68, 2)
    float32 raw iBUG-order points *after* the landmark correction; edited_px, smoothed_px the same when set: the
    last set one counts (`points`). face_from_frame (3, 3) float64 maps frame px to crop px of side `side_px`.
    flags: words about it. Of extraction, on the detector: "low_score" (below the middle of its usual and its sure
    limit), "second_look" (found only when looked again), "other_detector" (then by another one), "box_too_small" (the
    full-face crop of its points covers over four times its box); on the points: "low_presence" (the mesh is not sure
    that this is a face), "five_points" (placed by the detector's five), "profile" (turned by 60 degrees or more, where
    the far side's points slide inward), "profile_unaligned" (that, and placed by five points), "passes_disagree" (two
    passes of the mesh disagree), "position_jump", "size_jump" (it leaps out of its track); on the frame: "cut_off" (the
    face reaches out of it), "crop_leaves_frame" (only the crop does), "obstructed" (a hand or thing before it; only
    where extraction was asked to look). Of edits: "placed" (a person added it), "crop_of_other_points" (the crop was
    cut by other points than those that count now). Of people and of cleaning (faceset/tags.py): "parked" (training
    leaves it out), "good", "keep", "blurry" and so on. Of faces that another program found:
    "mesh_from_points" (the mesh and the pose follow from the 68 points), "no_frame" (where it lies in its frame is not
    known: its picture counts as the frame), "points_disagree" (its points in picture and frame do not fit).
    polygons: tuple of (kind, (N,2) float32) in crop px, kind 1 include, 0 exclude. mask_by: what made the stored
    mask (identity of the masker), "" when none is stored or nobody noted it. foreign: what another program's file said
    beyond all this, JSON-able (faceset/exchange/dfl_facts.py), so that an export gives it back.
    """

    face_id: str
    source: SourceRef
    box_px: tuple[float, float, float, float]
    score: float
    presence_01: float
    mesh_px: np.ndarray
    mesh_scale: float
    points_px: np.ndarray
    face_type: FaceType
    side_px: int
    face_from_frame: np.ndarray
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    sharpness: float
    flags: tuple[str, ...] = ()
    track: str = ""
    person: str = ""
    edited_px: np.ndarray | None = None
    smoothed_px: np.ndarray | None = None
    polygons: tuple[tuple[int, np.ndarray], ...] = ()
    detector: str = ""
    nets: tuple[tuple[str, str], ...] = ()
    consent: str = ""
    mask_by: str = ""
    foreign: Mapping[str, Any] | None = None

    @property
    def points(self) -> np.ndarray:
        """The 68 points that count, (68, 2) float32 frame px: edited, else smoothed, else raw."""
        if self.edited_px is not None:
            return self.edited_px
        return self.smoothed_px if self.smoothed_px is not None else self.points_px

    @property
    def mesh(self) -> np.ndarray:
        """(468, 3) float32 in frame px."""
        return self.mesh_px.astype(np.float32) / np.float32(self.mesh_scale)


def face_id(source_sha256: str, frame_index: int, ordinal: int) -> str:
    """Stable name: source sha 8 + frame + ordinal by x of the box centre. Same input, same id."""
    return f"{source_sha256[:8]}_{frame_index:07d}_{ordinal}"
