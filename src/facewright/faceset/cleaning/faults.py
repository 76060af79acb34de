"""What is wrong with faces: columns of measures -> which faces, and why. Pure arithmetic, one function a fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from facewright.faceset.cleaning.settings import CleanSettings
from facewright.faceset.index import Row
from facewright.faceset.review.reasons import WORDS, flag_doubts

MEASURES = {
    "blurry": ("laplacian", "motion_blur", "blur"), "bad_exposure": ("exposure", "colour", "void"),
    "misaligned": ("crop", "misfit"), "cut_off": ("extent", "void"), "small": ("crop",), "obstructed": ("covered",),
    "other_person": (), "no_face": (),
}
"""Fault -> names of `measure_formulas.MEASURES` that it needs (`needed`: only what is asked for)."""
OUTLINES = ("hull", "mesh", "")
"""Makers of masks that know of nothing before a face."""
SKIN_HUES_DEG = (-20.0, 100.0)
"""Angle of (a, b) in CIE Lab: skin of all people in white light lies between about 20 and 80."""

_LIGHTNESS = (15.0, 95.0)
_FEW, _REACH_FRAMES = 20, 30
_OUT_OF_LINE = {"passes_disagree", "size_jump", "position_jump"}
"""Flags of extraction that say the same of faces which nobody placed by hand."""
Reasons = dict[int, str]
"""Place of a face -> why, for those that have the fault."""


@dataclass(frozen=True, slots=True)
class Columns:
    """N faces. found: measure -> (N, ...); cosine (N,): likeness to the main person, NaN where nobody can tell;
    frame_px (N, 2): width and height of each face's frame, NaN where that is not known."""

    rows: list[Row]
    found: dict[str, np.ndarray]
    cosine: np.ndarray
    frame_px: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """One column of the rows: a field of Row."""
        return np.array([getattr(row, name) for row in self.rows])


def needed(settings: CleanSettings) -> list[str]:
    """Names of the measures that these settings look at."""
    names = {name for fault in settings.wanted for name in MEASURES[fault]}
    unasked = {"laplacian": settings.blur, "motion_blur": settings.motion, "blur": settings.cpbd}
    return sorted(name for name in names if unasked.get(name, 1))


def faults(columns: Columns, settings: CleanSettings) -> dict[str, Reasons]:
    """Every fault that is asked for -> the faces that have it, measured or by a word in their flags."""
    known: dict[str, Callable[[Columns, CleanSettings], Reasons]] = {
        "no_face": no_face, "other_person": other_person, "misaligned": misaligned, "cut_off": cut_off,
        "bad_exposure": bad_exposure, "blurry": blurry, "small": small, "obstructed": obstructed,
    }
    found = {fault: known[fault](columns, settings) for fault in settings.wanted}
    for at, row in enumerate(columns.rows):
        for fault in set(row.flags.split()) & set(found):
            found[fault].setdefault(at, "tagged, or seen at extraction")
    return found


def blurry(columns: Columns, settings: CleanSettings) -> Reasons:
    """Sharpness far below the film's middle, or below an absolute one."""
    found: Reasons = {}
    films = columns.of("source_sha256")
    for name, rule, word in (("laplacian", "blur", "sharpness"), ("motion_blur", "motion", "motion blur")):
        if (least := getattr(settings, rule)) and name in columns.found:
            share = columns.found[name] / _middle(columns.found[name], films)
            _add(found, share < least, lambda i, s=share, w=word: f"{w} {s[i]:.2f} of its film's middle", settings,
                 rule)
    if settings.cpbd and "blur" in columns.found:
        value = columns.found["blur"]
        _add(found, value < settings.cpbd, lambda i: f"CPBD sharpness {value[i]:.2f}", settings, "cpbd")
    return found


def bad_exposure(columns: Columns, settings: CleanSettings) -> Reasons:
    """Under- or overexposed, black and white, tinted."""
    found: Reasons = {}
    dark, bright = columns.found["exposure"].T
    dark = dark - columns.found["void"]  # a black border is another fault
    _add(found, dark > settings.dark, lambda i: f"{dark[i]:.2f} of the face is black", settings, "dark")
    _add(found, bright > settings.bright, lambda i: f"{bright[i]:.2f} of the face is burnt out", settings, "bright")
    lightness, a, b, chroma = columns.found["colour"].T
    if settings.grey:  # what is nearly black or white has no colour either
        drawn = (lightness > _LIGHTNESS[0]) & (lightness < _LIGHTNESS[1])
        colourless = drawn & (chroma < settings.grey)
        _add(found, colourless, lambda i: f"black and white: chroma {chroma[i]:.1f}", settings, "grey")
    if settings.tint:
        coloured = chroma >= max(settings.grey, 1e-9)
        middle = (np.nanmedian(a[coloured]), np.nanmedian(b[coloured])) if coloured.any() else (np.nan, np.nan)
        far = np.hypot(a - middle[0], b - middle[1])
        hue = np.degrees(np.arctan2(b, a))
        strange = (chroma > 2 * settings.grey) & ((hue < SKIN_HUES_DEG[0]) | (hue > SKIN_HUES_DEG[1]))
        _add(found, coloured & (far > settings.tint), lambda i: f"tinted: {far[i]:.0f} from the set's middle colour",
             settings, "tint")
        _add(found, coloured & strange, lambda i: f"tinted: hue {hue[i]:.0f} degrees is no skin's in white light",
             settings, "tint")
    return found


