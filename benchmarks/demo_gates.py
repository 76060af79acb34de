"""The demo's figures against their gates, with the true swap as judge (training-on-a-budget section 7).

    python -m benchmarks.demo_gates --seeds 0 1 2 [--out DIR] [--cpu-minutes 14]

Trains on the shipped pair with blocks of frames held out (index mod 25 >= 21), merges, and measures: similarity and
margin (where the identity net is at hand), landmark error, mouth correlation, DSSIM against the true
swap in the target's colours, DSSIM of held-out reconstructions. JSON out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.fw_bench import cpu_s
from benchmarks.fwbench.faces import SIDE, crops, faceset_crops, in_colours_of, masked_dssim, reconstructed

Array = np.ndarray
GATES = {
    "sim": (0.77, 9.0),
    "margin": (0.14, 9.0),
    "NME": (0.0, 4.5),
    "mouth_r": (0.70, 1.0),
    "true_DSSIM": (0.0, 0.055),
    "held_out_DSSIM_src": (0.0, 0.036),
    "held_out_DSSIM_dst": (0.0, 0.056),
}


def train_demo(out: Path, seed: int, cpu_minutes: float, extra: dict[str, Any]) -> dict[str, Any]:
    """Extract, train on processor time, merge; returns what training said."""
    from facewright import api, demo

    clips = demo.footage()
    src, dst = out / "faces-source", out / "faces-target"
    for film, faces in ((clips.source, src), (clips.target, dst)):
        api.extract([film], faces, settings=demo.extract_settings())
    run, merged = out / f"model-{seed}", out / f"merged-{seed}"
    values = {"seed": seed, "clock": "cpu", "minutes": cpu_minutes, "threads": 1, "hold_out": 25, **extra}
    wall, cpu = time.monotonic(), cpu_s()
    trained = api.train("saehd", run, src, dst, settings=values, recipe="quick")
    trained |= {"wall_s": time.monotonic() - wall, "cpu_s": cpu_s() - cpu}
    api.merge(clips.target, dst, run, merged, settings={})
    return trained


def pictures(film: Path) -> dict[int, Array]:
    """All frames of a film."""
    from facewright.media.reader import frames, open_video

    return {f.index: f.image for f in frames(open_video(film))}


def nme_percent(plate: Array, swap: Array) -> float:
    """Points 17..67 against the plate's, % of the eye-centre distance."""
    eyes = np.linalg.norm(plate[:, 36:42].mean(1) - plate[:, 42:48].mean(1), axis=-1)
    return float((np.linalg.norm(plate[:, 17:] - swap[:, 17:], axis=-1).mean(1) / eyes).mean() * 100)


def lip_opening(points: Array) -> Array:
    """62-66 over 27-57, (T,)."""
    return np.linalg.norm(points[:, 62] - points[:, 66], axis=-1) / np.linalg.norm(
        points[:, 27] - points[:, 57], axis=-1
    )


def held_out(run: Path, src: Path, dst: Path) -> dict[str, float]:
    """DSSIM at 128 px of reconstructions of frames that training never saw (index mod 25 >= 21)."""
    from facewright.merge.settings import MergeSettings
    from facewright.merge.trained import open_run

    net = open_run(run, MergeSettings()).net
    (index_s, faces_s, hulls_s), (index_d, faces_d, hulls_d) = faceset_crops(src), faceset_crops(dst)
    faces_s = in_colours_of(faces_s, hulls_s, faces_d, hulls_d)
    found = {}
    for side, index, faces, hulls in (("src", index_s, faces_s, hulls_s), ("dst", index_d, faces_d, hulls_d)):
        keep = index % 25 >= 21
        made = reconstructed(net, faces[keep], side)
        found[f"held_out_DSSIM_{side}"] = masked_dssim(faces[keep], made, hulls[keep])
    return found


@dataclass(frozen=True)
class Judged:
    """The shipped clips as seen once: plate, the true swap, and its best possible paste into the plate."""

    plates: dict[int, Array]
    meshes: dict[int, Array]
    plate: Any
    real: Any
    true_faces: Array
    true_hulls: Array
    plate_faces: Array
    plate_hulls: Array
    c_source: Array | None

    @property
    def points(self) -> dict[int, Array]:
        """Plate's points by frame."""
        return dict(zip((int(i) for i in self.plate.frames), self.plate.points))


