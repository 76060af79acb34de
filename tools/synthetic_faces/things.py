"""Things that come before faces, each in its own axes about where it meets the face: y up, z towards the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tools.footage.noise import Noise
from tools.synthetic_faces import shapes
from tools.synthetic_faces.prop import Prop, plain


def _paint(rng: np.random.Generator) -> np.ndarray:
    """(3,) linear colour: grey, vivid or dull, a third each."""
    kind = rng.integers(3)
    if kind == 0:
        return np.repeat(rng.uniform(0.01, 0.8) ** 1.5, 3)
    colour = rng.uniform(0.02, 0.85, 3) ** 1.5
    return colour if kind == 1 else 0.5 * colour + 0.5 * colour.mean()


def mug(rng: np.random.Generator) -> list[Prop]:
    """A cup with a handle, or a glass or bottle-like body of any profile."""
    r, tall = rng.uniform(3.2, 4.8), rng.uniform(7, 12)
    lip = rng.uniform(0.85, 1.15)
    profile = [[0.01, 0], [r, 0], [r, 0.3], [r * lip, tall], [r * lip - 0.35, tall], [r * 0.9, 0.5], [0.01, 0.5]]
    if rng.random() < 0.3:  # a bottle
        tall *= 1.7
        profile = [[0.01, 0], [r, 0], [r, tall * 0.6], [r * 0.35, tall * 0.8], [r * 0.35, tall], [0.01, tall]]
    fine = _finer(np.array(profile), 6)
    points, normals, triangles = shapes.lathe(fine)
    middle = np.array([0, tall * rng.uniform(0.4, 1.0), 0], np.float32)
    colour, gloss = _paint(rng), float(rng.uniform(0.2, 1.0))
    pattern = shapes.draw_pattern(rng, 0.5)
    out = [plain(points - middle, triangles, colour, normals, gloss=gloss, pattern=pattern)]
    turn = np.linspace(-np.pi / 2, np.pi / 2, 14)
    path = np.stack([r + 2.2 * np.cos(turn), tall / 2 + 2.6 * np.sin(turn), 0 * turn], 1) - middle
    points, normals, triangles = shapes.tube(path, np.full(14, 0.55), 14)
    return [*out, plain(points, triangles, colour, normals, gloss=gloss)]


def _finer(profile: np.ndarray, times: int) -> np.ndarray:
    at = np.arange((len(profile) - 1) * times + 1) / times
    return np.stack([np.interp(at, np.arange(len(profile)), profile[:, k]) for k in range(2)], 1)


def microphone(rng: np.random.Generator) -> list[Prop]:
    """A round head with a grid, on a stick."""
    r = rng.uniform(1.6, 3.6)
    turn = np.linspace(0.02, np.pi - 0.35, 20)
    ball = np.stack([r * np.sin(turn), r * np.cos(turn)], 1)
    points, normals, triangles = shapes.lathe(ball)
    foam = rng.random() < 0.5
    pattern = shapes.draw_pattern(rng, 0.0) if foam else shapes.Pattern("checks", (0.02, 0.02, 0.02), 3.0)
    colour = _paint(rng) * (0.4 if foam else 1.0)
    out = [plain(points, triangles, colour, normals, gloss=0.05 if foam else 0.8, pattern=pattern)]
    path = np.array([[0, -r * 0.9 - 24 * t, 0] for t in np.linspace(0, 1, 8)])
    points, normals, triangles = shapes.tube(path, r * np.linspace(0.55, 0.38, 8), 18)
    return [*out, plain(points, triangles, _paint(rng) * 0.5, normals, gloss=0.4)]


def phone(rng: np.random.Generator) -> list[Prop]:
    """A flat box: a phone, a card, a book."""
    sizes = [[7.2, 14.8, 0.9], [8.5, 5.4, 0.2], [13, 20, rng.uniform(0.5, 3)]]
    size = np.array(sizes[int(rng.choice(3, p=(0.6, 0.15, 0.25)))])
    points, normals, triangles = shapes.slab(size * rng.uniform(0.9, 1.1), min(0.35, size[2] / 2.2))
    lift = np.array([rng.uniform(-0.35, 0.35), rng.uniform(-0.4, 0.4), 0]) * size
    body = plain(points + lift, triangles, _paint(rng), normals, gloss=float(rng.uniform(0.1, 1.0)),
                 pattern=shapes.draw_pattern(rng, 0.6))  # fmt: skip
    return [body]


def bar(rng: np.random.Generator) -> list[Prop]:
    """A pole, a stick, a pen, a fork's handle, a cable: one to three of them."""
    out = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        thick, long = rng.choice([rng.uniform(0.12, 0.5), rng.uniform(0.5, 2.2)]), rng.uniform(10, 60)
        start = -rng.uniform(0.2, 0.8) if rng.random() < 0.7 else -0.02
        t = np.linspace(start, start + 1, 14)
        bow = rng.normal(0, 0.12) * long
        path = np.stack([bow * t * t + rng.normal(0, 2.5), long * t, 0 * t], 1)
        points, normals, triangles = shapes.tube(path, np.full(14, thick), 16)
        out.append(plain(points, triangles, _paint(rng), normals, gloss=float(rng.uniform(0, 1)),
                         pattern=shapes.draw_pattern(rng, 0.25)))  # fmt: skip
    return out


