"""What a source shows, and what a target shows that the source lacks: poses, expressions, light, sharpness, size, and
the proportions of the two heads. Looks at everything, changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import NothingFound
from facewright.faces import gaze
from facewright.faces.identity import mean_vector
from facewright.faceset.cleaning.coverage_cells import (
    COLUMNS,
    EYES_WORDS,
    GAZE_EDGES_DEG,
    GAZE_WORDS,
    HARSH,
    HEIGHT_WORDS,
    MOUTH_WORDS,
    ROWS,
    SIDE_WORDS,
    Views,
    binned,
    grid,
)
from facewright.faceset.cleaning.faults import Columns, bad_exposure, blurry, obstructed
from facewright.faceset.cleaning.settings import CleanSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.info import PITCH_EDGES_DEG, YAW_EDGES_DEG
from facewright.faceset.people.main_person import CLEAR_PRESENCE, CLEAR_SIDE_PX, VectorsOf
from facewright.faceset.sorting.measures import measures
from facewright.faceset.tags import is_parked

REACH_DEG = 5.0
"""A net learns poses this far from those it was shown; beyond, no training time helps (measured)."""
PROFILE_DEG, NOD_DEG = 60.0, 30.0
"""Beyond these every swap is in danger, whatever the source."""
SECTORS = (("turned to image left", -180.0, -20.0), ("looking ahead", -20.0, 20.0),
           ("turned to image right", 20.0, 180.0))

_MEASURES = ("laplacian", "expression", "light", "crop", "proportions", "exposure", "colour", "void", "covered")
_NEAR_ENOUGH, _FINE_DEG, _FRONTAL_DEG, _FEW_FRONTAL = 5, 2.5, 12.0, 10
_YAW_SPAN_DEG, _PITCH_SPAN_DEG = 120.0, 90.0
_ENLARGED = 2.0
_FEW_GAZES = 20
_SPEAKERS = 12
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Portrait:
    """One set (or one person's faces), measured. native_px (N,): side of each crop in its frame. proportions (3,):
    width, length, jaw in distances of the eyes, medians of frontal faces (NaN: none); frontal: how many those are."""

    name: str
    views: Views
    columns: Columns
    native_px: np.ndarray
    proportions: np.ndarray
    frontal: int
    parked: int
    gaze_deg: np.ndarray
    """(N,) of the eyes in the head, to image right positive; NaN where it cannot be told."""
    alike: dict[str, float]
    """SHA-256 of a film -> cosine of its faces' mean to that of the film with most; {} without an identity net."""

    @property
    def count(self) -> int:
        """Faces."""
        return len(self.native_px)

    @property
    def sharpness(self) -> np.ndarray:
        """(N,)."""
        return self.columns.found["laplacian"]


def portrait(
    faceset: Faceset, person: str = "", *, parked: bool = True, progress: Progress = lambda done, total: None,
    vectors_of: VectorsOf | None = None,
) -> Portrait:
    """Measure a set. parked: count parked faces as well (merging uses them, training does not). Raises NothingFound."""
    everybody = list(faceset.rows_of(person))
    rows = [row for row in everybody if parked or not is_parked(row)]
    if not rows:
        raise NothingFound(f"There are no faces{f' of {person}' if person else ''} in {faceset.path.name}.",
                           remedy="`facewright faces info` counts what it holds.", where=faceset.path)
    names = (*_MEASURES, "gaze") if gaze.at_hand() else _MEASURES
    found = measures(faceset, names, [row.face_id for row in rows], progress=progress)
    columns = Columns(rows, found, np.full(len(rows), np.nan), np.full((len(rows), 2), np.nan))
    views = Views(columns.of("yaw_deg").astype(float), columns.of("pitch_deg").astype(float), found["expression"],
                  found["light"])
    middle, frontal = _proportions(views, found["proportions"])
    return Portrait(faceset.path.name, views, columns, found["crop"][:, 0], middle, frontal,
                    sum(map(is_parked, everybody)), found.get("gaze", np.full(len(rows), np.nan)),
                    _alike(rows, vectors_of or faceset.vectors))


def _alike(rows: list[Row], vectors_of: VectorsOf) -> dict[str, float]:
    """A few clear faces speak for each film."""
    films: dict[str, list[str]] = {}
    for row in rows:
        clear = row.presence_01 >= CLEAR_PRESENCE and min(row.x1_px - row.x0_px, row.y1_px - row.y0_px) >= CLEAR_SIDE_PX
        if clear and abs(row.yaw_deg) <= 2 * _FRONTAL_DEG:
            films.setdefault(row.source_sha256, []).append(row.face_id)
    if len(films) < 2:
        return {}
    speakers = {film: [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, _SPEAKERS).round().astype(int)).tolist()]
                for film, ids in films.items()}
    found = vectors_of([face_id for ids in speakers.values() for face_id in ids])
    if found is None:
        return {}
    ends = np.cumsum([len(ids) for ids in speakers.values()])[:-1]
    means = dict(zip(speakers, map(mean_vector, np.split(found.matrix, ends))))
    main = means[max(films, key=lambda film: len(films[film]))]
    return {film: round(float(mean @ main), 2) for film, mean in means.items()}


