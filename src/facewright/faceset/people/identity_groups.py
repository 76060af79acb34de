"""Faces grouped by whose they are, for sorting and looking: names and tracks where there are any, identity vectors to
put right what they missed and to group what has none. Changes nothing in the set; `people` is what names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facewright.core.errors import FileRefused, Mismatch, WeightsMissing
from facewright.faces.identity import ASK_COSINE, SAME_COSINE, mean_vector
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row

_ROUNDS, _AT_ONCE = 3, 256


@dataclass(frozen=True, slots=True)
class Group:
    """One group: its name ("" = nobody named it), places in the rows, and each one's cosine to the group's mean
    (None without vectors), the most typical first."""

    name: str
    places: tuple[int, ...]
    likeness: tuple[float | None, ...]


def grouped(
    faceset: Faceset, rows: Sequence[Row], progress: Callable[[int, int], None] = lambda done, total: None,
    refused: dict[str, str] | None = None,
) -> list[Group]:
    """Every row in one group, large groups first.

    A face is its person's (a name of its own or its track's), else its track's. With vectors: groups of one person's
    likeness become one, a face much more like another group than its own goes there, and faces without name and track
    are gathered by likeness. One whose picture cannot be read stays with its track (path -> why in `refused`). Raises
    WeightsMissing where there are neither names nor tracks nor the identity net.
    """
    name = faceset.namer()
    keys = [("name", name(row)) if name(row) else ("track", row.track) for row in rows]
    vectors = _vectors(faceset, rows, progress, {} if refused is None else refused)
    if vectors is None:
        if not any(word for _, word in keys) and rows:
            raise WeightsMissing(
                "These faces have neither names nor tracks, and the identity net is not here.",
                remedy="Fetch it with `facewright weights fetch mobileface_v2`.", where=faceset.path,
            )
        return _largest_first([Group(_name(key), tuple(places), (None,) * len(places)) for key, places in _by(keys)])
    groups = [(key, np.array(places)) for key, places in _by(keys) if key[1]]
    loose = np.array([place for place, (_, word) in enumerate(keys) if not word], int)
    groups = _moved(_joined(groups, vectors), loose, vectors)
    return _largest_first([_group(_name(key), places, vectors) for key, places in groups if len(places)])


def _vectors(
    faceset: Faceset, rows: Sequence[Row], progress: Callable[[int, int], None], refused: dict[str, str]
) -> np.ndarray | None:
    """(N, D) unit vectors, zeros of faces that have none; None without a net."""
    if faceset.vectors([]) is None:
        return None
    found: list[np.ndarray | None] = []
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        try:
            found += list(_of(faceset, some))
        except (FileRefused, Mismatch):
            found += [_one(faceset, row, refused) for row in some]
        progress(len(found), len(rows))
    nothing = np.zeros(next((len(v) for v in found if v is not None), 1), np.float32)
    return np.stack([nothing if v is None else v for v in found]) if found else np.zeros((0, 1), np.float32)


def _of(faceset: Faceset, rows: Sequence[Row]) -> np.ndarray:
    found = faceset.vectors([row.face_id for row in rows])
    assert found is not None
    return found.matrix


def _one(faceset: Faceset, row: Row, refused: dict[str, str]) -> np.ndarray | None:
    try:
        return _of(faceset, [row])[0]
    except (FileRefused, Mismatch) as error:
        refused[row.path] = error.why or error.what
        return None


_Key = tuple[str, str]
_Group = tuple[_Key, np.ndarray]


def _by(keys: Sequence[_Key]) -> list[tuple[_Key, list[int]]]:
    found: dict[_Key, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return list(found.items())


def _name(key: _Key) -> str:
    return key[1] if key[0] == "name" else ""


def _joined(groups: list[_Group], vectors: np.ndarray) -> list[_Group]:
    """Tracks without a name join the group they are most like, named ones first, large ones before small ones."""
    groups = sorted(groups, key=lambda group: (group[0][0] != "name", -len(group[1])))
    kept: list[_Group] = []
    means = np.zeros((len(groups), vectors.shape[1]), np.float32)
    for key, places in groups:
        mean = mean_vector(vectors[places])
        likeness = means[: len(kept)] @ mean
        at = int(np.argmax(likeness)) if len(kept) else -1
        if key[0] == "track" and at >= 0 and likeness[at] >= SAME_COSINE:
            kept[at] = (kept[at][0], np.concatenate([kept[at][1], places]))
        else:
            kept.append((key, places))
            at = len(kept) - 1
        means[at] = mean_vector(vectors[kept[at][1]])
    return kept


def _moved(groups: list[_Group], loose: np.ndarray, vectors: np.ndarray) -> list[_Group]:
    """Single faces go where they belong: strays to the group they are like, loose ones likewise or into new ones."""
    home = np.full(len(vectors), -1)
    for at, (_, places) in enumerate(groups):
        home[places] = at
    means = [mean_vector(vectors[places]) for _, places in groups]
    if means:
        likeness = vectors @ np.stack(means).T
        nearest, own = likeness.argmax(1), likeness[np.arange(len(vectors)), np.maximum(home, 0)]
        near = likeness.max(1) >= SAME_COSINE
        home = np.where(near & ((home < 0) | (own < ASK_COSINE)), nearest, home)
    keys: list[_Key] = [key for key, _ in groups]
    left = loose[home[loose] < 0]
    while len(left):
        some = vectors[left]
        mean = some[0]
        for _ in range(_ROUNDS):
            alike = some @ mean >= SAME_COSINE
            mean = mean_vector(some[alike]) if alike.any() else mean
        alike = some @ mean >= SAME_COSINE
        alike[0] |= not alike.any()
        home[left[alike]] = len(keys)
        keys.append(("loose", str(len(keys))))
        left = left[~alike]
    return [(key, np.flatnonzero(home == at)) for at, key in enumerate(keys)]


def _group(name: str, places: np.ndarray, vectors: np.ndarray) -> Group:
    likeness = vectors[places] @ mean_vector(vectors[places])
    order = np.argsort(-likeness, kind="stable")
    known = (vectors[places] != 0).any(axis=1).tolist()
    return Group(name, tuple(places[order].tolist()), tuple(float(likeness[i]) if known[i] else None for i in order))


def _largest_first(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: -len(group.places))
