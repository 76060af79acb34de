"""Step: faces of one or several sets into another, copied or moved (moving.py has the rules), 64 at a time.

Moving is copying, then comparing what lies in OUT with what was written, and only then taking the originals out, into
their sets' trash. Killed anywhere, every face is in one of the two sets, or in both.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from facewright.core.errors import DiskRefused, Mismatch, NothingFound
from facewright.core.files import read_file
from facewright.core.step import Item, Likeness, Work
from facewright.faceset import record
from facewright.faceset.face_choice import rows_of
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import refuse_packed
from facewright.faceset.index import Row
from facewright.faceset.moving import BATCH_FACES, Receiver
from facewright.faceset.review_actions import take_over
from facewright.faceset.settings import ChoiceSettings
from facewright.faceset.store import Writer, refuse_place
from facewright.faceset.trash import held, take_out


class CopyStep:
    """Copy (`move`: move) the chosen faces of `sources` into the faceset `out`; each keeps its record of consent."""

    stage = "copy"
    settings: ChoiceSettings

    def __init__(
        self, sources: list[str], out: str, settings: ChoiceSettings | None = None, move: bool = False,
    ) -> None:
        self.sources = [Path(source).resolve() for source in sources]
        self.out, self.move = Path(out).resolve(), move
        self.settings = settings or ChoiceSettings()
        self._writer = Writer(self.out)
        self._receiver: tuple[int, Receiver] | None = None

    def home(self) -> Path:
        """The faceset that takes them."""
        return self.out

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"sources": list(map(str, self.sources)), "out": str(self.out), "move": self.move}

    def likenesses(self) -> list[Likeness]:
        """None: no picture of a person is changed."""
        return []

    def inputs(self) -> dict[str, str]:
        """Which faces of which set, as they are now: what was edited since an earlier session is copied anew."""
        return {f"{number} {faceset.path.name}": faceset.index.state(rows)
                for number, (faceset, rows) in enumerate(zip(self.facesets, self.rows))}

    @cached_property
    def facesets(self) -> list[Faceset]:
        """Where they come from. Raises FileRefused, Mismatch."""
        for source in self.sources:
            refuse_place(self.out, source)
            if self.move:
                refuse_packed(source)
        return [Faceset.open(source) for source in self.sources]

    @cached_property
    def rows(self) -> list[list[Row]]:
        """The chosen faces of each source."""
        return [list(rows_of(faceset, self.settings)) for faceset in self.facesets]

    def plan(self) -> list[Item]:
        """One item per 64 faces of a source. Raises NothingFound, Mismatch, FacewrightError."""
        if len(set(self.sources)) < len(self.sources):
            raise Mismatch("One of the facesets is named twice.", remedy="Name each once.", where=self.out)
        if not any(self.rows):
            if self.move and all(self._was_moved(source) for source in self.sources):
                return []  # killed behind its last face
            raise NothingFound(
                f"No face of {' and '.join(source.name for source in self.sources)} fits what was asked for.",
                remedy="`facewright faces info` says what they hold.", where=self.sources[0])
        return [Item(f"{number:03d}:{at:06d}", (number, rows[at : at + BATCH_FACES]))
                for number, rows in enumerate(self.rows) for at in range(0, len(rows), BATCH_FACES)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether a batch is still there."""
        return all((self.out / path).is_file() for path, _ in record["paths"].values())

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, None]]:
        """Nothing is computed: all is done where it becomes durable."""
        total = sum(map(len, self.rows))
        done = total - sum(len(item.payload[1]) for item in todo)
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
            found = self._receiver[1].take(rows)
        return {"paths": {old: [new, self._crc(new) if self.move else 0] for old, new in found.paths.items()},
                "new": len(found.new), "replaced": found.replaced, "kept": found.kept, "refused": found.refused}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Bring the index up to date; when moving, compare and take the originals out."""
        self._receiver = None
        out = Faceset.open(self.out)
        types = out.info().face_types
        decided = [take_over(self.out, source) for source in self.sources]
        moved = [self._take_out(number, records) for number in range(len(self.sources))] if self.move else []
        parts = [records[name] for name in sorted(records)]
        return {
            "faceset": str(self.out), "from": list(map(str, self.sources)), "faces": len(out),
            "copied": sum(r["new"] for r in parts), "moved": sum(moved),
            "already there": sum(len(r["paths"]) - r["new"] for r in parts), "face_types": types,
            "decisions": sum(sum(one.values()) for one in decided),
            "replaced": [path for r in parts for path in r["replaced"]],
            "kept": [list(pair) for r in parts for pair in r["kept"]],
            "refused": [list(pair) for r in parts for pair in r["refused"]],
        }

    def _was_moved(self, source: Path) -> bool:
        return any(one.why == self._why for one in held(source))

    @property
    def _why(self) -> str:
        return f"moved to {self.out.name}"

    def _take_out(self, number: int, records: Mapping[str, dict[str, Any]]) -> int:
        """The originals of one source go to its trash, once OUT holds them as they were written."""
        mine = [record for name, record in records.items() if name.startswith(f"{number:03d}:")]
        pairs = [(old, new, crc) for record in mine for old, (new, crc) in record["paths"].items()]
        for _, new, crc in pairs:
            if self._crc(new) != crc:
                raise DiskRefused(f"{new} does not read back as it was written.", why="The disk may be failing.",
                                  remedy="The originals are all in their place. Copy onto another disk.",
                                  where=self.out / new)
        with Writer(self.sources[number]) as writer:
            taken = take_out(writer, [old for old, _, _ in pairs], self._why)
        self.facesets[number].index.refresh()
        return len(taken.paths)

    def _crc(self, path: str) -> int:
        return zlib.crc32(read_file(self.out / path, limit_bytes=record.MAX_FILE_BYTES))