def see() -> Judged:
    """Look at the shipped clips; the true swap's faces are moved to the target's colours, as the recipe moves."""
    from benchmarks.fwbench import observe, who

    from facewright import demo
    from facewright.media.frame import Frame
    from facewright.media.reader import open_video

    clips = demo.footage()
    plates, truth, own = pictures(clips.target), pictures(clips.true_swap), pictures(clips.source)
    base = open_video(clips.target).time_base

    def meshes_of(images: dict[int, Array]) -> dict[int, Array]:
        return observe.find_faces([Frame(i, i, base, p) for i, p in images.items()])

    meshes = meshes_of(plates)
    plate, real = observe.look(plates, meshes), observe.look(truth, meshes_of(truth))
    source = observe.look(own, meshes_of(own))
    points = [dict(zip((int(i) for i in seen.frames), seen.points)) for seen in (plate, real)]
    plate_faces, plate_hulls = crops(plates, points[0])
    true_faces, true_hulls = crops(truth, points[1])
    moved = in_colours_of(true_faces, true_hulls, plate_faces, plate_hulls)
    c_source = None if source.vectors is None else who.centroid(source.vectors)
    return Judged(plates, meshes, plate, real, moved, true_hulls, plate_faces, plate_hulls, c_source)


def pasted(seen: Judged, alphas: dict[int, Array]) -> dict[int, Array]:
    """The true face in the swap's place, with the swap's own alpha: what a perfect net would read."""
    from facewright.faces.align import face_from_frame
    from facewright.faces.face import FaceType

    found = {}
    for face, (index, p) in zip(seen.true_faces, seen.points.items()):
        matrix, plate = face_from_frame(p, SIDE, FaceType.FULL)[:2], seen.plates[index]
        drawn = cv2.warpAffine(face, matrix, plate.shape[1::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        a = alphas[index][..., None]
        found[index] = np.clip(np.rint(plate * (1 - a) + drawn * 255 * a), 0, 255).astype(np.uint8)
    return found


def judge(out: Path, seed: int, seen: Judged) -> dict[str, float]:
    """Figures of one trained and merged seed; `*_ceiling` is the true face pasted the same way."""
    from benchmarks.fwbench import observe, who

    from facewright.merge.result import Merged

    composites = list(Merged.open(out / f"merged-{seed}").composites())
    swaps, alphas = {c.frame_index: c.image for c in composites}, {c.frame_index: c.alpha for c in composites}
    swap, best = observe.look(swaps, seen.meshes), observe.look(pasted(seen, alphas), seen.meshes)
    faces, _ = crops(swaps, seen.points)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    inner = np.stack([cv2.erode(m, kernel) for m in seen.plate_hulls * seen.true_hulls])
    plate = seen.plate
    found: dict[str, float] = {"true_DSSIM": masked_dssim(seen.true_faces, faces, inner)}
    found["true_DSSIM_plate"] = masked_dssim(seen.true_faces, seen.plate_faces, inner)
    for name, other in (("", swap), ("_ceiling", best)):
        found[f"NME{name}"] = nme_percent(plate.points, other.points)
        found[f"mouth_r{name}"] = float(np.corrcoef(lip_opening(plate.points), lip_opening(other.points))[0, 1])
        found[f"mouth_gain{name}"] = float(lip_opening(other.points).std() / lip_opening(plate.points).std())
        if seen.c_source is not None and other.vectors is not None:
            axis = seen.c_source - who.centroid(plate.vectors)
            found[f"sim{name}"] = float((other.vectors @ seen.c_source).mean())
            found[f"margin{name}"] = float((other.vectors @ axis).mean())
    if seen.c_source is not None:
        found["sim_plate"] = float((plate.vectors @ seen.c_source).mean())
    return found


def main() -> int:
    """Print and write the figures of every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out") / "demo_gates")
    parser.add_argument("--cpu-minutes", type=float, default=14.0)
    parser.add_argument("--judge-only", action="store_true", help="measure what an earlier run left in OUT")
    parser.add_argument("--set", nargs="*", default=[])
    words = parser.parse_args()
    cv2.setNumThreads(1)
    extra = dict(w.split("=", 1) for w in words.set)
    report, seen = {}, see()
    for seed in words.seeds:
        trained = {} if words.judge_only else train_demo(words.out, seed, words.cpu_minutes, extra)
        figures = judge(words.out, seed, seen)
        figures |= held_out(words.out / f"model-{seed}", words.out / "faces-source", words.out / "faces-target")
        holds = {k: low <= figures[k] <= high for k, (low, high) in GATES.items() if k in figures}
        report[seed] = {"trained": trained, "figures": figures, "holds": holds}
        print(seed, json.dumps(figures), [k for k, good in holds.items() if not good], flush=True)
    path = words.out / f"demo_gates_{'_'.join(map(str, words.seeds))}.json"
    path.write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
