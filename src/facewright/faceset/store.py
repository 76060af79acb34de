"""Where a faceset's files lie, and the one writer that puts them there.

FACESET/faces/<source sha 8>/<chunk start, 7 digits>/<face id>.jpg, FACESET/faceset.json, FACESET/index.sqlite (a
cache), FACESET/orders/ (what sorting found), FACESET/debug/ (pictures with what was found drawn in),
FACESET/.facewright/ (lock, jobs, trash).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from facewright.core.errors import Mismatch
from facewright.core.files import (
    PART,
    FolderLock,
    disk_error,
    make_folder,
    read_file,
    refuse_occupied,
    replace_folder,
    write_all,
    write_atomic,
)
from facewright.faces.face import Face
from facewright.faceset import header as header_file
from facewright.faceset import record
from facewright.faceset.files import FACES, refuse_packed
from facewright.faceset.header import Header
from facewright.faceset.packed import is_packed

DEBUG = "debug"
ORDERS_FOLDER = "orders"
PRIVATE = ".facewright"
REVIEW = "review.jsonl"
"""What a person decided about frames (decisions.py): user data, as the faces are."""


def chunk_folder(faceset: Path, source_sha256: str, start: int, kind: str = FACES) -> Path:
    """The folder of one chunk: `kind` FACES or DEBUG."""
    return faceset / kind / source_sha256[:8] / f"{start:07d}"


class Writer:
    """The only way to change a faceset; a context manager that holds the folder's lock.

    A step enters its writer for its whole stream, and once more for each commit: the lock goes with the outermost.
    Raises DiskRefused on entry when another process writes to this faceset, Mismatch when it is packed.
    """

    def __init__(self, faceset: Path) -> None:
        self.faceset = faceset
        self._lock = FolderLock(faceset / PRIVATE / "writer.lock")
        self._entered = 0

    def __enter__(self) -> Writer:
        if not self._entered:
            refuse_packed(self.faceset)
            make_folder(self.faceset / PRIVATE)
            self._lock.__enter__()
        self._entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if not self._entered:
            self._lock.release()

    def add_chunk(self, source_sha256: str, start: int, files: Sequence[tuple[str, bytes]], kind: str = FACES) -> Path:
        """Write a chunk's files together: aside, synced, then renamed. A chunk that is already there stays as it is.

        Without files nothing is written. Raises DiskRefused; then nothing of the chunk is left.
        """
        return self.add_folder(chunk_folder(self.faceset, source_sha256, start, kind), files)

    def add_folder(self, folder: Path | str, files: Sequence[tuple[str, bytes]]) -> Path:
        """The same for any folder in the faceset, absolute or relative to it."""
        final = self.faceset / folder
        if not files or final.exists():
            return final
        make_folder(final.parent)
        part = final.with_name(final.name + PART)
        try:
            shutil.rmtree(part, ignore_errors=True)  # left by a killed run: half-written, nobody's data
            part.mkdir()
            for name, data in files:
                (part / name).write_bytes(data)
            replace_folder(part, final)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise disk_error(error, final) from error
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return final

    def write_face(self, path: Path, face: Face, mask: np.ndarray | None) -> None:
        """Replace the metadata and mask of a face file; its pixels stay byte for byte. mask (m, m) uint8 or None."""
        data = read_file(path, limit_bytes=record.MAX_FILE_BYTES)
        write_atomic(path, record.replace_metadata(data, face, mask))

    def write_faces(self, changes: Iterable[tuple[Path, Face, np.ndarray | None]]) -> int:
        """The same for a batch, together (core.files.write_all); returns how many were changed.

        A file that would come out the same is not written. Raises DiskRefused, FileRefused (a damaged file).
        """

        def changed() -> Iterator[tuple[Path, bytes]]:
            for path, face, mask in changes:
                before = read_file(path, limit_bytes=record.MAX_FILE_BYTES)
                after = record.replace_metadata(before, face, mask)
                if after != before:
                    yield path, after

        return write_all(changed())

    def add_files(self, files: Iterable[tuple[str, bytes]]) -> int:
        """Write whole files of the faceset (path in it, content) together, in the place of what lies there. Returns how
        many. Raises DiskRefused."""
        return write_all((self.faceset / name, data) for name, data in files)

    def update_header(self, change: Callable[[Header], Header]) -> Header:
        """Read faceset.json, change it, replace it atomically (only when it differs)."""
        before = header_file.load(self.faceset)
        after = change(before or Header())
        if after != before:
            header_file.save(self.faceset, after)
        return after

    def sweep(self) -> None:
        """Remove half-written chunks and files of a killed run."""
        for kind in (FACES, DEBUG):
            for part in (self.faceset / kind).glob(f"*/*{PART}"):
                shutil.rmtree(part, ignore_errors=True)
        for part in (self.faceset / FACES).glob(f"*/*/*{PART}"):
            part.unlink(missing_ok=True)


def is_faceset(folder: Path) -> bool:
    """Whether a folder looks like a faceset: a header, or at least a folder of faces; or a file like a packed one."""
    return is_packed(folder) or (folder / header_file.NAME).is_file() or (folder / FACES).is_dir()


def refuse_place(out: Path, source: Path | None = None) -> None:
    """Raise where no faceset may come to lie, or go on, at `out`.

    Mismatch: it is the set `source` that is read, or inside of it; it is a packed set. DiskRefused: it is another file,
    or a folder of other things (so that nobody extracts into a folder of holiday pictures).
    """
    here, there = source and source.resolve(), out.resolve()
    if here and (here == there or here in there.parents):
        raise Mismatch(f"{out.name} is {'the faceset itself' if here == there else 'inside the faceset'}.",
                       remedy="Name another folder.", where=out)
    if is_packed(out):
        refuse_packed(out)
    if not is_faceset(out):
        refuse_occupied(out, "the faceset", _is_ours)


def _is_ours(name: str) -> bool:
    return name in (FACES, DEBUG, ORDERS_FOLDER, PRIVATE, REVIEW, header_file.NAME) or name.startswith("index.sqlite")
