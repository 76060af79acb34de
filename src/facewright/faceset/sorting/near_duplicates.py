"""Near-duplicates: pictures that add nothing to others of the set. Vectorised, in blocks; memory is that of the faces.

Steps: 0 the same picture; 1 nothing moved but noise; 2 hardly anything moved; 3 much alike.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np

STEPS = (0, 1, 2, 3)
_TOLERANCE = {1: (1.0, 1.0, 0.03, 0.03), 2: (2.0, 2.0, 0.06, 0.05), 3: (4.0, 4.0, 0.12, 0.08)}
"""What two pictures may differ by: RMS of the grey picture at 32 px (of 255), turn in degrees, openness of mouth and of
eyes. They count together: at most 1 as the length of their quotients."""
_SIDE_PX, _BLOCK = 32, 512


def near_duplicates(
    small: np.ndarray, pose_deg: np.ndarray, expression: np.ndarray, quality: np.ndarray, strength: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which faces repeat another, and which one that is.

    small (N, 64, 64, 3) uint8; pose_deg (N, 2) yaw, pitch; expression (N, 2) mouth, eyes; quality (N,): of faces that
    are alike the best stays. strength: the loosest step (0..3). Returns step (N,) int64: the least step at which a face
    repeats one that stays (-1: it stays), and like (N,): the index of that one (its own where it stays).
    """
    step, like = np.full(len(small), -1), np.arange(len(small))
    order = np.argsort(-np.nan_to_num(quality), kind="stable")
    first: dict[tuple[int, int], int] = {}
    for at in order.tolist():
        data = small[at].tobytes()
        known = first.setdefault((zlib.crc32(data), zlib.adler32(data)), at)
        if known != at and np.array_equal(small[known], small[at]):
            step[at], like[at] = 0, known
    for number in range(1, strength + 1):
        here = order[step[order] < 0]
        if not len(here):
            break
        near = _near(_vectors(small[here], pose_deg[here], expression[here], _TOLERANCE[number]))
        repeats = near != np.arange(len(here))
        step[here[repeats]], like[here[repeats]] = number, here[near[repeats]]
    for _ in range(strength):  # one that was like another which went itself is like the one that stayed
        like = like[like]
    return step, like


def _vectors(
    small: np.ndarray, pose_deg: np.ndarray, expression: np.ndarray, tolerance: tuple[float, float, float, float]
) -> np.ndarray:
    """(N, D) float32: two faces are alike when their vectors are at most 1 apart."""
    grey_tol, turn_tol, mouth_tol, eyes_tol = tolerance
    out = np.empty((len(small), _SIDE_PX**2 + 4), np.float32)
    for at, picture in enumerate(small):
        grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
        out[at, :-4] = grey.ravel()
    out[:, :-4] /= grey_tol * _SIDE_PX
    out[:, -4:-2] = np.nan_to_num(pose_deg) / turn_tol
    out[:, -2:] = np.nan_to_num(expression) / (mouth_tol, eyes_tol)
    return out - out.mean(0)


def _near(vectors: np.ndarray) -> np.ndarray:
    """(N,) index of the first one kept that lies within 1 of each, its own for those that are kept."""
    kept = np.empty_like(vectors)
    kept_at, count = np.empty(len(vectors), np.int64), 0
    near = np.arange(len(vectors))
    for at in range(0, len(vectors), _BLOCK):
        block = vectors[at : at + _BLOCK]
        distance = _squares(block, kept[:count])
        if count:
            close = distance.argmin(1)
            there = distance[np.arange(len(block)), close] <= 1
            near[at : at + len(block)][there] = kept_at[close[there]]
        else:
            there = np.zeros(len(block), bool)
        own = _squares(block, block) <= 1
        for row in np.flatnonzero(~there):
            if there[row]:
                continue
            follow = own[row] & ~there
            follow[: row + 1] = False
            near[at : at + len(block)][follow] = at + row
            there |= follow
        stay = np.flatnonzero(near[at : at + len(block)] == at + np.arange(len(block)))
        kept[count : count + len(stay)], kept_at[count : count + len(stay)] = block[stay], at + stay
        count += len(stay)
    return near


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) squared distances."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * (a @ b.T), 0)
