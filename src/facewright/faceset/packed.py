"""Reading a packed faceset where it lies: face by face, by offset, every one checked against its checksum."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Any

from facewright.core.errors import FileRefused
from facewright.faceset import pack_format
from facewright.faceset.pack_format import LOCAL, NOTE, Member
from facewright.faceset.record import HEAD_BYTES

_SNIFF = pack_format.LOCAL_MAGIC, NOTE.encode()


def is_packed(file: Path) -> bool:
    """Whether a file looks like a packed faceset: it begins with pack.json."""
    if not file.is_file():
        return False
    try:
        with open(file, "rb") as opened:
            start = opened.read(LOCAL.size + len(NOTE))
    except OSError:
        return False
    return start[:4] == _SNIFF[0] and start[LOCAL.size :] == _SNIFF[1]


@dataclass(frozen=True, slots=True)
class PackedFiles:
    """The files inside a packed faceset (faceset.files.Files). Holds only its path; its directory is read once per
    process and state of the file."""

    path: Path

    def read(self, path: str) -> bytes:
        """A whole file. Raises FileRefused: not in it, cut short, altered."""
        member, data = self._content(path, pack_format.MAX_FILE_BYTES)
        if zlib.crc32(data) != member.crc:
            raise self._altered(path)
        return data

    def beginning(self, path: str) -> bytes:
        """The first HEAD_BYTES of a file (its metadata have a checksum of their own). Raises FileRefused."""
        return self._content(path, HEAD_BYTES)[1]

    def listing(self) -> Iterator[tuple[str, list[tuple[str, tuple[int, int]]]]]:
        """Folder -> its faces, each with (checksum, size): what tells whether it is the same."""
        folders: dict[str, list[tuple[str, tuple[int, int]]]] = {}
        for member in self.members.values():
            if pack_format.is_face(member.name):
                folder = folders.setdefault(member.name.rpartition("/")[0], [])
                folder.append((member.name, (member.crc, member.size)))
        yield from sorted(folders.items())

    def small(self, name: str) -> bytes | None:
        """A file that is no face, or None where it is not in it. Raises FileRefused."""
        return self.read(name) if name in self.members else None

    def note(self) -> dict[str, Any]:
        """What pack.json says. Raises FileRefused: damaged, or of another version."""
        try:
            found = json.loads(self.read(NOTE))
            if found["format"] != pack_format.FORMAT:
                raise FileRefused(
                    f"{self.path.name} was packed by another version of facewright ({str(found['format'])[:60]}).",
                    why=f"This one reads {pack_format.FORMAT}.", remedy="Update facewright.", where=self.path)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise pack_format.refused(self.path, "its pack.json is damaged") from error
        return dict(found)

    @property
    def members(self) -> MappingProxyType[str, Member]:
        """Name -> member, in the order of the file. Raises FileRefused."""
        try:
            facts = self.path.stat()
        except OSError as error:
            raise FileRefused(f"Cannot read {self.path.name}.", why=str(error.strerror or error),
                              remedy="Check the path and its rights.", where=self.path) from error
        return _members(self.path, facts.st_size, facts.st_mtime_ns)

    def _content(self, path: str, most: int) -> tuple[Member, bytes]:
        member = self.members.get(path)
        if member is None:
            raise FileRefused(f"There is no {path} in {self.path.name}.", remedy="`facewright faces info` lists it.",
                              where=self.path / path)
        head = pack_format.local_header(member)
        wanted = min(member.size, most)
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(member.at)
                data = file.read(len(head) + wanted)
        except OSError as error:
            raise FileRefused(f"Cannot read {path} in {self.path.name}.", why=str(error.strerror or error),
                              remedy=self._remedy, where=self.path / path) from error
        if len(data) != len(head) + wanted or data[:4] != head[:4] or data[26:30] != head[26:30]:
            raise self._altered(path)
        return member, data[len(head) :]

    @property
    def _remedy(self) -> str:
        return f"`facewright faces unpack --salvage {quote(str(self.path))} OUT` brings back all others."

    def _altered(self, path: str) -> FileRefused:
        return FileRefused(f"{path} in {self.path.name} is damaged.", why="It does not match its checksum.",
                           remedy=self._remedy, where=self.path / path)


@lru_cache(maxsize=8)
def _members(file: Path, size: int, mtime_ns: int) -> MappingProxyType[str, Member]:
    return MappingProxyType({member.name: member for member in pack_format.members_of(file)})
