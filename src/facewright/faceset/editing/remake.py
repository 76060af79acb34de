"""What the steps have in common that make a new faceset whose faces have another picture: folder by folder, each
written together, so that a killed run goes on where it was. What they read stays as it is.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from facewright.core.errors import FileRefused, Mismatch, NothingFound
from facewright.core.files import make_folder, read_file, write_atomic
from facewright.core.settings import Settings
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import Face
from facewright.faceset import record
from facewright.faceset.cut import sharpness
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.index import Row
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import PRIVATE, Writer, is_faceset, refuse_place
from facewright.image.geometry import apply_affine

S = TypeVar("S", bound=Settings)

_THREADS = 2
_MADE = "made.json"


@dataclass(frozen=True, slots=True)
class Made:
    """One face with its new picture (S, S, 3) uint8 RGB, its mask (m, m) uint8 or None, and the quality of its file
    (0: PNG). data: bytes of a JPEG or PNG that are that picture; they are kept."""

    face: Face
    image: np.ndarray
    mask: np.ndarray | None
    quality: int = 100
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    """One face as it is: image (S, S, 3) uint8 RGB, mask (m, m) uint8 or None."""

    face: Face
    image: np.ndarray
    mask: np.ndarray | None


@dataclass(slots=True)
class Folder:
    """One folder of the new set, before it is on disk."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    flags: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)


