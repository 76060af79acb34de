"""What lies in a DeepFaceLab folder: face files, a pak, saved metadata, sub-folders of people; each with the frame it
says it is of. Pictures are not decoded here, pickles only where a file's frame is not told at its beginning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused, NothingFound
from facewright.core.files import read_file
from facewright.core.unpickle import read_pickle, read_pickle_file
from facewright.faces.face import Face, SourceRef
from facewright.faceset.exchange.dfl_facts import ID_KEY, last_part
from facewright.faceset.exchange.dfl_file import opened
from facewright.faceset.exchange.dfl_pak import FACE_BYTES, NAME, members, piece, refused
from facewright.faceset.exchange.dfl_records import Records, read_records
from facewright.media.stills import natural_key

META = "meta.dat"
ALIGNED = "aligned"

_JPEGS, _PICTURES = (".jpg", ".jpeg"), (".jpg", ".jpeg", ".png")
_HEAD_BYTES = 72 << 10
_OPCODES = 2_000_000_000
_DEBUG = "_debug"
_FRAME = "source_filename"
_TEXT = re.compile(rb"(?:\x94|q.|r....)?(?:\x8c(?P<short>.)|X(?P<long>....))", re.DOTALL)
"""Behind a key in a pickle of any protocol from 2 on: the length of the text that follows."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What meta.dat kept of one picture: its facts, and (width, height) that they belong to. forced: they count even
    where the picture still carries facts of its own."""

    size_px: tuple[int, int]
    facts: dict[str, Any]
    forced: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A face of ours that comes back: its id, frame, and the records that hold the rest."""

    face_id: str
    source: SourceRef
    records: Records

    def told(self) -> tuple[Face, str]:
        """Face and digest of its mask, as they left. ValueError: the records were changed meanwhile."""
        found = self.records.told(self.face_id)
        if found is None or found[0].source != self.source:
            raise ValueError("its record has changed meanwhile")
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """One face file: `name` as it is called there, a person's folder before it; `start` and `size` in a pak, else 0 and
    -1; frame_name: of the frame's picture, as the file says ("" where it says nothing)."""

    name: str
    person: str
    path: Path
    start: int = 0
    size: int = -1
    frame_name: str = ""
    saved: Saved | None = None
    known: Known | None = None

    def read(self) -> bytes:
        """The file's bytes. Raises FileRefused."""
        if self.size < 0:
            return read_file(self.path, limit_bytes=FACE_BYTES)
        with self.path.open("rb") as file:
            return piece(file, self.name, self.start, self.size)

    def beginning(self) -> bytes:
        """As much of it as facts lie in. OSError."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(_HEAD_BYTES if self.size < 0 else min(self.size, _HEAD_BYTES))

    @property
    def stem(self) -> str:
        """Its file name without folder and ending."""
        return Path(self.name.rpartition("/")[2]).stem


@dataclass(frozen=True, slots=True)
class Place:
    """A DeepFaceLab folder. label: what its faces' source is called. notes: sentences about what was left out."""

    label: str
    folder: Path
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Search:
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look(src: Path) -> Place:
    """What a folder `aligned` (or the folder it lies in), a pak, a meta.dat or one face file holds, in order of person
    and name.

    Raises FileRefused (nothing there, a damaged pak), NothingFound (no face file).
    """
    if not src.exists():
        raise FileRefused(f"There is no {src.name} to import.", where=src,
                          remedy="Correct the path: a folder `aligned`, a faceset.pak, a meta.dat, or an .fsa file.")
    whole = src.resolve()
    forced = whole.name == META
    folder = whole if whole.is_dir() else whole.parent
    found = _Search()
    if whole.is_file() and not forced:
        _add_file(found, whole)
    else:
        if not _has_faces(folder) and (folder / ALIGNED).is_dir():
            folder = folder / ALIGNED
        for person, place in _rooms(folder):
            _add_folder(found, place, person, forced)
    if not found.entries:
        ours = (folder / "faceset.json").exists()
        raise NothingFound(
            f"There are no DeepFaceLab faces in {src.name}.", where=src,
            why="It is a faceset of ours." if ours else f"Neither face files nor a {NAME}.",
            remedy="Name DeepFaceLab's folder `aligned`, or its faceset.pak.",
        )
    records = read_records(folder)
    entries = sorted((_named(one, records) for one in found.entries), key=lambda e: (e.person, natural_key(e.name)))
    label = folder.parent.name if folder.name == ALIGNED and folder.parent.name else folder.name
    return Place(label.replace("/", "_") or "faces", folder, tuple(entries), tuple(found.notes))


def numbered(names: Sequence[str]) -> dict[str, int]:
    """Frame name -> a number that orders them: the number that all of them are, else their place in natural order."""
    stems = {name: Path(name).stem for name in names}
    if all(stem.isascii() and stem.isdigit() and len(stem) < 12 for stem in stems.values()):
        return {name: int(stem) for name, stem in stems.items()}
    return {name: at for at, name in enumerate(sorted(stems, key=lambda n: (natural_key(n), n)))}