def cut_off(columns: Columns, settings: CleanSettings) -> Reasons:
    """Points beyond the frame's edge, or black where the face should be."""
    found: Reasons = {}
    x0, y0, x1, y1 = columns.found["extent"].T
    width, height = columns.frame_px.T
    beyond = np.fmax.reduce([-x0, -y0, x1 - (width - 1), y1 - (height - 1), np.zeros(len(x0))])
    share = beyond / np.maximum(np.maximum(x1 - x0, y1 - y0), 1e-6)
    _add(found, share > settings.cut, lambda i: f"{share[i]:.2f} of the face leaves the frame", settings, "cut")
    black = columns.found["void"]
    _add(found, black > settings.cut, lambda i: f"{black[i]:.2f} of the face is a black border", settings, "cut")
    return found


def misaligned(columns: Columns, settings: CleanSettings) -> Reasons:
    """Turned or sized unlike the faces around it in its track, or points that no head has."""
    found: Reasons = {}
    side, angle = columns.found["crop"][:, 0], columns.found["crop"][:, 1]
    places = _neighbours(columns)
    if settings.turned:
        off = np.abs(_around((angle[places] - angle[:, None] + 180) % 360 - 180, places))
        _add(found, off > settings.turned, lambda i: f"turned {off[i]:.0f} degrees from the faces around it",
             settings, "turned")
    if settings.grown:
        ratio = side / _around(side[places], places)
        grown = np.maximum(ratio, 1 / ratio) - 1
        _add(found, grown > settings.grown, lambda i: f"{ratio[i]:.2f} times the size of the faces around it",
             settings, "grown")
    if settings.misfit:
        misfit = columns.found["misfit"]
        _add(found, misfit > settings.misfit, lambda i: f"points are {misfit[i]:.2f} off a head's", settings, "misfit")
    doubts = [sorted(_OUT_OF_LINE & set(flag_doubts(row))) for row in columns.rows]
    _add(found, np.array([bool(words) for words in doubts], bool), lambda i: ", ".join(WORDS[w] for w in doubts[i]))
    return found


def small(columns: Columns, settings: CleanSettings) -> Reasons:
    """Fewer pixels of the frame than asked for."""
    side = columns.found["crop"][:, 0]
    found: Reasons = {}
    _add(found, side < settings.smallest, lambda i: f"{side[i]:.0f} px of its frame", settings, "smallest")
    return found


def obstructed(columns: Columns, settings: CleanSettings) -> Reasons:
    """Something lies before the face, as its mask or extraction says."""
    found: Reasons = {}
    made_by = columns.of("mask_by")
    seen = np.array([name not in OUTLINES for name in made_by], bool)
    share = columns.found["covered"]
    _add(found, seen & (share > settings.covered), lambda i: f"{share[i]:.2f} of the face is covered", settings,
         "covered")
    return found


def other_person(columns: Columns, settings: CleanSettings) -> Reasons:
    """Not the set's main person."""
    found: Reasons = {}
    if settings.same:
        value = columns.cosine
        _add(found, value < settings.same, lambda i: f"likeness {value[i]:.2f}", settings, "same")
    return found


def no_face(columns: Columns, settings: CleanSettings) -> Reasons:
    """The landmark net saw none."""
    found: Reasons = {}
    value = columns.of("presence_01")
    _add(found, value < settings.presence, lambda i: f"presence {value[i]:.2f}", settings, "presence")
    return found


def quality(columns: Columns, sharpness: np.ndarray) -> np.ndarray:
    """(N,) what decides between faces that are otherwise alike: sharpness, less where the crop was enlarged."""
    return np.sqrt(np.maximum(np.nan_to_num(sharpness), 0)) * np.minimum(columns.of("presence_01"), 1)


def _add(
    found: Reasons, which: np.ndarray, why: Callable[[int], str], settings: CleanSettings | None = None, rule: str = ""
) -> None:
    """Note why for each that is meant; behind it stands the rule, as the option that one would change."""
    limit = f" (--{rule} {getattr(settings, rule):g})" if rule else ""
    for at in np.flatnonzero(which).tolist():
        reason = f"{why(at)}{limit}"
        found[at] = f"{found[at]}; {reason}" if at in found else reason


def _middle(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(N,) median of each one's group; of all where the group is too small to have one."""
    out = np.full(len(values), np.nanmedian(values) if np.isfinite(values).any() else np.nan)
    for group in np.unique(groups):
        here = groups == group
        if here.sum() >= _FEW and np.isfinite(values[here]).any():
            out[here] = np.nanmedian(values[here])
    return out


def _neighbours(columns: Columns) -> np.ndarray:
    """(N, 4) places of the two faces before and the two after in the same track, -1 where there is none near."""
    rows: list[Any] = columns.rows
    _, tracks = np.unique([f"{r.source_sha256} {r.track}" for r in rows], return_inverse=True)
    frames = columns.of("frame_index").astype(np.int64)
    named = np.array([bool(r.track) for r in rows], bool)
    order = np.lexsort((frames, tracks))
    out = np.full((len(rows), 4), -1)
    for column, step in enumerate((-2, -1, 1, 2)):
        there = np.arange(len(order)) + step
        good = (there >= 0) & (there < len(order))
        other = order[np.clip(there, 0, max(len(order) - 1, 0))]
        good &= (tracks[other] == tracks[order]) & (np.abs(frames[other] - frames[order]) <= _REACH_FRAMES)
        out[order, column] = np.where(good & named[order], other, -1)
    return out


def _around(near: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 4) values of the neighbours -> (N,) their median; NaN with fewer than two."""
    near = np.where(places >= 0, near, np.nan)
    enough = np.isfinite(near).sum(1) >= 2
    out = np.full(len(near), np.nan)
    if enough.any():
        out[enough] = np.nanmedian(near[enough], axis=1)
    return out
