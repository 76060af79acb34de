"""Where faces come from, and new sets compiled from chosen ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewright.faceset.face_choice import is_film, ranges
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.moving.copying import CopyStep
from facewright.faceset.tags import is_parked, words_of


def origins(faceset: Faceset) -> list[dict[str, Any]]:
    """One row a film (or folder of pictures) and shot: faces, frames, people, middle sharpness, how many are parked."""
    name = faceset.namer()
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in faceset.rows():
        groups.setdefault((row.source_file, row.source_sha256, row.shot), []).append(row)
    return [{
        "film": film, "sha256": digest, "shot": shot, "faces": len(rows), "first_frame": rows[0].frame_index,
        "last_frame": rows[-1].frame_index, "frames": len({row.frame_index for row in rows}),
        "people": dict(Counter(name(row) for row in rows)),
        "sharpness": round(sorted(row.sharpness for row in rows)[len(rows) // 2], 1),
        "parked": sum(map(is_parked, rows)),
    } for (film, digest, shot), rows in groups.items()]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which faces: of these films (names with or without suffix, or digests; none: all), this person ("":
    everybody), with one of these flags (none: all), and by columns of the index (`query`, as Index.rows takes it)."""

    films: tuple[str, ...]
    person: str
    flags: tuple[str, ...]
    query: dict[str, Any]

    @classmethod
    def of(cls, films: Sequence[str], person: str, flags: Sequence[str], where: Sequence[str]) -> Choice:
        """where: `yaw_deg=-30..30` (both ends included; one may be left out) or `shot=2`. Raises SettingRefused."""
        return cls(tuple(films), person, tuple(flags), ranges(" ".join(where)))

    def rows(self, faceset: Faceset) -> Iterator[Row]:
        """The faces of a set that are meant."""
        for row in faceset.rows_of(self.person, **self.query):
            named = not self.films or any(is_film(film, row.source_file, row.source_sha256) for film in self.films)
            if named and (not self.flags or words_of(row) & set(self.flags)):
                yield row


def compiling(out: Path, facesets: Sequence[Path], choice: Choice) -> CopyStep:
    """The step that copies the chosen faces of several sets into `out`; asked again, it adds what is new."""
    only = [[row.face_id for row in choice.rows(Faceset.open(one))] for one in facesets]
    return CopyStep(list(map(str, facesets)), str(out), only=only)