def facts_in(coded: bytes) -> dict[str, Any]:
    """The dict that a face file carries. Raises FileRefused, ValueError (no table)."""
    facts = read_pickle(coded)
    if not isinstance(facts, dict) or not all(isinstance(key, str) for key in facts):
        raise ValueError("its data is no table")
    return facts


def _rooms(folder: Path) -> Iterator[tuple[str, Path]]:
    """The folder itself and, one level down, those of people."""
    yield "", folder
    with os.scandir(folder) as places:
        names = sorted(p.name for p in places if p.is_dir() and not p.name.startswith("."))
    for name in names:
        if _has_faces(folder / name):
            yield name, folder / name


def _has_faces(folder: Path) -> bool:
    with os.scandir(folder) as places:
        return any(p.name == NAME or p.name.lower().endswith(_JPEGS) for p in places)


def _add_folder(found: _Search, folder: Path, person: str, forced: bool) -> None:
    before = f"{person}/" if person else ""
    packed: set[str] = set()
    if (folder / NAME).is_file():
        new = _members(found, folder / NAME, person)
        found.entries += new
        packed = {one.name for one in new}
    saved = _saved(folder / META, forced)
    with os.scandir(folder) as places:
        names = sorted(p.name for p in places if p.is_file() and p.name.lower().endswith(_PICTURES))
    stems = {Path(name).stem: one for name, one in saved.items()}
    twice = [name for name in names if before + name in packed]
    if twice:
        found.notes.append(f"{len(twice):,} files that lie beside {NAME} are in it as well: taken from there.")
    for name in names:
        if before + name not in packed:
            found.entries.append(Entry(before + name, person, folder / name,
                                       saved=saved.get(name) or stems.get(Path(name).stem)))
    missing = sorted({Path(name).stem for name in saved} - {Path(name).stem for name in names})
    if missing:
        found.notes.append(f"{len(missing):,} pictures that {META} speaks of are not there, such as {missing[0]}.")


def _add_file(found: _Search, path: Path) -> None:
    if path.suffix.lower() == ".pak":
        found.entries += _members(found, path, "")
    elif path.suffix.lower() in _PICTURES:
        found.entries.append(Entry(path.name, "", path))


def _members(found: _Search, path: Path, person: str) -> list[Entry]:
    listed, why = members(path)
    if why:
        found.notes.append(f"The list of names in {path.name} was not read: {why}")
    new, used = list[Entry](), set[str]()
    for one in listed:
        who = one.person or person
        name = (f"{who}/" if who else "") + (one.name or f"{one.number + 1:05d}.jpg")
        if name in used:
            name = f"{Path(name).with_suffix('')}-{one.number}.jpg"
        used.add(name)
        new.append(Entry(name, who, path, one.start, one.size))
    return new


def _saved(path: Path, forced: bool) -> dict[str, Saved]:
    """Name -> what meta.dat kept. Raises FileRefused."""
    if not path.is_file():
        return {}
    table = read_pickle_file(path, opcode_limit=_OPCODES)
    try:
        return {last_part(name): Saved((int(shape[1]), int(shape[0])), dict(facts), forced)
                for name, (shape, facts) in table.items()}
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise refused(path.name, "it is no table of names, sizes and facts") from error


def _named(entry: Entry, records: Records | None) -> Entry:
    """With the name of its frame: from the file's beginning where it stands there, else from its facts. And with what
    is known of it where it comes back."""
    try:
        head = entry.beginning()
        told = None if entry.saved is not None and entry.saved.forced else _told(entry, head)
        if records is not None and told and (known := _text(head, ID_KEY)):
            entry = replace(entry, known=_known(known, records))
    except (OSError, FileRefused, ValueError):
        told = ""  # reading the whole file will say why
    if told is None:
        value = entry.saved.facts.get(_FRAME) if entry.saved is not None else ""
        told = last_part(value) if isinstance(value, str) else ""
    return replace(entry, frame_name=told)


def _known(face_id: str, records: Records) -> Known | None:
    told = records.told(face_id) if face_id in records.lines else None
    return None if told is None else Known(face_id, told[0].source, records)


def _text(head: bytes, key: str) -> str | None:
    """The text behind a key, without reading the pickle; None where none is seen."""
    name, at = key.encode(), -1
    short, long = b"\x8c" + bytes([len(name)]), b"X" + len(name).to_bytes(4, "little")
    while (at := head.find(name, at + 1)) >= 0:
        match = _TEXT.match(head, at + len(name)) if head.endswith((short, long), 0, at) else None
        if match:
            size = int.from_bytes(match["short"] or match["long"], "little")
            return head[match.end() : match.end() + size].decode("utf-8", "replace")
    return None


def _told(entry: Entry, head: bytes) -> str | None:
    """What the file says itself; None where it carries no facts."""
    told = _text(head, _FRAME)
    if told is not None:
        return last_part(told)
    coded = opened(entry.read()).coded
    if not coded:
        return None
    value = facts_in(coded).get(_FRAME)
    return last_part(value) if isinstance(value, str) else ""


def is_debug(entry: Entry) -> bool:
    """Whether it is called as the pictures with drawn landmarks are, which lie among the faces without any facts."""
    return entry.stem.endswith(_DEBUG)
