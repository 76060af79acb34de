"""Extraction on a cluster: spans of chunks go out to its workers, results come back as from any other process."""

from __future__ import annotations

import json
from collections.abc import Generator
from functools import lru_cache
from itertools import pairwise
from typing import Any

from facewright.core.errors import Mismatch
from facewright.core.farm import scattered
from facewright.core.step import Stop
from facewright.faceset.extraction.crew import Order
from facewright.faceset.extraction.looking import ChunkResult, Finder, Looking
from facewright.faceset.extraction.worker import opened
from facewright.faceset.selection import Chunk

SPAN_CHUNKS = 8
"""Chunks that follow each other and go out together: read in one go, done again together when their worker dies."""

Nets = tuple[tuple[str, str], ...]


def results(
    address: str, order: Order, nets: Nets, todo: list[Chunk], stop: Stop
) -> Generator[ChunkResult, None, None]:
    """Results in the order in which they are ready. nets: what places a face here; workers must have the same. Raises
    what core.farm.scattered raises, Mismatch."""
    spans = _spans(todo)
    facts = json.dumps(order.as_json(), sort_keys=True)
    pieces = [(facts, nets, [[chunk.source_sha256, chunk.start] for chunk in span]) for span in spans]
    for _, found in scattered(address, look, pieces, stop):
        yield from found


def look(piece: tuple[str, Nets, list[list[Any]]]) -> list[ChunkResult]:
    """One span, on a worker. Raises FacewrightError."""
    facts, nets, wanted = piece
    looking, finder, chunks = _opened(facts)
    if finder.nets != nets:
        raise Mismatch(
            "A worker of the cluster would find faces with other nets.", why=f"{finder.nets} there, {nets} here.",
            remedy="Name the detector, or fetch the same weights on every machine: `facewright weights fetch`.",
        )
    return list(looking.results([chunks[digest, start] for digest, start in wanted], finder))


@lru_cache(maxsize=1)
def _opened(facts: str) -> tuple[Looking, Finder, dict[tuple[str, int], Chunk]]:
    return opened(Order.from_json(json.loads(facts)))


def _spans(todo: list[Chunk]) -> list[list[Chunk]]:
    spans = [todo[:1]] if todo else []
    for before, chunk in pairwise(todo):
        if len(spans[-1]) >= SPAN_CHUNKS or before.source_sha256 != chunk.source_sha256:
            spans.append([])
        spans[-1].append(chunk)
    return spans
