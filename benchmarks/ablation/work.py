"""The work of one arm: faces once for all, train in a process of its own, merge, score."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.ablation.arms import Arm
from benchmarks.ablation.hooks import install
from benchmarks.ablation.results import Record
from benchmarks.fw_bench import LEGS, Pair, clip, cpu_s, peak_rss_gb
from benchmarks.fwbench import faces

from benchmarks import fw_bench
from facewright.core.files import FolderLock, write_atomic


@dataclass(frozen=True, slots=True)
class Facesets:
    """Of one pair: src, dst to learn from; held, source faces that are not learned; every, the whole target film."""

    src: Path
    dst: Path
    held: Path
    every: Path


def environment(out: Path) -> None:
    """Weights from beside the checkout, keys and records of its own, one thread for everything."""
    os.environ.setdefault("FACEWRIGHT_WEIGHTS", str(fw_bench.SHARED / "weights"))
    os.environ.setdefault("FACEWRIGHT_HOME", str(out.absolute() / "home"))
    os.environ["OMP_NUM_THREADS"] = "1"


def one_thread() -> None:
    """Whatever the environment says."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def facesets(pair: Pair, out: Path) -> Facesets:
    """Extracted once; processes that come meanwhile wait."""
    out.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(out / "faces.lock")
    while not lock.acquire():
        time.sleep(1)
    try:
        fw_bench.records(pair)
        made = [
            fw_bench.faces_of(name, part, out)
            for name, part in (
                (pair.source, pair.train_source), (pair.target, pair.train_target), (pair.source, pair.held_source),
                (pair.target, None),
            )
        ]
    finally:
        lock.release()
    return Facesets(*made)


