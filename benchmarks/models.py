"""What a training iteration and a save cost, per net: the bare step, the product's whole loop, the original beside it.

    python -m benchmarks.models [--cases quick96 df-ud-128 ...] [--precisions float32 bf16] [--steps 4] [--threads 2]
                                [--device cpu|cuda] [--out FOLDER] [--no-loop]

JSON on the screen and in OUT/models.json. Bare step: forward, loss, backward and optimiser on a ready batch, the first
two not counted. Loop: `facewright train` as users run it, default settings but batch and precision, from its third
iteration on: samples, running mean of the weights, checks and reports; previews and saves, which come by the clock, are
not in it. Save: one checkpoint of weights, running mean and optimiser, durable. Every measurement runs in a process of
its own, so that its peak memory is its own. The loop needs the shared footage beside the checkout.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Case:
    """net, shape, batch as trained; original: its cpu_s, wall_s and peak_gb a step on this kind of machine."""

    net: str
    shape: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 4
    settings: Mapping[str, Any] = field(default_factory=dict)
    original: Mapping[str, float] = field(default_factory=dict)


RECIPE = {"archi": "df-ud", "resolution": 96, "ae_dims": 128, "e_dims": 24, "d_dims": 16, "d_mask_dims": 8}
CASES: dict[str, Case] = {
    # The original: TensorFlow with oneDNN, float32, 2 threads, quiet machine (models-and-training.md 11).
    "quick96": Case("quick96", original={"cpu_s": 2.55, "wall_s": 1.27, "peak_gb": 1.8}),
    "df-ud-128": Case(
        "saehd", {"archi": "df-ud", "d_mask_dims": 22}, original={"cpu_s": 4.3, "wall_s": 2.08, "peak_gb": 2.4}
    ),
    "liae-ud-128": Case("saehd", {"archi": "liae-ud", "d_mask_dims": 22}),
    "amp-128": Case("amp", {"resolution": 128, "face_type": "full_face"}),
    "xseg-32": Case("xseg", {"base_dims": 32, "face_type": "full_face"}),
    "xseg-12": Case("xseg", {"base_dims": 12, "face_type": "full_face"}),
    "recipe": Case("saehd", RECIPE, batch=8, settings={"optimiser": "adamw", "lr": 2e-3}),
}
WARM_UP = 2
"""Iterations that are not counted."""
DEFAULT = [name for name in CASES if name != "recipe"]


def settings_of(case: Case, words: argparse.Namespace) -> Any:
    """The product's training settings of a case."""
    from facewright.core.settings import check
    from facewright.training.settings import settings_class

    values = {"batch_size": case.batch, "precision": words.precision, "threads": words.threads, "device": words.device}
    return check(settings_class(case.net), {**values, **case.settings})


def ready_batch(count: int, side: int, device: str) -> SimpleNamespace:
    """Random faces of both people, as the sample pipeline would hand them over."""
    import torch

    draw = torch.Generator().manual_seed(0)

    def person() -> SimpleNamespace:
        shapes = {"input": 3, "target": 3, "mask": 1, "priority": 1}
        return SimpleNamespace(
            **{n: torch.rand(count, c, side, side, generator=draw).to(device) for n, c in shapes.items()}
        )

    return SimpleNamespace(src=person(), dst=person())


def net_of(case: Case) -> Any:
    """A fresh net."""
    from facewright.core.settings import check
    from facewright.models.net import build, fresh
    from facewright.models.settings import SHAPES
    from facewright.models.xseg import XSeg

    shape = check(SHAPES[case.net], dict(case.shape))
    return fresh(XSeg, shape) if case.net == "xseg" else build(case.net, shape)


def loss_of(net: Any, case: Case, batch: Any, settings: Any, enabled: bool) -> Any:
    """Forward and loss."""
    import torch

    from facewright.training.objectives import mask_objective, objective

    with torch.autocast(batch.src.input.device.type, dtype=torch.bfloat16, enabled=enabled):
        if case.net == "xseg":
            made = net(batch.src.input)
        else:
            made = net(batch.src.input, batch.dst.input)
    if case.net == "xseg":
        terms = mask_objective(made, (batch.src.mask > 0.5).float())
    else:
        terms = objective(case.net, made, batch, settings)
    return torch.stack(list(terms.values())).sum()


def bare(case: Case, words: argparse.Namespace) -> dict[str, Any]:
    """Steps on a ready batch, then a save of what they made."""
    import torch

    from facewright.training.optim import Ema
    from facewright.training.training import optimiser_for

    torch.set_num_threads(words.threads)
    settings, net = settings_of(case, words), net_of(case).to(words.device)
    generator = torch.Generator(words.device).manual_seed(0)
    if case.net != "xseg":
        learned = {name for name, _ in net.trainable(True)}  # AMP's inters rest, here as there
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name in learned)
    optimiser = optimiser_for(list(net.named_parameters()), settings, generator)
    batch = ready_batch(case.batch, getattr(net, "resolution", 256), words.device)
    marks = []
    for _ in range(words.steps + WARM_UP):
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(net, case, batch, settings, words.precision == "bf16")
        loss.backward()
        optimiser.step()
        if words.device != "cpu":
            torch.cuda.synchronize()
        marks.append(_now())
    count = sum(p.numel() for p in net.parameters())
    found = _each(marks[WARM_UP - 1 :]) | {"parameters": count, "peak_gb": _peak_gb(words)}
    return found | {"save": save(net, optimiser, Ema(net.named_parameters()), words.out)}


