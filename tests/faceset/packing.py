"""Small made-up facesets with all that a pack carries, and steps run without a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.faceset.conftest import SHA, make_face

from facewright.core.step import Step, Work
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, Source
from facewright.faceset.store import Writer

OTHER = "fedcba9876543210" * 4
ONE = "sha256:" + "1" * 64


def make(place: Path, count: int = 12) -> Path:
    """A faceset of two films, with masks, a name, a record, a decision and an order; each picture is its own noise."""
    rng = np.random.default_rng(3)
    with Writer(place) as writer:
        for number in range(count):
            sha = SHA if number % 3 else OTHER
            who, mask_by = "Ada" if number == 1 else "", "hull" if number % 2 else ""
            face = make_face(number, sha256=sha, mask_by=mask_by, person=who)
            picture = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
            mask = rng.integers(0, 255, (16, 16)).astype(np.uint8) if face.mask_by else None
            name = f"faces/{sha[:8]}/{number // 32 * 32:07d}/{face.face_id}.jpg"
            writer.add_files([(name, record.encode_face(face, picture, mask))])
        sources = tuple(Source(f"{sha[:2]}.mp4", sha, "25", (64, 36), 100, {}, True, {"n": 9}) for sha in (SHA, OTHER))
        writer.update_header(lambda _: Header("whole_face", 64, sources, ONE, "", (Person("Bob: x/ü", ("none",)),)))
    (place / "review.jsonl").write_bytes(b"what a person decided\n")
    (place / "orders").mkdir()
    (place / "orders" / "blur.json").write_text(json.dumps({"order": []}))
    return place


def run(step: Step, records: dict[str, Any] | None = None, stop_after: int = -1) -> dict[str, Any]:
    """Every item that `records` lacks, then the end; `stop_after`: that many items only, and no end."""
    records = {} if records is None else records
    items = step.plan()
    intact = getattr(step, "intact", lambda item, record: True)
    todo = [item for item in items if item.id not in records or not intact(item, records[item.id])]
    work = Work()
    for number, (item, result) in enumerate(step.stream(todo, work), 1):
        records[item.id] = step.commit(item, result)
        if number == stop_after:
            work.stop.ask()
    if work.stop.asked:
        return {}
    return step.finish({item.id: records[item.id] for item in items}, Work())


def contents(faceset: Faceset) -> dict[str, bytes]:
    """Path -> the face file's bytes."""
    return {row.path: faceset.files.read(row.path) for row in faceset.rows()}


def files_of(folder: Path) -> dict[str, bytes]:
    """What a faceset folder holds beside caches and private things."""
    kept = ("faces", "orders", "faceset.json", "review.jsonl")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file() and p.relative_to(folder).parts[0] in kept}
