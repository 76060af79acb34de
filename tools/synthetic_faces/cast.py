"""What is wanted of a set's stills, and what the stills of a chunk have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.head import HeadModel
from tools.synthetic_faces import hand, looks
from tools.synthetic_faces.mesh468 import Bend

from facewright.faces.face import FaceType

LOOKS, HANDS = 3, 7
"""How many looks and hands the stills of a chunk share."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: crop of `face_type` with `side_px`; `masks`: with things before faces."""

    face_type: FaceType
    side_px: int
    masks: bool


class Cast:
    """What a chunk of stills has in common: the model, LOOKS looks and HANDS hands, each made when first needed from
    `seed` and its number."""

    def __init__(self, model: HeadModel, bend: Bend, seed: tuple[int, ...]) -> None:
        self.model, self.bend, self._seed = model, bend, seed
        self._looks: dict[int, looks.Look] = {}
        self._hands: dict[int, hand.Shape] = {}

    def look(self, rng: np.random.Generator) -> looks.Look:
        """One of the looks."""
        k = int(rng.integers(LOOKS))
        if k not in self._looks:
            self._looks[k] = looks.prepare(self.model, np.random.default_rng((*self._seed, 1, k)))
        return self._looks[k]

    def hand(self, rng: np.random.Generator) -> hand.Shape:
        """One of the hands."""
        k = int(rng.integers(HANDS))
        if k not in self._hands:
            self._hands[k] = hand.shape(np.random.default_rng((*self._seed, 2, k)))
        return self._hands[k]