def _proportions(views: Views, each: np.ndarray) -> tuple[np.ndarray, int]:
    turned = np.maximum(np.abs(views.yaw_deg), np.abs(views.pitch_deg))
    frontal = np.flatnonzero(turned <= _FRONTAL_DEG)
    if len(frontal) < _FEW_FRONTAL:  # the least turned one must do
        return (each[turned.argmin()], 1) if turned.min() <= 2 * _FRONTAL_DEG else (np.full(3, np.nan), 0)
    return np.median(each[frontal], 0), len(frontal)


def spread(values: np.ndarray) -> tuple[float, float]:
    """1st and 99th percentile, one decimal: single strays do not count."""
    low, high = np.quantile(values, [0.01, 0.99])
    return round(float(low), 1), round(float(high), 1)


def facts(one: Portrait) -> dict[str, Any]:
    """What a set shows, JSON-able: the pose grid (rows: looking up first; columns: image left first), counts of
    expressions and lights, sharpness by film, size."""
    views, settings = one.views, CleanSettings()
    harsh = np.nan_to_num(np.abs(views.light)).max(1) > HARSH
    enlarged = one.columns.of("side_px") / np.maximum(one.native_px, 1e-6) > _ENLARGED
    faults = {"blurry": blurry(one.columns, settings), "bad_exposure": bad_exposure(one.columns, settings),
              "obstructed": obstructed(one.columns, settings)}
    return {
        "name": one.name, "faces": one.count, "parked": one.parked,
        "yaw_deg": spread(views.yaw_deg), "pitch_deg": spread(views.pitch_deg),
        "poses": grid(views).tolist(), "yaw_edges_deg": list(YAW_EDGES_DEG), "pitch_edges_deg": list(PITCH_EDGES_DEG),
        "mouth": _counted(views.mouth, MOUTH_WORDS), "eyes": _counted(views.eyes, EYES_WORDS),
        "gaze": _counted(_gaze(one), GAZE_WORDS),
        "light": _counted(views.side, SIDE_WORDS), "light_height": _counted(views.height, HEIGHT_WORDS),
        "harsh": int(harsh.sum()), "light_by_turn": {
            word: _counted(views.side[(views.yaw_deg >= low) & (views.yaw_deg < high)], SIDE_WORDS)
            for word, low, high in SECTORS},
        "size_px": {f"{q:g}": round(float(np.quantile(one.native_px, q)), 1) for q in (0.0, 0.1, 0.5, 0.9, 1.0)},
        "enlarged": int(enlarged.sum()), **{word: len(reasons) for word, reasons in faults.items()},
        "films": _films(one), "proportions": _named(one.proportions), "frontal": one.frontal,
    }


def _gaze(one: Portrait) -> np.ndarray:
    """(M,) 0..2 of GAZE_WORDS, of the faces that tell."""
    return binned(one.gaze_deg[np.isfinite(one.gaze_deg)], GAZE_EDGES_DEG)


def _counted(bins: np.ndarray, words: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(words, np.bincount(bins, minlength=len(words)).tolist()))


def _named(proportions: np.ndarray) -> dict[str, float | None]:
    return {word: round(float(v), 3) if np.isfinite(v) else None
            for word, v in zip(("width", "length", "jaw"), proportions)}


def _films(one: Portrait) -> list[dict[str, Any]]:
    digests, names = one.columns.of("source_sha256"), one.columns.of("source_file")
    found = []
    for digest in dict.fromkeys(digests.tolist()):
        here = digests == digest
        lab = one.columns.found["colour"][here]
        found.append({
            "file": str(names[here][0]), "faces": int(here.sum()),
            "sharpness": round(float(np.nanmedian(one.sharpness[here])), 1) if here.any() else None,
            "size_px": round(float(np.median(one.native_px[here])), 1),
            "colour": [round(float(v), 1) for v in np.nanmedian(lab[:, :3], 0)], "alike": one.alike.get(digest),
        })
    return found


def within_reach(source: Views, target: Views) -> np.ndarray:
    """(N,) int64: for each face of the target how many faces of the source are within REACH_DEG of its pose (to the
    fineness of a 2.5 degree raster)."""
    columns, rows = int(2 * _YAW_SPAN_DEG / _FINE_DEG), int(2 * _PITCH_SPAN_DEG / _FINE_DEG)

    def places(views: Views) -> tuple[np.ndarray, np.ndarray]:
        x = np.clip((views.yaw_deg + _YAW_SPAN_DEG) / _FINE_DEG, 0, columns - 1).astype(np.int64)
        y = np.clip((views.pitch_deg + _PITCH_SPAN_DEG) / _FINE_DEG, 0, rows - 1).astype(np.int64)
        return y, x

    raster = np.zeros((rows, columns), np.float32)
    np.add.at(raster, places(source), 1)
    radius = int(REACH_DEG / _FINE_DEG)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x**2 + y**2 <= radius**2).astype(np.float32)
    near = cv2.filter2D(raster, cv2.CV_32F, disc, borderType=cv2.BORDER_CONSTANT)
    return np.rint(near[places(target)]).astype(np.int64)


