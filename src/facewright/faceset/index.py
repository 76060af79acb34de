"""`index.sqlite`: a cache over the face files, so that 60,000 faces are sorted and counted without reading them.

Rebuilt from the files whenever it is missing, damaged, of another version or out of step (size or time of a file);
the files are the truth. It is also the only place where identity vectors may lie. SQL up to SQLite 3.40.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.faces.face import Face
from facewright.faceset.files import Files, files_at, read_head
from facewright.faceset.index_file import IndexFile, passing_over_a_lock

NAME = "index.sqlite"
VERSION = 4
RANGES = ("yaw_deg", "pitch_deg", "roll_deg", "sharpness", "score", "presence_01", "frame_index", "side_px")
"""Columns that `where` takes as (low, high), both inclusive."""
EQUALS = ("source_sha256", "source_file", "face_type", "track", "person", "face_id", "mask_by", "shot", "picture")
"""Columns that `where` takes as one value."""

_ORDER = "ORDER BY source_file, source_sha256, frame_index, ordinal, path"


@dataclass(frozen=True, slots=True)
class Row:
    """One face as the index holds it: everything that is small. `path` is relative to the faceset, with `/`; `picture`
    is the file's name where the film is a folder of pictures, else ""."""

    path: str
    face_id: str
    source_sha256: str
    source_file: str
    frame_index: int
    ordinal: int
    pts: int
    face_type: str
    side_px: int
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    sharpness: float
    score: float
    presence_01: float
    x0_px: float
    y0_px: float
    x1_px: float
    y1_px: float
    flags: str
    track: str
    person: str
    consent: str
    labels: int
    has_mask: int
    mask_by: str
    shot: int
    edited: int
    smoothed: int
    picture: str

    @property
    def origin(self) -> str:
        """What it was cut from, for people: `film.mp4 12`, or `photos/ada.jpg`."""
        return f"{self.source_file}/{self.picture}" if self.picture else f"{self.source_file} {self.frame_index}"


_COLUMNS = tuple(f.name for f in fields(Row))
_TOGETHER = 256
"""Files noted in one go."""
_SCHEMA = f"""
CREATE TABLE faces (
    {", ".join(f"{name} {'TEXT' if str(f.type) == 'str' else 'NUMERIC'}" for name, f in zip(_COLUMNS, fields(Row)))},
    folder TEXT NOT NULL, mtime_ns INTEGER NOT NULL, bytes INTEGER NOT NULL,
    trouble TEXT NOT NULL DEFAULT '', doubled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (path)
) WITHOUT ROWID;
CREATE INDEX faces_in_order ON faces (source_file, source_sha256, frame_index, ordinal, path);
CREATE INDEX faces_by_folder ON faces (folder);
CREATE INDEX faces_by_id ON faces (face_id);
CREATE TABLE vectors (face_id TEXT, net_sha256 TEXT, vector BLOB, PRIMARY KEY (face_id, net_sha256)) WITHOUT ROWID;
CREATE TABLE measures (face_id TEXT, name TEXT, value BLOB, PRIMARY KEY (face_id, name)) WITHOUT ROWID;
"""


