"""`facewright.Faceset`: a faceset in a script or notebook, as a collection of faces. docs/how-to/python.md shows it.

Pictures are read when asked for. Everything that changes a set holds its lock, writes aside, syncs and renames, as the
commands do. A packed faceset is read alike; it is not changed.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np

from facewright.core.errors import Mismatch, NothingFound
from facewright.faces.face import Face
from facewright.faceset import faceset as room
from facewright.faceset import header as header_file
from facewright.faceset import record
from facewright.faceset.files import refuse_packed
from facewright.faceset.header import Header
from facewright.faceset.index import EQUALS, RANGES, Row
from facewright.faceset.store import FACES, Writer, is_faceset, refuse_place

_BOOLS = ("has_mask", "edited", "smoothed")
_KINDS = {"str": np.str_, "int": np.int64, "float": np.float64}
_HELD_FACES = 1_000
_BATCH_FACES = 64


class Table(dict[str, np.ndarray]):
    """Columns of numbers and words, one entry a face: name -> (N,) array of str, int64, float64 or bool."""

    def to_arrow(self) -> Any:
        """The same as a pyarrow.Table. Raises NothingFound: pyarrow is not installed."""
        try:
            pyarrow = importlib.import_module("pyarrow")
        except ImportError:
            raise NothingFound(
                "The package pyarrow is not installed.", why="It makes the table.", where="pyarrow",
                remedy="Install it with `pip install pyarrow`, or use the columns as they are.") from None
        return pyarrow.table({name: column.tolist() if column.dtype.kind == "U" else column
                              for name, column in self.items()})


class Faces:
    """Some faces of a set, in a fixed order. Iterating gives `facewright.Face` objects, whose `person` and `consent`
    are those that count, whether the face or the set says them."""

    def __init__(self, home: room.Faceset, rows: Callable[[], list[Row]]) -> None:
        self._home, self._find = home, rows
        self._found: list[Row] | None = None

    @property
    def _rows(self) -> list[Row]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Face]:
        told = self._telling()
        return (told(self._home.face(row)) for row in self._rows)

    def __contains__(self, face: object) -> bool:
        name = face.face_id if isinstance(face, Face) else face
        return any(row.face_id == name for row in self._rows)

    def __repr__(self) -> str:
        return f"<{len(self):,} faces of {self._home.path.name}>"

    @overload
    def __getitem__(self, which: int | str) -> Face: ...

    @overload
    def __getitem__(self, which: slice | Sequence[Any] | np.ndarray) -> Faces: ...

    def __getitem__(self, which: int | str | slice | Sequence[Any] | np.ndarray) -> Face | Faces:
        """One face by number or id; several by a slice, ids, numbers, or a mask of bools (one a face).

        Raises NothingFound (no such id), IndexError.
        """
        if isinstance(which, str):
            return self._telling()(self._home.face(self._by_id([which])[0]))
        if isinstance(which, int | np.integer):
            return self._telling()(self._home.face(self._rows[int(which)]))
        if isinstance(which, slice):
            return self._some(self._rows[which])
        many = np.asarray(which)
        if many.dtype.kind == "U":
            return self._some(self._by_id(many.tolist()))
        if many.dtype.kind == "b" and many.shape != (len(self),):
            raise IndexError(f"a mask has one entry a face: {len(self)}, not {many.shape}")
        if many.dtype.kind == "b":
            many = np.flatnonzero(many)
        elif many.size and many.dtype.kind not in "iu":
            raise IndexError(f"faces are chosen by numbers, ids or bools, not by {many.dtype}")
        return self._some([self._rows[int(at)] for at in many])

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, in order."""
        return tuple(row.face_id for row in self._rows)

    def where(self, *, flag: str = "", no_flag: str = "", **query: Any) -> Faces:
        """Those in ranges (`yaw_deg=(-30, 30)`, both ends inside) and of values (`person="Ada"`, `track=...`), that
        carry `flag` and not `no_flag`. TypeError for a name that faces do not have."""
        unknown = query.keys() - {*RANGES, *EQUALS}
        if unknown:
            raise TypeError(f"faces are not chosen by {min(unknown)!r}; known: {', '.join(RANGES + EQUALS)}")
        name = self._home.namer()

        def fits(row: Row) -> bool:
            for key, wanted in query.items():
                value = name(row) if key == "person" else getattr(row, key)
                if not (wanted[0] <= value <= wanted[1] if key in RANGES else value == wanted):
                    return False
            flags = row.flags.split()
            return (not flag or flag in flags) and no_flag not in flags

        return self._some([row for row in self._rows if fits(row)])

    def table(self) -> Table:
        """What is known of them without reading a picture, as columns. `whole_track`: of a head over its whole shot, as
        `faces people tracks` names it, while `track` ends with its chunk of the film."""
        rows, name, own = self._rows, self._home.namer(), self._home.consent
        found = Table()
        for field in dataclasses.fields(Row):
            values = [getattr(row, field.name) for row in rows]
            if field.name == "person":
                values = [name(row) for row in rows]
            elif field.name == "consent":
                values = [value or own for value in values]
            kind = np.bool_ if field.name in _BOOLS else _KINDS[str(field.type)]
            found[field.name] = np.array(values, kind)
        wholes = self._home.header.whole_tracks
        found["whole_track"] = np.array([wholes.get(row.track, row.track) for row in rows], np.str_)
        return found

    def image(self, face: Face | str) -> np.ndarray:
        """(S, S, 3) uint8 RGB. Raises NothingFound, FileRefused (damaged)."""
        return self._home.image(face)

    def mask(self, face: Face | str) -> np.ndarray | None:
        """The stored mask, (m, m) float32 0..1, or None. Raises NothingFound, FileRefused (damaged)."""
        return self._home.mask(face)

    def _some(self, rows: list[Row]) -> Faces:
        return Faces(self._home, lambda: rows)

    def _by_id(self, ids: Sequence[str]) -> list[Row]:
        rows = {row.face_id: row for row in self._rows}
        missing = [name for name in ids if name not in rows]
        if missing:
            raise NothingFound(f"There is no face {missing[0]!r} among these.", remedy="`ids` names them.",
                               where=self._home.path)
        return [rows[name] for name in ids]

    def _telling(self) -> Callable[[Face], Face]:
        """Fills in what the set says for all."""
        name, own = self._home.namer(), self._home.consent
        return lambda face: dataclasses.replace(face, person=name(face), consent=face.consent or own)


