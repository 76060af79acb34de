"""Things shaped after the head that wears them: glasses, cloth over mouth and nose, scarves."""

from __future__ import annotations

import numpy as np
from tools.footage.head import HeadModel, unit
from tools.footage.noise import Noise, step
from tools.synthetic_faces import shapes
from tools.synthetic_faces.prop import Prop, plain


def glasses(model: HeadModel, posed: np.ndarray, rng: np.random.Generator) -> list[Prop]:
    """Frames, temples and lenses, clear or dark; `posed` (V, 3) in the head's own axes. All count as face."""
    marks = posed[model.landmarks]
    eyes = [marks[36:42].mean(0), marks[42:48].mean(0)]
    span = eyes[1][0] - eyes[0][0]
    wide, tall = span * rng.uniform(0.33, 0.44), span * rng.uniform(0.22, 0.38)
    power = rng.uniform(1.6, 4.0)
    thick = rng.choice([rng.uniform(0.06, 0.12), rng.uniform(0.15, 0.35)])
    ahead = max(marks[36:48, 2].max(), marks[27, 2] - 0.6) + rng.uniform(0.5, 1.1)
    dark = rng.random() < 0.35
    colour = np.repeat(rng.uniform(0.005, 0.15), 3) if rng.random() < 0.6 else rng.uniform(0.02, 0.6, 3)
    gloss, drop = float(rng.uniform(0.3, 1.0)), rng.uniform(-0.1, 0.5)
    out: list[Prop] = []
    turn = np.linspace(0, 2 * np.pi, 41)
    ring = np.stack([np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * wide,
                     np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * tall], 1)  # fmt: skip
    rims = []
    for eye in eyes:
        side = np.sign(eye[0])
        x, y = eye[0] + ring[:, 0], eye[1] - drop + ring[:, 1]
        z = ahead - 0.11 * np.maximum(0, np.abs(x) - 1.0) ** 1.35
        rims.append(np.stack([x, y, z], 1))
        out.append(_rod(rims[-1], np.full(41, thick), colour, gloss))
        lens = np.concatenate([[rims[-1][:-1].mean(0)], rims[-1][:-1]])
        fan = np.stack([np.zeros(40, int), 1 + np.arange(40), 1 + (np.arange(40) + 1) % 40], 1)
        shade = rng.uniform(0.55, 1.0) if dark else rng.uniform(0.03, 0.10)
        tint = np.repeat(rng.uniform(0.0, 0.05), 3) if dark else np.repeat(0.8, 3)
        out.append(plain(lens, fan, tint, gloss=1.0, keeps=True, alpha=float(shade)))
        edge = np.array([side * (abs(eye[0]) + wide), eye[1] - drop + 0.3 * tall, 0])
        edge[2] = ahead - 0.11 * max(0.0, abs(edge[0]) - 1.0) ** 1.35
        ear = np.array([side * 8.3, 3.6, -1.5])
        t = np.linspace(0, 1, 8)[:, None]
        hinge = np.array([side * max(abs(edge[0]) + 0.15, 7.3), edge[1], edge[2] - 0.6])
        path = np.concatenate([[edge], hinge * (1 - t) + ear * t])
        out.append(_rod(path, np.full(9, max(thick, 0.12)), colour, gloss))
    t = np.linspace(0, 1, 9)[:, None]
    left, right = rims[0][0], rims[1][20]
    bridge = left * (1 - t) + right * t + np.array([0, 0.5, 0.25]) * np.sin(np.pi * t)
    out.append(_rod(bridge, np.full(9, thick), colour, gloss))
    return out


def _rod(path: np.ndarray, thick: np.ndarray, colour: np.ndarray, gloss: float) -> Prop:
    points, normals, triangles = shapes.tube(path, thick, 8)
    return plain(points, triangles, colour, normals, gloss=gloss, keeps=True)


def cover(model: HeadModel, posed: np.ndarray, rng: np.random.Generator) -> list[Prop]:
    """Cloth over mouth and nose, or a scarf over chin and neck; (V, 3) `posed` in the head's own axes."""
    scarf = rng.random() < 0.5
    p = model.neutral
    top = rng.uniform(-5.5, 0.5) if scarf else rng.uniform(-0.2, 2.6)
    line = top - 0.06 * np.abs(p[:, 0]) * rng.uniform(0, 3)
    inside = (p[:, 1] < line) & model.where("face", "neck")
    if not scarf:
        inside &= (p[:, 1] > rng.uniform(-9.5, -8.0)) & (np.abs(p[:, 0]) < 7.4) & (p[:, 2] > rng.uniform(1.0, 4.5))
    else:
        inside &= p[:, 1] > -15
    smooth = model.smooth(posed, 14)
    normals = unit(model.smooth(model.normals(smooth), 10))
    out = np.einsum("ij,ij->i", posed - smooth, normals)
    lift = np.maximum(model.smooth(np.maximum(out, 0)[:, None], 10)[:, 0] * 1.6, 0) + 0.25
    noise = Noise.seeded(int(rng.integers(1 << 30)))
    fold = noise.fractal(p * np.array([0.5, 1.6, 0.5], np.float32), 0.5, 3) - 0.5
    lift += (rng.uniform(0.6, 1.8) if scarf else 0.1) + fold * (2.2 if scarf else 0.5)
    lift = np.maximum(lift, out + 0.15)
    lift += -0.6 * step(0.5, 0.0, line - p[:, 1]) * scarf
    points = smooth + normals * lift[:, None]
    corner = model.source[model.triangles]
    triangles = corner[inside[corner].all(1)]
    lips = model.landmarks[48:60]
    if inside[lips].all():  # the model's mouth is a hole: closed by a fan
        middle = points[lips].mean(0) + 0.5 * normals[lips].mean(0)
        points, normals = np.vstack([points, middle]), np.vstack([normals, normals[lips].mean(0)])
        fold = np.append(fold, 0)
        fan = np.stack([np.full(12, len(points) - 1), lips, np.roll(lips, -1)], 1)
        triangles = np.concatenate([triangles, fan])
    shaded = unit(normals + 0.5 * np.stack([fold, fold, 0 * fold], 1))
    medical = np.array([0.5, 0.62, 0.72]) * rng.uniform(0.5, 1.3)
    colour = rng.uniform(0.02, 0.8, 3) if scarf or rng.random() < 0.4 else medical
    pattern = shapes.draw_pattern(rng, 0.6 if scarf else 0.3)
    return [plain(points, triangles, np.clip(colour, 0, 0.9), shaded, pattern=pattern)]


