"""Identity metrics (measuring-quality 2.1): transfer towards the source, and a second judge without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray


def centroid(vectors: Array) -> Array:
    """Normalised mean of unit vectors (N, D)."""
    mean = vectors.mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


@dataclass(frozen=True, slots=True)
class Transfer:
    """ID1: 0 = still the target, 1 = as in the source's own footage."""

    itr: float
    sim_source: float
    sim_target: float
    margin_source: float
    margin_plate: float


def transfer(swap: Array, plate: Array, source_held_out: Array, c_source: Array, c_target: Array) -> Transfer:
    """ITR = (mean m(S) - m_plate) / (m_source - m_plate), m(x) = e.c_s - e.c_t (after Deng 2019's margins)."""
    axis = c_source - c_target
    m_swap, m_plate, m_source = (float((v @ axis).mean()) for v in (swap, plate, source_held_out))
    return Transfer(
        (m_swap - m_plate) / (m_source - m_plate),
        float((swap @ c_source).mean()),
        float((swap @ c_target).mean()),
        m_source,
        m_plate,
    )


def hog(crops: Sequence[Array]) -> Array:
    """112 px aligned RGB crops -> (N, 1764) HOG of rows 16..111, columns 8..103 in grey at 64 px (Dalal 2005)."""
    engine = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
    rows = []
    for crop in crops:
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[16:112, 8:104]
        rows.append(engine.compute(cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA)).ravel())
    return np.stack(rows).astype(np.float64)


@dataclass(frozen=True, slots=True)
class PairJudge:
    """ID2: dual ridge regression, 1 source, 0 target. It answers `which of the two`, never `who`."""

    weights: Array
    offset: float

    def score(self, features: Array) -> Array:
        """(N, F) -> (N,), not yet rescaled."""
        return features @ self.weights + self.offset


def pair_judge(source: Array, target: Array) -> PairJudge:
    """Train on features (N, F) of both; lambda = mean diagonal of the centred Gram matrix."""
    x = np.concatenate([source, target])
    y = np.concatenate([np.ones(len(source)), np.zeros(len(target))])
    mean_x, mean_y = x.mean(0), y.mean()
    centred = x - mean_x
    gram = centred @ centred.T
    dual = np.linalg.solve(gram + np.eye(len(x)) * gram.diagonal().mean(), y - mean_y)
    weights = centred.T @ dual
    return PairJudge(weights, float(mean_y - mean_x @ weights))


def rescaled(judge: PairJudge, swap: Array, held_out_source: Array, held_out_target: Array) -> float:
    """Mean score of the swap on the scale held-out target = 0, held-out source = 1."""
    low, high = float(judge.score(held_out_target).mean()), float(judge.score(held_out_source).mean())
    return (float(judge.score(swap).mean()) - low) / (high - low)


def bootstrap(values: Array, block: int, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """(5 %, 95 %, standard error) of the mean by a block bootstrap: frames are not independent."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    block = min(block, len(values))
    count = -(-len(values) // block)
    starts = rng.integers(0, len(values) - block + 1, (draws, count))
    means = values[(starts[..., None] + np.arange(block)).reshape(draws, -1)].mean(1)
    return float(np.quantile(means, 0.05)), float(np.quantile(means, 0.95)), float(means.std())
