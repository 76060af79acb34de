"""Step: a faceset -> one file, a plain zip (pack_format.py). Nothing is taken out of the faceset.

Every member's place follows from names and sizes alone, so a batch is written where it belongs, whatever was done
before it: a killed run goes on after the last batch that reads back as it was written. The file gets its name last.
Identity vectors, caches, trash, undo and jobs stay behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from facewright import __version__
from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.files import PART, FolderLock, disk_error, free_bytes, make_folder, plain_name, sync_folder
from facewright.core.places import cache_folder
from facewright.core.step import Item, Likeness, Work
from facewright.faceset import header as header_file
from facewright.faceset import pack_format
from facewright.faceset.ahead import ahead
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import FACES, refuse_packed
from facewright.faceset.index import Row
from facewright.faceset.pack_format import INDEX, NOTE, ORDERS, Member
from facewright.faceset.packed import PackedFiles, is_packed
from facewright.faceset.settings import BATCH_FACES, PackSettings

_FOLDER_BYTES = 120
"""Longest name of a folder of people or films."""
SUFFIXES = (".faces", ".zip")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A member to be, and where its content comes from: a path in the faceset, or bytes."""

    member: Member
    source: str | bytes


class PackStep:
    """Pack the faceset at `faceset` into `file`."""

    stage = "pack"
    settings: PackSettings

    def __init__(self, faceset: str, file: str, settings: PackSettings | None = None) -> None:
        self.folder, self.file = Path(faceset).resolve(), Path(file).absolute()
        self.settings = settings or PackSettings()

    def home(self) -> Path:
        """The faceset's folder; where that cannot be written, the new file's."""
        return self.folder if os.access(self.folder, os.W_OK) else self.file.parent

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "file": str(self.file)}

    def likenesses(self) -> list[Likeness]:
        """One for each record that they name: a revoked one stops it."""
        return [Likeness("source_likeness", ref, "", self.folder) for ref in Faceset.open(self.folder).consents()]

    def inputs(self) -> dict[str, str]:
        """Which faces in which state, and what lies beside them."""
        return self._inputs

    @cached_property
    def faceset(self) -> Faceset:
        """What is packed. Raises FileRefused, Mismatch (it is packed already)."""
        refuse_packed(self.folder)
        return Faceset.open(self.folder)

    @cached_property
    def _inputs(self) -> dict[str, str]:
        faces, beside = hashlib.sha256(), hashlib.sha256()
        for facts in self.faceset.index.select("SELECT path, mtime_ns, bytes FROM faces ORDER BY path"):
            faces.update(f"{facts}\n".encode("utf-8", "surrogatepass"))
        for name, data in self._beside.items():
            beside.update(f"{name} {len(data)}\n".encode() + data)
        return {"faces": faces.hexdigest(), "beside": beside.hexdigest()}

    @cached_property
    def _beside(self) -> dict[str, bytes]:
        """faceset.json, the user's decisions, and the orders of sorts."""
        found = {header_file.NAME: header_file.encode(self.faceset.header)}
        orders = sorted(p.relative_to(self.folder).as_posix() for p in (self.folder / ORDERS).glob("*.json*"))
        for name in (*pack_format.LIMITS, *orders):
            data = None if name in (NOTE, INDEX, header_file.NAME) else self.faceset.files.small(name)
            if data is not None and pack_format.allowed(name, len(data)):
                found[name] = data
        return found

    @cached_property
    def wanted(self) -> list[_Wanted]:
        """Every member but the index, in order. Raises NothingFound."""
        size = dict(self.faceset.index.select("SELECT path, bytes FROM faces"))
        names = _Names(self.settings.folders, self.faceset)
        faces = [(names.of(row), int(size[row.path]), row.path) for row in self.faceset.rows()]
        if not faces:
            raise NothingFound(f"There are no faces in {self.folder.name}.",
                               remedy="`facewright extract` fills it.", where=self.folder)
        note = {"format": pack_format.FORMAT, "facewright": __version__, "faces": len(faces), "inputs": self._inputs,
                "folders": self.settings.folders}
        small = {NOTE: json.dumps(note, indent=1).encode() + b"\n", **self._beside}
        todo = [*((name, len(data), data) for name, data in small.items()), *faces]
        places = pack_format.layout((name, length) for name, length, _ in todo)
        return [_Wanted(place, source) for place, (_, _, source) in zip(places, todo)]

    def plan(self) -> list[Item]:
        """One item per 64 members; none where the file is there already. Raises FacewrightError."""
        if self.file.suffix.lower() not in SUFFIXES:
            raise SettingRefused(f"{self.file.name} is no name for a packed faceset.",
                                 remedy=f"End it in {SUFFIXES[0]}.", where=self.file)
        if self.folder in self.file.resolve().parents:
            raise Mismatch(f"{self.file.name} would lie inside the faceset.", remedy="Name a place outside of it.",
                           where=self.file)
        if self.file.exists():
            self._is_ours()
            return []
        self._has_room()
        return [Item(f"{at:07d}", self.wanted[at : at + BATCH_FACES]) for at in range(0, len(self.wanted), BATCH_FACES)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run wrote for an item reads back as it was written."""
        try:
            with open(self._part, "rb") as file:
                for wanted, crc in zip(item.payload, record["crc"], strict=True):
                    file.seek(wanted.member.data_at)
                    if zlib.crc32(file.read(wanted.member.size)) != crc:
                        return False
        except (OSError, ValueError):
            return False
        return True

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, list[bytes]]]:
        """The members' contents, a thread reading ahead."""
        if not todo:
            return
        total = len(self.wanted)
        done = total - sum(len(item.payload) for item in todo)
        with self._alone(), self._part_goes(), closing(ahead(self._read(todo))) as batches:
            for item, contents in work.until_stopped(batches):
                yield item, contents
                done += len(contents)
                work.progress(done, total)

    def _read(self, todo: list[Item]) -> Generator[tuple[Item, list[bytes]], None, None]:
        for item in todo:
            yield item, [self._content(one) for one in item.payload]

    def _content(self, one: _Wanted) -> bytes:
        data = one.source if isinstance(one.source, bytes) else self.faceset.files.read(one.source)
        if len(data) != one.member.size:
            raise FileRefused(f"{one.source!s} changed while it was packed.", remedy="Run the same command again.",
                              where=self.folder / str(one.source))
        return data

    def commit(self, item: Item, result: list[bytes]) -> dict[str, Any]:
        """Write a batch to its place; returns the checksums."""
        make_folder(self.file.parent)
        crc = [zlib.crc32(data) for data in result]
        pieces = [piece for one, data, number in zip(item.payload, result, crc)
                  for piece in (pack_format.local_header(_with(one.member, number)), data)]
        pack_format.put(self._part, item.payload[0].member.at, pieces)
        return {"crc": crc, "sha256": [hashlib.sha256(data).hexdigest() for data in result]}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Write index and directory, sync, and give the file its name."""
        if records:
            with self._alone(), self._part_goes():
                self._complete([records[name] for name in sorted(records)])
        note, damaged = PackedFiles(self.file).note(), self.faceset.damaged()
        return {"faceset": str(self.folder), "file": str(self.file), "faces": note["faces"],
                "bytes": self.file.stat().st_size, "left out": [list(pair) for pair in damaged.items()],
                "already there": not records, "consents": self.faceset.consents()}

    def _complete(self, records: list[dict[str, Any]]) -> None:
        crc = [number for record in records for number in record["crc"]]
        digests = [digest for record in records for digest in record["sha256"]]
        members = [_with(one.member, number) for one, number in zip(self.wanted, crc)]
        index = b"".join(map(index_line, members, digests))
        last = Member(INDEX, members[-1].end, len(index), zlib.crc32(index))
        pack_format.put(self._part, last.at, [pack_format.local_header(last), index])
        pack_format.put(self._part, last.end, pack_format.directory([*members, last], last.end), end=True)
        try:
            with open(self._part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._part, self.file)
            sync_folder(self.file.parent)
        except OSError as error:
            raise disk_error(error, self.file) from error

    def _alone(self) -> FolderLock:
        """Held while the file is written: two facesets are not packed into one file at once."""
        digest = hashlib.sha256(str(self.file).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return FolderLock(cache_folder() / f"pack-{digest}.lock")

    @contextmanager
    def _part_goes(self) -> Iterator[None]:
        """Leave nothing half-written where it cannot go on (a full disk); a stop or a kill leaves what was done."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException:  # a commit that failed closes the stream: GeneratorExit
            self._part.unlink(missing_ok=True)
            raise

    @property
    def _part(self) -> Path:
        return self.file.with_name(self.file.name + PART)

    def _is_ours(self) -> None:
        """Nothing if the file holds exactly these faces already (a run that was killed at its very end)."""
        if is_packed(self.file):
            note = PackedFiles(self.file).note()
            if note.get("inputs") == self._inputs and note.get("folders") == self.settings.folders:
                return
        raise FileRefused(f"{self.file.name} exists already.", why="It holds something else, or an earlier state.",
                          remedy="Give another name.", where=self.file)

    def _has_room(self) -> None:
        size = self.wanted[-1].member.end
        there = self._part.stat().st_size if self._part.exists() else 0
        if free_bytes(self.file.parent) < size - there + spare(size):
            raise DiskRefused(f"There is no room for {self.file.name}.", why=f"It needs {size / 1e9:.1f} GB.",
                              remedy="Free space, or pack onto another disk.", where=self.file)


def spare(size: int) -> int:
    """What a disk must hold beside files of `size` bytes in all: folders, index, journal."""
    return size // 50 + (1 << 20)


def index_line(member: Member, sha256: str) -> bytes:
    """One line of the index: crc32 of the rest, a space, JSON (as in a journal). Each can be trusted by itself."""
    body = json.dumps({"path": member.name, "at": member.data_at, "bytes": member.size, "crc32": f"{member.crc:08x}",
                       "sha256": sha256}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return b"%08x %s" % (zlib.crc32(body), body)


def _with(member: Member, crc: int) -> Member:
    return Member(member.name, member.at, member.size, crc)


class _Names:
    """Paths in the pack: as in the faceset, or in folders of people or films; each once, and good on every system."""

    def __init__(self, folders: str, faceset: Faceset) -> None:
        self.folders, self.who = folders, faceset.namer()
        self._taken: set[str] = set()

    def of(self, row: Row) -> str:
        """The path of a face."""
        path = PurePosixPath(row.path)
        if self.folders != "keep":
            folder = self.who(row) or "nobody" if self.folders == "person" else PurePosixPath(row.source_file).stem
            path = PurePosixPath(FACES, _plain(folder), row.face_id + path.suffix)
        name = unicodedata.normalize("NFC", str(path))
        if not pack_format.allowed(name, 0):
            name = f"{FACES}/{row.source_sha256[:8]}/{row.frame_index:07d}/{_plain(row.face_id)}{path.suffix}"
        stem, end, number = name[: -len(path.suffix)], path.suffix, 1
        while name.casefold() in self._taken:  # some systems do not tell a from A
            number += 1
            name = f"{stem}-{number}{end}"
        self._taken.add(name.casefold())
        return name


def _plain(text: str) -> str:
    """A name of any person or film as the name of a folder."""
    return plain_name(text, most_bytes=_FOLDER_BYTES) or "_"
