"""Small fingerprints of face pictures, by which a picture is known again after an editor had it: whether it was turned,
mirrored or cropped, and which face it shows when its name is lost too. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facewright.image.warp import resize

PRINT_PX = 64
_COARSE_PX = 16
KNOWN = 0.80
"""Correlation from which a picture counts as that face's; colour work and upscalers keep it above .9, neighbours in a
film that differ by a blink lie above it too (the most alike one is taken)."""
_SURE = 0.95
_TURN_GAIN, _CROP_GAIN, _CROP_LEAST = 0.02, 0.012, 0.9
_CROPS_PX = range(32, 64, 2)
_SHORTLIST = 6

TURNS = (
    "", "turned left", "turned by 180 degrees", "turned right", "mirrored", "mirrored and turned left",
    "mirrored and turned by 180 degrees", "mirrored and turned right",
)
"""What an editor may have done to a square picture, in the order of `turned`."""


def print_of(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (64, 64) uint8 grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return resize(grey, PRINT_PX, "area" if min(grey.shape) >= PRINT_PX else "linear")


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """A picture as TURNS[turn] would leave it."""
    return np.ascontiguousarray(np.rot90(image[:, ::-1] if turn >= 4 else image, turn % 4))


def turned_back(image: np.ndarray, turn: int) -> np.ndarray:
    """The inverse of `turned`."""
    back = np.rot90(image, -(turn % 4))
    return np.ascontiguousarray(back[:, ::-1] if turn >= 4 else back)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a picture relates to a print: `likeness` is the correlation in the best position, -1..1; `turn` an index of
    TURNS; `cropped`: it shows a part of it."""

    likeness: float
    turn: int = 0
    cropped: bool = False

    @property
    def known(self) -> bool:
        """Whether it is that picture at all."""
        return self.likeness >= KNOWN


def compare(before: np.ndarray, now: np.ndarray) -> Verdict:
    """The print (64, 64) uint8 of a face and that of a picture which may be the same one, edited."""
    likeness = [_alike(turned(before, turn), now) for turn in range(len(TURNS))]
    turn = int(np.argmax(likeness))
    if likeness[turn] < likeness[0] + _TURN_GAIN:
        turn = 0
    # A cropped picture is like none of the turns, or a little like a wrong one: then each is asked whether it holds it.
    asked = [turn] if likeness[turn] >= _SURE else range(len(TURNS))
    part, held = max((_as_part(turned(before, at), now), -at) for at in asked)
    if part > max(likeness[turn] + _CROP_GAIN, _CROP_LEAST):
        return Verdict(part, -held, True)
    return Verdict(likeness[turn], turn)


class Prints:
    """Prints of many faces, searched by picture. names: of the faces; prints: (64, 64) uint8 each."""

    def __init__(self, names: Sequence[str], prints: Sequence[np.ndarray]) -> None:
        self.names, self.prints = list(names), list(prints)
        self._coarse = np.stack([_coarse(p) for p in prints]) if self.prints else np.zeros((0, _COARSE_PX**2))

    def find(self, now: np.ndarray) -> tuple[str, Verdict]:
        """The face that a print is most like, in any turn; ("", ...) where none is alike enough."""
        if not self.prints:
            return "", Verdict(-1.0)
        turns = np.stack([_coarse(turned_back(now, turn)) for turn in range(len(TURNS))])
        best = (self._coarse @ turns.T).max(1)
        short = np.argsort(-best, kind="stable")[:_SHORTLIST]
        verdicts = [(compare(self.prints[at], now), at) for at in short]
        verdict, at = max(verdicts, key=lambda pair: (pair[0].likeness, -pair[1]))
        return (self.names[at] if verdict.known else "", verdict)


def _normal(picture: np.ndarray) -> np.ndarray:
    flat = picture.astype(np.float32).ravel()
    flat = flat - flat.mean()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def _coarse(picture: np.ndarray) -> np.ndarray:
    return _normal(resize(picture, _COARSE_PX, "area"))


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(_normal(a) @ _normal(b))


def _as_part(whole: np.ndarray, now: np.ndarray) -> float:
    """The best correlation of `now`, shrunk, anywhere in `whole`."""
    best = -1.0
    for side in _CROPS_PX:
        found = cv2.matchTemplate(whole, resize(now, side, "area"), cv2.TM_CCOEFF_NORMED)
        best = max(best, float(found[np.isfinite(found)].max(initial=-1.0)))
    return best
