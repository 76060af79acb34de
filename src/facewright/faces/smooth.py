"""Landmarks over time -> steadier landmarks: two-sided, so nothing lags; motion of every kind stays.

A local parabola is fitted around each moment by least squares (Savitzky and Golay 1964, here with real times, so that
missing frames and uneven clocks need no special care) to two parts of the points one after the other: the head's
own motion (shift, turn, size: a similarity of the mean face) and what is left, the play of features. Where the left
part moves by more than its noise explains (a blink, a syllable) the measured points are kept (Wiener's rule). Single
points and whole faces that lie far from what their neighbours agree on are left out of every fit. All of it is
symmetric in time. Every array has one row a frame: no loop runs over faces or points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facewright.faces.align import FIT_POINTS, template_3d

REACH_S = 0.24
"""At strength 1 a parabola spans so much time on either side: six frames at 25 a second."""
LONGEST_PAUSE_S = 0.5
"""Longer pauses part a track: what lies behind them says nothing about what lies before."""
LEAST_FRAMES = 5

_TRUTH_WEIGHT = 20.0
_POINT_LIMIT, _FACE_LIMIT = 5.0, 6.0
_NOISE_FACTOR = 4.0
_LEAST_NOISE, _MOST_NOISE = 2e-3, 4e-3
"""What is believed to be noise at least and at most, over the distance of the eyes."""
_PLAY_SHARE = 0.32
"""From this share of a feature's points on, moving together is play, not error."""
_GROUPS = tuple(map(np.array, (
    [*range(6), *range(12, 17)], [*range(6, 12)], [*range(17, 22)], [*range(22, 27)], [*range(27, 36)],
    [37, 38, 43, 44], [40, 41, 46, 47], [36, 39, 42, 45], [49, 50, 51, 52, 53, 61, 62, 63],
    [55, 56, 57, 58, 59, 65, 66, 67], [48, 54, 60, 64],
)))  # fmt: skip
"""Sides of the jaw, chin, brows, nose; lids, corners; lips, corners: what moves together."""


@dataclass(frozen=True, slots=True, eq=False)
class Smoothed:
    """points_px (T, 68, 2) float32; rejected (T, 68) bool: measured points that no fit believed."""

    points_px: np.ndarray
    rejected: np.ndarray


def smoothed(
    times_s: np.ndarray, points_px: np.ndarray, strength: float, *, weights: np.ndarray | None = None,
    truth: np.ndarray | None = None,
) -> Smoothed:
    """Times (T,) ascending and points (T, 68, 2) of one head in one shot -> smoothed points.

    strength 0..1, 0 = as measured. weights (T,): how far a frame's points are to be relied on, 0 = not at all (it gets
    what its neighbours say). truth (T,) bool: points that a person set; they are believed, never rejected, and stay.
    """
    times, points = np.asarray(times_s, np.float64), np.asarray(points_px, np.float64)
    weight = np.ones(len(times)) if weights is None else np.asarray(weights, np.float64).copy()
    sure = np.zeros(len(times), bool) if truth is None else np.asarray(truth, bool)
    weight[sure] = _TRUTH_WEIGHT
    out, rejected = points.copy(), np.zeros(points.shape[:2], bool)
    if strength > 0:
        for run in runs(times):
            if run.stop - run.start >= LEAST_FRAMES and times[run.stop - 1] > times[run.start]:
                out[run], rejected[run] = _run(times[run], points[run], strength, weight[run], sure[run])
    out[sure] = points[sure]
    return Smoothed(out.astype(np.float32), rejected)


def runs(times_s: np.ndarray) -> list[slice]:
    """Ascending times -> runs without a pause."""
    if not len(times_s):
        return []
    ends = np.flatnonzero(np.diff(times_s) > LONGEST_PAUSE_S) + 1
    return [slice(int(a), int(b)) for a, b in zip(np.r_[0, ends], np.r_[ends, len(times_s)])]


def head_part(points_px: np.ndarray) -> np.ndarray:
    """(T, 68, 2) points -> (T, 68, 2): the similarity of the mean face that fits their stiff points best.

    Linear in the points, so that what moves evenly is left moving evenly.
    """
    shape = template_3d()[:, :2].astype(np.float64)
    basis = np.zeros((68, 2, 4))
    basis[:, 0, 0], basis[:, 1, 0] = shape[:, 0], shape[:, 1]
    basis[:, 0, 1], basis[:, 1, 1] = -shape[:, 1], shape[:, 0]
    basis[:, 0, 2] = basis[:, 1, 3] = 1.0
    solve = np.linalg.pinv(basis[FIT_POINTS].reshape(-1, 4))
    return (points_px[:, FIT_POINTS].reshape(len(points_px), -1) @ solve.T @ basis.reshape(-1, 4).T).reshape(-1, 68, 2)


