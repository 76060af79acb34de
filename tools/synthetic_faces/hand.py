"""Hands: palm, fingers and thumb of capsules in any pose, grown together, with nails, knuckles and a sleeve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.head import unit
from tools.footage.noise import step
from tools.synthetic_faces import shapes, solid
from tools.synthetic_faces.prop import Pattern, Prop, plain

# Axes of a hand: y from the wrist to the fingers, z out of its back, x towards the thumb; units as the head's (cm).
_KNUCKLE = np.array([[2.55, 9.0, 0.1], [0.75, 9.5, 0.3], [-1.05, 9.1, 0.2], [-2.7, 8.2, -0.1]])
_LENGTH = np.array([[4.6, 2.7, 2.1], [5.0, 3.1, 2.3], [4.6, 2.9, 2.2], [3.6, 2.1, 1.9]])
_THICK = np.array([
    [0.98, 0.86, 0.78, 0.62], [1.0, 0.88, 0.80, 0.64], [0.95, 0.84, 0.75, 0.60], [0.84, 0.73, 0.65, 0.52],
])  # fmt: skip
POSES = ("open", "together", "relaxed", "fist", "point", "two", "cup", "pinch", "curled")


@dataclass(frozen=True, slots=True)
class Pose:
    """`flex_deg` (4, 3) how far every joint of every finger is bent, `spread_deg` (4,) sideways, `thumb_deg` (4,):
    away from the palm sideways, before it, and its two joints' bends."""

    flex_deg: np.ndarray
    spread_deg: np.ndarray
    thumb_deg: np.ndarray


def draw_pose(rng: np.random.Generator, name: str = "") -> Pose:
    """A pose near one of POSES (any when not named)."""
    name = name or str(rng.choice(POSES, p=(0.2, 0.16, 0.2, 0.07, 0.07, 0.05, 0.1, 0.05, 0.1)))
    first, second = {
        "open": (4, 8), "together": (8, 10), "relaxed": (25, 32), "fist": (75, 95), "point": (72, 92), "two": (72, 92),
        "cup": (42, 22), "pinch": (45, 45), "curled": (30, 70),
    }[name]  # fmt: skip
    bend = rng.normal(0, 9)
    mcp = first + bend + rng.normal(0, 6, 4) + np.arange(4) * rng.normal(2, 3)
    pip = second + bend + rng.normal(0, 8, 4)
    if name in ("point", "two"):
        straight = slice(0, 1 if name == "point" else 2)
        mcp[straight], pip[straight] = rng.normal(5, 8), rng.normal(8, 6)
    mcp, pip = np.clip(mcp, -15, 88), np.clip(pip, 0, 105)
    dip = np.clip(pip * rng.uniform(0.4, 0.7), 0, 70)
    fan = {"open": rng.uniform(5, 14), "two": rng.uniform(4, 12), "together": rng.uniform(-1, 1.5)}.get(
        name, rng.uniform(0, 6)
    )
    spread = np.array([1.3, 0.35, -0.5, -1.5]) * fan + rng.normal(0, 1.2, 4)
    closed = name in ("fist", "point", "two")
    thumb = np.array([
        rng.uniform(10, 30) if closed or name == "together" else rng.uniform(25, 62),
        rng.uniform(35, 65) if closed or name == "pinch" else rng.uniform(0, 40),
        rng.uniform(20, 55) if closed else rng.uniform(-5, 30), rng.uniform(20, 65) if closed else rng.uniform(-8, 35),
    ])  # fmt: skip
    return Pose(np.stack([mcp, pip, dip], 1), spread, thumb)


@dataclass(frozen=True, slots=True)
class _Finger:
    rods: list[solid.Capsule]
    backs: list[np.ndarray]


def _bones(pose: Pose, slim: float) -> list[_Finger]:
    """Fingers from index to little, then the thumb: rods and the direction of each one's back."""
    back = np.array([0.0, 0.0, 1.0])
    fingers = []
    for k in range(4):
        s = np.radians(pose.spread_deg[k])
        ahead = np.array([np.sin(s), np.cos(s), 0.0])
        bends = np.radians(np.cumsum(pose.flex_deg[k]))
        fingers.append(_reach(_KNUCKLE[k], ahead, back, bends, _LENGTH[k], _THICK[k] * slim))
    aside, before, first, second = np.radians(pose.thumb_deg)
    ahead = np.array([np.sin(aside) * np.cos(before), np.cos(aside) * np.cos(before), -np.sin(before)])
    out = unit(np.array([1.0, 0.2, 0.45]))
    out = unit(out - ahead * (out @ ahead))
    bends = np.array([0.0, first, first + second])
    fingers.append(_reach(np.array([1.7, 1.6, -0.5]), ahead, out, bends, np.array([4.6, 3.2, 2.6]),
                          np.array([1.35, 1.02, 0.92, 0.70]) * slim))  # fmt: skip
    return fingers


