"""Hair and brows as strands: curves grown on the head and drawn as thin ribbons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from tools.footage.head import HeadModel, unit
from tools.footage.noise import Noise, step
from tools.footage.parts import DRAWN
from tools.footage.texture import Colour

STYLES = ("short", "tied", "bob", "long", "fringe", "curly", "buzz")
_KNOT = np.array([0.0, 7.6, -9.2], np.float32)  # where tied hair comes together
# The hairline: height (generic head, units) over the angle from the front about the axis x = 0, z = 2.
_LINE_DEG = np.array([0, 14, 28, 40, 50, 58, 65, 72, 77, 82, 90, 102, 112, 122, 135, 180], np.float32)
_LINE_Y = np.array([9.9, 10.0, 9.9, 8.9, 7.9, 6.3, 4.6, 2.6, 1.6, 5.4, 6.1, 5.6, 3.6, -1.5, -5.5, -7.0], np.float32)


@dataclass(frozen=True, slots=True)
class HairLook:
    """Hair of a person.

    `style` one of `STYLES`; `colour` display RGB; `brow_colour`; `strands` 1000..20000; `length` 0.5..1.6 and `lift`
    (volume) 0.4..2.0 scale the style; `recede` -1..1.5 raises the hairline at the temples (units); `sideburns`
    0..1 hair before the ears; `grey` 0..1 share
    of grey strands; `brow_width` 0.5..1.6, `brow_density` 0.3..1.5; `lash_length` 0.3..1.2; `seed`.
    """

    style: str = "short"
    colour: Colour = (0.25, 0.17, 0.11)
    brow_colour: Colour = (0.20, 0.14, 0.09)
    strands: int = 9000
    length: float = 1.0
    lift: float = 1.0
    recede: float = 0.3
    sideburns: float = 1.0
    grey: float = 0.0
    brow_width: float = 1.0
    brow_density: float = 1.0
    lash_length: float = 0.55
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Strands:
    """Curves at rest on a person's head.

    `points` (S, K, 3) float32; `normal` (S, K, 3) outward direction of the surface below; `anchor` (S,) int32 model
    vertex whose movement the curve follows; `width` (S, K) units; `tint` (S, 3) linear colour; `shade` (S, K) 0..1:
    how open to light the point is; `gloss` scales the highlights.
    """

    points: np.ndarray
    normal: np.ndarray
    anchor: np.ndarray
    width: np.ndarray
    tint: np.ndarray
    shade: np.ndarray
    gloss: float


def scalp_mask(model: HeadModel, look: HairLook) -> np.ndarray:
    """(V,) float32: how far inside the hairline each model vertex is, 0 outside, 1 from 0.5 units inside on."""
    return step(-0.25, 0.45, distance_above_hairline(model.neutral, look)) * model.where("face", "neck")


def distance_above_hairline(p: np.ndarray, look: HairLook, ragged: float = 0.8) -> np.ndarray:
    """(N,) distance above the hairline of points on the generic head in units (negative: skin). `ragged`: how far the
    line wanders."""
    angle = np.degrees(np.arctan2(np.abs(p[:, 0]), p[:, 2] - 2.0))
    line = np.interp(angle, _LINE_DEG, _LINE_Y).astype(np.float32)
    line += look.recede * np.exp(-(((angle - 34) / 11) ** 2))
    line += (1 - look.sideburns) * np.maximum(0, 6.0 - line) * step(50, 58, angle) * step(92, 84, angle)
    wander = Noise.seeded(look.seed + 5).fractal(p, 0.7, 3) - 0.5
    ear = (np.abs(p[:, 0]) > 7.9) & (p[:, 1] < 6.3) & (p[:, 2] > -2.8)
    return np.where(ear, -1.0, p[:, 1] - line + ragged * wander)


def grow(model: HeadModel, rest: np.ndarray, look: HairLook) -> list[Strands]:
    """Scalp hair and brows (lashes follow the lids: `lashes.py`); the scalp's hair comes first."""
    return [*_scalp(model, rest, look), _brows(model, rest, look)]


