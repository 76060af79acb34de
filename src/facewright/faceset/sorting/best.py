"""The best faces of a set up to a number, over all poses and without doubles (data-formats-and-merging.md 7.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from facewright.faceset.faceset import Faceset
from facewright.faceset.sorting.measures import measures
from facewright.faceset.sorting.quality import QUALITY_NEEDS, box_areas, quality
from facewright.image.alike import roots_of, strangeness

By = Literal["blur", "size", "quality"]

_YAW_NODES_RAD = np.linspace(-1.2, 1.2, 128)
_CANDIDATES = 10
"""So many times the wanted number, the best by quality, are looked at in each range of yaw."""


def best(
    faceset: Faceset, count: int, by: By = "quality", *, legacy: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None, refused: dict[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """(kept, left) face ids; kept holds exactly `count` faces, or all that can be read; those that cannot are left.

    by: which of two faces alike in pose is kept: `blur` the sharper (the original's), `size` the larger in its frame
    (the original's fast one), `quality` the better all in all. legacy: quotas as the original's, see `spread`.
    """
    rows, wrong = list(faceset.rows()), {} if refused is None else refused
    needs = {"blur": ("blur",), "size": (), "quality": QUALITY_NEEDS}[by]
    found = measures(faceset, ["pose", "grey_counts", *needs], [row.face_id for row in rows], progress=progress,
                     refused=wrong)
    if by == "blur":
        worth = found["blur"]
    else:
        worth = box_areas(rows) if by == "size" else quality(rows, found)
    sound = np.array([row.path not in wrong for row in rows], bool)
    places = np.flatnonzero(sound)
    yaw, pitch = -np.radians(found["pose"][places]).T
    kept, left = spread(np.nan_to_num(worth[places]), yaw, pitch, roots_of(found["grey_counts"][places]), count,
                        legacy=legacy)
    ids = [rows[place].face_id for place in places]
    broken = [row.face_id for row, is_sound in zip(rows, sound) if not is_sound]
    return [ids[i] for i in kept], [ids[i] for i in left] + broken


def spread(
    worth: np.ndarray, yaw_rad: np.ndarray, pitch_rad: np.ndarray, roots: np.ndarray, count: int, *,
    legacy: bool = False,
) -> tuple[list[int], list[int]]:
    """(N,) each and (N, 256) roots of grey histograms -> places kept and left. Angles with the original's signs.

    Faces are dealt into 128 ranges of yaw; each gives a share of `count`, taken in turns from its ranges of pitch, the
    one least like the others there first. `legacy`: every range gives the same number, as the original has it: fewer
    faces than asked for come out where ranges are empty, and none at all below 64. Else what a range lacks is taken
    from those that have more, and exactly min(count, N) are kept.
    """
    yaw_bins = _bins(-yaw_rad, _YAW_NODES_RAD)
    ranges = [np.flatnonzero(yaw_bins == g) for g in range(len(_YAW_NODES_RAD))]
    sizes = [len(places) for places in ranges]
    shares = _equal_shares(sizes, count) if legacy else _exact_shares(sizes, count)
    pools, left = [], []
    for places, share in zip(ranges, shares):
        ranked = places[np.argsort(-worth[places], kind="stable")].tolist()
        pools.append(ranked[: _CANDIDATES * share])
        left += ranked[_CANDIDATES * share :]
    kept: list[int] = []
    for pool, share in zip(pools, shares):
        taken, rest = _in_turns(np.array(pool, int), pitch_rad, roots, share)
        kept += taken
        left += rest
    return kept, left


def _bins(angles: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Which range an angle lies in: from its node to below the next; the outer ones hold what lies beyond."""
    return np.clip(np.searchsorted(nodes, angles, side="right") - 1, 0, len(nodes) - 1)


def _equal_shares(sizes: Sequence[int], count: int) -> list[int]:
    """The original's: what small ranges lack is added to all alike."""
    share = round(count / len(sizes))
    lack = sum(max(share - size, 0) for size in sizes)
    return [share + lack // len(sizes)] * len(sizes)


def _exact_shares(sizes: Sequence[int], count: int) -> list[int]:
    """As equal as the sizes allow, `count` in all; what cannot be divided goes to ranges spread evenly."""
    whole = np.asarray(sizes)
    count = min(count, int(whole.sum()))
    low, high = 0, int(whole.max(initial=0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(whole, middle).sum() <= count else (low, middle - 1)
    shares = np.minimum(whole, low)
    more, able = count - int(shares.sum()), np.flatnonzero(whole > low)
    shares[able[(np.arange(more) * len(able)) // max(more, 1)]] += 1
    return shares.tolist()


def _in_turns(
    pool: np.ndarray, pitch_rad: np.ndarray, roots: np.ndarray, share: int
) -> tuple[list[int], list[int]]:
    """One range of yaw: cells of pitch from low to high give their strangest face in turn until there are enough."""
    if not len(pool) or not share:
        return [], pool.tolist()
    pitch_bins = _bins(pitch_rad[pool], np.linspace(-np.pi / 2, np.pi / 2, share))
    cells = []
    for b in np.unique(pitch_bins):
        cell = pool[pitch_bins == b]
        # Rounded: two faces are equally strange to each other, and then the better one comes first.
        cells.append(cell[np.argsort(-strangeness(roots[cell]).round(6), kind="stable")].tolist())
    turns = [(turn, at) for at, cell in enumerate(cells) for turn in range(len(cell))]
    chosen = sorted(turns)[:share]
    used = [0] * len(cells)
    for _, at in chosen:
        used[at] += 1
    taken = [cells[at][turn] for turn, at in chosen]
    return taken, [place for cell, n in zip(cells, used) for place in cell[n:]]