def _reach(at: np.ndarray, ahead: np.ndarray, back: np.ndarray, bends: np.ndarray, length: np.ndarray,
           thick: np.ndarray) -> _Finger:  # fmt: skip
    rods, backs = [], []
    for k, bend in enumerate(bends):
        way = np.cos(bend) * ahead - np.sin(bend) * back
        end = at + length[k] * way
        rods.append(solid.Capsule(at, end, float(thick[k]), float(thick[k + 1])))
        backs.append(np.cos(bend) * back + np.sin(bend) * ahead)
        at = end
    return _Finger(rods, backs)


@dataclass(frozen=True, slots=True)
class Shape:
    """A hand without colour: points, normals, triangles, and per point 0..1 how far it is palm, knuckle, crease,
    fingertip, nail. `slim` scales the forearm with it."""

    points: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    palm: np.ndarray
    knuckle: np.ndarray
    crease: np.ndarray
    tip: np.ndarray
    nail: np.ndarray
    slim: float


def shape(rng: np.random.Generator, pose: Pose | None = None) -> Shape:
    """A hand in a pose (any when none is given): a quarter of a CPU second."""
    pose = pose or draw_pose(rng)
    slim = float(rng.uniform(0.88, 1.12))
    fingers = _bones(pose, slim)
    palm = [solid.Capsule(np.array([k[0] * 0.45, 0.6, 0.0]), k * np.array([1, 0.97, 1]), 1.25 * slim, 1.05 * slim)
            for k in _KNUCKLE]  # fmt: skip
    palm.append(solid.Capsule(np.array([1.3, 1.2, -0.9]), fingers[4].rods[0].b * 0.8, 1.45 * slim, 1.1 * slim))
    palm.append(solid.Capsule(np.array([-1.7, 1.5, -0.7]), np.array([-2.3, 5.5, -0.5]), 1.2 * slim, 1.0 * slim))
    wrist = [solid.Capsule(np.array([s * 0.9, -4.0, 0.0]), np.array([s * 0.9, 0.8, 0.0]), 1.75 * slim, 1.5 * slim)
             for s in (-1, 1)]  # fmt: skip

    def distance(p: np.ndarray) -> np.ndarray:
        body = solid.blend(solid.chain(p, palm, 0.9), solid.chain(p, wrist, 1.0), 1.6)
        out = body
        for finger in fingers:
            out = np.minimum(out, solid.blend(body, solid.chain(p, finger.rods, 0.18), 0.7))
        return out

    ends = np.concatenate([[rod.b for f in fingers for rod in f.rods], _KNUCKLE, [[-2.8, -2.0, -1.9], [2.8, 9, 1.6]]])
    points, normals, triangles = solid.surface(distance, ends.min(0) - 1.6, ends.max(0) + 1.6, 0.27)
    return Shape(points, normals, triangles, *_marks(points, normals, fingers), slim)


def build(form: Shape, tone: np.ndarray, rng: np.random.Generator) -> list[Prop]:
    """A hand with its forearm, and perhaps a sleeve. `tone` (3,) linear colour of the skin. Half are left hands."""
    tone = np.asarray(tone, np.float32)
    seed = int(rng.integers(1 << 30))
    hand = Prop(form.points, form.normals, form.triangles, _paint(form, tone, rng), form.points,
                gloss=float(rng.uniform(0.2, 0.6)), flesh=True, pattern=Pattern(seed=seed))  # fmt: skip
    parts = [hand, *_arm(rng, tone, form.slim, seed)]
    if rng.random() < 0.5:
        parts = [p.moved(np.diag([-1.0, 1.0, 1.0]), np.zeros(3)) for p in parts]
    return parts


