"""Moments of a film: which frames are meant, clock times in words, time codes. Pure arithmetic."""

from __future__ import annotations

import re

import numpy as np

from facewright.media.frame import Timecode

_CODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")


def select(times_s: np.ndarray, fps: float, start_s: float, end_s: float) -> np.ndarray:
    """Times of all frames (N,), ascending -> indices (M,) int64 of those looked at.

    Times count from the first frame. Of each 1/fps of the clock the first frame is taken; fps 0 takes all. A frame
    at start_s or end_s belongs to it (half a millisecond of tolerance for typed times).
    """
    if len(times_s) == 0:
        return np.zeros(0, np.int64)
    times = times_s - times_s[0]
    inside = np.flatnonzero((times >= start_s - 5e-4) & (times <= end_s + 5e-4))
    if fps <= 0 or len(inside) == 0:
        return inside
    # A frame early by rounding still belongs to the tick it stands for.
    ticks = np.floor((times[inside] - times[inside[0]]) * fps + 1e-3)
    first = np.concatenate([[True], ticks[1:] > ticks[:-1]])
    return inside[first]


def clock(seconds: float) -> str:
    """62.5 -> `00:01:02.500`."""
    milli = round(seconds * 1000)
    return f"{milli // 3_600_000:02d}:{milli // 60_000 % 60:02d}:{milli // 1000 % 60:02d}.{milli % 1000:03d}"


def later(code: Timecode | None, frames: int) -> Timecode | None:
    """The time code `frames` later; None when it cannot be read. `;` drops numbers (2 or 4 each minute but tenths)."""
    match = _CODE.fullmatch(code.text) if code is not None else None
    if code is None or match is None:
        return None
    hours, minutes, secs, mark, units = match.groups()
    base = round(code.rate)
    if base == 0 or int(units) >= base:
        return None
    drop = base // 15 if mark == ";" else 0
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(secs)
    gone = drop * (whole // 60 - whole // 600)
    count = (whole * base + int(units) - gone + frames) % (24 * (3600 * base - drop * 54))
    if drop:
        tens, rest = divmod(count, 600 * base - 9 * drop)
        count += drop * 9 * tens + (drop * ((rest - drop) // (60 * base - drop)) if rest >= drop else 0)
    whole, unit = divmod(count, base)
    return Timecode(f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{unit:02d}", code.rate)
