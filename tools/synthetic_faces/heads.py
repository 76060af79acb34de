"""Who, how turned, with which face, in which light, before what: drawn anew for every still."""

from __future__ import annotations

import cv2
import numpy as np
from tools.footage import backdrop
from tools.footage.camera import Camera
from tools.footage.head import HeadModel
from tools.footage.light import Light
from tools.footage.motion import VOWELS
from tools.footage.noise import to_linear

COMPONENTS = 60
LIMIT = 2.2
_GREY = np.ones(3)
_ODD = (
    "mouthFrown", "mouthPucker", "mouthFunnel", "mouthLeft", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "jawLeft", "cheekPuff", "noseSneer", "mouthPress", "mouthShrugLower", "jawRight", "jawForward",
)  # fmt: skip


def draw_identity(rng: np.random.Generator) -> np.ndarray:
    """(60,) standard deviations, each within +-LIMIT."""
    return np.clip(rng.normal(0, 1, COMPONENTS), -LIMIT, LIMIT)


def draw_pose(rng: np.random.Generator) -> tuple[float, float, float]:
    """Yaw within +-75, pitch within +-30, roll within +-40 degrees; frontal ones are a little more frequent."""
    yaw = rng.normal(0, 22) if rng.random() < 0.5 else rng.uniform(-75, 75)
    return (float(np.clip(yaw, -75, 75)), float(np.clip(rng.normal(0, 12), -30, 30)),
            float(np.clip(rng.normal(0, 10), -40, 40)))  # fmt: skip


def draw_expression(model: HeadModel, rng: np.random.Generator) -> np.ndarray:
    """(E,) weights: a mouth (still, speaking, smiling, wide open, odd), eyes, brows, a little of everything."""
    named: dict[str, float] = {}

    def add(shape: dict[str, float], strength: float) -> None:
        for name, value in shape.items():
            named[name] = named.get(name, 0.0) + value * strength

    kind = rng.choice(5, p=(0.28, 0.34, 0.2, 0.08, 0.10))
    if kind in (1, 2) and rng.random() < 0.8:
        add(VOWELS[str(rng.choice(list(VOWELS)))][0], rng.uniform(0.2, 1.2) * (1.0 if kind == 1 else 0.5))
    if kind == 2:
        add({"mouthSmile": 0.7, "cheekSquint": 0.4, "mouthDimple": 0.2}, rng.uniform(0.3, 1.3))
    if kind == 3:
        add({"jawOpen": 1.0, "mouthStretch": 0.3}, rng.uniform(0.5, 1.0))
    if kind == 4:
        for name in rng.choice(_ODD, 3, replace=False):
            add({str(name): 1.0}, rng.uniform(0.2, 0.9))
    add({"eyeBlink": 1.0}, rng.choice([rng.uniform(0, 0.25), rng.uniform(0.25, 1.0)], p=(0.8, 0.2)))
    add({str(rng.choice(["eyeSquint", "eyeWide"])): 1.0}, rng.uniform(0, 0.7))
    add({str(rng.choice(["browDown", "browInnerUp", "browOuterUp"])): 1.0}, rng.uniform(0, 0.8))
    weights = np.clip(model.weights(named), 0, 1)
    side, up = np.clip(rng.normal(0, 0.35, 2), -0.8, 0.8)
    gaze = {"eyeLookOut_L": max(0, side), "eyeLookIn_R": max(0, side), "eyeLookIn_L": max(0, -side),
            "eyeLookOut_R": max(0, -side), "eyeLookUp": max(0, up), "eyeLookDown": max(0, -up)}  # fmt: skip
    for name, value in gaze.items():
        weights = np.maximum(weights, model.weights({name: value}))
    uneven = 1 + rng.normal(0, 0.2, len(weights))
    return np.clip(weights * uneven, 0, 1).astype(np.float32)


