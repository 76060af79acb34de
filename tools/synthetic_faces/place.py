"""Where things go: before a point of the face, turned at random, as near as they can be without sinking in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tools.footage import raster
from tools.footage.camera import Framing
from tools.footage.head import unit
from tools.footage.noise import to_linear
from tools.synthetic_faces import hand, things
from tools.synthetic_faces.prop import Prop

HANDS = 0.5
"""Share of hands among what comes before a face."""
_TRIES = 4
Hands = Callable[[np.random.Generator], hand.Shape]
"""Gives a hand."""


@dataclass(frozen=True, slots=True)
class View:
    """What is seen before anything is put there: the raster `buffer`, `samples` per pixel side, the world positions
    (N, 3) of `face` samples, the skin's display RGB `tone`, the hair's linear RGB `hair`."""

    buffer: raster.Buffer
    lens: Framing
    samples: int
    face: np.ndarray
    tone: np.ndarray
    hair: np.ndarray


@dataclass(frozen=True, slots=True)
class Placed:
    """Things in their places, and how far before the face (units)."""

    props: list[Prop]
    gap: float


def rotation(z_deg: float, x_deg: float, y_deg: float) -> np.ndarray:
    """(3, 3) Rz Rx Ry: first about the thing's own length, then its lean, then in the picture's plane."""
    z, x, y = np.radians([z_deg, x_deg, y_deg])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return rz @ rx @ ry


def put_before(view: View, hands: Hands, rng: np.random.Generator) -> Placed:
    """A hand, a thing, or both; tried again when it hides nearly all or nothing of the face."""
    least = 0.0 if rng.random() < 0.08 else 0.03
    for _ in range(_TRIES):
        if rng.random() < HANDS:
            placed = _hand(view, hands, rng)
            if rng.random() < 0.12:
                placed = Placed(placed.props + _hand(view, hands, rng).props, placed.gap)
        else:
            placed = _thing(view, hands, rng)
        if least <= hidden(view, placed.props) <= 0.72:
            break
    return placed


def hidden(view: View, props: list[Prop]) -> float:
    """Share of the face's samples that props hide, judged on a coarse grid."""
    step = 8
    side = view.lens.side_px * view.samples // step
    buffer = raster.Buffer.empty(side, side)
    for prop in props:
        at = view.lens.project(prop.points, view.samples)
        at[:, :2] /= step
        raster.draw(buffer, at, prop.triangles)
    seen = view.lens.project(view.face, view.samples)
    x, y = (np.clip(seen[:, k] / step, 0, side - 1).astype(int) for k in range(2))
    return float((buffer.key[y, x] > seen[:, 2]).mean())


def _tone_of_hand(view: View, rng: np.random.Generator) -> np.ndarray:
    """(3,) linear: mostly the subject's own hand, at times somebody else's."""
    if rng.random() < 0.75:
        return np.clip(to_linear(view.tone) * np.exp(rng.normal(0, 0.12, 1) + rng.normal(0, 0.03, 3)), 0.01, 0.9)
    fair = rng.uniform(0, 1)
    return to_linear(np.array([0.93, 0.76, 0.66]) * (1 - fair) + np.array([0.36, 0.25, 0.19]) * fair)


def _hand(view: View, hands: Hands, rng: np.random.Generator) -> Placed:
    form = hands(rng)
    parts = hand.build(form, _tone_of_hand(view, rng), rng)
    target = view.face[int(rng.integers(len(view.face)))]
    right = np.sign(target[0] + rng.normal(0, 3))
    kind = rng.random()
    about = rng.normal(0, 32) if kind < 0.55 else 180 + rng.normal(0, 32) if kind < 0.85 else rng.uniform(-180, 180)
    upward = right * abs(rng.normal(25, 32)) if rng.random() < 0.88 else rng.uniform(-180, 180)
    turn = rotation(upward, rng.normal(-8, 20), about)
    reach = np.array([rng.normal(0, 2.0), rng.uniform(3, 17), 0.0])  # what of the hand is at the target
    gap = float(rng.uniform(-0.6, 0.3)) if rng.random() < 0.55 else float(rng.uniform(0.3, 12))
    return _settle(view, parts, turn, target, reach, gap, float(rng.uniform(0.88, 1.1)))


def _thing(view: View, hands: Hands, rng: np.random.Generator) -> Placed:
    target = view.face[int(rng.integers(len(view.face)))]
    if rng.random() < 0.09:
        parts, turns = things.strands(rng, view.hair), (35.0, 10.0, 10.0)
        gap = float(rng.uniform(0.0, 1.5))
    else:
        names = list(things.THINGS)
        share = np.array([things.THINGS[n][1] for n in names])
        make, _, turns = things.THINGS[names[int(rng.choice(len(names), p=share / share.sum()))]]
        parts = make(rng)
        gap = float(rng.uniform(-0.3, 0.5)) if rng.random() < 0.4 else float(rng.uniform(0.5, 14))
    turn = rotation(*(float(rng.uniform(-a, a)) for a in turns))
    placed = _settle(view, parts, turn, target, np.zeros(3), gap, float(rng.uniform(0.8, 1.2)))
    if turns[0] > 90 or rng.random() > 0.45:
        return placed
    # Somebody holds it: a hand before or beside it, from below.
    held = placed.props[0].points.mean(0) + np.array([rng.normal(0, 2), rng.uniform(-5, 0), rng.uniform(0.5, 3)])
    form = hands(rng)
    right = rng.choice([-1, 1])
    about = rng.normal(0, 40) + (180 if rng.random() < 0.3 else 0)
    turn = rotation(right * rng.uniform(10, 80), rng.normal(0, 15), about)
    parts = hand.build(form, _tone_of_hand(view, rng), rng)
    at = held - turn @ np.array([0, rng.uniform(6, 11), 0])
    return Placed(placed.props + [p.moved(turn, at) for p in parts], placed.gap)


def _settle(view: View, parts: list[Prop], turn: np.ndarray, target: np.ndarray, anchor: np.ndarray, gap: float,
            size: float) -> Placed:  # fmt: skip
    """Bring `anchor` of the parts before `target`, then draw them towards the camera until they are free."""
    at = target - size * (turn @ anchor)
    moved = [p.moved(turn, at, size) for p in parts]
    eye = view.lens.eye
    points = moved[0].points
    seen = view.lens.project(points, view.samples)
    side = view.buffer.key.shape[0]
    x, y = seen[:, 0].astype(np.int32), seen[:, 1].astype(np.int32)
    inside = (x >= 0) & (y >= 0) & (x < side) & (y < side)
    key = view.buffer.key[y[inside], x[inside]]
    over = np.isfinite(key)
    way = unit(eye - target)
    if not over.any():
        return Placed([p.moved(np.eye(3), way * gap) for p in moved], gap)
    sunk = 1.0 / seen[inside, 2][over] - 1.0 / key[over]
    shift = float(np.percentile(sunk, 96)) + gap
    return Placed([p.moved(np.eye(3), way * np.float32(shift)) for p in moved], gap)
