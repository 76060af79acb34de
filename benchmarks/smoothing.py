"""How much landmarks tremble on the licensed test footage, raw and steadied, and what that costs of blinks and speech.

    python benchmarks/smoothing.py --footage ../shared/footage [--strengths 0.5 0.75 1] [--frames 260] [--json FILE]

Beside ours a Savitzky-Golay filter of 7 frames and degree 2, the floor of measuring-quality.md 4.1. In % of the
distance of the eyes: "jitter" is the median second difference of the 68 points, "wobble" the same of the head's own
motion (what a pasted square does), "moved" how far points went (median, 99 %). "mouth" and "eye": correlation with the
raw openness, and its range over the raw one's (1 % to 99 %). "lag": frames by which the speed of the points is late;
must be 0. Frames that repeat the one before are left out of jitter and wobble, as they flatter both.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from facewright.faces.find import FaceFinder
from facewright.faces.settings import DetectSettings
from facewright.faces.smooth import head_part, smoothed
from facewright.media.reader import frames, open_video

CLIPS = (
    "franck_conversation", "webcam_man_take1", "webcam_man_take2", "webcam_man_distance", "webcam_man_hand",
    "glasses_man_expressions", "man_headpose", "synthetic_person_a",
)
CHUNK, REPEATED = 32, 0.05


def points_of(path: Path, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(times (T,), points (T, 68, 2), whether a frame repeats the one before (T,)) of each frame's leftmost face."""
    finder, found, times, repeats = FaceFinder(DetectSettings(net_threads=1)), [], [], []
    some = list(frames(open_video(path), 0, most))
    grey = [frame.image.mean(-1) for frame in some]
    same = [False, *(float(np.abs(a - b).mean()) < REPEATED for a, b in pairwise(grey))]
    for at in range(0, len(some), CHUNK):
        for frame, row in zip(some[at : at + CHUNK], finder.find(some[at : at + CHUNK])):
            if row:
                found.append(row[0].landmarks.points_px)
                times.append(float(frame.time_s))
                repeats.append(same[frame.index])
    return np.array(times), np.stack(found).astype(np.float64), np.array(repeats)


def savitzky_golay(points: np.ndarray) -> np.ndarray:
    """Seven frames, degree two; at the ends the last whole parabola."""
    rows = np.vander(np.arange(-3, 4), 3, increasing=True)
    hat = rows @ np.linalg.pinv(rows)
    flat = points.reshape(len(points), -1)
    inner = np.stack([hat[3] @ flat[i - 3 : i + 4] for i in range(3, len(flat) - 3)])
    return np.concatenate([hat[:3] @ flat[:7], inner, hat[4:] @ flat[-7:]]).reshape(points.shape)


def eyes_px(points: np.ndarray) -> np.ndarray:
    """(T,): distance of the middles of both eyes."""
    return np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1)


def jitter(points: np.ndarray, repeats: np.ndarray) -> float:
    """Median |second difference| over frames and points, % of the distance of the eyes."""
    bend = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1)
    return float(np.median((100 * bend / eyes_px(points)[1:-1, None])[~(repeats[1:-1] | repeats[2:])]))


def mouth(points: np.ndarray) -> np.ndarray:
    """(T,): mean inner height of the lips over their width."""
    return _span(points, ((61, 67), (62, 66), (63, 65))) / _span(points, ((60, 64),))


def eye(points: np.ndarray) -> np.ndarray:
    """(T,): mean height of both eyes over their width."""
    return _span(points, ((37, 41), (38, 40), (43, 47), (44, 46))) / _span(points, ((36, 39), (42, 45)))


def lag(raw: np.ndarray, steady: np.ndarray) -> int:
    """Frames by which the speed of nose and chin comes late, -3..3."""
    speed = np.diff(raw[:, [8, 30]].reshape(len(raw), -1), axis=0)
    later = np.diff(steady[:, [8, 30]].reshape(len(raw), -1), axis=0)
    match = [np.corrcoef(speed[3:-3].ravel(), np.roll(later, -shift, 0)[3:-3].ravel())[0, 1] for shift in range(-3, 4)]
    return int(np.argmax(match)) - 3


def compared(raw: np.ndarray, steady: np.ndarray, repeats: np.ndarray, rejected: float = 0.0) -> dict[str, float]:
    """All figures of one way of smoothing."""
    moved = 100 * np.linalg.norm(steady - raw, axis=-1) / eyes_px(raw)[:, None]
    figures = {
        "jitter": jitter(steady, repeats), "wobble": jitter(head_part(steady), repeats),
        "moved": float(np.median(moved)), "moved_99": float(np.quantile(moved, 0.99)),
        "rejected_percent": rejected, "lag": lag(raw, steady),
    }
    for name, measure in (("mouth", mouth), ("eye", eye)):
        a, b = measure(raw), measure(steady)
        figures |= {f"{name}_r": float(np.corrcoef(a, b)[0, 1]), f"{name}_range": _range(b) / _range(a)}
    return {key: round(value, 4) for key, value in figures.items()}


def _span(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    return np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs], axis=0)


def _range(values: np.ndarray) -> float:
    low, high = np.quantile(values, (0.01, 0.99))
    return float(high - low)


def main() -> None:
    """Measure, print a table, and keep the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--footage", type=Path, required=True)
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.5, 0.75, 1.0])
    parser.add_argument("--frames", type=int, default=260)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    heads = ("jitter", "wobble", "moved", "moved_99", "mouth_r", "mouth_range", "eye_r", "eye_range", "lag")
    print(f"{'clip':24} {'way':8} " + " ".join(f"{head:>11}" for head in heads))
    for clip in args.clips:
        times, raw, repeats = points_of(args.footage / f"{clip}.mp4", args.frames)
        rows = {"raw": compared(raw, raw, repeats), "SG 7/2": compared(raw, savitzky_golay(raw), repeats)}
        for strength in args.strengths:
            new = smoothed(times, raw, strength)
            rejected = 100 * float(new.rejected.mean())
            rows[f"{strength:g}"] = compared(raw, new.points_px.astype(np.float64), repeats, rejected)
        results[clip] = rows
        for way, row in rows.items():
            print(f"{clip:24} {way:8} " + " ".join(f"{row[head]:11.3f}" for head in heads), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
