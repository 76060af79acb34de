"""A trained RUN -> a half-precision weights file that comes with the package.

    python -m tools.pack_own generic RUN        an XSeg net of base 12: the masker `generic`
    python -m tools.pack_own drawn-heads RUN    a pretrained net of the shape of `quick`: what new nets may begin with

Vectors (biases, norms, thresholds) stay float32: they are a hundredth of the file and small numbers matter there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facewright.core.errors import Mismatch
from facewright.core.files import part_file
from facewright.masks import generic
from facewright.models import start_weights
from facewright.models.opened import newest_save
from facewright.models.run_folder import RunFolder
from facewright.models.tensors import write_tensors

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "facewright"


@dataclass(frozen=True, slots=True)
class Kind:
    """Of which net a file is made, what of its weights is kept, and where it lies."""

    net: str
    shape: Any
    kept: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
    out: Path


KINDS = {
    "generic": Kind("xseg", generic.SHAPE, dict, PACKAGE / "masks" / generic.WEIGHTS),
    "drawn-heads": Kind(
        "saehd", start_weights.SHAPE, start_weights.stored, PACKAGE / "models" / start_weights.WEIGHTS
    ),
}


def pack(kind: Kind, run: Path, out: Path) -> dict[str, object]:
    """Write the file; returns its facts. Raises Mismatch: a net of another shape, or a weight that half precision
    cannot hold; NothingFound: nothing trained yet."""
    folder = RunFolder.open(run, kind.net)
    if folder.shape != kind.shape:
        raise Mismatch(f"{run.name} is of another shape.", why=f"It is {folder.shape}, not {kind.shape}.", where=run)
    saved = newest_save(folder)
    tensors = {n: t.half() if t.dim() > 1 else t.float() for n, t in kind.kept(saved.smooth_weights()).items()}
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise Mismatch(f"{run.name} holds a weight that half precision cannot hold.", where=run)
    with part_file(out) as part:
        digest = write_tensors(part, tensors)
    return {"file": out.name, "bytes": out.stat().st_size, "sha256": digest, "iterations": saved.iteration}


def main() -> None:
    """Command line; JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, help="default: its place in the package")
    given = parser.parse_args()
    kind = KINDS[given.kind]
    json.dump(pack(kind, given.run, given.out or kind.out), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
