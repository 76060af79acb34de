"""A pretrained SAEHD RUN of the shape of `models/start_weights.py` -> the half-precision file that new nets begin with.

    python -m tools.pack_start RUN [--out src/facewright/models/drawn_heads.safetensors]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.pack_generic import halved

from facewright.core.errors import Mismatch
from facewright.core.files import part_file
from facewright.models.opened import newest_save
from facewright.models.run_folder import RunFolder
from facewright.models.start_weights import SHAPE, WEIGHTS, stored
from facewright.models.tensors import write_tensors

OUT = Path(__file__).resolve().parents[1] / "src" / "facewright" / "models" / WEIGHTS


def pack(run: Path, out: Path) -> dict[str, object]:
    """Write the file; returns its facts. Raises Mismatch: a net of another shape; NothingFound: nothing trained."""
    folder = RunFolder.open(run, "saehd")
    if folder.shape != SHAPE:
        raise Mismatch(f"{run.name} is of another shape.", why=f"It is {folder.shape}, not {SHAPE}.", where=run)
    saved = newest_save(folder)
    with part_file(out) as part:
        digest = write_tensors(part, halved(stored(saved.smooth_weights()), run))
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
