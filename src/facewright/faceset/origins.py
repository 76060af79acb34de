"""Where faces come from, and new sets compiled from chosen ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewright.core.errors import NothingFound
from facewright.faceset.face_choice import is_film, ranges
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.moving import Copied, copy_faces
from facewright.faceset.tags import is_parked, words_of

_NUMBERED = re.compile(r"person-\d+")


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


def compile_set(
    out: Path, facesets: Sequence[Faceset], choice: Choice,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Copy the chosen faces of several sets into `out`. The same command goes on after a kill, and adds what is new.

    Raises NothingFound (nobody is meant), and what copying raises.
    """
    chosen = [(one, [row.face_id for row in choice.rows(one)]) for one in facesets]
    total = sum(len(ids) for _, ids in chosen)
    if not total:
        films = sorted({row["film"] for one in facesets for row in origins(one)})
        raise NothingFound("No face is meant.", why=f"The films are: {', '.join(films)}." if choice.films else "",
                           remedy="Ask for less (`facewright faces by-origin FACESET` lists what there is).", where=out)
    found, done, rows = Copied(), 0, []
    for one, ids in chosen:
        if ids:
            copied = copy_faces(one, ids, out, progress=lambda n, _, done=done: progress(done + n, total))
            rows.append({"faceset": str(one.path), "chosen": len(ids), "new": len(copied.new)})
            found.add(copied)
        done += len(ids)
    return {
        "faceset": str(out), "faces": len(Faceset.open(out)), "chosen": total, "new": len(found.new),
        "replaced": len(found.replaced), "kept": len(found.kept), "from": rows, "notes": _mistakable(chosen),
        "refused": [list(pair) for pair in found.refused],
    }


def _mistakable(chosen: Sequence[tuple[Faceset, list[str]]]) -> list[str]:
    """Names that extraction gave in several sets: nobody has compared whom they mean."""
    given: Counter[str] = Counter()
    for one, ids in chosen:
        name, wanted = one.namer(), set(ids)
        given.update({name(row) for row in one.rows() if row.face_id in wanted})
    same = sorted(name for name, sets in given.items() if sets > 1 and _NUMBERED.fullmatch(name))
    return [f"{', '.join(same)}: a name of several sets, which may be different people; `faces people` looks at them."
            ] if same else []