def compare(source: Portrait, target: Portrait) -> dict[str, Any]:
    """What the target shows and the source lacks, JSON-able. Poses that the target does not have are no concern.

    poses: cells of the grid with target faces out of the source's reach, most first; `lacking` (rows, columns): how
    many in each cell. shots: those of the target that are in danger.
    """
    near = within_reach(source.views, target.views)
    enough = max(1, min(_NEAR_ENOUGH, source.count // 100))
    far = near < enough
    lacking = np.bincount(target.views.pose_cell[far], minlength=ROWS * COLUMNS)
    all_of = grid(target.views).ravel()
    least = max(2, target.count // 500)
    cells = [int(c) for c in np.argsort(-lacking, kind="stable") if lacking[c] >= least]
    return {
        "out_of_reach": int(far.sum()), "lacking": lacking.reshape(ROWS, COLUMNS).tolist(),
        "poses": [{**_cell(c), "faces": int(lacking[c]), "of": int(all_of[c])} for c in cells],
        "beyond": _beyond(source.views, target.views),
        "expressions": [*_lacks(source, target, (("mouth", MOUTH_WORDS), ("eyes", EYES_WORDS))),
                        *_lacking_gaze(source, target)],
        "light": _lacks(source, target, (("side", SIDE_WORDS), ("height", HEIGHT_WORDS))),
        "proportions": _ratios(source.proportions, target.proportions), "shots": _shots(target, far),
    }


def _cell(cell: int) -> dict[str, Any]:
    row, column = divmod(cell, COLUMNS)
    return {"yaw_deg": [YAW_EDGES_DEG[column], YAW_EDGES_DEG[column + 1]],
            "pitch_deg": [PITCH_EDGES_DEG[row], PITCH_EDGES_DEG[row + 1]]}


def _beyond(source: Views, target: Views) -> list[dict[str, Any]]:
    """Where the target's robust range leaves the source's by more than a net can reach."""
    found = []
    for word, ours, theirs in (("turns", source.yaw_deg, target.yaw_deg), ("nods", source.pitch_deg, target.pitch_deg)):
        a, b = spread(ours), spread(theirs)
        off = max(a[0] - b[0], b[1] - a[1])
        if off > REACH_DEG:
            found.append({"what": word, "source_deg": list(a), "target_deg": list(b), "by_deg": round(off, 1)})
    return found


def _lacks(
    source: Portrait, target: Portrait, aspects: tuple[tuple[str, tuple[str, ...]], ...]
) -> list[dict[str, Any]]:
    """Bins that the target shows in one face of a hundred at least, and the source less than a fifth as often."""
    found = []
    for name, words in aspects:
        a, b = (np.bincount(getattr(p.views, name), minlength=len(words)) / p.count for p in (source, target))
        for at, word in enumerate(words):
            if b[at] >= 0.01 and b[at] * target.count >= 2 and a[at] < b[at] / 5:
                found.append({"what": word, "source_01": round(float(a[at]), 4), "target_01": round(float(b[at]), 4)})
    return found


def _lacking_gaze(source: Portrait, target: Portrait) -> list[dict[str, Any]]:
    """The same of where the eyes look: more of the target is asked for, as single faces are judged wrongly now and then
    and a person's own eyes shift all of theirs."""
    a, b = (_gaze(one) for one in (source, target))
    if min(len(a), len(b)) < _FEW_GAZES:
        return []
    ours, theirs = (np.bincount(some, minlength=len(GAZE_WORDS)) / len(some) for some in (a, b))
    return [{"what": word, "source_01": round(float(x), 4), "target_01": round(float(y), 4)}
            for word, x, y in zip(GAZE_WORDS, ours, theirs) if y >= 0.1 and x < y / 5]


def _ratios(source: np.ndarray, target: np.ndarray) -> dict[str, float | None]:
    return {word: round(float(b / a), 3) if a > 0 and b > 0 else None
            for word, a, b in zip(("width", "length", "jaw"), source, target)}


def _shots(target: Portrait, far: np.ndarray) -> list[dict[str, Any]]:
    """Shots with profiles or extreme nods, or with poses that the source never shows, in film order."""
    rows, views = target.columns.rows, target.views
    profile, nod = np.abs(views.yaw_deg) >= PROFILE_DEG, np.abs(views.pitch_deg) >= NOD_DEG
    groups: dict[tuple[str, str, int], list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault((row.source_file, row.source_sha256, row.shot), []).append(at)
    found = []
    for (file, _, shot), places in sorted(groups.items()):
        here = np.array(places)
        numbers = {"profile": int(profile[here].sum()), "nod": int(nod[here].sum()),
                   "out_of_reach": int(far[here].sum())}
        if max(numbers["profile"], numbers["nod"]) >= 2 or numbers["out_of_reach"] >= max(2, len(here) / 20):
            frames = [rows[i].frame_index for i in places]
            found.append({"file": file, "shot": shot, "first_frame": min(frames), "last_frame": max(frames),
                          "faces": len(here), **numbers, "yaw_deg": spread(views.yaw_deg[here]),
                          "pitch_deg": spread(views.pitch_deg[here])})
    return found
