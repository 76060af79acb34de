"""Target faces -> predicted faces with masks: the registry of swappers and the batch type that they return.

The colour border: the house is RGB, nets are BGR; the swapper that runs a net flips on the way in and out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from facewright.core.errors import SettingRefused
from facewright.core.registry import Plug, Registry
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.image.geometry import apply_affine, invert, pixel_box, translation
from facewright.image.masks import hull_mask
from facewright.image.warp import Interpolation, warp
from facewright.merge.settings import MergeSettings

SWAPPERS = Registry("swappers")
SWAPPERS.add(Plug("run", "facewright.merge.trained:open_run", "A trained RUN of this house.", needs=("torch",)))
SWAPPERS.add(Plug(
    "dfm", "facewright.merge.dfm:open_dfm", "A .dfm file, as programs for live use take them.", needs=("onnxruntime",)
))
SWAPPERS.add(Plug("null", "facewright.merge.predict:open_null", "Gives every face back as it came: for checks."))

DFM = ".dfm"
"""Ending of the file that takes the place of a RUN."""

NULL = "null"
"""`null[:RESOLUTION[:FACE_TYPE]]` in place of a RUN: the swapper that changes nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Predicted faces of one batch, in face space (crop of `face_type`).

    image (B, R, R, 3) float32 RGB 0..1; mask_swap (B, R, R, 1), the mask that came with the swapped face
    (learned-prd); mask_own (B, R, R, 1), the mask of the target's own face (learned-dst); both float32 0..1.
    """

    face_ids: tuple[str, ...]
    face_type: FaceType
    image: np.ndarray
    mask_swap: np.ndarray
    mask_own: np.ndarray

    def __len__(self) -> int:
        return len(self.face_ids)

    @property
    def side_px(self) -> int:
        """R."""
        return int(self.image.shape[1])

    def pick(self, rows: Sequence[int]) -> Prediction:
        """The chosen rows, in the order given."""
        index = list(rows)
        ids = tuple(self.face_ids[i] for i in index)
        return Prediction(ids, self.face_type, self.image[index], self.mask_swap[index], self.mask_own[index])


class Swapper(Protocol):
    """Something that replaces faces. `identity` names the weights exactly; predictions are cached under it."""

    resolution: int
    face_type: FaceType
    identity: str
    iteration: int

    def __call__(
        self, images: np.ndarray, *, face_ids: Sequence[str] = (), points_px: np.ndarray | None = None
    ) -> Prediction:
        """(B, R, R, 3) float32 RGB 0..1 target crops (and their (B, 68, 2) landmarks in crop px) -> Prediction."""
        ...


def predictor(run: Path | str, settings: MergeSettings | None = None) -> Swapper:
    """The swapper of a RUN folder, of a .dfm file, or of `null[:RESOLUTION[:FACE_TYPE]]`.

    Raises FileRefused, NothingFound, Mismatch: no run there, nothing trained yet, weights of another net.
    """
    chosen = settings or MergeSettings()
    name = NULL if str(run).partition(":")[0] == NULL else "dfm" if is_dfm(run) else "run"
    return SWAPPERS.load(name)(run, chosen)


def is_dfm(run: Path | str) -> bool:
    """Whether what takes the place of a RUN is a .dfm file (a folder of such a name is a run)."""
    return str(run).lower().endswith(DFM) and not Path(run).is_dir()


@dataclass(frozen=True, slots=True)
class NullSwapper:
    """Gives the target back: an exact fixture for tests and the cost of everything but the net."""

    resolution: int = 256
    face_type: FaceType = FaceType.WHOLE
    identity: str = NULL
    iteration: int = 0

    def __call__(
        self, images: np.ndarray, *, face_ids: Sequence[str] = (), points_px: np.ndarray | None = None
    ) -> Prediction:
        """Same images; the masks are the landmark hull, or 1 everywhere where no landmarks are given."""
        side = images.shape[1]
        masks = np.ones((len(images), side, side, 1), np.float32)
        if points_px is not None:
            masks = np.stack([hull_mask(points, (side, side)) for points in points_px])[..., None]
        ids = tuple(face_ids) or ("",) * len(images)
        return Prediction(ids, self.face_type, images, masks, masks)


def open_null(run: Path | str, settings: MergeSettings) -> NullSwapper:
    """`null`, `null:128` or `null:128:full_face`. Raises SettingRefused."""
    _, *words = str(run).split(":")
    try:
        resolution = int(words[0]) if words else 256
        return NullSwapper(resolution, FaceType(words[1]) if len(words) > 1 else FaceType.WHOLE)
    except ValueError as error:
        raise SettingRefused(
            f"{run} is no null run.", why=str(error), remedy="Write null, null:128 or null:128:full_face.", where=run
        ) from error


def net_input(
    image: np.ndarray, points_px: np.ndarray, side_px: int, face_type: FaceType, crop: Interpolation = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """The target's face as a net sees it: (R, R, 3) float32 RGB 0..1, and the 68 landmarks (68, 2) in its pixels.

    `image` is a frame (H, W, 3), uint8 or uint16 at full range. Only the face's part of it is converted.
    """
    face = face_from_frame(points_px, side_px, face_type)
    x0, y0, x1, y1 = crop_box(face, side_px, (image.shape[1], image.shape[0]))
    if x1 == x0:
        return np.zeros((side_px, side_px, 3), np.float32), apply_affine(face, points_px)
    part = to_float(image[y0:y1, x0:x1])
    cut = warp(part, face @ translation(x0, y0), side_px, crop)
    return np.clip(cut, 0, 1, out=cut), apply_affine(face, points_px)


def crop_box(face: np.ndarray, side_px: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole-pixel frame box x0, y0, x1, y1 (half open) that a face square touches, kernel taps included."""
    corners = np.array([[-3.0, -3.0], [side_px + 3.0, -3.0], [side_px + 3.0, side_px + 3.0], [-3.0, side_px + 3.0]])
    return pixel_box(apply_affine(invert(face), corners), size_px, margin_px=4)


def to_float(image: np.ndarray) -> np.ndarray:
    """uint8 or uint16 at full range -> float32 0..1."""
    return np.multiply(image, np.float32(1.0 / np.iinfo(image.dtype).max), dtype=np.float32)
