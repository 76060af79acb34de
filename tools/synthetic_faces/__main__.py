"""Command line: `python -m tools.synthetic_faces OUT --model FOLDER --heads 2000` from the repository's root."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.synthetic_faces import rights, write

from facewright.core.errors import FacewrightError


def main(words: Sequence[str] | None = None) -> int:
    """0 when the set is whole and its record is kept; 2 and one line otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tools.synthetic_faces", description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the faceset; a set that was begun there is finished")
    parser.add_argument("--model", type=Path, required=True, help="folder with ict_facekit_light.npz")
    parser.add_argument("--kind", choices=("masks", "pretrain"), default="masks",
                        help="masks: hands and things before the faces; pretrain: clean heads")  # fmt: skip
    parser.add_argument("--face-type", choices=("whole_face", "head"), default="whole_face")
    parser.add_argument("--heads", type=int, default=2000)
    parser.add_argument("--size", type=int, default=256, help="side of a face in pixels, 64 to 1024")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same set")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(words)
    if not 64 <= given.size <= 1024 or given.heads < 1 or given.seed < 0:
        parser.error("--size must lie in 64..1024, --heads above 0, --seed not below 0")
    recipe = write.Recipe(given.kind, given.face_type, given.heads, given.size, given.seed)
    try:
        write.make(given.out, recipe, given.model, given.workers)
        record = rights.declare(given.out)
    except FacewrightError as error:
        print(f"{error.what} {error.why} {error.remedy}", file=sys.stderr)
        return 2
    print(f"{given.heads} heads in {given.out}; record {record.id}, {record.reference}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