def jitter(times_s: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """(M, 68): |second difference| of points over frames that follow each other evenly, in % of the eyes' distance."""
    times, points = np.asarray(times_s, np.float64), np.asarray(points_px, np.float64)
    if len(times) < 3:
        return np.zeros((0, points.shape[1]))
    steps = np.diff(times)
    even = (np.abs(np.diff(steps)) < 0.1 * np.median(steps)) & (steps[1:] < 1.5 * np.median(steps))
    eyes = np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1)[1:-1]
    bend = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1)
    return (100 * bend / np.maximum(eyes, 1e-9)[:, None])[even]


def _run(
    times: np.ndarray, points: np.ndarray, strength: float, weight: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    steps = np.diff(times)
    step = float(np.median(steps[steps > 0]))
    eyes = np.median(np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1))
    floor, most = _LEAST_NOISE * eyes, (_MOST_NOISE * eyes) ** 2
    head = head_part(points)
    bad_face = _wrong_faces(times, head[:, FIT_POINTS], weight, floor, step) & ~sure
    play = points - head
    bad = _wrong_points(times, play, np.where(bad_face, 0.0, weight), floor, step) & ~sure[:, None]
    bad |= bad_face[:, None]
    if bad.any():  # a wrong point has pulled its whole face along
        points = np.where(bad[..., None], _filtered(times, points, np.where(bad, 0.0, weight[:, None]), 3 * step, step),
                          points)
        head = head_part(points)
        play = points - head
    reach = strength * REACH_S
    steady = _filtered(times, head, np.where(bad_face, 0.0, weight), reach, step)
    quiet = _filtered(times, play, np.where(bad, 0.0, weight[:, None]), reach, step)
    head_gain = _kept(steady - head, (FIT_POINTS,), (bad_face | (weight == 0))[:, None], most)
    play_gain = _kept(quiet - play, _GROUPS, bad | (weight == 0)[:, None], most)
    return steady + head_gain * (head - steady) + quiet + play_gain * (play - quiet), bad


def _filtered(times: np.ndarray, values: np.ndarray, weight: np.ndarray, reach: float, step: float) -> np.ndarray:
    """(T, N, 2) -> (T, N, 2): the parabola around each moment; weight (T,) or (T, N)."""
    if reach < step * 0.999:
        return values.copy()
    fit = _Fit(times, reach, step)
    value, _, _ = fit(values, weight if weight.ndim == 2 else weight[:, None])
    return values + value


