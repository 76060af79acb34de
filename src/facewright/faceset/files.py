"""Where the face files of a set lie: in a folder, or inside one packed file. Everyone reads them by path, through here.

Nothing is held open: an object of these may go to any thread or process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Protocol

import numpy as np

from facewright.core.errors import FileRefused, Mismatch
from facewright.core.files import PART, read_file
from facewright.faces.face import Face
from facewright.faceset import header as header_file
from facewright.faceset import pack_format, record
from facewright.faceset.header import Header
from facewright.faceset.packed import PackedFiles, is_packed

FACES = "faces"
_PICTURES = (".jpg", ".jpeg", ".png")


_NUMBER = re.compile(r"\d{6,}-(?=.)")


def plain_name(path: str) -> str:
    """The name of a face's file without the number that `faces sort --rename` puts before it (`000012-`)."""
    return _NUMBER.sub("", path.rpartition("/")[2], count=1)


class Files(Protocol):
    """Bytes by path (relative to the faceset, with `/`). Both raise FileRefused: missing, unreadable, too large."""

    @property
    def path(self) -> Path:
        """The faceset: its folder, or its packed file."""
        ...

    def read(self, path: str) -> bytes:
        """A whole file."""
        ...

    def beginning(self, path: str) -> bytes:
        """Its first record.HEAD_BYTES, or all of it where it is shorter."""
        ...

    def listing(self) -> Iterator[tuple[str, list[tuple[str, tuple[int, int]]]]]:
        """Each folder of faces with (path, stamp) of what lies in it; another stamp means another content."""
        ...

    def small(self, name: str) -> bytes | None:
        """A file beside the faces, such as faceset.json, or None where it is not there. Raises FileRefused."""
        ...


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """Files of a folder."""

    path: Path

    def read(self, path: str) -> bytes:
        """See Files."""
        return read_file(self.path / path, limit_bytes=record.MAX_FILE_BYTES)

    def beginning(self, path: str) -> bytes:
        """See Files."""
        return record.beginning_of(self.path / path)

    def listing(self) -> Iterator[tuple[str, list[tuple[str, tuple[int, int]]]]]:
        """See Files. Stamps are time and size."""
        for inside, _, _ in os.walk(self.path / FACES):
            if not inside.endswith(PART):
                name, files = Path(inside).relative_to(self.path).as_posix(), list[tuple[str, tuple[int, int]]]()
                with os.scandir(inside) as entries:
                    for entry in sorted(entries, key=lambda e: e.name):
                        picture = entry.name.lower().endswith(_PICTURES) and not entry.name.startswith(".")
                        if picture and entry.is_file():
                            facts = entry.stat()
                            files.append((f"{name}/{entry.name}", (facts.st_mtime_ns, facts.st_size)))
                yield name, files

    def small(self, name: str) -> bytes | None:
        """See Files."""
        path = self.path / name
        limit = pack_format.LIMITS.get(name, pack_format.ORDER_BYTES)
        return read_file(path, limit_bytes=limit) if path.exists() else None


def files_at(path: Path) -> Files:
    """The files of a faceset in a folder, or of a packed one."""
    return PackedFiles(path) if path.is_file() else FolderFiles(path)


def refuse_packed(path: Path) -> None:
    """Raise Mismatch where a faceset is to be changed that is packed; FileRefused: another file."""
    if path.is_file():
        if not is_packed(path):
            raise FileRefused(f"{path.name} is a file, not a faceset.", why="It does not begin as a packed one does.",
                              remedy="Name the folder of a faceset.", where=path)
        raise Mismatch(
            f"{path.name} is a packed faceset: it can be read and trained from, but not changed.",
            remedy=f"Unpack it first: `facewright faces unpack {quote(str(path))} FACESET`; change that folder, "
            "and pack it anew.", where=path)


def read_head(files: Files, path: str) -> tuple[Face, bool]:
    """(face, whether a mask is stored), from the file's beginning where that is enough. Raises FileRefused."""
    return record.head_of(files.beginning(path), lambda: files.read(path), files.path / path)


def load(files: Files, path: str) -> tuple[Face, np.ndarray, np.ndarray | None]:
    """Face, (S, S, 3) uint8 RGB, (m, m) uint8 mask or None; read once. Raises FileRefused."""
    data, where = files.read(path), files.path / path
    return record.decode_face(data, where), record.decode_image(data, where), record.decode_mask(data, where)


def load_header(files: Files) -> Header | None:
    """What faceset.json says, or None where there is none. Raises FileRefused."""
    data = files.small(header_file.NAME)
    return None if data is None else header_file.decode(data, files.path / header_file.NAME)
