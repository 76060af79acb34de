"""Seconds of processor time for one bare training step on a ready batch, beside the original's figures.

    python benchmarks/step.py [--steps 4] [--threads 2] [--cases quick96 df-ud-128] [--device cpu]

JSON on stdout. A step is forward, loss, backward and optimiser, nothing else; the first one is not counted. Each
case runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import torch

from facewright.models.net import build
from facewright.models.settings import Quick96Settings, SaehdSettings
from facewright.training.objectives import objective
from facewright.training.optim import AdaBelief, AdamW, RMSprop

RECIPE = SaehdSettings(archi="df-ud", resolution=96, ae_dims=128, e_dims=24, d_dims=16, d_mask_dims=8)
CASES: dict[str, dict[str, Any]] = {
    # cpu_s, rss_gb, wall_s: the original on this kind of machine, TensorFlow with oneDNN, float32, 2 threads, quiet.
    "quick96": {
        "net": "quick96", "shape": Quick96Settings(), "batch": 4, "optimiser": "rmsprop",
        "original": {"cpu_s": 2.55, "wall_s": 1.27, "peak_rss_gb": 1.8},
    },
    "df-ud-128": {
        "net": "saehd", "shape": SaehdSettings(archi="df-ud", d_mask_dims=22), "batch": 4, "optimiser": "adabelief",
        "original": {"cpu_s": 4.3, "wall_s": 2.08, "peak_rss_gb": 2.4},
    },
    "recipe": {"net": "saehd", "shape": RECIPE, "batch": 8, "optimiser": "adamw", "original": {}},
}
SETTINGS = SimpleNamespace(masked_training=True, blur_out_mask=False, eyes_mouth_prio=False)


def ready_batch(count: int, side: int, device: str) -> SimpleNamespace:
    """Random faces of both people, as the sample pipeline would hand them over."""
    draw = torch.Generator().manual_seed(0)

    def person() -> SimpleNamespace:
        shapes = {"input": 3, "target": 3, "mask": 1, "priority": 1}
        return SimpleNamespace(
            **{n: torch.rand(count, c, side, side, generator=draw).to(device) for n, c in shapes.items()}
        )

    return SimpleNamespace(src=person(), dst=person())


def make_optimiser(kind: str, net: torch.nn.Module, device: str) -> torch.optim.Optimizer:
    """As the original trains each net: Quick96 with dropout of the update."""
    named = net.named_parameters()
    if kind == "rmsprop":
        return RMSprop(named, lr=2e-4, lr_dropout=0.3, generator=torch.Generator(device).manual_seed(0))
    return AdaBelief(named) if kind == "adabelief" else AdamW(named)


def measure(name: str, precision: str, steps: int, device: str) -> dict[str, Any]:
    """Run one case; times per step without the first."""
    case = CASES[name]
    net = build(case["net"], case["shape"]).to(device)
    optimiser = make_optimiser(case["optimiser"], net, device)
    batch = ready_batch(case["batch"], net.resolution, device)
    marks: list[tuple[float, float]] = []
    loss = torch.zeros(())
    for _ in range(steps + 1):
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            views = net(batch.src.input, batch.dst.input)
        loss = torch.stack(list(objective(net.name, views, batch, SETTINGS).values())).sum()
        loss.backward()
        optimiser.step()
        if device != "cpu":
            torch.cuda.synchronize()
        marks.append((time.process_time(), time.perf_counter()))
    cpu = sorted(b[0] - a[0] for a, b in itertools.pairwise(marks))
    wall = sorted(b[1] - a[1] for a, b in itertools.pairwise(marks))
    return {
        "case": name, "precision": precision, "device": device, "threads": torch.get_num_threads(), "steps": steps,
        "parameters": sum(p.numel() for p in net.parameters()), "loss": float(loss.detach()),
        "cpu_s": round(cpu[len(cpu) // 2], 3), "cpu_s_min": round(cpu[0], 3), "wall_s": round(wall[len(wall) // 2], 3),
        "peak_rss_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "original": case["original"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", nargs="+", default=["quick96", "df-ud-128"], choices=list(CASES))
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=["float32", "bf16"])
    parser.add_argument("--one", action="store_true", help="measure in this process")
    args = parser.parse_args()
    if args.one:
        torch.set_num_threads(args.threads)
        print(json.dumps(measure(args.cases[0], args.precisions[0], args.steps, args.device)))
        return
    results = []
    for case in args.cases:
        for precision in args.precisions:
            command = [
                sys.executable, __file__, "--one", "--cases", case, "--precisions", precision,
                "--steps", str(args.steps), "--threads", str(args.threads), "--device", args.device,
            ]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
