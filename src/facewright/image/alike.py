"""Which pictures look alike, by histogram or pixel by pixel; orders in which each picture is followed by the one most
like it (or least). data-formats-and-merging.md 7.2 and table 7.

Chains are exact: a cheap bound over all that are left says which must be compared whole, mostly few.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

BINS = 256
MOST_OF_A_CHAIN = 20_000
"""The work of a chain grows with the square of its length: longer sets are chained in slices, as the original does."""

_ROWS_AT_ONCE, _COMPARED_AT_ONCE = 256, 64
_MOST_PICKED = 0.6
"""Where the bound leaves more than this share, all are compared: rows that lie together are faster than picked ones."""
_ROWS_OF_A_THREAD, _MOST_THREADS = 1024, 4
_COARSE = 8
_CELL_PX = 8
_TOLD_EVERY = 256
Places = slice | np.ndarray
"""Which of the rows that are left."""
Progress = Callable[[int, int], None]

_FLOAT32_OFF = 4e-6
"""How far a sum of at most 32 products of float32 shares may lie from the truth."""


def roots_of(counts: np.ndarray) -> np.ndarray:
    """(..., 256) histograms -> square roots of their shares, float64. The product of two such is their Bhattacharyya
    coefficient; an empty histogram gives zeros."""
    total = counts.sum(-1, keepdims=True, dtype=np.float64)
    return np.sqrt(counts / np.maximum(total, 1))


def strangeness(roots: np.ndarray) -> np.ndarray:
    """(N, 256) -> (N,): the sum of each one's Bhattacharyya distances to all others, 0..N-1."""
    total = np.empty(len(roots))
    for at in range(0, len(roots), _ROWS_AT_ONCE):
        some = roots[at : at + _ROWS_AT_ONCE]
        found = _distances(some @ roots.T)
        found[np.arange(len(some)), at + np.arange(len(some))] = 0  # rounding alone
        total[at : at + len(some)] = found.sum(1)
    return total


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def histogram_chain(roots: np.ndarray, progress: Progress = _silent) -> np.ndarray:
    """(N, C, 256) -> order (N,): from the first one on, always the most alike of those left, by the sum of the
    channels' Bhattacharyya distances. Takes `roots` over: its rows change places.

    Merged bins make histograms more alike, never less: eight in one give the bound.
    """
    count, channels = roots.shape[:2]
    merged = (roots**2).reshape(count, channels, -1, _COARSE).sum(-1)
    coarse = [np.ascontiguousarray(np.sqrt(merged[:, c]), np.float32) for c in range(channels)]

    def least(last: int) -> np.ndarray:
        return sum(  # type: ignore[return-value]
            np.sqrt(np.maximum(1 - _FLOAT32_OFF - part[last + 1 :] @ part[last], 0)) for part in coarse)

    def exact(last: int, places: Places) -> np.ndarray:
        return _distances(np.einsum("ncb,cb->nc", roots[last + 1 :][places], roots[last])).sum(1)

    return _chained(count, least, exact, progress, roots, *coarse)


def pixel_chain(pictures: np.ndarray, progress: Progress = _silent, *, alike: bool = True) -> np.ndarray:
    """(N, S, S, 3) uint8, S a multiple of 8 -> order (N,): from the first one on, always the one of those left with
    the least (not `alike`: the greatest) sum of absolute differences. Takes `pictures` over: they change places.

    Bounds come from cells of 8 x 8 pixels: with D the difference of two cells' sums and Q their pixels' deviations
    from the means, the cells' difference is at least |D|, and at most hypot(D, Q + Q') (Cauchy and Schwarz).
    """
    flat = pictures.reshape(len(pictures), -1)
    sums, deviations = _cells(pictures)
    buffer, other = np.empty_like(sums), np.empty_like(sums)

    def bound(last: int) -> np.ndarray:
        off = np.subtract(sums[last + 1 :], sums[last], out=buffer[: len(sums) - last - 1])
        if alike:
            return _row_sums(np.abs(off, out=off))  # whole numbers below 2^24: exact
        far = np.add(deviations[last + 1 :], deviations[last], out=other[: len(off)])
        return -_row_sums(cv2.magnitude(off, far, off)) * np.float32(1.0001)

    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:

        def exact(last: int, places: Places) -> np.ndarray:
            rows, one = flat[last + 1 :][places], flat[last : last + 1]
            parts = np.array_split(rows, threads) if len(rows) >= threads * _ROWS_OF_A_THREAD else [rows]
            found = np.concatenate(list(pool.map(lambda some: _differences(some, one), parts)))
            return found if alike else -found

        return _chained(len(flat), bound, exact, progress, flat, sums, deviations)


