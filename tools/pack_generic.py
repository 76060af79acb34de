"""A trained XSeg RUN of base 12 -> the half-precision weights file of the masker `generic`.

    python -m tools.pack_generic RUN [--out src/facewright/masks/generic.safetensors]

Vectors (biases, norms, thresholds) stay float32: they are a hundredth of the file and small numbers matter there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from facewright.core.errors import Mismatch
from facewright.core.files import part_file
from facewright.masks.generic import SHAPE, WEIGHTS
from facewright.models.opened import newest_save
from facewright.models.run_folder import RunFolder
from facewright.models.tensors import write_tensors

OUT = Path(__file__).resolve().parents[1] / "src" / "facewright" / "masks" / WEIGHTS


def pack(run: Path, out: Path) -> dict[str, object]:
    """Write the file; returns its facts. Raises Mismatch: a net of another shape."""
    folder = RunFolder.open(run, "xseg")
    if folder.shape != SHAPE:
        raise Mismatch(f"{run.name} is of another shape.", why=f"It is {folder.shape}, not {SHAPE}.", where=run)
    saved = newest_save(folder)
    with part_file(out) as part:
        digest = write_tensors(part, halved(saved.smooth_weights(), run))
    return {"file": out.name, "bytes": out.stat().st_size, "sha256": digest, "iterations": saved.iteration}


def halved(tensors: Mapping[str, Tensor], run: Path) -> dict[str, Tensor]:
    """In half precision, vectors apart. Raises Mismatch: a weight is too large for it."""
    made = {name: t.half() if t.dim() > 1 else t.float() for name, t in tensors.items()}
    if not all(bool(torch.isfinite(t).all()) for t in made.values()):
        raise Mismatch(f"{run.name} holds a weight that half precision cannot hold.", where=run)
    return made


def main() -> None:
    """Command line; JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    json.dump(pack(given.run, given.out), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