def draw_light(rng: np.random.Generator) -> Light:
    """Daylight, a hard lamp from anywhere, light from behind, coloured light. Strength is relative (see `still`)."""
    hard = rng.random()
    azimuth = rng.uniform(-85, 85) if rng.random() < 0.85 else rng.uniform(-180, 180)

    def tinted(strength: float, wander: float) -> tuple[float, float, float]:
        warm = rng.normal(0, wander)
        r, g, b = strength * np.exp(np.array([warm, 0.15 * rng.normal(0, wander), -warm]))
        return float(r), float(g), float(b)

    wander = 0.12 if rng.random() < 0.85 else 0.55
    low = rng.uniform(0.05, 0.9) * (1.3 - hard)
    key = tinted(rng.uniform(0.8, 2.8) * (0.35 + hard), wander)
    return Light(
        key=key, key_azimuth_deg=float(azimuth), key_elevation_deg=float(rng.uniform(-15, 70)),
        fill=tinted(rng.uniform(0.02, 0.9), wander), fill_azimuth_deg=float(rng.uniform(-120, 120)),
        fill_elevation_deg=float(rng.uniform(-10, 40)), rim=tinted(rng.uniform(0, 1.2), wander),
        rim_azimuth_deg=float(rng.choice([-1, 1]) * rng.uniform(110, 170)), rim_elevation_deg=float(rng.uniform(0, 60)),
        sky=tinted(0.08 + low, wander), ground=tinted(0.05 + low * rng.uniform(0.2, 0.9), wander),
        softness=float(rng.uniform(0.2, 2.4)),
    )  # fmt: skip


def draw_camera(rng: np.random.Generator, side_px: int) -> Camera:
    """From very near (a phone's width away) to far, not always straight ahead."""
    near = float(np.exp(rng.uniform(np.log(42), np.log(180))))
    return Camera(side_px, side_px, 2.0, near, float(rng.normal(0, 3)), float(rng.normal(0, 3)))


def paint_behind(rng: np.random.Generator, side_px: int, skin: np.ndarray) -> np.ndarray:
    """(S, S, 3) linear light of what is behind: a room out of focus, plain, patches, foliage; at times skin-coloured.

    `skin` (3,) display RGB.
    """
    kind = rng.choice(4, p=(0.45, 0.2, 0.25, 0.1))
    base = rng.uniform(0.05, 0.9, 3) if rng.random() < 0.5 else _GREY * rng.uniform(0.03, 0.95)
    if rng.random() < 0.15:
        base = np.clip(skin * rng.uniform(0.7, 1.2), 0.02, 0.95)
    dull = rng.uniform(0.0, 0.9)  # few rooms are colourful
    base = base + (base.mean() - base) * dull
    second = np.clip(base * rng.uniform(0.3, 1.8) + rng.normal(0, 0.12 * (1.1 - dull), 3), 0.02, 0.95)
    if kind == 0:
        look = backdrop.Backdrop(
            _three(base), _three(second), _three(rng.uniform(0.5, 1, 3)), int(rng.integers(0, 12)),
            int(rng.integers(0, 9)), float(rng.uniform(0.004, 0.06)), int(rng.integers(1 << 30)),
        )  # fmt: skip
        return backdrop.paint(look, Camera(side_px, side_px))
    ramp = np.linspace(-1, 1, side_px, dtype=np.float32)
    a = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + 0.5 * (np.cos(a) * ramp[None, :] + np.sin(a) * ramp[:, None]) / 1.4
    first, other = to_linear(_three(base)), to_linear(_three(second))
    if kind == 1:
        return np.ascontiguousarray(first + (other - first) * slope[..., None] * rng.uniform(0, 1), np.float32)
    if kind == 2:
        out = np.ascontiguousarray(np.broadcast_to(first, (side_px, side_px, 3)), np.float32)
        for _ in range(int(rng.integers(4, 40))):
            centre, size = rng.uniform(-0.1, 1.1, 2) * side_px, np.exp(rng.uniform(-3.5, -0.6, 2)) * side_px
            box = cv2.boxPoints(((float(centre[0]), float(centre[1])), (float(size[0]), float(size[1])),
                                 float(rng.uniform(0, 90) if rng.random() < 0.4 else 0)))  # fmt: skip
            own = rng.uniform(0, 1, 3)
            own = own + (own.mean() - own) * dull
            colour = to_linear(_three(np.clip(own * 0.7 + 0.3 * base, 0.02, 0.95)))
            cv2.fillPoly(out, [np.rint(box * 16).astype(np.int32)], [float(c) for c in colour], cv2.LINE_AA, 4)
        return cv2.GaussianBlur(out, (0, 0), float(np.exp(rng.uniform(-1.0, 2.2))) * side_px / 256)
    out = np.zeros((side_px, side_px, 3), np.float32)
    for octave in range(2, 7):  # foliage, bark, rough walls
        cells = rng.normal(0, 1, (2**octave, 2**octave)).astype(np.float32)
        out += cv2.resize(cells, (side_px, side_px), interpolation=cv2.INTER_CUBIC)[..., None] * 0.5 ** (octave * 0.5)
    share = np.clip(0.5 + 0.6 * out, 0, 1)
    out = first + (other - first) * share
    return cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 3.0)) * side_px / 256)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return r, g, b
