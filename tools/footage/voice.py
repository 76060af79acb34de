"""A voice made by code: the vowels of a performance as a sum of harmonics shaped by formants."""

from __future__ import annotations

import numpy as np
from tools.footage.motion import VOWELS, Motion, Syllable, bump

RATE_HZ = 48_000
_BANDWIDTH_HZ = (130.0, 170.0, 260.0)


def sing(motion: Motion, syllables: tuple[Syllable, ...]) -> np.ndarray:
    """(N,) float32 mono sound in -1..1 at 48 kHz, as long as the clip; silent where no syllable sounds."""
    count = round(motion.frames / motion.fps * RATE_HZ)
    coarse = np.arange(0, count, 240) / RATE_HZ  # formants every 5 ms, interpolated to samples
    loud = np.zeros_like(coarse)
    formants = np.zeros((len(coarse), 3))
    for s in syllables:
        share = s.strength * bump(coarse, s) ** 1.5
        loud += share
        formants += share[:, None] * np.array(VOWELS[s.vowel][1])
    formants = np.where(loud[:, None] > 1e-3, formants / np.maximum(loud, 1e-3)[:, None], (500, 1500, 2500))
    t = np.arange(count) / RATE_HZ
    rng = np.random.default_rng(motion.seed + 50)
    slow = np.interp(t, np.linspace(0, t[-1], 24), rng.normal(0, 1, 24))
    pitch = motion.voice_hz * (1.06 - 0.03 * t + 0.045 * slow + 0.008 * np.sin(2 * np.pi * 5.3 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    coarse_pitch = np.interp(coarse, t, pitch)
    sound = np.zeros(count)
    for k in range(1, int(4200 / motion.voice_hz)):
        strength = _response(k * coarse_pitch, formants) / k**0.4
        sound += np.interp(t, coarse, strength) * np.sin(k * phase + 0.3 * k * k)
    breath = rng.normal(0, 1, count)
    breath = np.convolve(breath, [0.4, -0.2, -0.4, 0.2], "same")
    gate = np.interp(t, coarse, np.clip(loud, 0, 1.2))
    sound = sound * gate + 0.012 * breath * gate**0.5 * np.abs(sound).max()
    return (0.55 * sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32)


def _response(frequency: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """(N,) gain of three resonances in parallel at one frequency per moment."""
    gain = np.zeros_like(frequency)
    for k, level in enumerate((1.0, 0.55, 0.3)):
        off = (frequency - formants[:, k]) / _BANDWIDTH_HZ[k]
        gain += level / (1 + off**2)
    return gain
