"""Faces that were taken out of a set: kept until someone empties the trash, and brought back as they were.

One operation is one folder, FACESET/.facewright/trash/<ULID>-<why>/, in which files keep their paths of the faceset.
`moves.jsonl` in it says why, when and which, and is on the disk before the first file moves: killed anywhere, every
file is in one of its two places and `bring_back` knows both. Nothing here deletes but `empty`.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused, Mismatch, NothingFound
from facewright.core.files import PART, disk_error, make_folder, sync_folder
from facewright.core.journal import Journal, scan
from facewright.core.ulid import new_ulid
from facewright.faceset import header as header_file
from facewright.faceset import record
from facewright.faceset.index import Index
from facewright.faceset.store import PRIVATE, Writer

TRASH = "trash"
MOVES = "moves.jsonl"


@dataclass(frozen=True, slots=True)
class Taken:
    """What one call took out: name of the operation, paths in the faceset (with `/`) that lie in the trash now."""

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """One operation that can be undone: its name, why, when (UTC, ISO 8601, of its latest move), what it still holds
    (paths in the faceset) and their size."""

    name: str
    why: str
    when: str
    paths: tuple[str, ...]
    bytes: int


def take_out(writer: Writer, paths: Iterable[Path | str], why: str, name: str = "") -> Taken:
    """Move files of a faceset into its trash; the index follows at the next `Faceset.open`.

    paths: absolute, or relative to the faceset; those that are not there (any more) are passed over. why: a few words
    for a person. name: an operation made before, that goes on; else a new one. Raises DiskRefused (what has moved by
    then can be brought back), FileRefused (a path leads out of the faceset).
    """
    root = writer.faceset
    name = name or name_for(why)
    wanted = list(dict.fromkeys(_inside(root, path) for path in paths))
    folder = root / PRIVATE / TRASH / name
    moves = [(root / path, folder / path) for path in wanted]
    if any(here.exists() and there.exists() for here, there in moves):
        # Brought back or made again since, while the operation kept another of its name.
        return take_out(writer, wanted, why)
    if any(here.exists() for here, _ in moves):
        now, head = datetime.now(UTC).isoformat(timespec="milliseconds"), header_file.load(root)
        _note(folder, {"why": why, "when": now, "paths": wanted, "consent": head.consent if head else ""})
        _move(moves)
    return Taken(name, tuple(path for path, (_, there) in zip(wanted, moves) if there.exists()))


def bring_back(faceset: Path, name: str = "", only: Collection[str] = ()) -> list[str]:
    """Put what an operation took out back in its place; returns the paths. The same command goes on after a kill.

    name: as in `find`. only: paths or face ids, else all of it.
    A file whose place is taken again stays in the trash. Faces under the set's record of consent keep that record
    though the set has another by now. Raises NothingFound, Mismatch (all places are taken; the set came under a record
    since, which does not speak for the other people in the trash), DiskRefused.
    """
    with Writer(faceset) as writer:
        trash = faceset / PRIVATE / TRASH
        chosen = [(one.name, path) for one in find(faceset, name) for path in one.paths
                  if not only or path in only or Path(path).stem in only]
        if not chosen:
            raise NothingFound(
                "None of these faces is in the trash there.", remedy="`facewright faces trash list --json` names them.",
                where=faceset,
            )
        free = {path: trash / name / path for name, path in reversed(chosen) if not (faceset / path).exists()}
        if not free:
            raise Mismatch(
                "Nothing of it can go back: its places are taken.", why=f"{chosen[0][1]} is there already.",
                remedy="Take those out first (`facewright faces clean`), or leave it in the trash.", where=trash,
            )
        _keep_records(writer, [(trash / name, free[path]) for name, path in chosen if path in free])
        _move((place, faceset / path) for path, place in free.items())
        for folder in {name for name, _ in chosen}:
            _tidy(trash / folder)
        Index(faceset).refresh()
    return [path for _, path in chosen if free.pop(path, None) is not None]


def held(faceset: Path) -> list[Held]:
    """What the trash holds, the oldest operation first."""
    trash = faceset / PRIVATE / TRASH
    folders = [p for p in trash.iterdir() if p.is_dir() and not p.name.endswith(PART)] if trash.is_dir() else []
    found = [_read(folder) for folder in folders if (folder / MOVES).is_file()]
    return sorted((one for one in found if one.paths), key=lambda one: (one.when, one.name))


def find(faceset: Path, name: str = "") -> list[Held]:
    """The operation of that name; all of one ULID (one cleaning makes several folders) by that or its end; "": all of
    the latest one's. Raises NothingFound."""
    there = held(faceset)
    if not there:
        raise NothingFound(f"The trash of {faceset.name} is empty.", remedy="There is nothing to undo.", where=faceset)
    wanted = name.upper() or _ulid(there[-1])
    found = [one for one in there if name == one.name] or [one for one in there if _ulid(one).endswith(wanted)]
    if len({_ulid(one) for one in found}) != 1:
        raise NothingFound(
            f"The trash of {faceset.name} holds nothing called {name!r}.", where=faceset,
            remedy=f"It holds: {', '.join(one.name for one in there)}.",
        )
    return found


def _ulid(one: Held) -> str:
    return one.name.partition("-")[0]


