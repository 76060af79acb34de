"""Which face comes when: endless sequences that are functions of a number, so that any part can be asked for alone.

Plain: shuffled epochs, each face once. By yaw (models-and-training.md 3.2, uniform_yaw): bins of the head's turn take
turns, each in its own shuffled order, so that rare poses are seen as often as common ones.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_ORDER = 1 << 32
"""Mark of the streams that order an epoch, apart from those that move a sample (batches.draws)."""
_BINS = 2 << 32
_MEMBERS = 3 << 32

YAW_EDGES_RAD = np.linspace(-1.2, 1.2, 128)
"""The original's bins: bin i is [edge i, edge i+1), the first also holds all below, the last all above."""


def order(seed: int, side: int, count: int, first: int, n: int) -> np.ndarray:
    """Places first .. first+n of an endless sequence of shuffled epochs over 0..count-1 -> (n,) int64."""
    return _shuffles(seed, _ORDER + side, count, np.arange(first, first + n))


def _shuffles(seed: int, stream: int, count: int, places: np.ndarray) -> np.ndarray:
    """Places of the sequence of shuffles of 0..count-1 -> numbers."""
    out = np.empty(len(places), np.int64)
    for epoch in np.unique(places // count):
        here = places // count == epoch
        out[here] = _shuffled(seed, stream, count, int(epoch))[places[here] % count]
    return out


def _shuffled(seed: int, stream: int, count: int, epoch: int) -> np.ndarray:
    """A millisecond for 60,000 faces; an epoch lasts thousands of calls. Bins are many and small."""
    return (_of_few if count <= _FEW else _of_many)(seed, stream, count, epoch)


def _permutation(seed: int, stream: int, count: int, epoch: int) -> np.ndarray:
    key = np.random.Philox(key=[seed, stream], counter=[0, 0, 0, epoch])
    return np.random.Generator(key).permutation(count)


_FEW = 4096
_of_few, _of_many = lru_cache(512)(_permutation), lru_cache(4)(_permutation)


class ByYaw:
    """Faces in bins of yaw; empty bins are left out. yaw_rad (n,): turn of each face, > 0 nose to image right."""

    def __init__(self, yaw_rad: np.ndarray) -> None:
        bins = np.clip(np.searchsorted(YAW_EDGES_RAD, yaw_rad, side="right") - 1, 0, len(YAW_EDGES_RAD) - 1)
        self.members = [np.flatnonzero(bins == b) for b in np.unique(bins)]

    def order(self, seed: int, side: int, first: int, n: int) -> np.ndarray:
        """Places first .. first+n of the endless sequence -> (n,) int64 numbers of faces."""
        places = np.arange(first, first + n)
        bins = _shuffles(seed, _BINS + side, len(self.members), places)
        # Each bin comes once a round, so a bin's visits are counted by the rounds.
        rounds = places // len(self.members)
        out = np.empty(n, np.int64)
        for place, (b, visit) in enumerate(zip(bins, rounds)):
            inside = self.members[b]
            stream = _MEMBERS + 2 * int(b) + side
            out[place] = inside[_shuffles(seed, stream, len(inside), np.array([visit]))[0]]
        return out