class Faceset(Faces):
    """The faceset in a folder, or a packed one.

    Raises FileRefused: there is none at `path`. `Faceset.create(path)` makes an empty one.
    """

    def __init__(self, path: str | Path) -> None:
        home = room.Faceset.open(path)
        super().__init__(home, lambda: list(home.rows()))

    @classmethod
    def create(cls, path: str | Path) -> Faceset:
        """A new, empty faceset, or the one that is there. Raises DiskRefused: the folder holds other things."""
        folder = Path(path)
        refuse_place(folder)
        if not is_faceset(folder):
            with Writer(folder):
                header_file.save(folder, Header())
        return cls(folder)

    @property
    def path(self) -> Path:
        """Its folder, or its packed file."""
        return self._home.path

    @property
    def consent(self) -> str:
        """Reference of the consent record of the whole set, or ""."""
        return self._home.consent

    @property
    def people(self) -> dict[str, list[str]]:
        """Name -> tracks."""
        return self._home.people()

    @property
    def films(self) -> dict[str, str]:
        """SHA-256 of every film that faces came from -> its name."""
        return self._home.footage()

    def info(self) -> dict[str, Any]:
        """Counts, coverage of poses, troubles: what `facewright faces info --json` tells."""
        return self._home.info().as_dict()

    def refresh(self) -> None:
        """Look for what has changed on disk, made by others or by hand."""
        self._home.index.refresh()
        self._found = None

    def __repr__(self) -> str:
        head = self._home.header
        what = f"{head.face_type}, {head.side_px} px" if head.face_type else "no face type yet"
        return f"<Faceset {str(self.path)!r}: {len(self):,} faces, {what}>"

    @contextmanager
    def edit(self) -> Iterator[Edit]:
        """Change faces: `with faces.edit() as edit: edit.flags(...)`. Written at the end, and whenever 1,000 wait; an
        error inside drops those that wait. Selections and tables made before show the state before.

        Raises DiskRefused (another process writes; full), Mismatch (packed).
        """
        with Writer(self.path) as writer:
            writer.sweep()
            edit = Edit(self._home, writer)
            try:
                yield edit
                edit.write()
            finally:
                self.refresh()

    def add(self, image: np.ndarray, face: Face, mask: np.ndarray | None = None, *, quality: int = 95) -> Face:
        """Add a picture (S, S, 3) uint8 RGB of a face, S = face.side_px; mask (m, m) float 0..1 or None. quality:
        1..100 JPEG, 0 PNG. Returns the face.

        Raises Mismatch: another size; no record of consent where the set has one; a face of that id is there (give it
        another: dataclasses.replace(face, face_id=...)). DiskRefused.
        """
        if image.dtype != np.uint8 or image.shape != (face.side_px, face.side_px, 3):
            raise Mismatch(f"The picture of {face.face_id} is not ({face.side_px}, {face.side_px}, 3) uint8.",
                           why=f"It is {image.shape} {image.dtype}.", remedy="Resize it, or correct face.side_px.",
                           where=self.path)
        if face.face_id in self:
            raise Mismatch(f"The face {face.face_id} is in {self.path.name} already.",
                           remedy="Give the new one another face_id with dataclasses.replace.", where=self.path)
        refuse_packed(self.path)
        if self.consent and not face.consent:
            raise Mismatch(f"The face {face.face_id} names no record of consent, and {self.path.name} has one for all.",
                           why="Added, it would count as covered.", where=self.path,
                           remedy="Say so: dataclasses.replace(face, consent=faces.consent); or add it to another set.")
        stored = None if mask is None else _stored(mask)
        data = record.encode_face(face, image, stored, quality)
        start = face.source.frame_index // 32 * 32
        name = f"{FACES}/{face.source.sha256[:8]}/{start:07d}/{face.face_id}{record.suffix(quality)}"
        with Writer(self.path) as writer:
            writer.add_files([(name, data)])
            writer.update_header(lambda head: head if head.face_type else dataclasses.replace(
                head, face_type=str(face.face_type), side_px=face.side_px))
        self.refresh()
        return face

    def add_from(self, faces: Faces) -> int:
        """Copy faces of another set, file by file, with masks, labels and consent; returns how many came. What is here
        already, or better, stays (see `facewright faces copy`).

        Raises Mismatch, DiskRefused, ConsentRefused (a record was revoked).
        """
        from facewright.api.steering import perform, silent
        from facewright.faceset.copying import CopyStep

        if not len(faces):
            return 0
        step = CopyStep([str(faces._home.path)], str(self.path), only=[list(faces.ids)])
        done = perform(step, background=False, on_event=silent)
        self.refresh()
        return done["copied"]


