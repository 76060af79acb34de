"""Which pictures look alike, by histogram or pixel by pixel; orders in which each picture is followed by the one most
like it. data-formats-and-merging.md 7.2 and table 7; each step of an order is one operation over all that are left."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

BINS = 256
_ROWS_AT_ONCE = 1024
_CELL_PX = 8


def colour_roots(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (768,) float64: square roots of each channel's shares of 256 values."""
    return np.concatenate([grey_roots(image[..., channel]) for channel in range(3)])


def grey_roots(grey: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> (256,) float64. The product of two such is their Bhattacharyya coefficient."""
    return np.sqrt(np.bincount(grey.ravel(), minlength=BINS) / grey.size)


def strangeness(roots: np.ndarray) -> np.ndarray:
    """(N, 256) -> (N,): the sum of each one's Bhattacharyya distances to all others, 0..N-1."""
    total = np.empty(len(roots))
    for at in range(0, len(roots), _ROWS_AT_ONCE):
        some = roots[at : at + _ROWS_AT_ONCE]
        total[at : at + len(some)] = _distances(some @ roots.T).sum(1)
    # A picture's distance to itself is rounding alone.
    return total - _distances(np.einsum("ij,ij->i", roots, roots))


def histogram_chain(roots: np.ndarray) -> np.ndarray:
    """(N, 768) of `colour_roots` -> order (N,): from the first one on, always the most alike of those left, by the
    sum of the channels' Bhattacharyya distances."""
    left = roots.copy()

    def farness(last: int) -> np.ndarray:
        rest, channels = left[last + 1 :], len(roots[0]) // BINS
        parts = [slice(c * BINS, (c + 1) * BINS) for c in range(channels)]
        return sum(_distances(rest[:, part] @ left[last, part]) for part in parts)  # type: ignore[return-value]

    return _chained(left, lambda last: int(np.argmin(farness(last))))


def _chained(left: np.ndarray, choose: Callable[[int], int], *beside: np.ndarray) -> np.ndarray:
    """Order of a greedy chain. choose(last): which of the rows after `last` follows it; that one and the next change
    places in `left` and in every array `beside`."""
    order = np.arange(len(left))
    for last in range(len(left) - 1):
        there, here = last + 1 + choose(last), last + 1
        if there != here:
            for rows in (left, order, *beside):
                rows[[here, there]] = rows[[there, here]]
    return order


def _distances(coefficients: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(1 - coefficients, 0))


def pixel_chain(pictures: np.ndarray, *, alike: bool = True) -> np.ndarray:
    """(N, S, S, 3) uint8, S a multiple of 8 -> order (N,): from the first one on, always the one of those left with
    the least (not `alike`: the greatest) sum of absolute differences.

    That sum lies between bounds that the means of cells of 8 x 8 give, so few pictures are compared whole.
    """
    flat = pictures.reshape(len(pictures), -1).copy()
    sums, spread = _cells(pictures)
    sign = 1 if alike else -1

    def choose(last: int) -> int:
        here = last + 1
        least = np.abs(sums[here:] - sums[last]).sum(1)
        most = least + spread[here:] + spread[last]
        bound = least if alike else -most
        first = int(np.argmin(bound))
        limit = sign * _difference(flat[last], flat[here + first])
        near = np.flatnonzero(bound <= limit)
        exact = [sign * _difference(flat[last], flat[here + n]) for n in near]
        return int(near[np.argmin(exact)])

    return _chained(flat, choose, sums, spread)


def _cells(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, cells x 3) int32 sums over the cells, and (N,) int64 sums of what the pixels differ from their cell's mean,
    rounded up: |a - b| summed over a cell is at least the difference of sums, and at most that and both spreads."""
    n, side = pictures.shape[:2]
    cells = side // _CELL_PX
    tiles = pictures.reshape(n, cells, _CELL_PX, cells, _CELL_PX, 3)
    sums = np.empty((n, cells * cells * 3), np.int32)
    spread = np.empty(n, np.int64)
    for i, one in enumerate(tiles):
        total = one.sum((1, 3), dtype=np.int32)
        sums[i] = total.ravel()
        off = np.abs(one.astype(np.int32) * _CELL_PX**2 - total[:, None, :, None])
        spread[i] = -(-off.sum() // _CELL_PX**2)
    return sums, spread


def _difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(cv2.norm(a, b, cv2.NORM_L1))
