"""Face picture + Face -> mask: the contract of every masker, and the two that need no net.

A masker is called with (S, S, 3) uint8 RGB pictures and their Faces and gives (side, side) float32 in 0..1 for each,
whatever S is; the same picture at another size has the same area within 2 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Protocol

import cv2
import numpy as np

from facewright.core.errors import NothingFound, SettingRefused
from facewright.faces.face import Face
from facewright.image.geometry import apply_affine, scaling, umeyama
from facewright.image.masks import hull_mask
from facewright.image.warp import resize
from facewright.masks.settings import MASKERS, MaskSettings

XSEG = "xseg"

_DRAWN_PX = 512
"""Outlines are drawn at least this large and averaged: whole-pixel corners would cost small masks 5 % of their area."""
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Mesh points around the face, from the top of the forehead clockwise."""
_FRONT = (168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 327, 61, 291, 0, 17, 13, 14, 84, 314, 37, 267, 152, 175, 199, 200)
"""Bridge and tip of the nose, lips, chin: on a turned head they stand out beyond the oval."""


class Masker(Protocol):
    """Something that makes masks. `identity` names it exactly (a net with its weights); faces keep it as mask_by."""

    identity: str

    def __call__(self, image: np.ndarray, face: Face, side_px: int = 0) -> np.ndarray:
        """(S, S, 3) uint8 RGB and its Face -> (side, side) float32 0..1; side_px 0: S."""
        ...

    def many(self, images: Sequence[np.ndarray], faces: Sequence[Face], side_px: int = 0) -> list[np.ndarray]:
        """The same for several faces, whose pictures may differ in size."""
        ...


def masker(name: Path | str, settings: MaskSettings | None = None) -> Masker:
    """The masker of a name (`hull`, `mesh`, a plug-in's), or of a trained XSeg: the run's folder, or an .onnx file.

    Raises SettingRefused: neither, or the word xseg without a run; and what opening a run or file raises.
    """
    chosen, word = settings or MaskSettings(), str(name)
    if word == XSEG or (word not in MASKERS.names() and not Path(word).exists()):
        names = ", ".join(n for n in MASKERS.names() if n != XSEG)
        raise SettingRefused(
            "Name the trained XSeg run or file itself." if word == XSEG else f"There is no masker {word!r}.",
            why="" if word == XSEG else "It is no known name, and no run or file of that name is here.",
            remedy=f"Choose one of: {names}, the folder of a trained XSeg run, or an .onnx file.", where="--with",
        )
    if word in MASKERS.names():
        return MASKERS.load(word)(None, chosen)
    return MASKERS.load(XSEG)(Path(word), chosen)


@dataclass(frozen=True, slots=True)
class Hull:
    """The outline of the 68 landmarks that count, brows moved up, with what nose, lips and chin span (decision 006)."""

    identity: str = "hull"

    def __call__(self, image: np.ndarray, face: Face, side_px: int = 0) -> np.ndarray:
        """See Masker."""
        side, large = _sides(image, side_px)
        points = apply_affine(picture_from_frame(face, large), face.points)
        return _shrunk(hull_mask(points, (large, large), lips=True), side)

    def many(self, images: Sequence[np.ndarray], faces: Sequence[Face], side_px: int = 0) -> list[np.ndarray]:
        """See Masker."""
        return [self(image, face, side_px) for image, face in zip(images, faces)]


@dataclass(frozen=True, slots=True)
class Mesh:
    """The oval of the 468 mesh points up to the forehead, with what nose, lips and chin span. Where a person edited or
    smoothed the landmarks, the mesh follows them."""

    identity: str = "mesh"

    def __call__(self, image: np.ndarray, face: Face, side_px: int = 0) -> np.ndarray:
        """See Masker."""
        side, large = _sides(image, side_px)
        mesh = face.mesh[:, :2].astype(np.float64)
        if face.points is not face.points_px:
            mesh = apply_affine(umeyama(face.points_px, face.points), mesh)
        points = np.rint(apply_affine(picture_from_frame(face, large), mesh)).astype(np.int32)
        mask = np.zeros((large, large), np.uint8)
        for part in (_OVAL, _FRONT):
            cv2.fillConvexPoly(mask, cv2.convexHull(points[list(part)]), 1)
        return _shrunk(mask.astype(np.float32), side)

    def many(self, images: Sequence[np.ndarray], faces: Sequence[Face], side_px: int = 0) -> list[np.ndarray]:
        """See Masker."""
        return [self(image, face, side_px) for image, face in zip(images, faces)]


def no_masks(faceset: Path) -> NothingFound:
    """What is said where a command needs masks and no face has one."""
    return NothingFound(
        f"No face in {faceset.name} has a mask.",
        remedy=f"Make them: `facewright mask apply {quote(str(faceset))} --with mesh`, or hull, or an XSeg RUN.",
        where=faceset,
    )


def open_hull(run: Path | None, settings: MaskSettings) -> Hull:
    """MASKERS: hull."""
    return Hull()


def open_mesh(run: Path | None, settings: MaskSettings) -> Mesh:
    """MASKERS: mesh."""
    return Mesh()


def picture_from_frame(face: Face, side_px: int) -> np.ndarray:
    """(3, 3): frame px to the px of the face's picture at another side (the crop's edge is `side_px`)."""
    return scaling(side_px / face.side_px) @ face.face_from_frame


def _sides(image: np.ndarray, side_px: int) -> tuple[int, int]:
    """The wanted side, and the one to draw at."""
    side = side_px or image.shape[0]
    return side, max(side, _DRAWN_PX)


def _shrunk(mask: np.ndarray, side: int) -> np.ndarray:
    return resize(mask, side, "area")
