"""What exported faces are called there: as before where they came from DeepFaceLab, else after their frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facewright.core.files import plain_name
from facewright.faceset.exchange.dfl_facts import PROGRAM, frame_name
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import read_head
from facewright.faceset.index import Row


def names(faceset: Faceset, rows: list[Row]) -> Iterator[str]:
    """As they were called where they came from; else the frame's name and the face's place in it, before that the film
    where the set has several, and a folder a person where it shows several. Unique in any case."""
    namer, films = faceset.namer(), {row.source_sha256 for row in rows}
    several = len({namer(row) for row in rows}) > 1
    used: set[str] = set()
    for row in rows:
        face = read_head(faceset.files, row.path)[0]
        there = face.foreign if face.foreign is not None and face.foreign.get("program") == PROGRAM else None
        if there is not None:
            before, _, own = str(there["name"]).rpartition("/")
            name = _as_jpeg(f"{_word(before)}/{_word(own)}" if before else _word(own))
        else:
            stem = Path(frame_name(face)).stem
            film = f"{Path(row.source_file).stem}_" if len(films) > 1 else ""
            person = f"{_word(namer(row))}/" if several and namer(row) else ""
            name = f"{person}{_word(f'{film}{stem}_{row.ordinal}.jpg')}"
        whole, number = name, 1
        while whole.lower() in used:  # some disks do not tell A from a
            number += 1
            whole = f"{name.removesuffix('.jpg')}-{number}.jpg"
        used.add(whole.lower())
        yield whole


def _word(text: str) -> str:
    return plain_name(text) or "_"


def _as_jpeg(name: str) -> str:
    """Only this spelling is known as a face file there."""
    return name if name.endswith(".jpg") else f"{name.rpartition('.')[0] or name}.jpg"