def under(faceset: Path, consent: str) -> dict[str, int]:
    """Operation -> how many of its faces are under this record of consent: by their own word, else by that of the set
    when they were taken out. A face that cannot be read counts with its set."""
    found = dict[str, int]()
    for one in held(faceset):
        folder = faceset / PRIVATE / TRASH / one.name
        whole = str(_said(folder).get("consent", ""))
        number = sum((_own_record(folder / path) or whole) == consent for path in one.paths)
        if number:
            found[one.name] = number
    return found


def _own_record(file: Path) -> str:
    try:
        return record.read_face(file).consent
    except FileRefused:
        return ""


def _said(operation: Path) -> dict[str, Any]:
    """What an operation noted of its set, {} where it noted no record of consent."""
    return next((dict(note) for note in reversed(scan(operation / MOVES)[0]) if "consent" in note), {})


def empty(faceset: Path, name: str = "") -> list[Held]:
    """Delete for good what lies in the trash (or one operation of it); returns what it was. Raises NothingFound."""
    trash = faceset / PRIVATE / TRASH
    if not trash.is_dir():
        return []
    with Writer(faceset):
        gone = find(faceset, name) if name else held(faceset)
        for one in gone:
            # First the name, then the deed: killed in between, half of it is not offered to be brought back.
            os.replace(trash / one.name, trash / (one.name + PART))
        for left in trash.glob(f"*{PART}"):
            shutil.rmtree(left, ignore_errors=True)
    return gone


def name_for(why: str, ulid: str = "") -> str:
    """Name of an operation; `ulid` of a job that may be killed and go on, else a new one."""
    return f"{ulid or new_ulid()}-{re.sub(r'[^a-z0-9]+', '-', why.lower()).strip('-')[:40] or 'taken-out'}"


def _inside(root: Path, path: Path | str) -> str:
    """The path in the faceset, with `/`. Raises FileRefused."""
    text = os.path.relpath(root / path, root).replace(os.sep, "/")
    if not _within(root, text) or text.startswith(f"{PRIVATE}/") or (root / text).is_dir():
        raise FileRefused(
            f"{Path(path).name} is no file of {root.name}.", remedy="Name files of this faceset.", where=root / path)
    return text


def _within(root: Path, path: str) -> bool:
    """Whether a path from outside stays in `root`. Names stay as they are (no NFC), else they are not found."""
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        return False
    return root.joinpath(*parts).resolve().is_relative_to(root.resolve())


def _keep_records(writer: Writer, places: Iterable[tuple[Path, Path]]) -> None:
    """Faces that name no record stay under that which their set had when they were taken out. Raises Mismatch."""
    head = header_file.load(writer.faceset)
    now = head.consent if head else ""
    for operation, place in places:
        said = _said(operation)
        before = str(said.get("consent", now))
        if before == now or not place.is_relative_to(operation):
            continue
        face = record.read_face(place)
        if face.consent:
            continue
        if before:
            writer.write_face(place, dataclasses.replace(face, consent=before), record.read_mask(place))
        elif _of_strangers(str(said.get("why", ""))):
            raise Mismatch(
                "These faces were taken out as other people's, and the set came under a record of consent since.",
                why="The record does not speak for them.", where=operation,
                remedy="Tie the record to its person's faces alone, or leave these in the trash.",
            )


def _of_strangers(why: str) -> bool:
    return why == "other_person" or why.startswith("not ")


def _note(folder: Path, facts: dict[str, Any]) -> None:
    make_folder(folder)
    try:
        journal = Journal(folder / MOVES)
        try:
            journal.add(facts, sync=True)
        finally:
            journal.close()
        for place in (folder, folder.parent):
            sync_folder(place)
    except OSError as error:
        raise disk_error(error, folder) from error


def _move(moves: Iterable[tuple[Path, Path]]) -> None:
    """Rename each that is there, then make it durable: a power cut may leave some where they were, none nowhere."""
    folders: dict[Path, None] = {}
    for old, new in moves:
        if not old.exists():
            continue
        try:
            make_folder(new.parent)
            os.replace(old, new)
        except OSError as error:
            raise disk_error(error, new) from error
        folders[new.parent] = folders[old.parent] = None
    for folder in folders:
        try:
            sync_folder(folder)
        except OSError as error:
            raise disk_error(error, folder) from error


def _read(folder: Path) -> Held:
    records = scan(folder / MOVES)[0]
    paths: dict[str, int] = {}
    for noted in records:
        for path in noted.get("paths", ()):
            place = folder / str(path)
            known = _within(folder, str(path)) and _within(folder.parents[2], str(path))
            if known and place.is_file() and not place.is_symlink():
                paths[str(path)] = place.stat().st_size
    said = [str(noted.get(key, "")) for key in ("why", "when") for noted in records[-1:]]
    why, when = said if len(said) == 2 else ("", "")
    return Held(folder.name, why, when, tuple(paths), sum(paths.values()))


def _tidy(folder: Path) -> None:
    """Take an operation's empty folders away, and its journal when it holds nothing more."""
    for inside, _, _ in os.walk(folder, topdown=False):
        place = Path(inside)
        names = {p.name for p in place.iterdir()}
        if place == folder and names == {MOVES}:
            (folder / MOVES).unlink()
            names = set()
        if not names:
            place.rmdir()