def _roots(model: HeadModel, rest: np.ndarray, look: HairLook, count: int) -> tuple[np.ndarray, ...]:
    """`count` root points on the scalp, their generic positions and nearest model vertices, spread by area."""
    rng = np.random.default_rng(look.seed)
    skin = np.isin(model.part, [DRAWN.index("face"), DRAWN.index("neck")])
    corner = model.source[model.triangles[skin]]
    near = distance_above_hairline(model.neutral[corner].mean(1), look) > -1.2
    corner = corner[near]
    a, b, c = (rest[corner[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    pick = rng.choice(len(corner), size=count * 2, p=area / area.sum())
    u, v = rng.random((2, count * 2, 1)).astype(np.float32)
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    spot = [values[corner[pick, 0]] * (1 - u - v) + values[corner[pick, 1]] * u + values[corner[pick, 2]] * v
            for values in (rest, model.neutral)]  # fmt: skip
    inside = distance_above_hairline(spot[1], look) + rng.normal(0, 0.12, count * 2)
    keep = np.flatnonzero(inside > 0.05)[:count]
    return spot[0][keep], spot[1][keep], corner[pick[keep], 0].astype(np.int32), inside[keep]


def _flow(style: str, p: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(N, 3) direction hair wants to take at `p`, given its generic root."""
    out = np.zeros_like(p)
    if style == "tied":
        return unit(_KNOT - p)
    part = 2.9 + 0.5 * np.sin(1.3 * root[:, 2]) * np.sin(0.7 * root[:, 2] + 1)
    across = np.where(root[:, 0] > part, 1.0, -1.0)
    top = step(7.0, 11.5, root[:, 1])
    front = step(2.0, 9.0, root[:, 2])
    if style in ("short", "curly", "buzz"):
        out[:, 0] = across * (0.95 * top + 0.1 * np.sign(root[:, 0]) * across * (1 - top))
        out[:, 1] = -0.95 * (1 - top) + 0.25 * front * top
        out[:, 2] = -0.55 * top - 0.45 * (1 - top) + 0.35 * front * top
        return unit(out)
    out[:, 0] = across * 0.9 * step(9.0, 13.0, p[:, 1])
    out[:, 1] = -1.0
    out[:, 2] = -0.55 * step(2.0, 6.0, p[:, 2]) - 0.1
    if style == "fringe":
        forward = np.stack([0.12 * root[:, 0], np.full(len(p), -1.0), np.full(len(p), 0.8)], 1)
        out += (forward - out) * _fringe(root)[:, None]
    return unit(out)


def _scalp(model: HeadModel, rest: np.ndarray, look: HairLook) -> list[Strands]:
    root, generic, anchor, inside = _roots(model, rest, look, look.strands)
    rng = np.random.default_rng(look.seed + 1)
    count, knots = len(root), 12
    length, lift = _cut(look, generic, root, rng)
    length = length * np.clip(0.3 + 0.7 * inside / 1.2, 0.3, 1.0)
    smooth = model.smooth(rest, 6)
    skin = np.flatnonzero(
        model.where("face", "neck")
        & ~((np.abs(model.neutral[:, 0]) > 7.7) & (model.neutral[:, 1] < 5.8) & (model.neutral[:, 2] > -2.8))
    )
    tree = cKDTree(smooth[skin])
    normals = unit(model.smooth(model.normals(rest), 8))[skin]
    noise = Noise.seeded(look.seed + 9)
    clump = np.stack([noise.fractal(root + 17 * k, 1.1, 2) - 0.5 for k in range(3)], 1)
    own = rng.normal(0, 0.12, (count, 3)).astype(np.float32)
    points = np.empty((count, knots, 3), np.float32)
    outward = np.empty_like(points)
    strayed = np.zeros(count, bool)
    p = root.copy()
    heading = None
    depth = rng.random(count).astype(np.float32)  # 0 lies on the scalp, 1 on the outside of the hair
    for k in range(knots):
        _, at = tree.query(p, workers=1)
        n = normals[at]
        strayed |= (distance_above_hairline(model.neutral[skin[at]], look) < -0.9) & (model.neutral[skin[at], 2] > 2.0)
        rise = lift * (0.25 + 0.75 * depth) * np.sqrt(min(1.0, k / (knots * 0.45)))
        if k:
            p = p + n * (0.55 * (rise - np.einsum("ij,ij->i", p - smooth[skin][at], n)))[:, None]
        points[:, k], outward[:, k] = p, n
        want = _flow(look.style, p, generic) + 0.55 * clump + own
        if look.style == "curly":
            want = want + np.stack([noise.value(p + 31 * j, 0.9) - 0.5 for j in range(3)], 1) * 5.0
        want -= n * np.einsum("ij,ij->i", want, n)[:, None]
        heading = unit(want) if heading is None else unit(0.55 * heading + 0.45 * unit(want))
        p = p + heading * (length / knots)[:, None]
    if look.style in ("tied", "bob", "long", "fringe"):  # combed back, no strand may run over skin
        lock = noise.value(root, 0.45) > 0.74  # but some locks of open hair do
        lock = lock & (look.style != "tied") | (_fringe(generic) > 0.5) & (look.style == "fringe")
        kept = np.flatnonzero(~strayed | lock)
        points, outward, depth, anchor, count = points[kept], outward[kept], depth[kept], anchor[kept], len(kept)
    tint = _tints(look.colour, look.grey, count, rng)
    along = np.linspace(0, 1, knots, dtype=np.float32)
    width = (
        0.105
        * (0.75 + 0.5 * rng.random((count, 1)))
        * np.clip(1.25 - along, 0.3, 1.0)
        * (0.55 + 0.45 * np.minimum(1, along * 4))
    )
    shade = (0.40 + 0.60 * depth[:, None]) * (0.62 + 0.38 * np.sqrt(along))
    out = [Strands(points, outward, anchor, width.astype(np.float32), tint, shade.astype(np.float32), 1.0)]
    if look.style == "tied":
        out.append(_bun(look, anchor[:1], rng))
    return out


def _cut(
    look: HairLook, root: np.ndarray, actual: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) length and lift of the strands of a style, units."""
    some = 0.8 + 0.4 * rng.random(len(root))
    top = step(6.5, 11.5, root[:, 1])
    if look.style == "short":
        return look.length * some * (1.5 + 3.6 * top), look.lift * (0.32 + 1.15 * top)
    if look.style == "buzz":
        return look.length * some * 0.9, np.full_like(some, 0.16) * look.lift
    if look.style == "curly":
        return look.length * some * (3.0 + 3.5 * top), look.lift * (0.7 + 1.6 * top)
    if look.style == "tied":
        reach = np.linalg.norm(actual - _KNOT, axis=1)
        return 1.25 * reach, look.lift * (0.45 + 0.35 * top) * (0.8 + 0.4 * some)
    length = look.length * some * ((19.0 if look.style == "long" else 11.0) + 0.6 * root[:, 1])
    if look.style == "fringe":
        length = np.where(_fringe(root) > 0.5, look.length * some * 5.5, length)
    return length, look.lift * (0.7 + 0.6 * top)


def _fringe(root: np.ndarray) -> np.ndarray:
    """(N,) 0..1: roots whose hair falls over the forehead."""
    return step(3.5, 5.5, root[:, 2]) * step(5.2, 4.2, np.abs(root[:, 0])) * step(8.0, 9.5, root[:, 1])


def _tints(colour: Colour, grey: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """(N, 3) linear colours, each strand a little different, some grey."""
    base = np.power(np.asarray(colour, np.float32), 2.2) * np.exp(rng.normal(0, 0.22, (count, 1)))
    base = base * (1 + rng.normal(0, 0.06, (count, 3)))
    pale = (rng.random((count, 1)) < grey) * rng.uniform(0.4, 1.0, (count, 1))
    return (base + pale * (np.array([0.32, 0.31, 0.30]) - base)).astype(np.float32)


def _bun(look: HairLook, anchor: np.ndarray, rng: np.random.Generator) -> Strands:
    """Hair wound to a knot behind the head."""
    count, knots = 900, 12
    centre, radius = _KNOT + np.array([0.0, 0.9, -1.0], np.float32), 2.3
    tilt = rng.normal(0, 0.35, (count, 2))
    start = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 2.2, knots)
    ring = np.sqrt(rng.random((count, 1))) * 1.15
    around = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 1.4, knots)
    r = 1.45 + ring * np.cos(around)
    local = np.stack([r * np.cos(start), r * np.sin(start), ring * np.sin(around)], -1) * (radius / 2.6)
    local[..., 2] += tilt[:, :1] * local[..., 0] * 0.4 + tilt[:, 1:] * local[..., 1] * 0.4
    points = (local + centre).astype(np.float32)
    shade = np.repeat(0.35 + 0.65 * ring / 1.15, knots, 1).astype(np.float32)
    width = np.full((count, knots), 0.12, np.float32)
    tint = _tints(look.colour, look.grey, count, rng)
    return Strands(points, unit(local.astype(np.float32)), np.repeat(anchor, count), width, tint, shade, 1.0)


def _brows(model: HeadModel, rest: np.ndarray, look: HairLook) -> Strands:
    """Short hairs along the brow landmarks, inner ones upright, outer ones lying down."""
    rng = np.random.default_rng(look.seed + 2)
    count, knots = int(560 * look.brow_density), 4
    face = np.flatnonzero(model.where("face") & (model.neutral[:, 2] > 4))
    tree = cKDTree(rest[face])
    normals = model.normals(rest)[face]
    sides = []
    for numbers in ([21, 20, 19, 18, 17], [22, 23, 24, 25, 26]):
        line = rest[model.landmarks[numbers]].astype(np.float32)
        t = rng.random(count) ** 0.9 * 3.9 + rng.normal(0, 0.16, count)
        cell = np.clip(t, 0, 3).astype(int)
        part = (t - cell)[:, None]
        middle = line[cell] * (1 - part) + line[cell + 1] * part
        along = unit(line[np.minimum(cell + 1, 4)] - line[cell])
        s = np.clip(t / 4, 0, 1)
        half = look.brow_width * 0.46 * (0.85 + 0.45 * np.sin(np.pi * np.clip(s * 1.2, 0, 1))) * (1 - 0.62 * s**1.6)
        offset = np.clip(rng.normal(0, 0.5, count), -1, 1) * half
        p = middle + np.array([0, 1, 0]) * (offset - 0.12 * look.brow_width)[:, None]
        upward = np.where(s < 0.25, 1.0, 0.55 - 0.6 * s) - 0.9 * offset / np.maximum(half, 0.05) * 0.6
        heading = unit(
            along * (0.35 + 1.2 * s)[:, None] + np.array([0, 1, 0]) * upward[:, None] + rng.normal(0, 0.13, (count, 3))
        )
        sides.append((p, heading, 0.62 * (1 - 0.35 * s) * (0.7 + 0.6 * rng.random(count))))
    p = np.concatenate([a[0] for a in sides]).astype(np.float32)
    heading = np.concatenate([a[1] for a in sides]).astype(np.float32)
    length = np.concatenate([a[2] for a in sides]).astype(np.float32)
    points = np.empty((len(p), knots, 3), np.float32)
    outward = np.empty_like(points)
    _, root = tree.query(p, workers=1)
    for k in range(knots):
        _, at = tree.query(p, workers=1)
        n = normals[at]
        p = p - n * (np.einsum("ij,ij->i", p - rest[face][at], n) - 0.05 - 0.025 * k)[:, None]
        points[:, k], outward[:, k] = p, n
        along = heading - n * np.einsum("ij,ij->i", heading, n)[:, None]
        p = p + unit(along) * (length / knots)[:, None]
    width = np.repeat(0.052 * np.array([[1.0, 0.95, 0.7, 0.35]], np.float32), len(p), 0)
    tint = _tints(look.brow_colour, look.grey * 0.5, len(p), rng)
    return Strands(
        points, outward, face[root].astype(np.int32), width, tint, np.full((len(p), knots), 1.0, np.float32), 0.2
    )


def ribbons(points: np.ndarray, width: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """(S, K, 2, 3) float32 edges of ribbons that face the camera at `eye`."""
    along = np.gradient(points, axis=1)
    side = unit(np.cross(along, eye - points)) * (width * 0.5)[..., None]
    return np.stack([points - side, points + side], 2)


def ribbon_triangles(strands: int, knots: int) -> np.ndarray:
    """(2 S (K-1), 3) int32 triangles of ribbons whose vertices are laid out (S, K, 2)."""
    first = (np.arange(strands)[:, None] * knots + np.arange(knots - 1)).reshape(-1, 1) * 2
    return np.concatenate([first + np.array([0, 1, 2]), first + np.array([1, 3, 2])]).astype(np.int32)