def save(net: Any, optimiser: Any, ema: Any, out: Path) -> dict[str, float]:
    """One checkpoint: bytes, seconds on the wall, processor seconds; the median of three."""
    from facewright.models import checkpoint
    from facewright.models.shelf import bytes_of

    times, size = [], 0
    with tempfile.TemporaryDirectory(dir=out) as folder:
        for i in range(3):
            begun = _now()
            kept = checkpoint.save(Path(folder), i + 1, net, optimiser, ema.tensors())
            times.append([b - a for a, b in zip(begun, _now())])
            size = bytes_of(kept)
    cpu, wall = (statistics.median(t) for t in zip(*times))
    return {"bytes": size, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}


def loop(case: Case, words: argparse.Namespace) -> dict[str, Any]:
    """The same net trained by the product on faces of the shared clips."""
    from benchmarks import fw_bench
    from facewright import api

    src, dst = faces(words.out)
    every = 1 if words.device == "cpu" else 10  # how often it reports: each report waits once for the device
    first = WARM_UP * every
    last, marks = first + words.steps * every, dict[int, tuple[float, float]]()

    def hear(event: Mapping[str, Any]) -> None:
        if event.get("kind") == "progress" and event.get("done", 0) >= first:
            marks.setdefault(int(event["done"]), _now())

    values = settings_of(case, words).model_dump(exclude_unset=True) | {"iterations": last, "log_every": every}
    with tempfile.TemporaryDirectory(dir=words.out) as folder:
        api.train(case.net, Path(folder) / "run", src, dst, settings=values, shape=dict(case.shape), on_event=hear)
    done = sorted(i for i in marks if i <= last)
    if len(done) < 2:
        raise RuntimeError(f"training told of too few iterations: {done} of {last} ({fw_bench.ROOT})")
    return _each([marks[i] for i in done], [b - a for a, b in itertools.pairwise(done)]) | {"peak_gb": _peak_gb(words)}


def faces(out: Path) -> tuple[Path, Path]:
    """Facesets of the synthetic pair, with hull masks for XSeg to learn; made once."""
    from benchmarks import fw_bench
    from facewright import api
    from facewright.faceset.faceset import Faceset

    pair = fw_bench.PAIRS["S1"]
    fw_bench.records(pair)
    made = [
        fw_bench.faces_of(name, part, out)
        for name, part in ((pair.source, pair.train_source), (pair.target, pair.train_target))
    ]
    for path in made:
        if not all(row.has_mask for row in Faceset.open(path, refresh=True).rows()):
            api.mask_apply(path, "hull", settings={})
    return made[0], made[1]


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _each(marks: list[tuple[float, float]], counts: list[int] | None = None) -> dict[str, Any]:
    """Medians per iteration of the stretches between marks, each of counts[i] iterations."""
    counts = counts or [1] * (len(marks) - 1)
    cpu = [(b[0] - a[0]) / n for (a, b), n in zip(itertools.pairwise(marks), counts)]
    wall = [(b[1] - a[1]) / n for (a, b), n in zip(itertools.pairwise(marks), counts)]
    return {
        "cpu_s": round(statistics.median(cpu), 4), "cpu_s_min": round(min(cpu), 4),
        "wall_s": round(statistics.median(wall), 4), "iterations": sum(counts),
    }


def _peak_gb(words: argparse.Namespace) -> float:
    """Of the GPU's memory, or of this process's."""
    from benchmarks.fw_bench import peak_rss_gb

    if words.device != "cpu":
        import torch

        return round(torch.cuda.max_memory_allocated() / 2**30, 3)
    return round(peak_rss_gb(), 3)


def measured(words: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One record per case and precision."""
    for name, precision in itertools.product(words.cases, words.precisions):
        case = CASES[name]
        found = {kind: _alone(kind, name, precision, words) for kind in ("bare", *([] if words.no_loop else ["loop"]))}
        record = {
            "case": name, "batch": case.batch, "precision": precision, "device": words.device,
            "threads": words.threads, "parameters": found["bare"].pop("parameters"),
            "save": found["bare"].pop("save"), **found, "original": dict(case.original),
        }
        if "loop" in found:
            record["loop_to_bare"] = {
                k: round(found["loop"][k] / found["bare"][k], 3) for k in ("cpu_s", "wall_s", "peak_gb")
            }
        if case.original and words.device == "cpu":
            record["bare_to_original"] = {k: round(found["bare"][k] / v, 3) for k, v in case.original.items()}
        print(f"{name} {precision} done", file=sys.stderr, flush=True)
        yield record


def _alone(kind: str, case: str, precision: str, words: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "benchmarks.models", "--one", kind, "--cases", case, "--precisions", precision,
        "--steps", str(words.steps), "--threads", str(words.threads), "--device", words.device, "--out", str(words.out),
    ]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{case} {precision} {kind}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=DEFAULT, choices=list(CASES))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=["float32", "bf16"])
    parser.add_argument("--steps", type=int, default=4, help="iterations; a GPU's loop does ten times as many")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("out") / "models")
    parser.add_argument("--no-loop", action="store_true", help="only the bare step and the save")
    parser.add_argument("--one", choices=["bare", "loop"], help=argparse.SUPPRESS)  # one measurement, in this process
    words = parser.parse_args()
    words.out, words.precision = words.out.absolute(), words.precisions[0]
    return words


def main() -> int:
    """Command line."""
    from benchmarks.ablation.work import machine

    from benchmarks import fw_bench

    words = _words()
    words.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("FACEWRIGHT_WEIGHTS", str(fw_bench.SHARED / "weights"))
    os.environ.setdefault("FACEWRIGHT_HOME", str(words.out / "home"))
    os.environ["OMP_NUM_THREADS"] = str(words.threads)
    if words.one:
        print(json.dumps({"bare": bare, "loop": loop}[words.one](CASES[words.cases[0]], words)))
        return 0
    report = {**machine(), "cases": list(measured(words))}
    text = json.dumps(report, indent=1)
    (words.out / "models.json").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
