"""Tracks of chunks -> tracks of whole shots -> people over all films. Pure; no result depends on the order of input.

A chunk's track goes on in the next chunk where a head of that size is where the last one was going (box and motion) and
the identity vectors do not speak against it; over cuts and films vectors alone decide. What a user settled stays:
tracks that are settled under one name stay together, under two names apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facewright.faces.identity import ASK_COSINE, SAME_COSINE
from facewright.faces.track import likeness
from facewright.image.geometry import Box

BORDER_GAP = 12
"""Looked-at frames that a head may be missing between one chunk's track and its sequel."""
REST_GAP = 75
"""The same where vectors agree; and for people where there are none: a head back in its place soon is the same."""
LEAST_LIKENESS = 0.3

_AHEAD = 6


@dataclass(frozen=True, slots=True)
class Track:
    """One head over consecutive frames of one shot. Frame numbers are the film's; `count` faces.

    drift_px: movement of the box's middle a frame, (x, y), as it ends. step: frames of the film from one that was
    looked at to the next.
    """

    id: str
    source: str
    first_frame: int
    last_frame: int
    first_box: Box
    last_box: Box
    count: int = 1
    shot: int = 0
    drift_px: tuple[float, float] = (0.0, 0.0)
    step: int = 1


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of tracks besides place and time."""

    vectors: Mapping[str, np.ndarray]
    settled: Mapping[str, str]

    def name(self, group: list[Track]) -> str:
        return next((self.settled[t.id] for t in group if t.id in self.settled), "")

    def total(self, group: list[Track]) -> np.ndarray | None:
        own = [np.asarray(self.vectors[t.id], np.float64) * t.count for t in group if t.id in self.vectors]
        return np.stack(own).sum(0) if own else None


def join(
    tracks: Sequence[Track], vectors: Mapping[str, np.ndarray] | None = None,
    settled: Mapping[str, str] | None = None,
) -> list[tuple[str, ...]]:
    """Tracks of chunks -> ids of those that are one head in one shot, in the order of time; each id exactly once.

    vectors: unit mean identity vector (D,) of a track (those with large, clear faces), all of one net; or None.
    settled: track -> name, what a user said.
    """
    known = _Known(vectors or {}, settled or {})
    return [tuple(t.id for t in group) for group in _chains([[t] for t in _sorted(tracks)], known, BORDER_GAP)]


def people(
    tracks: Sequence[Track], vectors: Mapping[str, np.ndarray] | None = None,
    settled: Mapping[str, str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Tracks -> {name: track ids}, the person with most faces first; "person-1" and so on where nobody is settled.

    With vectors, tracks over the same threshold belong together, whatever the film; without, only tracks that
    follow each other at the same place. Heads seen in one film at the same time are different people, unless settled.
    """
    known = _Known(vectors or {}, settled or {})
    groups = _chains([[t] for t in _sorted(tracks)], known, BORDER_GAP)
    if not known.vectors:
        groups = _chains(groups, known, REST_GAP)
    groups = sorted(_merged(groups, known), key=_weight)
    free = (f"person-{i}" for i in range(1, len(groups) + len(known.settled) + 1))
    taken = set(known.settled.values())
    numbered = (name for name in free if name not in taken)
    return {known.name(group) or next(numbered): tuple(t.id for t in group) for group in groups}


def _sorted(tracks: Sequence[Track]) -> list[Track]:
    return sorted(tracks, key=lambda t: (t.source, t.first_frame, t.id))


def _chains(groups: list[list[Track]], known: _Known, reach: int) -> list[list[Track]]:
    """Groups of tracks that follow each other at one place of one shot, nearest and best first; sorted as given."""
    totals, names = [known.total(g) for g in groups], [known.name(g) for g in groups]
    after, before = dict[int, int](), dict[int, int]()
    strand = list(range(len(groups)))  # index of the strand's first group
    for _, _, i, j in sorted(_links(groups, totals, reach)):
        if i in after or j in before:
            continue
        first, second = names[strand[i]], names[strand[j]]
        if first and second and first != second:
            continue
        after[i], before[j] = j, i
        names[strand[i]] = first or second
        at: int | None = j
        while at is not None:
            strand[at], at = strand[i], after.get(at)
    chained = []
    for i in range(len(groups)):
        if i not in before:
            chain, at = list(groups[i]), i
            while at in after:
                at = after[at]
                chain += groups[at]
            chained.append(chain)
    return chained