class Index(IndexFile):
    """The cache of one faceset, folder or packed."""

    name, schema, version = NAME, _SCHEMA, VERSION

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.files = files_at(folder)

    def refresh(self) -> None:
        """Bring the index in step with the files: new, changed, gone. A damaged index is thrown away first."""
        self.fill(lambda db: _refresh(db, self.files))

    def add(self, faces: Iterable[tuple[str, Face, bool]]) -> None:
        """Note files that were just written, (path in the folder, face, whether it has a mask), without reading them
        again. A cache may be told or not: what is not told here (another process holds it), `refresh` finds."""
        told = [(path, (self.folder / path).stat(), row_of(path, face, has_mask)) for path, face, has_mask in faces]

        def note(db: sqlite3.Connection) -> None:
            _store(db, [_File(path, facts.st_mtime_ns, facts.st_size, row) for path, facts, row in told])
            db.executemany("UPDATE faces SET doubled = EXISTS (SELECT 1 FROM faces AS other WHERE other.face_id = "
                           "faces.face_id AND other.path < faces.path) WHERE face_id = ?",
                           [(row.face_id,) for _, _, row in told])

        with passing_over_a_lock():
            self.fill(note)

    def rows(self, **query: Any) -> Iterator[Row]:
        """Rows in the order of source, frame, ordinal; streamed, 256 at a time. `query`: see `where_clause`."""
        clause, values = where_clause(query)
        with self.reading() as db:
            cursor = db.execute(f"SELECT {', '.join(_COLUMNS)} FROM faces WHERE {clause} {_ORDER}", values)
            while block := cursor.fetchmany(256):
                for values_of_row in block:
                    yield Row(*values_of_row)

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All result rows of a short query."""
        with self.connect() as db:
            return db.execute(sql, values).fetchall()

    def state(self, rows: Iterable[Row]) -> str:
        """Digest of the files of these faces as they are now (path, time, size): another one, and a step that read them
        would give something else."""
        stamps = {path: stamp for path, *stamp in self.select("SELECT path, mtime_ns, bytes FROM faces")}
        digest = hashlib.sha256()
        for row in rows:
            digest.update(f"{row.path} {stamps.get(row.path)}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def where_clause(query: dict[str, Any]) -> tuple[str, list[Any]]:
    """`yaw_deg=(-30, 30), person="Ada"` -> SQL and values. TypeError for a name that is no column."""
    parts, values = ["trouble = ''", "doubled = 0"], []
    for name, wanted in query.items():
        if name in RANGES:
            low, high = wanted
            parts.append(f"{name} BETWEEN ? AND ?")
            values += [low, high]
        elif name in EQUALS:
            parts.append(f"{name} = ?")
            values.append(wanted)
        else:
            raise TypeError(f"faces are not chosen by {name!r}; known: {', '.join(RANGES + EQUALS)}")
    return " AND ".join(parts), values


def row_of(path: str, face: Face, has_mask: bool) -> Row:
    """What the index keeps of a face."""
    tail = face.face_id.rpartition("_")[2]
    x0, y0, x1, y1 = face.box_px
    film, _, picture = face.source.file.partition("/")  # a picture of a folder is named folder/picture
    return Row(
        path=path, face_id=face.face_id, source_sha256=face.source.sha256, source_file=film,
        frame_index=face.source.frame_index, ordinal=int(tail) if tail.isascii() and tail.isdigit() else 0,
        pts=face.source.pts, face_type=str(face.face_type), side_px=face.side_px, yaw_deg=face.yaw_deg,
        pitch_deg=face.pitch_deg, roll_deg=face.roll_deg, sharpness=face.sharpness, score=face.score,
        presence_01=face.presence_01, x0_px=x0, y0_px=y0, x1_px=x1, y1_px=y1, flags=" ".join(face.flags),
        track=face.track, person=face.person, consent=face.consent, labels=len(face.polygons), has_mask=int(has_mask),
        mask_by=face.mask_by if has_mask else "", shot=face.source.shot, edited=int(face.edited_px is not None),
        smoothed=int(face.smoothed_px is not None), picture=picture,
    )


def _refresh(db: sqlite3.Connection, files: Files) -> None:
    if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("the index is damaged")
    changed = False
    seen = set()
    for name, found in files.listing():
        seen.add(name)
        changed |= _refresh_folder(db, files, name, found)
    for (name,) in db.execute("SELECT DISTINCT folder FROM faces").fetchall():
        if name not in seen:
            db.execute("DELETE FROM faces WHERE folder = ?", (name,))
            changed = True
    if changed:
        # A copied file shows the same face twice: the first path counts.
        db.execute("UPDATE faces SET doubled = EXISTS (SELECT 1 FROM faces AS other "
                   "WHERE other.face_id = faces.face_id AND other.path < faces.path) WHERE trouble = ''")
        # Rows of damaged files name no face: compared with nothing, nothing would be deleted.
        for table in ("vectors", "measures"):
            known = "SELECT face_id FROM faces WHERE face_id IS NOT NULL"
            db.execute(f"DELETE FROM {table} WHERE face_id NOT IN ({known})")


def _refresh_folder(
    db: sqlite3.Connection, files: Files, name: str, found: list[tuple[str, tuple[int, int]]]
) -> bool:
    known = {row[0]: row[1:] for row in
             db.execute("SELECT path, mtime_ns, bytes FROM faces WHERE folder = ?", (name,))}
    fresh = [(path, stamp) for path, stamp in found if known.pop(path, None) != stamp]
    for at in range(0, len(fresh), _TOGETHER):
        _store(db, [_seen(files, path, stamp) for path, stamp in fresh[at : at + _TOGETHER]])
    db.executemany("DELETE FROM faces WHERE path = ?", [(path,) for path in known])
    return bool(fresh or known)


@dataclass(frozen=True, slots=True)
class _File:
    """A face file as it is now: what it holds, or why it cannot be read."""

    path: str
    mtime_ns: int
    size: int
    row: Row | None
    trouble: str = ""


def _seen(files: Files, path: str, stamp: tuple[int, int]) -> _File:
    try:
        return _File(path, *stamp, row_of(path, *read_head(files, path)))
    except FileRefused as error:
        return _File(path, *stamp, None, error.why or error.what)


def _store(db: sqlite3.Connection, found: Sequence[_File]) -> None:
    """What was measured of these faces is no longer true."""
    for table in ("vectors", "measures"):
        db.executemany(f"DELETE FROM {table} WHERE face_id = ?", [(one.row.face_id,) for one in found if one.row])
    columns = [name for name in _COLUMNS if name != "path"]
    names = ("path", "folder", "mtime_ns", "bytes", "trouble", *columns)
    db.executemany(
        f"INSERT OR REPLACE INTO faces ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [(one.path, one.path.rpartition("/")[0], one.mtime_ns, one.size, one.trouble,
          *(getattr(one.row, name, None) for name in columns)) for one in found])