class Remake(ABC, Generic[S]):
    """A new faceset in the folder `out`, made of what lies in `folder`."""

    stage = "remake"

    def __init__(self, folder: str, out: str, settings: S) -> None:
        self.folder, self.out, self.settings = Path(folder).resolve(), Path(out).resolve(), settings
        self._writer = Writer(self.out)

    @abstractmethod
    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""

    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """Digests of all that is read."""

    @abstractmethod
    def folders(self) -> Mapping[str, list[Any]]:
        """Folder of the new set -> what its faces are made of. Raises FacewrightError where they must not be made."""

    @abstractmethod
    def make(self, parts: list[Any]) -> Iterator[Made | tuple[str, str]]:
        """The new faces of one folder, in order; (name, why) for one that cannot be made."""

    @abstractmethod
    def header(self) -> Header:
        """The new set's header."""

    def tell(self, after: Faceset) -> dict[str, Any]:
        """What to tell besides the counts."""
        return {}

    def home(self) -> Path:
        """The new faceset's folder."""
        return self.out

    def likenesses(self) -> list[Likeness]:
        """None: a face stays that person's, with the record it had."""
        return []

    @cached_property
    def _parts(self) -> dict[str, list[Any]]:
        found = {name: parts for name, parts in self.folders().items() if parts}
        if not found:
            raise NothingFound(
                f"There are no faces to work on in {self.folder.name}.",
                remedy="`facewright faces info` lists what a faceset holds.", where=self.folder,
            )
        return found

    def plan(self) -> list[Item]:
        """At most 64 faces of a folder each. Raises Mismatch, DiskRefused: `out` holds something else."""
        self._check_out()
        return [Item(f"{name}#{at // BATCH_FACES}", parts[at : at + BATCH_FACES])
                for name, parts in self._parts.items() for at in range(0, len(parts), BATCH_FACES)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run made is still there."""
        return all((self.out / name).is_file() for name in record["files"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Folder]]:
        """Folders in order; pictures are encoded on two threads."""
        cv2.setNumThreads(1)
        make_folder(self.out / PRIVATE)
        write_atomic(self.out / PRIVATE / _MADE, self._mark())
        total = sum(map(len, self._parts.values()))
        done = total - sum(len(item.payload) for item in todo)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="encode") as pool, self._writer as writer:
            writer.sweep()
            for item in work.until_stopped(todo):
                folder, coded = Folder(), []
                for made in self.make(item.payload):
                    done += 1
                    work.progress(done, total)
                    if work.stop.at_once:
                        return
                    if isinstance(made, tuple):
                        folder.refused.append(made)
                    else:
                        coded.append(pool.submit(_coded, made))
                names = set[str]()
                for name, data, words in (task.result() for task in coded):
                    if name in names:  # of pictures that came from outside, two may show one face
                        folder.refused.append((name, "Another picture shows this face as well; that one is taken."))
                        continue
                    names.add(name)
                    folder.files.append((name, data))
                    folder.flags.update(words)
                yield item, folder

    def commit(self, item: Item, result: Folder) -> dict[str, Any]:
        """Put one item's files in place."""
        folder = item.id.rpartition("#")[0]
        files = [(f"{folder}/{name}", data) for name, data in result.files]
        with self._writer as writer:
            writer.update_header(lambda stored: stored if stored != Header() else self.header())
            writer.add_files(files)
        return {"faces": len(files), "files": [name for name, _ in files], "refused": result.refused,
                "flags": dict(result.flags)}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Counts, and what else there is to tell. Raises NothingFound: no face could be made."""
        refused = [list(pair) for r in records.values() for pair in r["refused"]]
        flags: Counter[str] = Counter()
        for one in records.values():
            flags.update(one["flags"])
        made = sum(r["faces"] for r in records.values())
        if not made:
            raise NothingFound(
                "None of the faces could be made.", why=refused[0][1] if refused else "",
                remedy="Correct what it says; nothing that was there has changed.", where=self.folder,
            )
        return {"faceset": str(self.out), "from": str(self.folder), "faces": made, "refused": refused,
                "flags": dict(flags), **self.tell(Faceset.open(self.out))}

    def _mark(self) -> bytes:
        facts = {"stage": self.stage, "args": self.args(), "settings": self.settings.model_dump(mode="json"),
                 "inputs": self.inputs()}
        return json.dumps(facts, sort_keys=True, indent=1).encode("utf-8", "surrogatepass")

    def _check_out(self) -> None:
        refuse_place(self.out, self.folder)
        mark = self.out / PRIVATE / _MADE
        if is_faceset(self.out) and (not mark.is_file() or read_file(mark, limit_bytes=4 << 20) != self._mark()):
            raise Mismatch(
                f"{self.out.name} already holds other faces.", why="They were not made by this very command.",
                remedy="Name a new folder; `facewright faces merge` joins sets.", where=self.out,
            )


class RemakeFaces(Remake[S]):
    """The same where every face is made of one of a faceset's; it keeps the folder that it had."""

    @cached_property
    def faceset(self) -> Faceset:
        """The set that is read. Raises FileRefused."""
        return Faceset.open(self.folder)

    @cached_property
    def rows(self) -> list[Row]:
        """The faces that are read."""
        return list(self.faceset.rows())

    def inputs(self) -> dict[str, str]:
        """Which faces, as they are now: those of today are never taken for what was made of yesterday's."""
        return {"faces": self.faceset.index.state(self.rows)}

    def folders(self) -> Mapping[str, list[Row]]:
        """Rows by the folder they lie in."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.path.rpartition("/")[0], []).append(row)
        return found

    def header(self) -> Header:
        """As it was."""
        return self.faceset.header

    def readable(self, rows: list[Row]) -> Iterator[Whole | tuple[str, str]]:
        """Face, picture and mask of each row; (face id, why) for a damaged file."""
        for row in rows:
            try:
                yield Whole(*self.faceset.load(row))
            except FileRefused as error:
                yield row.face_id, error.why or error.what


def moved(face: Face, new_from_old: np.ndarray, side_px: int, image: np.ndarray, **changes: Any) -> Face:
    """The face in a crop that shows crop pixel p of the old one at new_from_old p: matrix, labels, sharpness."""
    polygons = tuple((kind, apply_affine(new_from_old, points).astype(np.float32)) for kind, points in face.polygons)
    return dataclasses.replace(
        face, side_px=side_px, face_from_frame=new_from_old @ face.face_from_frame, polygons=polygons,
        sharpness=sharpness(image), **changes,
    )


def _coded(made: Made) -> tuple[str, bytes, tuple[str, ...]]:
    if made.data is None:
        data = record.encode_face(made.face, made.image, made.mask, made.quality)
        return made.face.face_id + record.suffix(made.quality), data, made.face.flags
    data = record.replace_metadata(made.data, made.face, made.mask)
    return made.face.face_id + (".png" if data.startswith(b"\x89PNG") else ".jpg"), data, made.face.flags
