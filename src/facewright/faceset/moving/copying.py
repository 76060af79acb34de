"""Step: faces of one or several sets into another, copied or moved (moving.py has the rules), 64 at a time.

Whoever carries faces from set to set does it with this. Moving is copying, then comparing what lies in OUT with what
was meant and what lies in the source with what was copied, and only then taking the originals out, into their sets'
trash. Killed anywhere, every face is in one of the two sets, or in both.
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.core.files import read_file
from facewright.core.step import Item, Likeness, Work
from facewright.faceset import record
from facewright.faceset.face_choice import rows_of
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import refuse_packed
from facewright.faceset.header import Header, is_number
from facewright.faceset.index import Row
from facewright.faceset.moving.moving import Copied, Placed, Receiver
from facewright.faceset.review.actions import take_over
from facewright.faceset.settings import BATCH_FACES, ChoiceSettings
from facewright.faceset.store import Writer, refuse_place
from facewright.faceset.trash import Taken, held, take_out


class CopyStep:
    """Copy (`move`: move) the chosen faces of `sources` into the faceset `out`; each keeps its record of consent.

    only: for each source the ids of the faces that are meant (None: all), of which `settings` choose.
    """

    stage = "copy"
    settings: ChoiceSettings

    def __init__(
        self, sources: list[str], out: str, settings: ChoiceSettings | None = None, move: bool = False,
        only: list[list[str]] | None = None,
    ) -> None:
        self.sources = [Path(source).resolve() for source in sources]
        self.out, self.move, self.only = Path(out).resolve(), move, only
        self.settings = settings or ChoiceSettings()
        self._writer = Writer(self.out)
        self._receiver: tuple[int, Receiver] | None = None

    def home(self) -> Path:
        """The faceset that takes them."""
        return self.out

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"sources": list(map(str, self.sources)), "out": str(self.out), "move": self.move,
                "only": self.only}

    def likenesses(self) -> list[Likeness]:
        """One for each record that the chosen faces name: a revoked one stops it."""
        found = list[Likeness]()
        for faceset, head, rows in zip(self.facesets, self._heads, self.rows):
            named = sorted({row.consent or head.consent for row in rows} - {""})
            found += [Likeness("source_likeness", reference, "", faceset.path) for reference in named]
        return found

    def inputs(self) -> dict[str, str]:
        """Which faces of which set, as they are now: what was edited since an earlier session is copied anew."""
        return {f"{number} {faceset.path.name}": f"{faceset.index.state(rows)} {_said(head)}"
                for number, (faceset, head, rows) in enumerate(zip(self.facesets, self._heads, self.rows))}

    @cached_property
    def facesets(self) -> list[Faceset]:
        """Where they come from. Raises FileRefused, Mismatch."""
        for source in self.sources:
            refuse_place(self.out, source)
            if self.move:
                refuse_packed(source)
        return [Faceset.open(source) for source in self.sources]

    @cached_property
    def _heads(self) -> list[Header]:
        return [faceset.header for faceset in self.facesets]

    @cached_property
    def rows(self) -> list[list[Row]]:
        """The chosen faces of each source."""
        only = [None] * len(self.sources) if self.only is None else list(map(set, self.only))
        return [[row for row in rows_of(faceset, self.settings) if wanted is None or row.face_id in wanted]
                for faceset, wanted in zip(self.facesets, only, strict=True)]

    def plan(self) -> list[Item]:
        """One item per 64 faces of a source. Raises NothingFound, Mismatch, FacewrightError."""
        if len(set(self.sources)) < len(self.sources):
            raise Mismatch("One of the facesets is named twice.", remedy="Name each once.", where=self.out)
        if not any(self.rows):
            if self.move and all(self._was_moved(source) for source in self.sources):
                return []  # killed behind its last face
            people = sorted({name for faceset in self.facesets for name in map(faceset.namer(), faceset.rows())} - {""})
            films = sorted({film for faceset in self.facesets for film in faceset.footage().values()})
            raise NothingFound(
                f"No face of {' and '.join(source.name for source in self.sources)} fits what was asked for.",
                why=f"People there: {', '.join(people) or 'none'}. Films: {', '.join(films) or 'none'}.",
                remedy="`facewright faces info` says what they hold.", where=self.sources[0])
        return [Item(f"{number:03d}:{at:06d}", (number, rows[at : at + BATCH_FACES]))
                for number, rows in enumerate(self.rows) for at in range(0, len(rows), BATCH_FACES)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether a batch is still there; when moving, as it was written."""
        placed = [Placed(*one) for one in record["placed"].values()]
        return all(_crc(self.out / one.path) == one.crc if self.move else (self.out / one.path).is_file()
                   for one in placed)

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, None]]:
        """Nothing is computed: all is done where it becomes durable."""
        total = sum(map(len, self.rows))
        done = total - sum(len(item.payload[1]) for item in todo)
        self._receiver = None  # it knows what OUT held; that may have changed since
        with self._writer as writer:
            writer.sweep()
            for item in work.until_stopped(todo):
                yield item, None
                done += len(item.payload[1])
                work.progress(done, total)

    def commit(self, item: Item, result: None) -> dict[str, Any]:
        """Copy a batch."""
        number, rows = item.payload
        with self._writer as writer:
            if self._receiver is None or self._receiver[0] != number:
                self._receiver = number, Receiver(writer, self.facesets[number], [r.face_id for r in self.rows[number]])
            return dataclasses.asdict(self._receiver[1].take(rows)) | {"names": self._receiver[1].names}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Bring the index up to date; when moving, compare and take the originals out."""
        self._receiver = None
        sets = [[records[name] for name in sorted(records) if name.startswith(f"{number:03d}:")]
                for number in range(len(self.sources))]
        parts = [record for mine in sets for record in mine]
        out = Faceset.open(self.out)
        decided = [take_over(self.out, source) for source, mine in zip(self.sources, sets) if mine]
        moved = [self._take_out(number, mine, work) for number, mine in enumerate(sets)] if self.move else []
        told = [*parts, *(dataclasses.asdict(again) for _, again in moved)]
        return {
            "faceset": str(self.out), "from": list(map(str, self.sources)), "faces": len(out),
            "sets": [{"faceset": str(source), "chosen": len(rows), "new": sum(len(r["new"]) for r in mine)}
                     for source, rows, mine in zip(self.sources, self.rows, sets)],
            "copied": sum(len(r["new"]) for r in parts), "moved": sum(len(taken.paths) for taken, _ in moved),
            "already there": sum(len(r["placed"]) - len(r["new"]) for r in parts),
            "trash": [taken.name for taken, _ in moved if taken.paths],
            "face_types": out.info().face_types, "decisions": sum(sum(one.values()) for one in decided),
            "replaced": [path for r in told for path in r["replaced"]],
            "kept": [pair for r in told for pair in r["kept"]],
            "refused": [pair for r in told for pair in r["refused"]],
            "notes": [note for source, mine in zip(self.sources, sets) for note in _renumbered(source.name, mine)],
        }

    def _was_moved(self, source: Path) -> bool:
        return any(one.why == self._why for one in held(source))

    @property
    def _why(self) -> str:
        return f"{self.settings.person} moved to {self.out.name}".strip()

    def _take_out(self, number: int, records: list[dict[str, Any]], work: Work) -> tuple[Taken, Copied]:
        """The originals of one source go to its trash, once OUT holds them as they are there; and what was copied anew
        for that, because it was changed since."""
        source = self.sources[number]
        placed = {path: Placed(*one) for record in records for path, one in record["placed"].items()}
        with Writer(source) as theirs, self._writer as ours:
            faceset = Faceset.open(source)
            anew = _said(faceset.header) != _said(self._heads[number])
            stale = dict[str, str]()
            for done, (path, one) in enumerate(placed.items()):
                work.progress(done, len(placed), note="comparing")
                if anew or _crc(source / path) != one.source_crc:
                    stale[path] = one.path
                else:
                    self._check(one)
            again = _copied_anew(ours, faceset, stale) if stale else Copied()
            for one in again.placed.values():
                self._check(one)
            placed = {path: one for path, one in placed.items() if path not in stale} | again.placed
            taken = take_out(theirs, placed, self._why)
        faceset.index.refresh()
        return taken, again

    def _check(self, one: Placed) -> None:
        if _crc(self.out / one.path) != one.crc:
            raise DiskRefused(f"{one.path} does not read back as it was written.", why="The disk may be failing.",
                              remedy="The originals are all in their place. Copy onto another disk.",
                              where=self.out / one.path)


def _copied_anew(writer: Writer, source: Faceset, mine: Mapping[str, str]) -> Copied:
    """Faces that were changed since they were copied, over their earlier copies (path in the source -> path in OUT)."""
    rows = [row for row in source.rows() if row.path in mine]
    damaged, there = source.damaged(), {row.path for row in rows}
    found = Copied(refused=[[path, damaged.get(path, "It was renamed or taken away since it was copied.")]
                            for path in mine if path not in there])
    receiver = Receiver(writer, source, [row.face_id for row in rows])
    for at in range(0, len(rows), BATCH_FACES):
        found.add(receiver.take(rows[at : at + BATCH_FACES], mine))
    return found


def _said(head: Header) -> str:
    """Digest of what a set says of all its faces."""
    return hashlib.sha256(repr((head.consent, head.person, head.people)).encode("utf-8", "surrogatepass")).hexdigest()


def _crc(path: Path) -> int:
    """CRC-32 of a file; -1 where it cannot be read."""
    try:
        return zlib.crc32(read_file(path, limit_bytes=record.MAX_FILE_BYTES))
    except FileRefused:
        return -1


def _renumbered(source: str, records: list[dict[str, Any]]) -> list[str]:
    """People with but a number, who have another one in OUT."""
    names = {old: new for record in records for old, new in record["names"].items()}
    return [f"{old} of {source} is {new} there: nobody has said who they are." for old, new in names.items()
            if old != new and is_number(new)]
