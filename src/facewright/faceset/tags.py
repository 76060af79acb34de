"""Words that people and filters give to faces, kept in their flags: categories of cleaning, and "parked".

A parked face stays where it is: training leaves it out, masks and merging use it as ever. That is what one does with
target faces that something covers (they need a mask, not a bin).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from facewright.core.errors import NothingFound
from facewright.faces.face import Face
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import Writer

PARKED = "parked"
GOOD, KEEP = "good", "keep"
"""Given by people; `clean` leaves both where they are. "keep": not good, but a pose that is rare."""
TAGS = ("good", "misaligned", "obstructed", "blurry", "other_person", "cut_off", "bad_exposure", "keep")
"""Categories that a face can be tagged with."""


def words_of(row: Row) -> frozenset[str]:
    """The flags of a face as the index has them."""
    return frozenset(row.flags.split())


def is_parked(row: Row) -> bool:
    """Whether training leaves this face out."""
    return PARKED in row.flags and PARKED in words_of(row)


def chosen(faceset: Faceset, faces: Collection[str] = (), flags: Collection[str] = (), person: str = "") -> list[Row]:
    """The faces named (ids, or names or paths of their files) and those with one of `flags`; of one person.

    Neither: all. Raises NothingFound: a face that the set does not have, or none at all.
    """
    rows = list(faceset.rows_of(person))
    wanted = {Path(name).stem if Path(name).suffix else name for name in faces}
    missing = wanted - {row.face_id for row in rows} - {Path(row.path).stem for row in rows}
    if missing:
        raise NothingFound(
            f"There is no face {min(missing)!r} in {faceset.path.name}" + (f" of {person}." if person else "."),
            remedy="Faces are named by their file names; `facewright faces info` counts them.", where=faceset.path,
        )
    everybody = not wanted and not flags
    found = [r for r in rows if everybody or r.face_id in wanted or Path(r.path).stem in wanted
             or words_of(r) & set(flags)]
    if not found:
        raise NothingFound(
            f"No face of {faceset.path.name} is meant.", why=f"None is flagged {' or '.join(flags)}." if flags else "",
            remedy="`facewright faces info` lists the flags that there are.", where=faceset.path,
        )
    return found


def mark(faceset: Faceset, rows: Sequence[Row], *, add: Collection[str] = (), remove: Collection[str] = ()) -> int:
    """Give words to faces and take others away; returns how many changed. Killed on its way, it can be done again.

    Pixels, masks and labels stay byte for byte. Raises DiskRefused, FileRefused.
    """
    todo = [row for row in rows if words_of(row) != (words_of(row) - set(remove)) | set(add)]
    with Writer(faceset.path) as writer:
        for at in range(0, len(todo), BATCH_FACES):
            write_marks(writer, ((row.path, add, remove) for row in todo[at : at + BATCH_FACES]))
    if todo:
        faceset.index.refresh()
    return len(todo)


def write_marks(writer: Writer, changes: Iterable[tuple[str, Collection[str], Collection[str]]]) -> int:
    """One batch under a writer that is held: (path in the faceset, words to add, words to remove)."""
    def changed() -> Iterable[tuple[Path, Face, np.ndarray | None]]:
        for path, add, remove in changes:
            file = writer.faceset / path
            face = record.read_face(file)
            flags = tuple(sorted((set(face.flags) - set(remove)) | set(add)))
            yield file, dataclasses.replace(face, flags=flags), record.read_mask(file)

    return writer.write_faces(changed())
