"""Fit the constant, head-fixed correction of the mesh's 68 points to a synthetic truth, and say how good it is.

    python -m tools.landmark_correction [CLIP.mp4 ...] [--heads 12 --model FOLDER] [--write correction.py --name corr1]

Truth: clips with a CLIP.npz beside them (`landmarks68` (T, 68, 2) px and `yaw_pitch_roll_deg` (T, 3)), and single
frames of further heads, rendered here by tools/footage from the head model in FOLDER. Only frames with |yaw| < 45
degrees are used; every head counts alike. Prints, before and after: the scale bias of the whole-face crop against the
crop from the truth, the crop's shift, and the error of the points over the eye distance. "held out": fitted without
that head; "fitted on all": as stored.

Model: truth - mesh = projection of (head's rotation and scale x correction), one 3-D vector per point, the same for
both halves of the face. Depth is seen only through turning, so a small ridge holds what the frames do not tell at
zero. Last, the points are scaled about their middle, so that the crop of the average head has no scale bias.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facewright.faces.align import FIT_POINTS, MIRROR_68, canonical_mesh, face_from_frame
from facewright.faces.detectors import make_detector
from facewright.faces.face import FaceType
from facewright.faces.landmark import MESH_FOR_68, make_landmarker
from facewright.image.geometry import scale_of, umeyama
from facewright.media.reader import frames, open_video

FLIP = np.array([1.0, -1.0, -1.0])
RIDGE = 3.0


Head = tuple[np.ndarray, np.ndarray]
"""(T, 468, 3) meshes and (T, 68, 2) true points of one head, px."""


def look(pictures: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> Head:
    """Detect and mesh the one head of each picture; pictures without one are left out."""
    detections = make_detector("auto")[1](list(pictures))
    kept = [i for i, row in enumerate(detections) if row]
    landmarks = make_landmarker()([pictures[i] for i in kept], [detections[i][0] for i in kept])
    meshes = np.stack([found.mesh_px for found in landmarks]).astype(np.float64)
    return meshes, np.stack([truth[i] for i in kept]).astype(np.float64)


def measure(clip: Path) -> Head:
    """The usable frames of a clip."""
    truth = np.load(clip.with_suffix(".npz"), allow_pickle=False)
    usable = np.abs(truth["yaw_pitch_roll_deg"][:, 0]) < 45.0
    pictures = [frame.image for frame in frames(open_video(clip)) if usable[frame.index]]
    return look(pictures, truth["landmarks68"][usable])


def render(folder: Path, number: int) -> dict[str, Head]:
    """Further heads of the row that seed 77 stands for, twelve moments each."""
    from tools.footage import backdrop, film, head
    from tools.footage.camera import Camera
    from tools.footage.person import Person, build, identity_of

    model = head.load(folder)
    scene = film.Scene(camera=Camera(400, 400), samples=1)
    behind = backdrop.paint(scene.backdrop, scene.camera)
    rng = np.random.default_rng(77)
    found = {}
    for k in range(number):
        who = build(model, Person(identity=identity_of(77, k)), 512)
        pictures, marks = [], []
        for at in range(12):
            pose = np.array([rng.uniform(-44, 44), rng.uniform(-14, 14), rng.uniform(-15, 15)])
            smile, brow, blink = rng.uniform(0, [0.7, 0.7, 1.0])
            weights = model.weights({
                "jawOpen": max(rng.uniform(-0.3, 0.5), 0.0), "mouthSmile_L": smile, "mouthSmile_R": smile,
                "browInnerUp_L": brow, "browInnerUp_R": brow, "eyeBlink_L": blink**4, "eyeBlink_R": blink**4,
            })
            shot = film.frame(model, who, scene, pose, weights, behind, at)
            pictures.append(shot.picture)
            marks.append(shot.landmarks_px - 0.5)  # the generator counts from the picture's edge
        found[f"head_{k}"] = look(pictures, marks)
    return found


def fit(heads: list[Head]) -> np.ndarray:
    """(68, 3) correction in the canonical head's cm, mirror-symmetric."""
    normal, right = np.diag([0.0, 0.0, RIDGE / 60]) * len(heads), np.zeros((3, 68))
    for meshes, truth in heads:
        linear = umeyama(canonical_mesh(), meshes * FLIP)[..., :3, :3]
        scale = np.cbrt(np.linalg.det(linear))[:, None, None]
        # Divided by the scale, so that every frame counts alike, in cm.
        rows = (linear / scale)[:, :2]  # (T, 2, 3): what of a head-fixed vector is seen in the picture, y up
        wanted = (truth - meshes[:, MESH_FOR_68, :2]) * FLIP[:2] / scale
        normal += np.einsum("tij,tik->jk", rows, rows) / len(meshes)
        right += np.einsum("tij,tpi->jp", rows, wanted) / len(meshes)
    correction = np.linalg.solve(normal, right).T
    correction = (correction + correction[MIRROR_68] * np.array([-1.0, 1.0, 1.0])) / 2
    head = canonical_mesh()[MESH_FOR_68] + correction
    middle = head[FIT_POINTS].mean(0)
    for _ in range(3):
        bias = np.mean([scale_bias(corrected(meshes, correction), truth).mean() for meshes, truth in heads])
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
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--heads", type=int, default=0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--name", default="corr1")
    given = parser.parse_args()
    data = {clip.stem: measure(clip) for clip in given.clips}
    if given.heads:
        data |= render(given.model, given.heads)
    final = fit(list(data.values()))
    result = {}
    for name, (meshes, truth) in data.items():
        others = [v for k, v in data.items() if k != name]
        result[name] = {"before": report(meshes[:, MESH_FOR_68, :2], truth)}
        if others:
            result[name]["held_out"] = report(corrected(meshes, fit(others)), truth)
        result[name]["fitted_on_all"] = report(corrected(meshes, final), truth)
    mean = {}
    for stage in ("before", "held_out", "fitted_on_all"):
        rows = [r[stage] for r in result.values() if stage in r]
        if rows:
            mean[stage] = {k: round(float(np.mean([r[k] for r in rows])), 4) for k in rows[0]}
    if given.write:
        write(given.write, final, given.name)
    json.dump({"heads": result, "mean": mean}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