def _marks(points: np.ndarray, normals: np.ndarray, fingers: list[_Finger]) -> tuple[np.ndarray, ...]:
    """Palm, knuckle, crease, tip, nail: each (V,) 0..1."""
    count = len(points)
    best = np.full(count, 3.0, np.float32)
    back = normals[:, 2].copy()
    knuckle, nail, crease = (np.zeros(count, np.float32) for _ in range(3))
    for finger in fingers:
        for k, (rod, up) in enumerate(zip(finger.rods, finger.backs, strict=True)):
            d, t = rod.distance(points), rod.along(points)
            near = d < best
            best = np.where(near, d, best)
            facing = normals @ up
            back = np.where(near, facing, back)
            touch = step(0.4, 0.0, d)
            if k < 2:
                knuckle = np.maximum(knuckle, np.exp(-(((t - 1) / 0.16) ** 2)) * touch * step(0.0, 0.6, facing))
                crease = np.maximum(crease, np.exp(-(((t - 1) / 0.05) ** 2)) * touch)
                continue
            side = np.abs(((points - rod.a) @ np.cross(rod.b - rod.a, up)) / np.linalg.norm(rod.b - rod.a))
            wide = step(rod.rb * 0.95, rod.rb * 0.8, side) * step(0.35, 0.5, facing)
            nail = np.maximum(nail, wide * step(0.42, 0.5, t) * step(0.3, 0.1, d))
    return step(0.25, -0.35, back), knuckle, crease, step(-0.2, -0.6, back) * (best < 0.4), nail


def _paint(form: Shape, tone: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V, 3) linear colour: palms are paler and pinker than backs, joints and tips redder."""
    palm = form.palm[:, None]
    dark = np.float32(1 - tone.mean())
    pale = np.clip(tone * np.array([1.08, 1.0, 0.98]) + dark * np.array([0.10, 0.055, 0.045]), 0, 0.9)
    colour = tone * (1 - palm) + pale.astype(np.float32) * palm
    colour = colour * (1 - form.knuckle[:, None] * np.array([0.06, 0.24, 0.24], np.float32))
    colour = colour * (1 - 0.30 * form.crease[:, None])
    colour = colour * (1 - 0.14 * form.tip[:, None] * np.array([0.0, 1.0, 1.0], np.float32))
    lacquer = rng.random() < 0.12
    of_nail = rng.uniform(0.02, 0.6, 3) if lacquer else np.clip(tone * [1.12, 1.02, 1.02] + 0.05, 0, 0.9)
    colour = colour + (of_nail.astype(np.float32) - colour) * form.nail[:, None] * (0.95 if lacquer else 0.6)
    return np.clip(colour, 0.003, 0.92).astype(np.float32)


def _arm(rng: np.random.Generator, tone: np.ndarray, slim: float, seed: int) -> list[Prop]:
    """Forearm from the wrist down, its way bent a little; a sleeve over part of it, seven times of ten."""
    bend = np.radians(rng.normal(0, 14, 2))
    t = np.linspace(0, 1, 9)[:, None]
    way = np.array([np.sin(bend[0]), -1.0, np.sin(bend[1])])
    path = np.array([0.0, -1.5, 0.0]) + 26 * t * (way * t + np.array([0, -1, 0]) * (1 - t))
    thick = np.stack([2.45 + 1.5 * t[:, 0] ** 1.2, 1.65 + 2.0 * t[:, 0]], 1) * slim
    points, normals, triangles = shapes.tube(path, thick, 24)
    arm = plain(points, triangles, np.clip(np.asarray(tone) * 0.97, 0, 1), normals, gloss=0.3, flesh=True,
                pattern=Pattern(seed=seed))  # fmt: skip
    if rng.random() < 0.3:
        return [arm]
    start = rng.uniform(0.02, 0.5)
    s = start + (1 - start) * np.linspace(0, 1, 12)[:, None]
    path = np.array([0.0, -1.5, 0.0]) + 26 * s * (way * s + np.array([0, -1, 0]) * (1 - s))
    wide = (np.stack([2.45 + 1.5 * s[:, 0] ** 1.2, 1.65 + 2.0 * s[:, 0]], 1) * slim + rng.uniform(0.25, 1.1))
    wide = wide * (1 + 0.05 * np.sin(np.arange(12) * rng.uniform(1.5, 3))[:, None])
    points, normals, triangles = shapes.tube(path, wide, 28, folds=0.10, seed=seed)
    colour = rng.uniform(0.01, 0.7, 3) if rng.random() < 0.5 else np.repeat(rng.uniform(0.01, 0.7), 3)
    return [arm, plain(points, triangles, colour, normals, pattern=shapes.draw_pattern(rng, 0.5))]
