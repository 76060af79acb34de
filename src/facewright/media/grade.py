"""Light and colour of whole frames: brightness, contrast, gamma, saturation. Rounded once, no matter how many act."""

from __future__ import annotations

import cv2
import numpy as np

from facewright.core.errors import SettingRefused
from facewright.media.settings import GradeSettings

LUMA = (0.2126, 0.7152, 0.0722)
"""Of BT.709: the grey that a colour loses itself in."""


class Grade:
    """A picture graded: first contrast around middle grey, then brightness, then gamma, at last saturation.

    v' = ((v - 1/2) (1 + contrast / 100) + 1/2 + brightness / 100) ^ (1 / gamma), clipped to 0..1; then each channel
    moves away from (or towards) the luma of BT.709 by 1 + saturation / 100. Raises SettingRefused: nothing changes.
    """

    def __init__(self, settings: GradeSettings) -> None:
        self._tone = (settings.brightness, settings.contrast, settings.gamma)
        self._colour = 1 + settings.saturation / 100
        self._plain = self._tone == (0.0, 0.0, 1.0)
        if self._plain and self._colour == 1:
            raise SettingRefused(
                "These settings leave every frame as it is.",
                remedy="Give one or more of --brightness, --contrast, --saturation and --gamma.", where="--brightness",
            )
        self._tables: dict[int, np.ndarray] = {}

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB uint8 or uint16 at full range -> the same kind."""
        white = int(np.iinfo(image.dtype).max)
        table = self._table(white)
        if self._colour == 1:
            whole = np.rint(table * white).astype(image.dtype)
            return np.asarray(cv2.LUT(image, whole)) if white == 255 else np.take(whole, image)
        wide = np.take(table, image)
        grey = np.outer(np.ones(3), LUMA) * (1 - self._colour) + np.eye(3) * self._colour
        moved = np.asarray(cv2.transform(wide, grey.astype(np.float32)))
        return np.rint(np.clip(moved, 0, 1) * white).astype(image.dtype)

    def _table(self, white: int) -> np.ndarray:
        """(white + 1,) float32 0..1: the tone of every level."""
        if white not in self._tables:
            brightness, contrast, gamma = self._tone
            level = np.arange(white + 1, dtype=np.float64) / white
            moved = (level - 0.5) * (1 + contrast / 100) + 0.5 + brightness / 100
            self._tables[white] = (np.clip(moved, 0, 1) ** (1 / gamma)).astype(np.float32)
        return self._tables[white]
