"""Fit the constant, head-fixed correction of the mesh's 68 points to a synthetic truth, and say how good it is.

    python tools/landmark_correction.py CLIP.mp4 [CLIP.mp4 ...] [--write src/facewright/faces/correction.py]

Beside each CLIP.mp4 lies CLIP.npz with `landmarks68` (T, 68, 2) in pixels, pixel centres at integers, and
`yaw_pitch_roll_deg` (T, 3). Only frames with |yaw| < 45 degrees are used. Prints, before and after: the scale bias of
the whole-face crop against the crop from the truth, the crop's shift, and the mean error of the points over the eye
distance; each clip fitted on the others (leave one out), then on all.

The least-squares points are last scaled about their middle, so that the mean crop has no scale bias at all.

Model: truth - mesh = projection of (head's rotation and scale x correction), one 3-D vector per point. Depth is seen
only through turning, so a small ridge holds what the frames do not tell at zero.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from facewright.faces.align import FIT_POINTS, MIRROR_68, canonical_mesh, face_from_frame
from facewright.faces.detect import make_detector
from facewright.faces.face import FaceType
from facewright.faces.landmark import MESH_FOR_68, make_landmarker
from facewright.image.geometry import scale_of, umeyama
from facewright.media.reader import frames, open_video

FLIP = np.array([1.0, -1.0, -1.0])
RIDGE = 3.0


def measure(clip: Path) -> tuple[np.ndarray, np.ndarray]:
    """(T, 468, 3) meshes and (T, 68, 2) true points of the usable frames of a clip."""
    truth = np.load(clip.with_suffix(".npz"), allow_pickle=False)
    _, detector = make_detector("auto")
    landmarker = make_landmarker()
    meshes, points = [], []
    for frame in frames(open_video(clip)):
        if abs(truth["yaw_pitch_roll_deg"][frame.index, 0]) >= 45.0:
            continue
        found = detector([frame.image])[0]
        if found:
            meshes.append(landmarker([frame.image], found[:1])[0].mesh_px)
            points.append(truth["landmarks68"][frame.index])
    return np.stack(meshes).astype(np.float64), np.stack(points).astype(np.float64)


def fit(meshes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(68, 3) correction in the canonical head's cm, mirror-symmetric."""
    linear = umeyama(canonical_mesh(), meshes * FLIP)[..., :3, :3]
    scale = np.cbrt(np.linalg.det(linear))[:, None, None]
    # Divided by the scale, so that every frame counts alike, in cm.
    rows = (linear / scale)[:, :2]  # (T, 2, 3): what of a head-fixed vector is seen in the picture, y up
    wanted = (truth - meshes[:, MESH_FOR_68, :2]) * FLIP[:2] / scale
    normal = np.einsum("tij,tik->jk", rows, rows) + np.diag([0.0, 0.0, RIDGE])
    correction = np.linalg.solve(normal, np.einsum("tij,tpi->jp", rows, wanted)).T
    correction = (correction + correction[MIRROR_68] * np.array([-1.0, 1.0, 1.0])) / 2
    head = canonical_mesh()[MESH_FOR_68] + correction
    middle = head[FIT_POINTS].mean(0)
    for _ in range(3):
        bias = scale_bias(corrected(meshes, correction), truth).mean()
        head = middle + (head - middle) / (1.0 + bias)
        correction = head - canonical_mesh()[MESH_FOR_68]
    return correction


def scale_bias(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T,) by how much a whole-face crop from `points` is larger than one from the truth; 0 = equal."""
    ours, theirs = (face_from_frame(p, 256, FaceType.WHOLE) for p in (points, truth))
    return np.array([scale_of(t) / scale_of(o) for o, t in zip(ours, theirs)]) - 1.0


def corrected(meshes: np.ndarray, correction: np.ndarray) -> np.ndarray:
    """(T, 68, 2) points."""
    linear = umeyama(canonical_mesh(), meshes * FLIP)[..., :3, :3]
    return meshes[:, MESH_FOR_68, :2] + (np.einsum("tij,pj->tpi", linear, correction) * FLIP)[..., :2]


def report(points: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How far crops and points are from those of the truth."""
    ours, theirs = (face_from_frame(p, 256, FaceType.WHOLE) for p in (points, truth))
    scale = scale_bias(points, truth)
    middle = np.array([128.0, 128.0, 1.0])
    shift = np.linalg.norm((theirs @ np.linalg.inv(ours) @ middle)[:, :2] - 128.0, axis=1)
    eyes = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=1)
    error = np.linalg.norm(points - truth, axis=-1) / np.maximum(eyes, 30.0)[:, None]
    return {
        "crop_scale_bias_percent": round(float(scale.mean() * 100), 3),
        "crop_scale_spread_percent": round(float(scale.std() * 100), 3),
        "crop_shift_px_of_256": round(float(shift.mean()), 3),
        "error_all": round(float(error.mean()), 4),
        "error_jaw": round(float(error[:, :17].mean()), 4),
        "error_inner": round(float(error[:, 17:].mean()), 4),
    }


def write(path: Path, correction: np.ndarray, name: str) -> None:
    """Put the numbers into the package."""
    text = path.read_text(encoding="utf-8")
    head = text[: text.index("CORRECTION_NAME = ")]
    rows = [", ".join(f"({x:.4f}, {y:.4f}, {z:.4f})" for x, y, z in correction[i : i + 4]) for i in range(0, 68, 4)]
    body = "".join(f"    {row},\n" for row in rows)
    doc = text[text.index('"""(68, 3)') :].strip()
    numbers = f'CORRECTION_NAME = "{name}"\nCORRECTION_CM = np.array([\n{body}])  # fmt: skip\n'
    path.write_text(f"{head}{numbers}{doc}\n", encoding="utf-8")


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--name", default="corr1")
    given = parser.parse_args()
    data = {clip.stem: measure(clip) for clip in given.clips}
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name, (meshes, truth) in data.items():
        others = [v for k, v in data.items() if k != name]
        result[name] = {"before": report(meshes[:, MESH_FOR_68, :2], truth)}
        if others:
            held_out = fit(np.concatenate([m for m, _ in others]), np.concatenate([t for _, t in others]))
            result[name]["fitted_on_others"] = report(corrected(meshes, held_out), truth)
    both = fit(np.concatenate([m for m, _ in data.values()]), np.concatenate([t for _, t in data.values()]))
    for name, (meshes, truth) in data.items():
        result[name]["fitted_on_all"] = report(corrected(meshes, both), truth)
    if given.write:
        write(given.write, both, given.name)
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
