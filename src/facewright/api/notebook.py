"""`facewright.Faceset`: a faceset in a script or notebook, as a collection of faces (selection.py) that can be changed.
docs/how-to/python.md shows it.

Pictures are read when asked for. Everything that changes a set holds its lock, writes aside, syncs and renames, as the
commands do. A packed faceset is read alike; it is not changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facewright.api.selection import Faces
from facewright.core.errors import Mismatch
from facewright.core.files import is_plain_name
from facewright.faces.face import Face
from facewright.faceset import faceset as room
from facewright.faceset import header as header_file
from facewright.faceset import record
from facewright.faceset.files import refuse_packed
from facewright.faceset.header import Header
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import FACES, Writer, is_faceset, refuse_place

_HELD_FACES = 1_000


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
        if not (is_plain_name(face.face_id) and is_plain_name(face.source.sha256)):
            raise Mismatch(f"{face.face_id!r} is no id of a face.", why="Its file is called so.", where=self.path,
                           remedy="Take letters, digits, - and _ for face_id and source.sha256.")
        refuse_packed(self.path)
        if self.consent and not face.consent:
            raise Mismatch(f"The face {face.face_id} names no record of consent, and {self.path.name} has one for all.",
                           why="Added, it would count as covered.", where=self.path,
                           remedy="Say so: dataclasses.replace(face, consent=faces.consent); or add it to another set.")
        stored = None if mask is None else _stored(mask)
        data = record.encode_face(face, image, stored, quality)
        start = face.source.frame_index // 32 * 32
        name = f"{FACES}/{face.source.sha256[:8]}/{start:07d}/{face.face_id}"
        with Writer(self.path) as writer:
            # Another process may have added it since this one looked: no file gives way.
            if face.face_id in self or any((self.path / f"{name}{tail}").exists() for tail in (".jpg", ".png")):
                raise Mismatch(f"The face {face.face_id} is in {self.path.name} already.",
                               remedy="Give the new one another face_id with dataclasses.replace.", where=self.path)
            writer.add_files([(f"{name}{record.suffix(quality)}", data)])
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
        from facewright.faceset.moving.copying import CopyStep

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
        from facewright.faceset.recut import kept
        from facewright.faceset.review.place import with_points

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
        for at in range(0, len(waiting), BATCH_FACES):
            self._writer.write_faces(waiting[at : at + BATCH_FACES])
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
