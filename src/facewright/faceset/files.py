"""Where the face files of a set lie: in a folder, or inside one packed file. Everyone reads them by path, through here.

Nothing is held open: an object of these may go to any thread or process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from facewright.core.files import read_file
from facewright.faces.face import Face
from facewright.faceset import record


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


def read_head(files: Files, path: str) -> tuple[Face, bool]:
    """(face, whether a mask is stored), from the file's beginning where that is enough. Raises FileRefused."""
    return record.head_of(files.beginning(path), lambda: files.read(path), files.path / path)


def load(files: Files, path: str) -> tuple[Face, np.ndarray, np.ndarray | None]:
    """Face, (S, S, 3) uint8 RGB, (m, m) uint8 mask or None; read once. Raises FileRefused."""
    data, where = files.read(path), files.path / path
    return record.decode_face(data, where), record.decode_image(data, where), record.decode_mask(data, where)
