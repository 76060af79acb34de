"""Which frames of a film are looked at, and how they fall into chunks. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facewright.faceset.settings import CHUNK_FRAMES
from facewright.media.moments import select

__all__ = ["Chunk", "chunks", "runs", "select", "stretches"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Selected frames that are worked on together. `frames`: ascending frame indices, 1 to CHUNK_FRAMES of them."""

    source_sha256: str
    frames: tuple[int, ...]

    @property
    def id(self) -> str:
        """Stable between runs: source sha 8 and first frame."""
        return f"{self.source_sha256[:8]}:{self.frames[0]:07d}"

    @property
    def start(self) -> int:
        """First frame."""
        return self.frames[0]

    @property
    def step(self) -> int:
        """Largest step that meets every frame from the first on."""
        return math.gcd(*(b - a for a, b in zip(self.frames, self.frames[1:]))) or 1


def stretches(frames: Sequence[int]) -> list[list[int]]:
    """Ascending frame indices -> [start, stop, step] of even runs, as `range` takes them: short in a file."""
    found: list[list[int]] = []
    at = 0
    while at < len(frames):
        step = frames[at + 1] - frames[at] if at + 1 < len(frames) else 1
        end = at + 1
        while end < len(frames) and frames[end] - frames[end - 1] == step:
            end += 1
        found.append([int(frames[at]), int(frames[end - 1]) + 1, int(step)])
        at = end
    return found


def chunks(source_sha256: str, frames: np.ndarray) -> list[Chunk]:
    """Ascending frame indices -> chunks of CHUNK_FRAMES, the last one shorter."""
    return [
        Chunk(source_sha256, tuple(frames[at : at + CHUNK_FRAMES].tolist()))
        for at in range(0, len(frames), CHUNK_FRAMES)
    ]


def runs(todo: list[Chunk], everything: list[Chunk]) -> list[list[Chunk]]:
    """Chunks still to do -> groups that follow each other in the film, so that each is read in one go."""
    place = {chunk.id: at for at, chunk in enumerate(everything)}
    grouped: list[list[Chunk]] = []
    for chunk in todo:
        last = grouped[-1][-1] if grouped else None
        follows = last is not None and last.source_sha256 == chunk.source_sha256 \
            and place[chunk.id] == place[last.id] + 1
        if follows:
            grouped[-1].append(chunk)
        else:
            grouped.append([chunk])
    return grouped
