"""Step: a packed faceset -> a folder again. Every file is checked against its checksum; with `salvage`, what is damaged
is left out and named, and everything else comes back."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from facewright.core.errors import DiskRefused, FileRefused, Mismatch
from facewright.core.files import free_bytes, read_file
from facewright.core.step import Item, Likeness, Work
from facewright.faceset import header as header_file
from facewright.faceset import pack_format
from facewright.faceset.faceset import Faceset
from facewright.faceset.moving.pack import spare
from facewright.faceset.moving.salvage import Found, Torn, search
from facewright.faceset.pack_format import INDEX, NOTE
from facewright.faceset.packed import PackedFiles, is_packed
from facewright.faceset.settings import BATCH_FACES, UnpackSettings
from facewright.faceset.store import Writer, is_faceset, refuse_place


class UnpackStep:
    """Unpack `file` into the faceset `out`, a new folder."""

    stage = "unpack"
    settings: UnpackSettings

    def __init__(self, file: str, out: str, settings: UnpackSettings | None = None) -> None:
        self.file, self.out = Path(file).resolve(), Path(out).resolve()
        self.settings = settings or UnpackSettings()
        self._writer = Writer(self.out)

    def home(self) -> Path:
        """The new faceset."""
        return self.out

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"file": str(self.file), "out": str(self.out)}

    def likenesses(self) -> list[Likeness]:
        """None: no picture of a person is changed."""
        return []

    def inputs(self) -> dict[str, str]:
        """State of the file: size and the digest of its last part, which holds every checksum."""
        with closing(Torn(self.file)) as torn:
            tail = torn.read(max(torn.size - (1 << 20), 0), 1 << 20)
            return {"file": f"{torn.size} {hashlib.sha256(tail).hexdigest()}"}

    @cached_property
    def found(self) -> Found:
        """What is unpacked. Raises FileRefused: hostile or damaged (unless it is to be salvaged)."""
        if self.settings.salvage:
            with closing(Torn(self.file)) as torn:
                return search(torn)
        if not is_packed(self.file):
            raise FileRefused(
                f"{self.file.name} is no packed faceset." if self.file.exists() else f"There is no file {self.file}.",
                why="It does not begin as one." if self.file.exists() else "", where=self.file,
                remedy="Correct the path; a damaged one is read with --salvage.")
        packed = PackedFiles(self.file)
        packed.note()
        return Found({member.name: (member.data_at, member.size) for member in packed.members.values()})

    @cached_property
    def digests(self) -> dict[str, str]:
        """Name -> SHA-256 by the index; {} while salvaging (its checksums have been compared then)."""
        if self.settings.salvage:
            return {}
        data = PackedFiles(self.file).small(INDEX)
        if data is None:
            raise pack_format.refused(self.file, "it has no index")
        return dict(digests_of(data, self.file))

    def plan(self) -> list[Item]:
        """One item per 64 files. Raises FacewrightError."""
        refuse_place(self.out)
        stands = header_file.load(self.out)
        if stands is not None and (stands.consent or stands.person) and header_file.NAME not in self.found.whole:
            raise Mismatch(f"These faces would come under the record or name of {self.out.name}.", where=self.out,
                           why="What their own set said of them is lost.", remedy="Name a new or empty folder.")
        names = [name for name in self.found.whole if name not in (NOTE, INDEX)]
        if not self.settings.salvage and set(names) - set(self.digests):
            raise pack_format.refused(self.file, "parts and index differ")
        size = sum(self.found.whole[name][1] for name in names)
        if not is_faceset(self.out) and free_bytes(self.out) < size + spare(size):
            raise DiskRefused(f"There is no room to unpack {self.file.name}.", why=f"It needs {size / 1e9:.1f} GB.",
                              remedy="Free space, or unpack onto another disk.", where=self.out)
        return [Item(f"{at:07d}", names[at : at + BATCH_FACES]) for at in range(0, len(names), BATCH_FACES)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether a batch is still there."""
        return all((self.out / path).is_file() for path in record["paths"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, list[tuple[str, bytes]]]]:
        """(path in OUT, content) of each batch, all checked."""
        done = sum(name not in (NOTE, INDEX) for name in self.found.whole) - sum(len(item.payload) for item in todo)
        total = done + sum(len(item.payload) for item in todo)
        with self._writer as writer, closing(Torn(self.file)) as torn:
            writer.sweep()
            for item in work.until_stopped(todo):
                yield item, [pair for name in item.payload if (pair := self._file(torn, name)) is not None]
                done += len(item.payload)
                work.progress(done, total)

    def _file(self, torn: Torn, name: str) -> tuple[str, bytes] | None:
        """None for one that is there already. Raises FileRefused (altered), DiskRefused (there in another state)."""
        place, size = self.found.whole[name]
        if self.settings.salvage:
            data = torn.read(place, size)
        else:
            data = PackedFiles(self.file).read(name)
            if hashlib.sha256(data).hexdigest() != self.digests[name]:
                raise pack_format.refused(self.file, f"{name} was altered")
        target = self.out / name
        if not target.exists():
            return name, data
        if target.is_file() and read_file(target, limit_bytes=max(size, 1)) == data:
            return None
        raise DiskRefused(f"{name} is in {self.out.name} already, in another state.", where=target,
                          why="Nothing of yours is overwritten.", remedy="Name a new or empty folder.")

    def commit(self, item: Item, result: list[tuple[str, bytes]]) -> dict[str, Any]:
        """Write a batch's files together."""
        with self._writer as writer:
            writer.add_files(result)
        return {"paths": list(item.payload)}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Build the index. damaged: [path, why] of what did not come back."""
        faceset = Faceset.open(self.out)
        return {"file": str(self.file), "faceset": str(self.out), "faces": len(faceset),
                "damaged": sorted([name, why] for name, why in self.found.damaged.items())}


def digests_of(index: bytes, file: Path) -> Iterator[tuple[str, str]]:
    """(path, SHA-256) of every line of an index. Raises FileRefused."""
    for line in index.splitlines(keepends=True):
        crc, _, body = line.partition(b" ")
        try:
            if crc != b"%08x" % zlib.crc32(body):
                raise ValueError("checksum")
            facts = json.loads(body)
            yield str(facts["path"]), str(facts["sha256"])
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise pack_format.refused(file, "its index is damaged") from error