Named = Face | str | Faces | Iterable[Any]
"""One face or several: faces, ids, a selection."""


class Edit:
    """Changes of one `Faceset.edit()`. Each face is read anew and only what is named here changes in it."""

    def __init__(self, home: room.Faceset, writer: Writer) -> None:
        self._home, self._writer = home, writer
        self._waiting: dict[str, tuple[Path, Face, np.ndarray | None]] = {}

    def flags(self, faces: Named, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Add and remove words. A face flagged `parked` is left out of training."""
        new, gone = [add] if isinstance(add, str) else list(add), {remove} if isinstance(remove, str) else set(remove)
        if any(not word or word.split() != [word] for word in new):
            raise ValueError("a flag is one word without blanks")
        self._change(faces, lambda face: dataclasses.replace(
            face, flags=tuple(dict.fromkeys(w for w in (*face.flags, *new) if w not in gone))))

    def person(self, faces: Named, name: str) -> None:
        """Say who it is; "": what the track or the set says."""
        self._change(faces, lambda face: dataclasses.replace(face, person=name))

    def points(self, face: Face | str, points_px: np.ndarray) -> None:
        """Correct the 68 points, (68, 2) in pixels of the frame; the raw ones stay. The picture is not cut anew: where
        it would differ, the face is flagged crop_of_other_points (`facewright faces place` cuts it from the film)."""
        from facewright.faceset.place import with_points
        from facewright.faceset.recut import kept

        points = np.asarray(points_px, np.float64)
        if points.shape != (68, 2) or not np.isfinite(points).all():
            raise ValueError("points are (68, 2) finite numbers")
        self._change(face, lambda one: kept(with_points(one, points)))

    def mask(self, face: Face | str, mask: np.ndarray | None, by: str = "script") -> None:
        """Store a mask, (m, m) float 0..1; None takes it away. by: what made it."""
        stored = None if mask is None else _stored(mask)
        for path, one, _ in self._read([face]):
            named = dataclasses.replace(one, mask_by="" if mask is None else by)
            self._waiting[one.face_id] = path, named, stored

    def write(self) -> None:
        """Write what waits now."""
        waiting = list(self._waiting.values())
        for at in range(0, len(waiting), _BATCH_FACES):
            self._writer.write_faces(waiting[at : at + _BATCH_FACES])
        self._waiting.clear()

    def _change(self, faces: Named, change: Callable[[Face], Face]) -> None:
        for path, face, mask in self._read([faces] if isinstance(faces, Face | str) else faces):
            self._waiting[face.face_id] = path, change(face), mask
            if len(self._waiting) >= _HELD_FACES:
                self.write()

    def _read(self, faces: Iterable[Any]) -> Iterator[tuple[Path, Face, np.ndarray | None]]:
        for name in faces.ids if isinstance(faces, Faces) else [f.face_id if isinstance(f, Face) else f for f in faces]:
            known = self._waiting.get(name)
            path = self._home.file(name)
            yield known or (path, record.read_face(path), record.read_mask(path))


def _stored(mask: np.ndarray) -> np.ndarray:
    if mask.ndim != 2 or mask.dtype.kind != "f" or not np.isfinite(mask).all():
        raise ValueError("a mask is (m, m) floats from 0 to 1")
    return np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)