class _Fit:
    """Weighted parabolas around every moment. At the ends of a run the span moves inwards and keeps its length."""

    def __init__(self, times: np.ndarray, reach: float, step: float, *, apart: int = -1) -> None:
        """apart: leave a moment itself out (0), or its so many neighbours on either side as well; -1: none."""
        inward = np.maximum(0.0, np.maximum(reach - (times - times[0]), reach - (times[-1] - times)))
        self._reach = np.minimum(reach + inward, times[-1] - times[0]) + 1e-3 * step
        first = np.searchsorted(times, times - self._reach, "left")
        end = np.searchsorted(times, times + self._reach, "right")
        places = first[:, None] + np.arange(int((end - first).max()))
        known = places < end[:, None]
        if apart >= 0:
            known &= np.abs(places - np.arange(len(times))[:, None]) > apart
        self._places = np.minimum(places, len(times) - 1)
        self._tau = np.where(known, (times[self._places] - times[:, None]) / self._reach[:, None], 0.0)
        span = self._reach[:, None] / (self._reach[:, None] + step)
        self._taper = np.where(known, (1 - (self._tau * span) ** 2) ** 2, 0.0)

    def __call__(self, values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """values (T, N, 2), weight (T, 1 or N) -> (fit minus value (T, N, 2), variance around the fit (T, N) of both
        axes together, variance of the fit's value over that of one sample (T, 1 or N))."""
        s = np.zeros((5, *np.broadcast_shapes((len(values), 1), weight.shape)))
        b = np.zeros((3, *values.shape))
        square, count = np.zeros(values.shape[:2]), np.zeros(s.shape[1:])
        for k in range(self._places.shape[1]):
            at, tau = self._places[:, k], self._tau[:, k, None]
            w = weight[at] * self._taper[:, k, None]
            count += w > 0
            off = values[at] - values
            for n in range(5):
                s[n] += w * tau**n
            for n in range(3):
                b[n] += (w * tau**n)[..., None] * off
            square += w * (off**2).sum(-1)
        return self._solved(s, b, square, count)

    @staticmethod
    def _solved(
        s: np.ndarray, b: np.ndarray, square: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        total = np.maximum(s[0], 1e-12)
        # The tiny ridge lets fewer than three samples give a line or a constant.
        normal = np.stack([np.stack([s[i + j] / total + (1e-9 if i == j else 0) for j in range(3)], -1)
                           for i in range(3)], -2)
        inverse = np.linalg.inv(normal)
        scaled = b / total[..., None]
        answer = np.einsum("...ij,j...d->...id", np.broadcast_to(inverse, (*scaled.shape[1:3], 3, 3)), scaled)
        left = square / total - np.einsum("i...d,...id->...", scaled, answer)
        free = np.maximum(count - 3, 1e-3) / np.maximum(count, 1)
        return answer[..., 0, :], np.maximum(left, 0) / free, inverse[..., 0, 0] / np.maximum(count, 1)


def _wrong_faces(
    times: np.ndarray, head: np.ndarray, weight: np.ndarray, floor: float, step: float
) -> np.ndarray:
    """(T,) bool: faces far from where their neighbours agree that the head is."""
    found = np.zeros(len(times), bool)
    for apart in (0, 1):  # two wrong faces in a row hide each other, so each is also judged without its neighbours
        odd = _oddness(times, head, weight, floor, step, apart, together=True)
        found |= odd[:, 0] > _FACE_LIMIT
    return found


def _wrong_points(
    times: np.ndarray, play: np.ndarray, weight: np.ndarray, floor: float, step: float
) -> np.ndarray:
    """(T, 68) bool: points that left the others of their feature, and their own neighbours in time."""
    odd = _oddness(times, play, weight, floor, step, 0, together=False)
    found = odd > _POINT_LIMIT
    for group in _GROUPS:
        others = -np.sort(-odd[:, group], axis=1)[:, [int(np.ceil(_PLAY_SHARE * len(group))) - 1]]
        found[:, group] &= others < odd[:, group] / 3
    return found


def _oddness(
    times: np.ndarray, values: np.ndarray, weight: np.ndarray, floor: float, step: float, apart: int, *, together: bool
) -> np.ndarray:
    """(T, N), or (T, 1) for all points together: distance from the parabola of the neighbours, over what is usual
    among those (a studentised deleted residual, Cook and Weisberg 1982)."""
    miss, spread, doubt = _Fit(times, (3 + apart) * step, step, apart=apart)(values, weight[:, None])
    far = (miss**2).sum(-1)
    if together:
        far, spread = far.mean(1, keepdims=True), spread.mean(1, keepdims=True)
    usual = np.median(spread, axis=0, keepdims=True)
    return np.sqrt(far / ((1 + doubt) * (np.maximum(spread, usual) + floor**2)))


def _kept(
    change: np.ndarray, groups: tuple[np.ndarray, ...], bad: np.ndarray, most: float
) -> np.ndarray:
    """(T, 68, 1) 0..1: how much of what smoothing took away is motion and is given back, group by group.

    Noise is what the quieter quarter of the frames shows, or `most` (px^2); rejected points give nothing back.
    """
    gain = np.zeros((*change.shape[:2], 1))
    share = np.convolve(np.ones(len(change)), [0.25, 0.5, 0.25], "same")
    believed = ~np.broadcast_to(bad, change.shape[:2])
    for group in groups:
        energy = (change[:, group] ** 2).sum(-1) * believed[:, group]
        energy = energy.sum(1) / np.maximum(believed[:, group].sum(1), 1)
        around = np.convolve(energy, [0.25, 0.5, 0.25], "same") / share
        noise = _NOISE_FACTOR * min(np.quantile(around, 0.25), most)
        part = np.clip(around / max(noise, 1e-30) - 1, 0, 1)
        gain[:, group if len(groups) > 1 else slice(None), 0] = part[:, None]
    return gain * believed[..., None]
