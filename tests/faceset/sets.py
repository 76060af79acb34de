"""Made-up facesets: the one way in which tests write one, and see what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tests.faceset.conftest import SHA, make_face

from facewright.faces.face import Face
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, Source
from facewright.faceset.store import Writer

OTHER = "fedcba9876543210" * 4
ONE = "sha256:" + "1" * 64


def write_set(folder: Path, faces: Iterable[tuple[Any, ...]], head: Header | None = None, quality: int = 0) -> Faceset:
    """Each a face, its picture (S, S, 3) uint8 and perhaps its mask (m, m) uint8 or None, in chunks of 32 frames.

    quality 0: PNG, so that numbers of the pictures stay what they were.
    """
    files = []
    for face, picture, *mask in faces:
        chunk = f"faces/{face.source.sha256[:8]}/{face.source.frame_index // 32 * 32:07d}"
        data = record.encode_face(face, picture, mask[0] if mask else None, quality)
        files.append((f"{chunk}/{face.face_id}{record.suffix(quality)}", data))
    with Writer(folder) as writer:
        writer.add_files(files)
        writer.update_header(lambda stored: head or stored)
    return Faceset.open(folder)


def make_set(
    place: Path, faces: list[Face], picture: np.ndarray, head: Header | None = None, quality: int = 95
) -> Faceset:
    """All with the same picture, and a mask where they say that there is one."""
    mask = np.full((8, 8), 7, np.uint8)
    return write_set(place, [(face, picture, mask if face.mask_by else None) for face in faces],
                     head or Header("whole_face", 64), quality)


def head_of(*films: str, people: tuple[Person, ...] = (), **more: str) -> Header:
    """The header of a set of these films (SHA-256)."""
    sources = tuple(Source("film.mp4", sha, "25", (640, 360), 100, {}, True, {"frames": 100}) for sha in films)
    return Header("whole_face", 64, sources, people=people, **more)


def make(place: Path, count: int = 12) -> Path:
    """Two films, with masks, a name, a record, a decision and an order: all that a pack carries; each picture is its
    own noise."""
    rng, faces = np.random.default_rng(3), []
    for number in range(count):
        face = make_face(number, sha256=SHA if number % 3 else OTHER, mask_by="hull" if number % 2 else "",
                         person="Ada" if number == 1 else "")
        picture = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        faces.append((face, picture, rng.integers(0, 255, (16, 16)).astype(np.uint8) if face.mask_by else None))
    sources = tuple(Source(f"{sha[:2]}.mp4", sha, "25", (64, 36), 100, {}, True, {"n": 9}) for sha in (SHA, OTHER))
    write_set(place, faces, Header("whole_face", 64, sources, ONE, "", (Person("Bob: x/ü", ("none",)),)), 95)
    (place / "review.jsonl").write_bytes(b"what a person decided\n")
    (place / "orders").mkdir()
    (place / "orders" / "blur.json").write_text(json.dumps({"order": []}))
    return place


def contents(faceset: Faceset) -> dict[str, bytes]:
    """Path -> the face file's bytes."""
    return {row.path: faceset.files.read(row.path) for row in faceset.rows()}


def files_of(folder: Path) -> dict[str, bytes]:
    """What a faceset folder holds beside caches and private things."""
    kept = ("faces", "orders", "faceset.json", "review.jsonl")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file() and p.relative_to(folder).parts[0] in kept}
