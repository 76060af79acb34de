"""FW-bench: is this change better? One command, JSON and a contact sheet out (protocol: measuring-quality, section 5).

    python -m benchmarks.fw_bench M                      merger alone: null and pasted faces, no training, minutes
    python -m benchmarks.fw_bench T --pairs R1 R2 S1     900 CPU-s of training per pair, raw ranking of trainers
    python -m benchmarks.fw_bench L --pairs R1 R2        40 minutes per real pair, product defaults, absolute figures

Needs the shared footage and weights beside the checkout (or FACEWRIGHT_SHARED); its clips are test inputs only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("FACEWRIGHT_SHARED", ROOT.parent / "shared"))
USE = "FW-bench: measuring a face swap on licensed test clips, never distributed"


@dataclass(frozen=True, slots=True)
class Pair:
    """Frame ranges [start, stop) of the protocol: blocks, because neighbours leak."""

    name: str
    source: str
    target: str
    train_source: tuple[int, int]
    train_target: tuple[int, int]
    held_source: tuple[int, int]
    calibrate_target: tuple[int, int]
    score: tuple[tuple[int, int], ...]


PAIRS = {
    p.name: p
    for p in (
        Pair(
            "R1",
            "franck_conversation",
            "webcam_man_take1",
            (0, 1000),
            (0, 600),
            (1000, 1200),
            (180, 600),
            ((0, 180), (600, 780)),
        ),
        Pair(
            "R2",
            "webcam_man_take2",
            "franck_conversation",
            (0, 600),
            (0, 900),
            (600, 765),
            (180, 900),
            ((0, 180), (1000, 1180)),
        ),
        Pair("S1", "synthetic_person_a", "synthetic_person_b", (0, 100), (0, 100), (100, 125), (0, 100), ((0, 125),)),
    )
}


def clip(name: str) -> Path:
    """A clip of the shared footage."""
    return SHARED / "footage" / f"{name}.mp4"


def cpu_s() -> float:
    """Processor seconds of this process and its children so far."""
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_rss_gb() -> float:
    """Of this process: its own high-water mark where the system tells it (ru_maxrss begins with the parent's)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def records(pair: Pair) -> None:
    """Records of the test-footage basis for both clips, once."""
    from facewright import api

    for name, role in ((pair.source, "source_likeness"), (pair.target, "target_performer")):
        label = f"{name} as {role}"
        if label not in {row["person"] for row in api.consent_list()}:
            api.consent_new(
                who="test-footage", use=USE, proof="now", adult_agreed=True, name=label, role=role, media=(clip(name),)
            )


def faces_of(name: str, span: tuple[int, int] | None, folder: Path) -> Path:
    """A faceset of a clip's frames [start, stop), or of all."""
    from facewright import api
    from facewright.media.reader import frame_times, open_video

    video = open_video(clip(name))
    where = folder / (f"faces-{name}" + (f"-{span[0]}-{span[1]}" if span else ""))
    values: dict[str, Any] = {"face_type": "full_face", "resolution": 256}
    if span is not None:
        times = frame_times(video) * float(video.time_base)
        ends = [*times, times[-1] + 1 / float(video.rate)]
        values |= {
            "start": f"{max(0.0, ends[span[0]] - 1e-3):.4f}",
            "end": f"{ends[min(span[1], len(times))] - 1e-3:.4f}",
        }
    api.extract([clip(name)], where, settings=values)
    return where


def train(pair: Pair, out: Path, values: dict[str, Any], recipe: str, shape: dict[str, Any]) -> dict[str, Any]:
    """Extract, train and merge one pair; returns seconds and the merge's folder."""
    from facewright import api

    timings: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        wall, cpu = time.monotonic(), cpu_s()
        done = work()
        timings[f"{name}_wall_s"], timings[f"{name}_cpu_s"] = time.monotonic() - wall, cpu_s() - cpu
        return done

    records(pair)
    src = timed("extract_source", lambda: faces_of(pair.source, pair.train_source, out))
    dst = timed("extract_target", lambda: faces_of(pair.target, pair.train_target, out))
    every = timed("extract_all", lambda: faces_of(pair.target, None, out))
    run = out / f"run-{pair.name}"
    trained = timed("train", lambda: api.train("saehd", run, src, dst, settings=values, recipe=recipe, shape=shape))
    merged = out / f"merged-{pair.name}"
    timed("merge", lambda: api.merge(clip(pair.target), every, run, merged, settings={}))
    film = out / f"{pair.name}.mp4"
    if not film.exists():
        timed("render", lambda: api.render(merged, film, audio_from=None, settings={}))
    return {"merged": merged, "run": run, "trained": trained, "timings": timings, "film": film}


def pictures(name: str, wanted: Iterable[int]) -> dict[int, Any]:
    """Frame index -> uint8 RGB, of the wanted frames."""
    from facewright.media.reader import frames, open_video

    keep = set(wanted)
    video = open_video(clip(name))
    return {f.index: f.image for f in frames(video, min(keep), max(keep) + 1) if f.index in keep}


def span(*ranges: tuple[int, int]) -> list[int]:
    """All frame indices of ranges."""
    return [i for a, b in ranges for i in range(a, b)]


def look(name: str, indices: list[int]) -> tuple[dict[int, Any], dict[int, Any], Any]:
    """Pictures of a clip, the meshes that span the squares to look at (plate and swaps alike), and what is seen."""
    from benchmarks.fwbench.observe import find_faces, look

    from facewright.media.frame import Frame
    from facewright.media.reader import open_video

    images, base = pictures(name, indices), open_video(clip(name)).time_base
    meshes = find_faces([Frame(i, i, base, image) for i, image in sorted(images.items())])
    return images, meshes, look(images, meshes)


def judge_of(pair: Pair) -> Any:
    """The identity judge, calibrated on frames that are not scored."""
    from benchmarks.fwbench.score import calibrate

    _, _, source = look(pair.source, span(pair.train_source)[::4])
    _, _, held = look(pair.source, span(pair.held_source)[::2])
    _, _, target = look(pair.target, span(pair.calibrate_target)[::4])
    _, _, held_target = look(pair.target, span(*pair.score)[::4])
    return calibrate(source, held, target, held_target)


def composites(merged: Path, wanted: set[int]) -> tuple[dict[int, Any], dict[int, Any]]:
    """Swapped pictures and alphas of the wanted frames, before encoding."""
    from facewright.merge.result import Merged

    swap, alpha = {}, {}
    for c in Merged.open(merged).composites(min(wanted), max(wanted) + 1):
        if c.frame_index in wanted:
            swap[c.frame_index], alpha[c.frame_index] = c.image, c.alpha
    return swap, alpha


@dataclass(frozen=True, slots=True)
class Part:
    """Scored frames of a target, looked at once: label "seen" or "unseen" in training, the plate's pictures by frame
    index, the meshes of its faces, and what is seen there."""

    label: str
    plates: dict[int, Any]
    meshes: dict[int, Any]
    plate: Any


def parts_of(pair: Pair) -> list[Part]:
    """The frames that every swap of this pair is scored on."""
    return [Part(label, *look(pair.target, span(part))) for label, part in zip(("seen", "unseen"), pair.score)]


def score_arm(part: Part, arm: Any, judge: Any) -> dict[str, Any]:
    """All metrics of one swap of these frames, and its gates."""
    from benchmarks.fwbench import observe
    from benchmarks.fwbench.score import gates, score

    scores = score(arm, part.plate, observe.look(arm.swap, part.meshes), judge)
    return {"scores": scores, "gates": gates(scores)}


def score_pair(pair: Pair, merged: Path, judge: Any) -> dict[str, Any]:
    """Seen and unseen frames of a merge, and the null swaps of the same frames, all gates."""
    from benchmarks.fwbench.null import null_arm
    from benchmarks.fwbench.score import Arm

    found: dict[str, Any] = {}
    for part in parts_of(pair):
        arms = {"swap": Arm(part.plates, *composites(merged, set(part.plates)))}
        arms |= {f"null{side}": null_arm(part.plates, part.plate, side) for side in (256, 128)}
        found |= {f"{part.label}_{name}": score_arm(part, arm, judge) for name, arm in arms.items()}
    return found


def sheet(plates: dict[int, Any], swaps: dict[int, Any], path: Path) -> None:
    """Ten frames spread over those given: target and swap, for a person to look at."""
    import numpy as np
    from PIL import Image

    chosen = sorted(plates)
    picks = sorted({chosen[i] for i in np.linspace(0, len(chosen) - 1, 10).astype(int)})
    rows = [np.concatenate([film[i] for i in picks], 1) for film in (plates, swaps)]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def leg_m(pairs: list[Pair], out: Path) -> dict[str, Any]:
    """The merger alone: null swaps of each pair's target through our own merge and through the protocol's paste."""
    from facewright import api

    found = {}
    for pair in pairs:
        records(pair)
        every = faces_of(pair.target, None, out)
        judge = judge_of(pair)
        for side in (256, 128):
            merged = out / f"merged-{pair.name}-null{side}"
            api.merge(clip(pair.target), every, Path(f"null:{side}:full_face"), merged, settings={})
            found[f"{pair.name}_merged_null{side}"] = score_pair(pair, merged, judge)
    return found


LEGS: dict[str, dict[str, Any]] = {
    "T": {
        "recipe": "quick",
        "values": {"minutes": 15.0, "clock": "cpu", "threads": 1},
        "shape": {"resolution": 64, "e_dims": 32, "d_dims": 32, "d_mask_dims": 16},
    },
    "L": {"recipe": "hour", "values": {"minutes": 40.0, "clock": "wall"}, "shape": {}},
}


def leg_train(leg: str, pairs: list[Pair], out: Path, extra: dict[str, Any]) -> dict[str, Any]:
    """Legs T and L: train, merge, render, score, draw."""
    found = {}
    for pair in pairs:
        plan = LEGS[leg]
        values = {**plan["values"], "seed": 0, **extra}
        made = train(pair, out, values, plan["recipe"], plan["shape"])
        scores = score_pair(pair, made["merged"], judge_of(pair))
        scored = span(*pair.score)
        swaps, _ = composites(made["merged"], set(scored))
        sheet(pictures(pair.target, scored), swaps, out / f"{pair.name}.png")
        found[pair.name] = {
            "settings": values,
            "recipe": plan["recipe"],
            "trained": made["trained"],
            "timings": made["timings"],
            "scores": scores,
        }
    return found


def main() -> int:
    """Write OUT/fw_bench_<leg>.json and print the gates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("leg", choices=["M", "T", "L"])
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=["R1", "R2"])
    parser.add_argument("--out", type=Path, default=Path("out") / "fw_bench")
    parser.add_argument("--set", nargs="*", default=[], help="training settings, key=value")
    words = parser.parse_args()
    out = words.out
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("FACEWRIGHT_WEIGHTS", str(SHARED / "weights"))
    os.environ.setdefault("FACEWRIGHT_HOME", str(out / "home"))
    extra = {k: json.loads(v) if v[:1] in "0123456789tf-." else v for k, v in (w.split("=", 1) for w in words.set)}
    pairs = [PAIRS[p] for p in words.pairs]
    begun, cpu = time.monotonic(), cpu_s()
    found = leg_m(pairs, out) if words.leg == "M" else leg_train(words.leg, pairs, out, extra)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    report = {
        "leg": words.leg,
        "commit": commit.stdout.strip(),
        "cpu": platform.processor() or platform.machine(),
        "wall_s": time.monotonic() - begun,
        "cpu_s": cpu_s() - cpu,
        "pairs": found,
    }
    path = out / f"fw_bench_{words.leg}_{'_'.join(words.pairs)}.json"
    path.write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