def _row_sums(rows: np.ndarray) -> np.ndarray:
    """(N, P) float32 -> (N,). A product with ones wakes BLAS's threads each time: far slower beside other programs."""
    return cv2.reduce(rows, 1, cv2.REDUCE_SUM)[:, 0] if len(rows) else np.zeros(0, np.float32)


def _differences(rows: np.ndarray, one: np.ndarray) -> np.ndarray:
    """(M, P) and (1, P) uint8 -> (M,) int32 sums of absolute differences."""
    # The nearest of one: the only door through which OpenCV compares many with one.
    return cv2.batchDistance(rows, one, cv2.CV_32S, normType=cv2.NORM_L1, K=1)[0][:, 0]


def in_slices(chain: Callable[[np.ndarray], np.ndarray], things: np.ndarray) -> np.ndarray:
    """Order of (N, ...) by a chain of at most 20,000 at a time, one slice behind the other. Takes `things` over."""
    starts = range(0, len(things), MOST_OF_A_CHAIN)
    orders = [at + chain(things[at : at + MOST_OF_A_CHAIN]) for at in starts]
    return np.concatenate(orders) if orders else np.zeros(0, int)


def _chained(
    count: int, least: Callable[[int], np.ndarray], exact: Callable[[int, Places], np.ndarray], progress: Progress,
    *rows: np.ndarray,
) -> np.ndarray:
    """Order of a greedy chain over arrays of `rows` that change places as it grows.

    least(last): for each row after `last`, a lower bound of its distance; exact(last, places): distances of some.
    Of equally near ones the first counts, as in the original.
    """
    order = np.arange(count)
    for last in range(count - 1):
        if last % _TOLD_EVERY == 0:
            progress(last, count)
        here = last + 1
        there = here + _nearest(least(last), lambda some, last=last: exact(last, some))
        if there != here:
            for array in (order, *rows):
                array[[here, there]] = array[[there, here]]
    return order


def _nearest(bound: np.ndarray, exact: Callable[[Places], np.ndarray]) -> int:
    """Place of the least exact value, the first of equals; those whose bound is above it are not looked at."""
    chosen = int(np.argmin(bound))
    best = exact(slice(chosen, chosen + 1))[0]
    near = np.flatnonzero(bound <= best)
    if len(near) > _MOST_PICKED * len(bound):
        return int(np.argmin(exact(slice(None))))
    near = near[np.argsort(bound[near])]
    for at in range(0, len(near), _COMPARED_AT_ONCE):
        some = near[at : at + _COMPARED_AT_ONCE]
        if bound[some[0]] > best:
            break
        values = exact(some)
        least = values.min()
        place = int(some[values == least].min())
        if (least, place) < (best, chosen):
            best, chosen = least, place
    return chosen


def _distances(coefficients: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(1 - coefficients, 0))


def _cells(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, cells x 3) float32: sums over the cells, whole numbers; and 8 times the root of the sum of their squared
    deviations from the mean."""
    n, side = pictures.shape[:2]
    cells = side // _CELL_PX
    tiles = pictures.reshape(n, cells, _CELL_PX, cells, _CELL_PX, 3)
    sums, deviations = (np.empty((n, cells * cells * 3), np.float32) for _ in range(2))
    for i, one in enumerate(tiles):
        total = one.sum((1, 3), dtype=np.int64)
        squares = (one.astype(np.int64) ** 2).sum((1, 3))
        sums[i] = total.ravel()
        deviations[i] = np.sqrt(_CELL_PX**2 * squares - total**2).ravel()
    return sums, deviations
