"""Beards: short strands where a beard grows, lying down along the jaw. A mask counts them as face."""

from __future__ import annotations

import numpy as np
from tools.footage import texture
from tools.footage.hair import HairLook, Strands
from tools.footage.head import HeadModel, unit
from tools.footage.noise import Noise

KNOTS = 5


def grow(model: HeadModel, skin: texture.SkinLook, hair: HairLook, rng: np.random.Generator) -> Strands:
    """A beard, trimmed to 0.3 to 1.8 units, in the colour of the hair; only a moustache or chin at times."""
    noise = Noise.seeded(skin.seed)
    points = model.neutral
    thick = texture.regions(model, points, noise)["beard"] * model.where("face")
    part = rng.random()
    if part < 0.15:  # moustache and chin
        thick = thick * (np.abs(points[:, 0]) < rng.uniform(2.0, 3.4))
    elif part < 0.22:
        thick = thick * (points[:, 1] > -3.2) * (np.abs(points[:, 0]) < 3.0)
    corner = model.source[model.triangles]
    corner = corner[(thick[corner] > 0.25).all(1)]
    a, b, c = (points[corner[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * thick[corner].mean(1)
    count = int(rng.uniform(1500, 4500))
    pick = rng.choice(len(corner), count, p=area / area.sum())
    u, v = rng.random((2, count, 1))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    root = points[corner[pick, 0]] * (1 - u - v) + points[corner[pick, 1]] * u + points[corner[pick, 2]] * v
    normal = unit(model.smooth(model.normals(points), 4))[corner[pick, 0]]
    down = np.array([0, -1.0, 0.15]) + rng.normal(0, 0.3, (count, 3)) + np.array([0.25, 0, 0]) * np.sign(root[:, :1])
    along = unit(down - normal * np.einsum("ij,ij->i", down, normal)[:, None] * 0.9)
    length = rng.uniform(0.3, 1.8) * rng.uniform(0.6, 1.1, (count, 1))
    t = np.linspace(0, 1, KNOTS)[:, None, None]
    curve = root + length * (along * t + normal * 0.55 * t * (1 - 0.6 * t))
    width = np.repeat(rng.uniform(0.05, 0.08) * np.array([[1, 1, 0.9, 0.7, 0.35]]), count, 0)
    base = np.power(np.asarray(hair.colour, np.float32), 2.2) * rng.uniform(0.6, 1.3)
    tint = base * np.exp(rng.normal(0, 0.25, (count, 1)))
    grey = (rng.random((count, 1)) < hair.grey) * rng.uniform(0.4, 1.0, (count, 1))
    tint = tint + grey * (np.array([0.32, 0.31, 0.30]) - tint)
    shade = np.repeat(0.45 + 0.55 * t[:, 0, 0][None], count, 0)
    return Strands(
        curve.transpose(1, 0, 2).astype(np.float32), np.repeat(normal[:, None], KNOTS, 1).astype(np.float32),
        corner[pick, 0].astype(np.int32), width.astype(np.float32), tint.astype(np.float32), shade.astype(np.float32),
        0.5,
    )  # fmt: skip