def values_of(arm: Arm, minutes: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """(training settings, shape) that are given for an arm: leg T's, then its own."""
    plan = LEGS["T"]
    quiet = {"preview_seconds": 0.0, "save_minutes": 24 * 60.0, "keep": 1}
    values = {**plan["values"], **quiet, "minutes": minutes, "seed": arm.seed, **arm.settings}
    # Shape of the recipe too: an arm with another recipe trains a net of the same size.
    small = {"archi": "df-ud", "ae_dims": 128, "face_type": "full_face"}
    return values, {**small, **plan["shape"], **arm.shape}


def recipe_of(arm: Arm, folder: Path) -> str:
    """Name of the arm's recipe, or a file with the same values and a stage more."""
    if not arm.late:
        return arm.recipe
    from facewright.training.recipes import recipe

    base, (share, late) = recipe(arm.recipe), arm.late
    stages = [{"name": "first", "share": share}, {"name": "late", "settings": dict(late)}]
    values = {"shape": dict(base.shape), "settings": base.start(), "stages": stages}
    content = {"help": arm.why, "nets": ["saehd"], **values}
    file = folder / f"{arm.name}.yaml"
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")  # JSON is YAML
    return str(file)


def train(arm: Arm, pair: Pair, out: Path, minutes: float) -> None:
    """In a process of its own: OUT/arms/NAME/run, and trained.json last."""
    from facewright import api

    one_thread()
    if arm.hook:
        install(arm.hook)
    folder, found = arm_folder(out, arm), facesets(pair, out)
    values, shape = values_of(arm, minutes)
    wall, cpu = time.monotonic(), cpu_s()
    done = api.train(
        "saehd", folder / "run", found.src, found.dst, settings=values, shape=shape, recipe=recipe_of(arm, folder)
    )
    done |= {"wall_s": time.monotonic() - wall, "cpu_s": cpu_s() - cpu, "peak_rss_gb": peak_rss_gb()}
    write_atomic(folder / "trained.json", json.dumps(done, default=str).encode())


def arm_folder(out: Path, arm: Arm) -> Path:
    """Where an arm works."""
    return out / "arms" / arm.name


class Scorer:
    """Looks at the pair's films once, then scores one arm after another."""

    def __init__(self, pair: Pair, out: Path) -> None:
        one_thread()
        self.pair, self.out, self.found = pair, out, facesets(pair, out)
        self.judge, self.parts = fw_bench.judge_of(pair), fw_bench.parts_of(pair)
        self._held: dict[int, tuple[Any, ...]] = {}

    def score(self, arm: Arm) -> dict[str, Any]:
        """Merge and measure: {part: {metric: {value, ...}}}, and held_out DSSIM. Draws OUT/sheets/NAME.png."""
        from benchmarks.fwbench.score import Arm as Pictures

        from facewright import api

        folder = arm_folder(self.out, arm)
        merged = folder / "merged"
        api.merge(clip(self.pair.target), self.found.every, folder / "run", merged, settings={"workers": 1})
        found: dict[str, Any] = {}
        plates, swaps = {}, {}
        for part in self.parts:
            pictures = Pictures(part.plates, *fw_bench.composites(merged, set(part.plates)))
            found[part.label] = fw_bench.score_arm(part, pictures, self.judge)["scores"]
            plates |= part.plates
            swaps |= pictures.swap
        (self.out / "sheets").mkdir(exist_ok=True)
        fw_bench.sheet(plates, swaps, self.out / "sheets" / f"{arm.name}.png")
        return found | {"held_out": self.held_out(folder / "run")}

    def held_out(self, run: Path) -> dict[str, float]:
        """DSSIM of reconstructions of frames that no arm learned from, at the net's own size, training's window."""
        from facewright import api
        from facewright.merge.settings import MergeSettings
        from facewright.merge.trained import open_run
        from facewright.training.losses import dssim_sizes

        net = open_run(run, MergeSettings()).net
        source, target, (gain, offset) = self._faces(net.resolution)
        if api.model_info(run)["settings"].get("match_colour"):
            source = (np.clip(source[0] * gain + offset, 0, 1).astype(np.float32), source[1])
        window, found = dssim_sizes(net.resolution)[0], {}
        for side, (truth, hulls) in (("src", source), ("dst", target)):
            made = faces.reconstructed(net, truth, side)
            found[f"DSSIM_{side}"] = faces.masked_dssim(truth, made, hulls, window)
        return found

    def _faces(self, side_px: int) -> tuple[Any, ...]:
        """((crops, hulls) of the source held out, of the target's unseen frames, training's move of colours)."""
        if side_px not in self._held:
            learned = [faces.faceset_crops(p, side_px)[1:] for p in (self.found.src, self.found.dst)]
            _, *held = faces.faceset_crops(self.found.held, side_px)
            index, every, hulls = faces.faceset_crops(self.found.every, side_px)
            keep = np.isin(index, fw_bench.span(*self.pair.score)) & ~np.isin(
                index, fw_bench.span(self.pair.train_target)
            )
            moved = faces.colour_move(*learned[0], *learned[1])
            self._held[side_px] = (tuple(held), (every[keep], hulls[keep]), moved)
        return self._held[side_px]


def do(arm: Arm, scorer: Scorer, minutes: float, *, keep: bool = False) -> Record:
    """An arm from nothing to its record; what an earlier, killed try left is put away first."""
    from facewright import api

    folder = arm_folder(scorer.out, arm)
    shutil.rmtree(folder, ignore_errors=True)  # its jobs too: a new try must not take up an old one
    folder.mkdir(parents=True)
    words = ["--out", scorer.out, "--pair", scorer.pair.name, "--minutes", minutes, "--arms", arm.name, "--train"]
    trainer = [sys.executable, "-m", "benchmarks.ablation", *map(str, words)]
    ended = subprocess.run(trainer, check=False, cwd=fw_bench.ROOT)
    shape = values_of(arm, minutes)[1]
    what = {"arm": arm.name, "pair": scorer.pair.name, "minutes": minutes, "seed": arm.seed, "changed": arm.changed,
            "shape": shape}
    if ended.returncode:
        at = collapsed_at(folder / "run")
        if at is None:
            raise subprocess.CalledProcessError(ended.returncode, trainer)
        return what | {"collapsed": at, "iterations": at, "scores": {}, **machine()}
    trained = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    begun = cpu_s()
    scores = scorer.score(arm)
    settings = api.model_info(folder / "run")["settings"]
    record = what | {
        "settings": settings, "iterations": trained["iterations"],
        "train_cpu_s": round(trained["cpu_s"], 1), "train_wall_s": round(trained["wall_s"], 1),
        "cpu_s_per_iteration": round(60 * minutes / max(trained["iterations"], 1), 4),
        "peak_rss_gb": round(trained["peak_rss_gb"], 2), "score_cpu_s": round(cpu_s() - begun, 1),
        "scores": scores, **machine(),
    }
    if not keep:
        for name in ("merged", "run/model", "run/.cache"):
            shutil.rmtree(folder / name, ignore_errors=True)
    return record


def collapsed_at(run: Path) -> int | None:
    """The iteration at which an arm's net fell apart; that, too, is a result."""
    from facewright.training import history

    found = history.events(run / history.HISTORY, "collapse")
    return int(found[-1]["onset"]) if found else None


def machine() -> Record:
    """Revision and machine."""
    import torch

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=fw_bench.ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src").splitlines()
    return {
        "commit": git("rev-parse", "--short", "HEAD"), "uncommitted": len(changed), "cpu": cpu_name(),
        "cores": os.cpu_count(), "torch": torch.__version__, "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def cpu_name() -> str:
    """The processor as it calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
