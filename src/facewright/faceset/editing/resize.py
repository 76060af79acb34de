"""Another size or face type for the faces of a set: cut anew from the frames where those are at hand, else from the
crops. Facts: data-formats-and-merging.md 5.4 (and, for the crops, 2.2).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import Mismatch
from facewright.core.step import Item
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face, FaceType
from facewright.faceset.cut import LEAVES_FRAME, cut_crop, leaves_frame
from facewright.faceset.editing.remake import Made, RemakeFaces, Whole, moved
from facewright.faceset.editing.settings import ResizeSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.films import frames_at
from facewright.faceset.header import Header
from facewright.faceset.index import Row
from facewright.faceset.recut import INVENTED, OF_THE_CROP, OTHER_POINTS, UPSCALED, moved_mask
from facewright.faceset.settings import MAX_SIDE_PX, MIN_SIDE_PX
from facewright.image.geometry import apply_affine, invert, scale_of, scaling, square_corners
from facewright.image.warp import warp
from facewright.media.frame import Frame, Video
from facewright.media.reader import open_video

_SLACK_PX = 1.0
"""A crop may stand out of the old one by so much: rounding of float32 points."""
_ENLARGED = 1.01

New = tuple[FaceType, int, np.ndarray]
"""Face type, side in px and face_from_frame of a new crop."""


def native_side(face_from_frame_1: np.ndarray) -> int:
    """Side at which a crop keeps every pixel of its frame, up to the next 16, in 128..2048; the argument is the matrix
    of a crop of side 1."""
    wanted = math.ceil(1.0 / scale_of(face_from_frame_1) / 16 - 1e-6) * 16
    return min(max(wanted, MIN_SIDE_PX), MAX_SIDE_PX)


def planned(face: Face, settings: ResizeSettings) -> New:
    """The crop that a face shall have. Raises NothingFound: its points span none."""
    kind = face.face_type if settings.face_type == "same" else FaceType(settings.face_type)
    if kind is face.face_type and OTHER_POINTS not in face.flags:
        unit = scaling(1.0 / face.side_px) @ face.face_from_frame
    else:
        unit = face_from_frame(face.points, 1, kind)
    side = settings.side or native_side(unit)
    return kind, side, scaling(float(side)) @ unit


class ResizeStep(RemakeFaces[ResizeSettings]):
    """The faces of `faceset` at another size or of another type, in the folder `out`. films: where their frames are."""

    stage = "resize"

    def __init__(
        self, faceset: str, out: str, settings: ResizeSettings | None = None, films: list[str] | None = None
    ) -> None:
        super().__init__(faceset, out, settings or ResizeSettings())
        self.films = [str(Path(film).resolve()) for film in films or []]

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "out": str(self.out), "films": self.films}

    @cached_property
    def videos(self) -> dict[str, Video]:
        """SHA-256 -> the opened film. Raises FileRefused."""
        return {video.sha256: video for video in map(open_video, map(Path, self.films))}

    def inputs(self) -> dict[str, str]:
        """Which faces, and the films."""
        return super().inputs() | {video.path.name: sha256 for sha256, video in self.videos.items()}

    def plan(self) -> list[Item]:
        """One item per folder. Raises Mismatch where pixels would have to be invented and nobody allowed it."""
        items = super().plan()
        if not self.settings.invent:
            self._refuse_invention([row for row in self.rows if row.source_sha256 not in self.videos])
        return items

    def make(self, parts: list[Row]) -> Iterator[Made | tuple[str, str]]:
        """The faces of one folder: out of their frames, else out of their crops."""
        for whole, frame in zip(self.readable(parts), self._frames(parts), strict=True):
            if isinstance(whole, tuple):
                yield whole
                continue
            new = planned(whole.face, self.settings)
            yield self._from_crop(whole, new) if frame is None else self._from_frame(whole, new, frame)

    def header(self) -> Header:
        """The same films and people; the new type and side (0: each its own)."""
        before = self.faceset.header
        kind = before.face_type if self.settings.face_type == "same" else self.settings.face_type
        return dataclasses.replace(before, face_type=kind, side_px=self.settings.side)

    def tell(self, after: Faceset) -> dict[str, Any]:
        """Where the pixels came from."""
        here = sum(row.source_sha256 in self.videos for row in self.rows)
        return {"from frames": here, "from crops": len(self.rows) - here}

    def _refuse_invention(self, rows: list[Row]) -> None:
        wider = larger = 0
        for row in rows:
            face = self.faceset.face(row.face_id)
            words = _invented(face, planned(face, self.settings))
            wider, larger = wider + (INVENTED in words), larger + (UPSCALED in words)
        if not wider and not larger:
            return
        said = ((wider, "would show more than their old picture"), (larger, "would be enlarged"))
        what = " and ".join(f"{number:,} {words}" for number, words in said if number)
        films = sorted({row.source_file for row in rows})
        raise Mismatch(
            f"Pixels would have to be invented: {what}.",
            why=f"{len(rows):,} faces have no frames at hand (of {', '.join(films[:3])}{' ...' if films[3:] else ''}).",
            remedy="Say where their films lie (--footage); or --invent: borders stay black, enlarged faces soft.",
            where=self.folder,
        )

    def _frames(self, rows: list[Row]) -> Iterator[Frame | None]:
        """The frame of each row, None where it is not at hand or damaged; held one at a time, for a folder may hold
        faces of a whole film."""
        for sha256, group in groupby(rows, key=lambda row: row.source_sha256):
            mine, video = list(group), self.videos.get(sha256)
            reading = iter(()) if video is None else frames_at(video, sorted({row.frame_index for row in mine}))
            held: Frame | None = next(reading, None)
            for row in mine:  # the set's order is that of time
                while held is not None and held.index < row.frame_index:
                    held = next(reading, None)
                yield held if held is not None and held.index == row.frame_index else None

    def _from_frame(self, whole: Whole, new: New, frame: Frame) -> Made:
        _, side, matrix = new
        image = cut_crop(frame.image, matrix, side, "cubic")
        words = set(whole.face.flags) - OF_THE_CROP
        outside = {LEAVES_FRAME} if leaves_frame(matrix, side, frame.image) else set[str]()
        return self._made(whole, image, new, words | outside)

    def _from_crop(self, whole: Whole, new: New) -> Made:
        _, side, matrix = new
        step = matrix @ invert(whole.face.face_from_frame)
        unchanged = side == whole.face.side_px and np.allclose(step, np.eye(3), atol=1e-9)
        image = whole.image if unchanged else warp(whole.image, step, side, "auto")
        return self._made(whole, image, new, (set(whole.face.flags) - {OTHER_POINTS}) | _invented(whole.face, new))

    def _made(self, whole: Whole, image: np.ndarray, new: New, words: set[str]) -> Made:
        kind, side, matrix = new
        step = matrix @ invert(whole.face.face_from_frame)
        face = moved(whole.face, step, side, image, face_type=kind, flags=tuple(sorted(words)))
        mask = moved_mask(whole.mask, step, whole.face.side_px, side)
        return Made(dataclasses.replace(face, face_from_frame=matrix), image, mask, self.settings.jpeg_quality)


def _invented(face: Face, new: New) -> set[str]:
    """What a crop made from the old crop alone would have to invent."""
    _, side, matrix = new
    step = matrix @ invert(face.face_from_frame)
    corners = apply_affine(invert(step), square_corners(side))
    words = set()
    if corners.min() < -0.5 - _SLACK_PX or corners.max() > face.side_px - 0.5 + _SLACK_PX:
        words.add(INVENTED)
    if scale_of(step) > _ENLARGED:
        words.add(UPSCALED)
    return words
