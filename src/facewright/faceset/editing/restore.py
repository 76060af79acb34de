"""Step: pictures that an outside editor had -> a faceset, each with the metadata of the face that it shows.

A picture is known by its name or, where that is lost, by what it shows. Pixels are taken over byte by byte where the
file is a JPEG or PNG. A turned or mirrored picture is turned back; a cropped one is refused: its landmarks would lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.core.files import read_file, sha256_of
from facewright.faceset import record
from facewright.faceset.cut import eight_bit
from facewright.faceset.editing import metadata
from facewright.faceset.editing.fingerprints import TURNS, Prints, Verdict, compare, print_of, turned_back
from facewright.faceset.editing.metadata import Known
from facewright.faceset.editing.remake import Made, Remake, moved
from facewright.faceset.editing.settings import RestoreSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.recut import moved_mask
from facewright.faceset.settings import BATCH_FACES
from facewright.image.geometry import scaling
from facewright.media.stills import is_still, natural_key, read_still

RESTORED, TURNED, REATTACHED = "edited_outside", "turned_back", "found_by_content"


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture file, decoded: (S, S, 3) uint8 RGB; `data` where its bytes can be kept."""

    image: np.ndarray
    data: bytes | None


class RestoreStep(Remake[RestoreSettings]):
    """The pictures in the folder `pictures` as faces in `out`; `known`: a saved metadata file, or the faceset they
    came from."""

    stage = "restore"

    def __init__(self, pictures: str, known: str, out: str, settings: RestoreSettings | None = None) -> None:
        super().__init__(pictures, out, settings or RestoreSettings())
        self.known = Path(known).resolve()

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"pictures": str(self.folder), "known": str(self.known), "out": str(self.out)}

    @cached_property
    def _loaded(self) -> tuple[Header, dict[str, Known]]:
        header, faces = metadata.load(self.known)
        return header, {one.face.face_id: one for one in faces}

    @cached_property
    def _prints(self) -> Prints:
        faces = self._loaded[1]
        return Prints(list(faces), [one.print for one in faces.values()])

    @cached_property
    def files(self) -> list[Path]:
        """Every picture in the folder and those in it, in natural order. Raises NothingFound."""
        found = [path for path in self.folder.rglob("*") if is_still(path) and path.is_file()] \
            if self.folder.is_dir() else []
        if not found:
            raise NothingFound(
                f"There is no picture in {self.folder.name}.", remedy="Name the folder that the editor wrote to.",
                where=self.folder,
            )
        return sorted(found, key=lambda path: natural_key(path.relative_to(self.folder).as_posix()))

    def inputs(self) -> dict[str, str]:
        """The pictures by name, time and size, and what is known of them."""
        digest = hashlib.sha256()
        for path in self.files:
            name = path.relative_to(self.folder).as_posix()
            facts = path.stat()
            digest.update(f"{name}\0{facts.st_mtime_ns} {facts.st_size}\n".encode("utf-8", "surrogatepass"))
        if self.known.is_file():
            return {"pictures": digest.hexdigest(), "metadata": sha256_of(self.known)}
        known = Faceset.open(self.known)
        return {"pictures": digest.hexdigest(), "metadata": known.index.state(known.rows())}

    def folders(self) -> Mapping[str, list[Path]]:
        """64 pictures a folder. Raises FileRefused: nothing can be known."""
        if not self._loaded[1]:
            raise NothingFound(f"{self.known.name} knows no face.", remedy="Name another.", where=self.known)
        starts = range(0, len(self.files), BATCH_FACES)
        return {f"faces/restored/{at:07d}": self.files[at : at + BATCH_FACES] for at in starts}

    def make(self, parts: list[Path]) -> Iterator[Made | tuple[str, str]]:
        """The face of each picture."""
        for path in parts:
            try:
                yield self._restored(path)
            except FileRefused as error:
                yield path.relative_to(self.folder).as_posix(), error.why or error.what

    def header(self) -> Header:
        """That of the set they came from."""
        return self._loaded[0]

    def tell(self, after: Faceset) -> dict[str, Any]:
        """Which known faces came back, and which did not."""
        here = {row.face_id for row in after.rows()}
        missing = [face_id for face_id in self._loaded[1] if face_id not in here]
        return {"not there": missing, "shown twice": after.info().doubled}

    def _restored(self, path: Path) -> Made:
        picture = _read(path)
        side = picture.image.shape[0]
        if picture.image.shape[1] != side:
            raise _refuse(path, f"It is {picture.image.shape[1]} x {side}: no square any more, so it was cropped.")
        known, verdict, by_content = self._who(path, picture)
        if verdict.cropped:
            raise _refuse(path, "It shows a part of the face's picture only; its landmarks would lie.")
        if verdict.turn:
            picture = _Found(turned_back(picture.image, verdict.turn), None)
        step = scaling(side / known.face.side_px)
        words = {*known.face.flags, RESTORED} | ({TURNED} if verdict.turn else set())
        words |= {REATTACHED} if by_content else set()
        face = moved(known.face, step, side, picture.image, flags=tuple(sorted(words)))
        mask = moved_mask(known.mask, step, known.face.side_px, side)
        return Made(face, picture.image, mask, record.LOSSLESS, picture.data)

    def _who(self, path: Path, picture: _Found) -> tuple[Known, Verdict, bool]:
        """(the face, how the picture relates to it, whether only its content told). Raises FileRefused."""
        now = print_of(picture.image)
        named = self._loaded[1].get(path.stem)
        if self.settings.known_by != "content":
            verdict = None if named is None else compare(named.print, now)
            if named is not None and verdict is not None and verdict.known:
                return named, verdict, False
            if self.settings.known_by == "name":
                raise _refuse(path, "No face of that name was kept." if verdict is None else _unlike(verdict))
        face_id, verdict = self._prints.find(now)
        if not face_id:
            raise _refuse(path, f"It is like none of the faces. {_unlike(verdict)}")
        return self._loaded[1][face_id], verdict, named is None or named.face.face_id != face_id


def _read(path: Path) -> _Found:
    """A picture file. Raises FileRefused."""
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        data = read_file(path, limit_bytes=record.MAX_FILE_BYTES)
        try:
            return _Found(record.decode_image(data, path), data)
        except FileRefused:
            pass  # a JPEG or PNG that face files are not made of, or another kind under that name
    return _Found(eight_bit(read_still(path)), None)


def _unlike(verdict: Verdict) -> str:
    words = f" ({TURNS[verdict.turn]})" if verdict.turn else ""
    return f"It shows something else: likeness {verdict.likeness:.2f}{words}."


def _refuse(path: Path, why: str) -> FileRefused:
    return FileRefused(f"{path.name} cannot be given its metadata.", why=why, remedy="Give it back as it was cut.",
                       where=path)
