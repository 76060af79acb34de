"""Some faces of a faceset in a script or notebook: chosen, counted, looked at; nothing is changed."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from facewright.core.errors import NothingFound
from facewright.faces.face import Face
from facewright.faceset import faceset as room
from facewright.faceset.index import EQUALS, RANGES, Row

_BOOLS = ("has_mask", "edited", "smoothed")
_KINDS = {"str": np.str_, "int": np.int64, "float": np.float64}


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
        for key in query.keys() & set(RANGES):
            if np.shape(query[key]) != (2,):
                raise TypeError(f"{key} takes a range, as {key}=(low, high), not {query[key]!r}")
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