def hat_area(model: HeadModel, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """(V,) units from the edge of a hat (hood, headscarf), above 0 under it; and whether it is a hood."""
    p = model.neutral
    skull = model.where("face", "neck") & ~((np.abs(p[:, 0]) > 7.6) & (p[:, 1] < 5.6))
    angle = np.degrees(np.arctan2(np.abs(p[:, 0]), p[:, 2] - 1.0))
    if rng.random() < 0.6:
        front, side, back = rng.uniform(6.8, 9.6), rng.uniform(4.8, 7.0), rng.uniform(-2.0, 4.0)
        edge = p[:, 1] - np.interp(angle, [0, 40, 90, 180], [front, (front + side) / 2 + 0.3, side, back])
        return np.where(skull, edge, -1.0), False
    wide, tall, low = rng.uniform(6.2, 7.6), rng.uniform(8.2, 10.2), rng.uniform(0.4, 1.4)
    away = np.hypot(p[:, 0] / wide, (p[:, 1] - low) / tall)
    edge = np.where(p[:, 2] > 0, (away - 1) * wide, 3.0)
    return np.where(model.where("face", "neck") & (p[:, 1] > -14), edge, -1.0), True


def hat(model: HeadModel, posed: np.ndarray, area: np.ndarray, hood: bool, rng: np.random.Generator) -> list[Prop]:
    """Cloth over `area` of the head (V, 3) `posed`; a cap has a peak."""
    p = model.neutral
    smooth = model.smooth(posed, 10)
    normals = unit(model.smooth(model.normals(smooth), 8))
    noise = Noise.seeded(int(rng.integers(1 << 30)))
    fold = noise.fractal(p * np.array([0.8, 0.5, 0.8], np.float32), 0.5, 3) - 0.5
    ribs = 0.12 * np.sin(np.arctan2(p[:, 0], p[:, 2]) * rng.uniform(20, 40)) * (rng.random() < 0.4)
    lift = rng.uniform(0.5, 1.3) + fold * (1.6 if hood else 0.8) + ribs
    lift = np.maximum(lift, np.einsum("ij,ij->i", posed - smooth, normals) + 0.2)
    points = smooth + normals * lift[:, None]
    corner = model.source[model.triangles]
    triangles = corner[(area[corner] > 0).all(1)]
    shaded = unit(0.7 * normals + 0.3 * model.normals(points) + 0.4 * np.stack([fold, 0 * fold, fold], 1))
    colour = rng.uniform(0.01, 0.7, 3) if rng.random() < 0.5 else np.repeat(rng.uniform(0.01, 0.7), 3)
    out = [plain(points, triangles, colour, shaded, pattern=shapes.draw_pattern(rng, 0.35))]
    if not hood and rng.random() < 0.55:
        out.append(_peak(model, points, area, colour, rng))
    return out


def _peak(model: HeadModel, points: np.ndarray, area: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> Prop:
    """A cap's peak, curved, forward from the hat's front edge."""
    front = np.flatnonzero((area > 0) & (area < 1.2) & (model.neutral[:, 2] > 3))
    t = np.linspace(-1, 1, 25)
    around = points[front]
    middle = np.array([0, np.median(around[:, 1]), around[:, 2].max()])
    wide, long, drop = rng.uniform(6.0, 7.2), rng.uniform(4.5, 7.5), rng.uniform(-0.2, 0.35)
    x = wide * np.sin(t * np.pi / 2)
    inner = middle[2] - 0.075 * x**2
    rows = []
    for s in np.linspace(0, 1, 8):
        z = inner - 0.4 + s * long * np.sqrt(np.maximum(0, 1 - (x / wide) ** 2 * 0.96))
        y = middle[1] - drop * (z - inner) - 0.03 * x**2 * (0.4 + 0.6 * s)
        rows.append(np.stack([x, y, z], 1))
    grid = np.stack(rows)
    normals = shapes.grid_normals(grid, False)
    return plain(grid.reshape(-1, 3), shapes.lattice(8, 25, False), colour * rng.uniform(0.5, 1.2),
                 normals.reshape(-1, 3), gloss=0.1)  # fmt: skip
