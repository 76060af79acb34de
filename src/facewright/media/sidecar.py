"""frames.json beside pictures that came from a film: what they are made of, and when each is shown.

Format `facewright.frames/1`: {format, made_by, film, sha256, rate, time_base, moves, done, frames: [[name, index,
pts] ...]}.
`made_by` is a digest of what was asked for, so that a killed job knows its own folder. A folder of which every picture
is listed is read with the film's times and rate.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.core.files import read_file, write_atomic
from facewright.media.frame import Video

NAME = "frames.json"
FORMAT = "facewright.frames/1"
LIMIT_BYTES = 256 << 20
_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class Sidecar:
    """film, sha256: what the pictures came from; moves: it was a film, no photos. frames: (name, frame index, pts) in
    order of time; () until done."""

    made_by: str
    film: str
    sha256: str
    rate: Fraction
    time_base: Fraction
    moves: bool
    done: bool
    frames: tuple[tuple[str, int, int], ...] = ()

    def write(self, folder: Path) -> None:
        """Put it into the folder. Raises DiskRefused."""
        facts = {
            "format": FORMAT, "made_by": self.made_by, "film": self.film, "sha256": self.sha256, "rate": str(self.rate),
            "time_base": str(self.time_base), "moves": self.moves, "done": self.done, "frames": self.frames,
        }
        write_atomic(folder / NAME, json.dumps(facts).encode())

    def times_of(self, names: Sequence[str]) -> tuple[int, ...] | None:
        """The pts of these pictures, None for photos, where one is not listed, or where they do not
        ascend."""
        known = {name: pts for name, _, pts in self.frames}
        if not self.moves or not names or any(name not in known for name in names):
            return None
        pts = tuple(known[name] for name in names)
        return pts if all(a < b for a, b in pairwise(pts)) else None


def begun(made_by: str, film: str, video: Video) -> Sidecar:
    """The sidecar of a folder that is being filled from a film."""
    return Sidecar(made_by, film, video.sha256, video.rate, video.time_base, video.moves, done=False)


def read_sidecar(folder: Path) -> Sidecar | None:
    """The folder's sidecar, None where there is none or it is not one of ours (never a reason to refuse pictures)."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return _checked(json.loads(read_file(path, limit_bytes=LIMIT_BYTES)))
    except (FileRefused, ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None


def _checked(facts: Any) -> Sidecar:
    if facts["format"] != FORMAT:
        raise ValueError("another format")
    rate, base = Fraction(str(facts["rate"])), Fraction(str(facts["time_base"]))
    frames = tuple((str(name), int(index), int(pts)) for name, index, pts in facts["frames"])
    if not (0 < rate <= 1000 and 0 < base <= 1000 and all(abs(pts) < _MOST for _, _, pts in frames)):
        raise ValueError("beyond what a film has")
    return Sidecar(
        str(facts["made_by"]), str(facts["film"]), str(facts["sha256"]), rate, base, facts["moves"] is True,
        facts["done"] is True, frames,
    )
