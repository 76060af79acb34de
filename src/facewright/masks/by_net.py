"""A net behind the contract of maskers: faces are cut as it sees them, its masks laid back into the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from facewright.core.errors import Mismatch
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face, FaceType
from facewright.image.geometry import invert, scale_of
from facewright.image.warp import resize, warp
from facewright.masks.maskers import XSEG, picture_from_frame
from facewright.masks.settings import MaskSettings
from facewright.models.run_folder import RunFolder

ONNX = ".onnx"
"""Ending of the file that takes the place of an XSeg RUN."""
_AT_ONCE = 8


class Predictor(Protocol):
    """What finds the face in (R, R) pictures of one face type. identity names the exact weights; face_type None: it
    does not say (a file of another program)."""

    identity: str
    iteration: int
    resolution: int
    face_type: FaceType | None

    def predict(self, faces: np.ndarray) -> np.ndarray:
        """(B, R, R, 3) float32 RGB 0..1 -> masks (B, R, R, 1) float32 0..1."""
        ...


class NetMasker:
    """See Masker. Faces of another type than the net's are cut for it afresh, and the mask is laid back; what the net
    does not see is outside. Raises Mismatch: the net does not say what faces it wants."""

    def __init__(self, net: Predictor) -> None:
        self.net, self.identity, self.resolution = net, net.identity, net.resolution
        if net.face_type is None:
            raise Mismatch(
                "This mask net does not say which part of the head its faces show.",
                why="Only a file that facewright exported holds that.",
                remedy="Take the model itself over: `facewright model import-dfl DIR RUN`.",
            )
        self.face_type = net.face_type

    def __call__(self, image: np.ndarray, face: Face, side_px: int = 0) -> np.ndarray:
        """See Masker."""
        return self.many([image], [face], side_px)[0]

    def many(self, images: Sequence[np.ndarray], faces: Sequence[Face], side_px: int = 0) -> list[np.ndarray]:
        """See Masker."""
        found: list[np.ndarray] = []
        for at in range(0, len(images), _AT_ONCE):
            some, theirs = images[at : at + _AT_ONCE], faces[at : at + _AT_ONCE]
            rgb = np.stack([self._seen(image, face) for image, face in zip(some, theirs)])
            masks = self.net.predict(rgb.astype(np.float32) / np.float32(255))
            found += [self._laid(mask, face, side_px or len(image))
                      for mask, image, face in zip(masks[..., 0], some, theirs)]
        return found

    def _seen(self, image: np.ndarray, face: Face) -> np.ndarray:
        """What the net looks at: (R, R, 3) uint8 RGB."""
        if self.face_type is face.face_type:
            return resize(image, self.resolution, "auto")
        return warp(image, self._seen_from_picture(face, len(image)), self.resolution, "auto")

    def _laid(self, mask: np.ndarray, face: Face, side: int) -> np.ndarray:
        """The net's (R, R) answer in the face's picture of `side` px."""
        if self.face_type is face.face_type:
            return resize(mask, side, "area" if side < self.resolution else "linear")
        picture_from_seen = invert(self._seen_from_picture(face, side))
        how = "area" if scale_of(picture_from_seen) < 0.5 else "linear"
        return np.clip(warp(mask, picture_from_seen, side, how), 0, 1)

    def _seen_from_picture(self, face: Face, side_px: int) -> np.ndarray:
        return seen_from_picture(face, side_px, self.face_type, self.resolution)


def seen_from_picture(face: Face, side_px: int, face_type: FaceType, resolution: int) -> np.ndarray:
    """(3, 3): px of the face's picture of `side_px` to the px of what a net of another face type sees of it."""
    return face_from_frame(face.points, resolution, face_type) @ invert(picture_from_frame(face, side_px))


def open_xseg(run: Path | None, settings: MaskSettings) -> NetMasker:
    """MASKERS: xseg. A trained RUN or its export; raises what `trained_net` and `open_exported` raise, and Mismatch."""
    place = Path(run or "")
    if place.suffix.lower() == ONNX and not place.is_dir():
        from facewright.masks.exported import open_exported

        return NetMasker(open_exported(place, settings.device))
    from facewright.masks.trained import trained_net

    _draws_masks(place)
    return NetMasker(trained_net(place, settings.device))


def _draws_masks(run: Path) -> None:
    found = RunFolder.open(run)
    if found.net != XSEG:
        raise Mismatch(
            f"{run.name} is a model of {found.net}, which makes no masks alone.",
            remedy="Name a model of XSeg, its .onnx file, hull or mesh.", where=run,
        )


def open_generic(run: Path | None, settings: MaskSettings) -> NetMasker:
    """MASKERS: generic. Raises what `generic_net` raises."""
    from facewright.masks.generic import generic_net

    return NetMasker(generic_net(settings.device))
