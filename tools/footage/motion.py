"""How a head moves and speaks: pose, expression and sound of every frame from a few parameters and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.head import HeadModel
from tools.footage.noise import step

# Mouth shapes of the vowels, and their formants in Hz (adult voice).
VOWELS: dict[str, tuple[dict[str, float], tuple[float, float, float]]] = {
    "a": ({"jawOpen": 0.60, "mouthLowerDown": 0.32, "mouthUpperUp": 0.42}, (730, 1150, 2500)),
    "e": (
        {"jawOpen": 0.36, "mouthStretch": 0.34, "mouthSmile": 0.25, "mouthUpperUp": 0.34, "mouthLowerDown": 0.2},
        (500, 1850, 2500),
    ),
    "i": (
        {"jawOpen": 0.15, "mouthSmile": 0.42, "mouthStretch": 0.30, "mouthLowerDown": 0.26, "mouthUpperUp": 0.22},
        (290, 2250, 2900),
    ),
    "o": ({"jawOpen": 0.46, "mouthFunnel": 0.55, "mouthPucker": 0.15}, (470, 850, 2450)),
    "u": ({"jawOpen": 0.22, "mouthPucker": 0.62, "mouthFunnel": 0.35}, (310, 780, 2300)),
}


@dataclass(frozen=True, slots=True)
class Motion:
    """A performance. Amplitudes in degrees, rates in Hz, times in seconds.

    `frames` 1..10000 at `fps` 12..60; `yaw_deg` 0..60, `pitch_deg` 0..25, `roll_deg` 0..20 amplitudes about
    `pitch_mean_deg`; `yaw_hz`, `pitch_hz`, `roll_hz` 0.05..0.8; `yaw_phase` etc. in turns; `syllables_hz` 1.5..4;
    `loudness` 0.4..1.3 scales how far the mouth opens; `pauses` silent spans (from, to); `smiles` spans with a smile;
    `blinks` times; `lids` 0..0.4 how far the upper lids
    hang at rest; `voice_hz` 80..260 pitch of the voice; `seed`.
    """

    frames: int = 100
    fps: int = 25
    yaw_deg: float = 45.0
    pitch_deg: float = 10.0
    roll_deg: float = 6.0
    pitch_mean_deg: float = 0.0
    yaw_hz: float = 0.25
    pitch_hz: float = 0.45
    roll_hz: float = 0.33
    yaw_phase: float = 0.0
    pitch_phase: float = 0.1
    roll_phase: float = 0.3
    syllables_hz: float = 2.6
    loudness: float = 1.0
    pauses: tuple[tuple[float, float], ...] = ((1.9, 2.3),)
    smiles: tuple[tuple[float, float], ...] = ((1.7, 2.6),)
    blinks: tuple[float, ...] = (0.9, 2.75)
    lids: float = 0.06
    voice_hz: float = 118.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Syllable:
    """A vowel centred at `time_s`, sounding and opening the mouth for about `length_s`, `strength` 0..1.2."""

    vowel: str
    time_s: float
    length_s: float
    strength: float


@dataclass(frozen=True, slots=True)
class Track:
    """`pose_deg` (N, 3) yaw, pitch, roll; `weights` (N, E) expression weights; `syllables` what is said."""

    pose_deg: np.ndarray
    weights: np.ndarray
    syllables: tuple[Syllable, ...]


def swing(t: np.ndarray, hz: float, phase: float) -> np.ndarray:
    """-1..1: between a sine and a triangle, so that all positions get nearly the same share of the time."""
    return np.arcsin(0.95 * np.sin(2 * np.pi * (hz * t + phase))) / np.arcsin(0.95)


def speak(motion: Motion) -> tuple[Syllable, ...]:
    """The syllables of a performance: every vowel comes up equally often, in a shuffled order."""
    rng = np.random.default_rng(motion.seed + 40)
    end = motion.frames / motion.fps
    out: list[Syllable] = []
    bag: list[str] = []
    at = 0.18
    while at < end:
        length = rng.uniform(0.85, 1.15) / motion.syllables_hz
        middle = at + length / 2
        if not any(a - 0.1 < middle < b + 0.1 for a, b in motion.pauses):
            if not bag:
                bag = [str(v) for v in rng.permutation(["a", "e", "i", "o", "u", "a"])]
            out.append(Syllable(bag.pop(), middle, length, motion.loudness * rng.uniform(0.8, 1.1)))
        at += length
    return tuple(out)


def bump(t: np.ndarray, syllable: Syllable) -> np.ndarray:
    """0..1: how far a syllable has unfolded at times `t`; neighbours overlap a little, as in speech."""
    x = np.clip((t - syllable.time_s) / (syllable.length_s * 1.15), -0.5, 0.5)
    return np.cos(np.pi * x) ** 2


def spans(t: np.ndarray, pairs: tuple[tuple[float, float], ...], edge: float = 0.25) -> np.ndarray:
    """0..1 inside any of the spans, with soft edges."""
    out = np.zeros_like(t)
    for a, b in pairs:
        out = np.maximum(out, step(a - edge, a + edge, t) * step(b + edge, b - edge, t))
    return out


def perform(model: HeadModel, motion: Motion) -> Track:
    """Pose and expression of every frame."""
    t = np.arange(motion.frames) / motion.fps
    rng = np.random.default_rng(motion.seed + 41)
    drift = [
        0.7 * np.sin(2 * np.pi * (f * t + p)) for f, p in zip(rng.uniform(0.8, 1.4, 3), rng.random(3), strict=True)
    ]
    yaw = motion.yaw_deg * swing(t, motion.yaw_hz, motion.yaw_phase) + drift[0]
    pitch = motion.pitch_mean_deg + motion.pitch_deg * swing(t, motion.pitch_hz, motion.pitch_phase) + drift[1]
    roll = motion.roll_deg * swing(t, motion.roll_hz, motion.roll_phase) + 0.6 * drift[2]
    syllables = speak(motion)
    weights = _mouth(model, motion, syllables, t)
    weights += _eyes(model, motion, t, yaw, pitch, rng)
    return Track(np.stack([yaw, pitch, roll], 1), np.clip(weights, 0, 1).astype(np.float32), syllables)


def _mouth(model: HeadModel, motion: Motion, syllables: tuple[Syllable, ...], t: np.ndarray) -> np.ndarray:
    smile = spans(t, motion.smiles)
    weights = smile[:, None] * model.weights(
        {"mouthSmile": 0.65, "cheekSquint": 0.35, "eyeSquint": 0.25, "mouthDimple": 0.2}
    )
    for s in syllables:
        shape = dict(VOWELS[s.vowel][0])
        weights = weights + s.strength * bump(t, s)[:, None] * model.weights(shape)
    closed = 1 - np.clip(sum((bump(t, s) for s in syllables), np.zeros_like(t)) * 2.5, 0, 1)
    return weights + closed[:, None] * model.weights({"mouthPress": 0.12})


def _eyes(
    model: HeadModel, motion: Motion, t: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    jumps = np.cumsum(rng.random(len(t)) < 0.06)
    dart = rng.normal(0, 0.07, (jumps[-1] + 1, 2))[jumps]
    right = np.clip(-0.55 * yaw / 45.0 + dart[:, 0], -0.6, 0.6)  # the eyes stay behind when the head turns away
    up = np.clip(0.35 * pitch / 15.0 + dart[:, 1], -0.4, 0.4)
    blink = np.zeros_like(t)
    for at in motion.blinks:
        blink = np.maximum(blink, step(0.15, 0.03, np.abs(t - at)))
    brow = step(0.2, 1.0, np.sin(2 * np.pi * (0.42 * t + rng.random())))
    frown = np.maximum(0, np.sin(2 * np.pi * (0.31 * t + rng.random()))) ** 2
    pairs = (
        (np.maximum(0, right), ("eyeLookOut_L", "eyeLookIn_R"), 1.0),
        (np.maximum(0, -right), ("eyeLookIn_L", "eyeLookOut_R"), 1.0),
        (np.maximum(0, up), ("eyeLookUp",), 1.0),
        (np.maximum(0, -up), ("eyeLookDown",), 1.0),
        (motion.lids + (0.97 - motion.lids) * blink, ("eyeBlink",), 1.0),
        (brow, ("browInnerUp",), 0.45),
        (brow, ("browOuterUp",), 0.30),
        (np.full_like(t, 1.0), ("eyeSquint",), 0.12),
        (frown, ("browDown",), 0.35),
    )
    return sum(v[:, None] * model.weights(dict.fromkeys(names, scale)) for v, names, scale in pairs)