def _links(
    groups: list[list[Track]], totals: list[np.ndarray | None], reach: int
) -> list[tuple[int, float, int, int]]:
    """(frames between, -likeness, group, its possible sequel)."""
    starts = np.array([g[0].first_frame for g in groups])
    sources: dict[str, list[int]] = {}
    for i, g in enumerate(groups):
        sources.setdefault(g[0].source, []).append(i)
    found = []
    for own in (np.array(places) for places in sources.values()):
        for i in own:
            a = groups[int(i)][-1]
            most = max(reach, REST_GAP if totals[int(i)] is not None else 0)
            near = own[(starts[own] > a.last_frame) & (starts[own] <= a.last_frame + most * a.step)]
            near = [int(j) for j in near if groups[int(j)][0].shot == a.shot]
            if not near:
                continue
            first = np.array([groups[j][0].first_box for j in near])
            like = np.maximum(likeness(np.array([a.last_box]), first)[0], _moved(a, near, groups, first))
            found += [
                (int(starts[j]) - a.last_frame, -float(like[k]), int(i), j) for k, j in enumerate(near)
                if like[k] >= LEAST_LIKENESS and not _different(totals[int(i)], totals[j])
                and (starts[j] <= a.last_frame + reach * a.step or _alike(totals[int(i)], totals[j]))
            ]
    return found


def _moved(a: Track, near: list[int], groups: list[list[Track]], first: np.ndarray) -> np.ndarray:
    """Likeness of boxes with where a track was going; motion is believed for a few frames."""
    ahead = np.array([min(groups[j][0].first_frame - a.last_frame, _AHEAD * a.step) for j in near], np.float64)
    went = ahead[:, None] * np.array(a.drift_px * 2)
    return np.array([likeness((np.array(a.last_box) + w)[None], box[None]).item() for w, box in zip(went, first)])


def _different(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and _cosine(a, b) < ASK_COSINE


def _alike(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and _cosine(a, b) >= SAME_COSINE


def _merged(groups: list[list[Track]], known: _Known) -> list[list[Track]]:
    """Strands joined: first what is settled under one name, then by mean vectors, large ones first, each to the most
    alike person it may belong to."""
    result: list[list[Track]] = []
    sums: list[np.ndarray | None] = []
    homes: dict[str, int] = {}
    free = []
    for group in sorted(groups, key=_weight):
        name = known.name(group)
        if not name:
            free.append(group)
        elif name in homes:
            result[homes[name]] += group
        else:
            homes[name] = len(result)
            result.append(list(group))
    sums = [known.total(group) for group in result]
    nameless = []
    for group in free:
        total = known.total(group)
        home = None if total is None else _home(group, total, result, sums)
        if total is None:
            nameless.append(group)
        elif home is None:
            result.append(list(group))
            sums.append(total)
        else:
            result[home] += group
            sums[home] = total + sums[home]
    for group in result:
        group.sort(key=lambda t: (t.source, t.first_frame, t.id))
    return result + nameless


def _weight(group: list[Track]) -> tuple[int, str, int, str]:
    """Sorts groups: most faces first, then by film, time and name."""
    return -sum(t.count for t in group), group[0].source, group[0].first_frame, group[0].id


def _home(
    group: list[Track], total: np.ndarray, people: list[list[Track]], sums: list[np.ndarray | None]
) -> int | None:
    """The most alike person that is over the threshold and never seen together with `group`."""
    cosines = np.array([-1.0 if s is None else _cosine(total, s) for s in sums])
    for k in np.argsort(-cosines, kind="stable"):
        if cosines[k] < SAME_COSINE:
            return None
        if not _together(group, people[int(k)]):
            return int(k)
    return None


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def _together(a: list[Track], b: list[Track]) -> bool:
    """Whether two groups are seen in one film at the same time."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for t in b:
        spans.setdefault(t.source, []).append((t.first_frame, t.last_frame))
    return any(t.first_frame <= last and first <= t.last_frame for t in a for first, last in spans.get(t.source, ()))