def leaf(rng: np.random.Generator) -> list[Prop]:
    """One to seven leaves or petals on a stem."""
    out = []
    colour = np.array([rng.uniform(0.02, 0.3), rng.uniform(0.08, 0.4), rng.uniform(0.01, 0.12)])
    if rng.random() < 0.25:
        colour = _paint(rng)
    for _ in range(int(rng.integers(1, 8))):
        long, wide = rng.uniform(3, 9), rng.uniform(0.2, 0.6)
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        jag = 1 + rng.choice([0.0, 0.12]) * np.sin(turn * 17)
        across = np.sin(turn) * wide * long / 2 * jag * np.sin(turn / 2) ** 0.6
        outline = np.stack([across, -np.cos(turn) * long / 2], 1)
        points, normals, triangles = shapes.sheet(outline, rng.normal(0, 0.9), int(rng.integers(1 << 30)))
        a = rng.uniform(0, 2 * np.pi)
        rot = _spin(a) @ _lean(rng.normal(0, 0.5))
        tint = colour * rng.uniform(0.6, 1.5)
        vein = shapes.Pattern("mottled", tuple(tint * 0.6), 0.7, int(rng.integers(1 << 30)))
        one = plain(points, triangles, tint, normals, gloss=float(rng.uniform(0, 0.5)), pattern=vein)
        out.append(one.moved(rot, np.array([rng.normal(0, 3), rng.normal(0, 3), rng.uniform(0, 1.5)])))
    return out


def patch(rng: np.random.Generator) -> list[Prop]:
    """A textured sheet with any outline: paper, cloth, a shapeless thing."""
    count = int(rng.integers(3, 14))
    turn = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = rng.uniform(0.35, 1.0, count) * rng.uniform(2.5, 12)
    corner = np.stack([np.cos(turn) * reach, np.sin(turn) * reach], 1)
    at = np.linspace(0, count, 48, endpoint=False)
    nearest = np.concatenate([corner, corner[:1]])
    outline = np.stack([np.interp(at, np.arange(count + 1), nearest[:, k]) for k in range(2)], 1)
    if rng.random() < 0.5:  # rounded
        for _ in range(4):
            outline = (outline + np.roll(outline, 1, 0) + np.roll(outline, -1, 0)) / 3
    points, normals, triangles = shapes.sheet(outline, rng.normal(0, 2.5), int(rng.integers(1 << 30)))
    return [plain(points, triangles, _paint(rng), normals, gloss=float(rng.uniform(0, 0.6)),
                  pattern=shapes.draw_pattern(rng, 0.7))]  # fmt: skip


def lump(rng: np.random.Generator) -> list[Prop]:
    """A ball, fruit, bun: a body without edges."""
    turn = np.linspace(0.01, np.pi - 0.01, 24)
    r = rng.uniform(1.5, 5)
    points, normals, triangles = shapes.lathe(np.stack([r * np.sin(turn), r * rng.uniform(0.6, 1.5) * np.cos(turn)], 1))
    wave = Noise.seeded(int(rng.integers(1 << 30))).fractal(points, 0.35, 3) - 0.5
    points = points + normals * (wave * rng.uniform(0, 1.5))[:, None]
    return [plain(points, triangles, _paint(rng), normals, gloss=float(rng.uniform(0, 0.9)),
                  pattern=shapes.draw_pattern(rng, 0.6))]  # fmt: skip


def strands(rng: np.random.Generator, colour: np.ndarray) -> list[Prop]:
    """Locks of hair that hang or blow across; `colour` (3,) linear."""
    out = []
    for _ in range(int(rng.integers(1, 4))):
        count, knots = int(rng.integers(30, 160)), 10
        t = np.linspace(-0.5, 0.5, knots)
        long, bow, wide = rng.uniform(10, 26), rng.normal(0, 4), rng.uniform(0.3, 1.3)
        off = rng.normal(0, wide, (count, 1))
        x = off * (1 + rng.normal(0, 0.3, (count, 1)) * t) + bow * t**2 * 2
        x = x + 0.4 * np.sin(6 * t + rng.normal(0, 0.5, (count, 1)))
        y = long * t * (1 + rng.normal(0, 0.06, (count, 1)))
        z = rng.normal(0, 0.25, (count, 1)) + 0 * t
        path = np.stack([x, y, z], -1) + np.array([rng.normal(0, 2.5), 0, 0])
        half = 0.07 * rng.uniform(0.7, 1.4, (count, 1)) * np.clip(1.1 - np.abs(t), 0.3, 1)
        edge = np.stack([path - half[..., None] * [1, 0, 0], path + half[..., None] * [1, 0, 0]], 2)
        first = (np.arange(count)[:, None] * knots + np.arange(knots - 1)).reshape(-1, 1) * 2
        triangles = np.concatenate([first + np.array([0, 1, 2]), first + np.array([1, 3, 2])])
        tint = np.repeat(colour * np.exp(rng.normal(0, 0.3, (count, 1))), knots * 2, 0).astype(np.float32)
        normals = np.tile(np.array([0, 0, 1.0], np.float32), (count * knots * 2, 1))
        normals[:, 0] = np.repeat(np.clip(off / wide, -1.5, 1.5) * 0.6, knots * 2)
        lock = plain(edge.reshape(-1, 3), triangles, colour, normals, gloss=0.5)
        out.append(Prop(lock.points, lock.normals, lock.triangles, tint, lock.local, gloss=0.4))
    return out


def _spin(a: float) -> np.ndarray:
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


def _lean(a: float) -> np.ndarray:
    return np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])


# What may come before a face, how often, and how far it turns (degrees about z, x, y).
THINGS: dict[str, tuple[Callable[[np.random.Generator], list[Prop]], float, tuple[float, float, float]]] = {
    "mug": (mug, 0.18, (20, 20, 180)),
    "microphone": (microphone, 0.14, (35, 30, 20)),
    "phone": (phone, 0.17, (40, 30, 40)),
    "bar": (bar, 0.14, (180, 20, 20)),
    "leaf": (leaf, 0.09, (180, 40, 40)),
    "patch": (patch, 0.18, (180, 40, 40)),
    "lump": (lump, 0.10, (180, 60, 60)),
}
