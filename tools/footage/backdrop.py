"""What is behind the person: a room far out of focus."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from tools.footage.camera import Camera
from tools.footage.noise import to_linear
from tools.footage.texture import Colour


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A defocused room. `wall`, `accent`, `lamp` display RGB; `shelves` 0..12 upright shapes; `lamps` 0..12 discs of
    light; `blur` 0.01..0.08 of the picture's width; `seed`."""

    wall: Colour = (0.36, 0.38, 0.40)
    accent: Colour = (0.42, 0.34, 0.28)
    lamp: Colour = (0.95, 0.80, 0.58)
    shelves: int = 7
    lamps: int = 5
    blur: float = 0.03
    seed: int = 0


def paint(look: Backdrop, camera: Camera) -> np.ndarray:
    """(H, W, 3) float32 linear light."""
    rng = np.random.default_rng(look.seed + 60)
    h, w = camera.height_px, camera.width_px
    wall, accent = to_linear(look.wall), to_linear(look.accent)
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None, None]
    picture = wall * (0.85 - 0.35 * x * rng.choice([-1, 1]) - 0.25 * y)
    picture = np.ascontiguousarray(np.broadcast_to(picture, (h, w, 3)), np.float32)
    edge = int(w * rng.uniform(0.15, 0.3))
    picture[:, :edge] *= np.array([1.25, 1.2, 1.1], np.float32)
    for _ in range(look.shelves):
        left, wide = int(rng.uniform(-0.05, 1.0) * w), int(rng.uniform(0.03, 0.16) * w)
        top, tall = int(rng.uniform(-0.1, 0.7) * h), int(rng.uniform(0.15, 0.6) * h)
        colour = (wall + (accent - wall) * rng.uniform(0.2, 1.0)) * rng.uniform(0.3, 2.2)
        cv2.rectangle(picture, (left, top), (left + wide, top + tall), [float(c) for c in colour], -1)
    left = int(w * rng.choice([rng.uniform(0.02, 0.12), rng.uniform(0.72, 0.82)]))
    window = to_linear(look.lamp) * 0.9
    for pane in range(2):
        a = left + int(pane * 0.11 * w)
        cv2.rectangle(picture, (a, int(0.08 * h)), (a + int(0.095 * w), int(0.55 * h)), [float(c) for c in window], -1)
    shelf = int(h * rng.uniform(0.62, 0.75))
    picture[shelf : shelf + int(0.03 * h)] *= 0.5
    picture[shelf + int(0.03 * h) :] *= 0.8
    picture = cv2.GaussianBlur(picture, (0, 0), look.blur * w)
    lamps = np.zeros_like(picture)
    for _ in range(look.lamps):
        centre = (int(rng.uniform(0, 1) * w), int(rng.uniform(0.02, 0.6) * h))
        radius = int(rng.uniform(0.012, 0.035) * w)
        colour = to_linear(look.lamp) * rng.uniform(0.15, 0.8)
        disc = np.zeros((h, w), np.float32)
        cv2.circle(disc, centre, radius, 1.0, -1, cv2.LINE_AA)
        lamps += disc[..., None] * colour
    return np.clip(picture + cv2.GaussianBlur(lamps, (0, 0), 0.004 * w), 0, 4)
