"""The file under an index: where it lies, how it is opened, and what becomes of it when the disk or its bytes are bad.

A cache may always be thrown away and made anew, so a damaged one is; but nobody may take a full disk, or a file that
another process holds, for damage.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from facewright.core.errors import DiskRefused
from facewright.core.files import write_atomic
from facewright.core.places import cache_folder


class IndexFile:
    """The SQLite file of one faceset. Holds only a path, so it crosses process borders; a connection per call.

    name: of the file in its folder; schema: statements that make its tables; version: of the schema, user_version.
    """

    name: ClassVar[str]
    schema: ClassVar[str]
    version: ClassVar[int]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """Where it lies: in the faceset, or (packed or read-only faceset) in the user's cache folder."""
        if not self.folder.is_file() and os.access(self.folder, os.W_OK):
            return self.folder / self.name
        digest = hashlib.sha256(str(self.folder.resolve()).encode("utf-8", "surrogatepass")).hexdigest()
        return cache_folder() / f"faceset-{digest[:24]}.sqlite"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection. Raises DiskRefused."""
        with self._telling(), closing(self._open()) as db:
            yield db

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction: committed at the end, rolled back on any exception. Raises DiskRefused."""
        with self._telling(), closing(self._open()) as db, db:
            yield db

    def fill(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Let `work` put into it what belongs there; where it proves damaged, into a new one."""
        if self.path.parent != self.folder:
            self._note_place()
        try:
            with self.connect() as db:
                work(db)
        except sqlite3.DatabaseError as error:
            if _is_locked(error):
                raise
            self._throw_away()
            with self.connect() as db:
                work(db)

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            if _is_the_disk(error) or _is_locked(error):
                raise
            self._throw_away()
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA secure_delete = ON")  # a forgotten vector leaves no bytes behind
            if version not in (0, self.version):
                raise sqlite3.DatabaseError(f"index version {version}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if version == 0:
                db.execute("BEGIN IMMEDIATE")
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # no other process was quicker
                    for statement in self.schema.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {self.version}")
                db.commit()
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what the disk refused in the user's words. Raises DiskRefused."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not _is_the_disk(error):
                raise
            raise DiskRefused(
                f"Cannot write the index of {self.folder.name}: the disk is full or cannot be written.", why=str(error),
                remedy="Free space or correct its rights, then run the same command again; the index is only a cache.",
                where=self.path,
            ) from error

    def _note_place(self) -> None:
        """Beside an index in the cache folder stands whose it is; those of facesets that are gone go, with what they
        know of people."""
        for note in cache_folder().glob("faceset-*.txt"):
            with suppress(OSError):  # another process was quicker, or looks at it
                if not Path(note.read_bytes().decode("utf-8", "surrogatepass")).exists():
                    for tail in ("", "-wal", "-shm"):
                        note.with_name(note.stem + ".sqlite" + tail).unlink(missing_ok=True)
                    note.unlink(missing_ok=True)
        note = self.path.with_suffix(".txt")
        if not note.exists():
            write_atomic(note, str(self.folder.resolve()).encode("utf-8", "surrogatepass"))

    def _throw_away(self) -> None:
        for tail in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + tail).unlink(missing_ok=True)


@contextmanager
def passing_over_a_lock() -> Iterator[None]:
    """For what may be left undone while another process holds the index for longer than one waits."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not _is_locked(error):
            raise


def _is_the_disk(error: sqlite3.DatabaseError) -> bool:
    """Whether the disk refused (full, limit, rights); an index that is merely damaged is thrown away instead."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    kinds = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    return code & 0xFF in kinds and code != sqlite3.SQLITE_IOERR_SHORT_READ


def _is_locked(error: sqlite3.DatabaseError) -> bool:
    """Whether another process holds it, longer than one waits: nothing is damaged."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
