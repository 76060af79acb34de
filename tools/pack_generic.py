"""A trained XSeg RUN of base 12 -> the half-precision weights file of the masker `generic`.

    python -m tools.pack_generic RUN [--out src/facewright/masks/generic.safetensors]

Vectors (biases, norms, thresholds) stay float32: they are a hundredth of the file and small numbers matter there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from facewright.core.errors import Mismatch, NothingFound
from facewright.core.files import part_file
from facewright.masks.generic import SHAPE, WEIGHTS
from facewright.models import checkpoint
from facewright.models.run_folder import RunFolder
from facewright.models.tensors import write_tensors

OUT = Path(__file__).resolve().parents[1] / "src" / "facewright" / "masks" / WEIGHTS


def pack(run: Path, out: Path) -> dict[str, object]:
    """Write the file; returns its facts. Raises Mismatch: a net of another shape."""
    folder, saved = RunFolder.open(run, "xseg"), checkpoint.load_latest(run)
    if folder.shape != SHAPE:
        raise Mismatch(f"{run.name} is of another shape.", why=f"It is {folder.shape}, not {SHAPE}.", where=run)
    if saved is None:
        raise NothingFound(f"{run.name} holds no trained weights yet.", where=run)
    tensors = {n: t.half() if t.dim() > 1 else t.float() for n, t in saved.smooth_weights().items()}
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise Mismatch(f"{run.name} holds a weight that half precision cannot hold.", where=run)
    with part_file(out) as part:
        digest = write_tensors(part, tensors)
    return {"file": out.name, "bytes": out.stat().st_size, "sha256": digest, "iterations": saved.iteration}


def main() -> None:
    """Command line; JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    json.dump(pack(given.run, given.out), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
