"""The folder that runs lie in: list, rename, copy them; a trash instead of deleting.

Everything happens by one rename. What is being made, and the trash, lie in PARENT/.facewright, where nothing takes
them for runs; one process at a time works there.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facewright.core.errors import DiskRefused, FileRefused, NothingFound, SettingRefused
from facewright.core.files import (
    PART,
    FolderLock,
    disk_error,
    free_bytes,
    make_folder,
    replace_folder,
    safe_join,
    sync_folder,
    to_trash,
)
from facewright.models.run_folder import is_run

PRIVATE = ".facewright"
SPARE_BYTES = 64 << 20
"""What a copy leaves free on the disk."""
NOT_COPIED = {PRIVATE, ".cache"}
"""Jobs, locks and caches belong to the place, not to the model."""

_TRASHED = re.compile(r"(?P<when>\d{8}T\d{6})-\d{6}-(?P<name>.+)")


@dataclass(frozen=True, slots=True)
class Trashed:
    """A deleted run: its folder in the trash, its name before, and when (local time, YYYYMMDDTHHMMSS)."""

    folder: Path
    name: str
    when: str


def runs_in(folder: Path) -> list[Path]:
    """The runs that lie in a folder, or the folder itself where it is one; by name. [] when there is none."""
    if is_run(folder):
        return [folder]
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if is_run(p) and not p.name.startswith(".") and not p.name.endswith(PART))


def place_for(parent: Path, name: str) -> Path:
    """Where a new run `name` would lie. Raises SettingRefused (no good name), FileRefused (something is there)."""
    try:
        place = safe_join(parent, name)
        good = place.parent == parent and not name.startswith(".") and not name.endswith(PART)
    except FileRefused:
        place, good = parent, False
    if not good:
        raise SettingRefused(
            f"{name!r} cannot be the name of a run.", why="It must be a plain folder name.",
            remedy="Use letters, digits, spaces, - and _.", where=parent,
        )
    if place.exists() or place.is_symlink():
        raise FileRefused(f"{name} exists already.", remedy="Choose another name.", where=place)
    return place


def rename(run: Path, name: str) -> Path:
    """Give a run another name in the same folder; returns its new place."""
    run = run.resolve()
    with shelf(run.parent):
        place = place_for(run.parent, name)
        _move(run, place)
    return place


def duplicate(run: Path, place: Path) -> Path:
    """A whole copy of a run at `place`, without its jobs and caches. Raises DiskRefused (no room)."""
    need = bytes_of(run, NOT_COPIED)
    with making(place) as part:
        require_room(place.parent, need, f"copy {run.name}")
        try:
            shutil.copytree(run, part, ignore=_ignore, dirs_exist_ok=True)
        except OSError as error:
            raise disk_error(_first(error), place) from error
    return place


def discard(run: Path) -> Path:
    """Move a run into the trash beside it; returns its place there."""
    run = run.resolve()
    with shelf(run.parent):
        try:
            place = to_trash(run, _trash(run.parent))
            sync_folder(run.parent)
        except OSError as error:
            raise disk_error(error, run) from error
    return place


def trashed(folder: Path) -> list[Trashed]:
    """What lies in the trash of a folder of runs, oldest first."""
    trash = _trash(folder)
    found = sorted(trash.iterdir()) if trash.is_dir() else []
    marks = [(path, _TRASHED.fullmatch(path.name)) for path in found if not path.name.endswith(PART)]
    return [Trashed(path, mark["name"], mark["when"]) for path, mark in marks if mark is not None]


def bring_back(folder: Path, name: str, new_name: str = "") -> Path:
    """Take the run deleted last under `name` (or its whole name in the trash) out of it; returns its place."""
    with shelf(folder):
        found = _matching(folder, name)[-1]
        place = place_for(folder.resolve(), new_name or found.name)
        _move(found.folder, place)
    return place


def empty(folder: Path, name: str = "") -> list[Trashed]:
    """Delete for good what lies in the trash (or what is called `name` there); returns what it was."""
    if not _trash(folder).is_dir():
        return []
    with shelf(folder):
        gone = _matching(folder, name) if name else trashed(folder)
        for one in gone:
            # First the name, then the deed: killed in between, half a run is no run that could be brought back.
            _move(one.folder, one.folder.with_name(one.folder.name + PART))
        for left in _trash(folder).glob(f"*{PART}"):
            if _TRASHED.fullmatch(left.name.removesuffix(PART)):
                shutil.rmtree(left, ignore_errors=True)
    return gone


@contextmanager
def making(place: Path) -> Iterator[Path]:
    """A folder to fill, moved to `place` as a whole when the block ends well and removed when it does not.

    Raises FileRefused (`place` is taken), SettingRefused (bad name), DiskRefused.
    """
    parent = make_folder(place.parent).resolve()
    with shelf(parent):
        place = place_for(parent, place.name)
        part = make_folder(_aside(parent) / place.name)
        try:
            yield part
            replace_folder(part, place)
        finally:
            shutil.rmtree(_aside(parent), ignore_errors=True)


@contextmanager
def shelf(folder: Path) -> Iterator[None]:
    """One process at a time renames runs of a folder; what a killed one left half-made goes first."""
    lock = FolderLock(make_folder(folder / PRIVATE) / "runs.lock")
    if not lock.acquire():
        raise DiskRefused(
            f"Another facewright process is moving runs in {folder.resolve().name}.",
            remedy="Wait until it has ended, then run the same command again.", where=folder,
        )
    try:
        shutil.rmtree(_aside(folder), ignore_errors=True)
        yield
    finally:
        lock.release()


def require_room(folder: Path, need_bytes: int, deed: str) -> None:
    """Raise DiskRefused when a disk has no room for so many bytes."""
    free = free_bytes(folder)
    if need_bytes + SPARE_BYTES > free:
        raise DiskRefused(
            f"Cannot {deed}: the disk is full.",
            why=f"{need_bytes / 1e9:.2f} GB are needed and some spare room, {free / 1e9:.2f} GB are free.",
            remedy="Free space, then run the same command again; nothing was changed.", where=folder,
        )


def bytes_of(run: Path, without: set[str] | None = None) -> int:
    """Size of the files of a run; `without`: names directly in it that do not count."""
    tops = [p for p in run.iterdir() if p.name not in (without or set())]
    files = [f for top in tops for f in ([top] if top.is_file() else top.rglob("*"))]
    return sum(f.lstat().st_size for f in files if f.is_file())


def _matching(folder: Path, name: str) -> list[Trashed]:
    there = trashed(folder)
    found = [t for t in there if name in (t.name, t.folder.name)]
    if not found:
        names = ", ".join(dict.fromkeys(t.name for t in there))
        raise NothingFound(
            f"The trash holds no run called {name!r}.",
            remedy=f"It holds: {names}." if names else "It is empty.", where=_trash(folder),
        )
    return found


def _move(old: Path, new: Path) -> None:
    try:
        old.rename(new)
        for folder in {old.parent, new.parent}:
            sync_folder(folder)
    except OSError as error:
        raise disk_error(error, new) from error


def _ignore(folder: str, names: list[str]) -> set[str]:
    """What `copytree` passes over: places' own things, half-written files."""
    return {n for n in names if n in NOT_COPIED or n.endswith(PART)}


def _first(error: OSError) -> OSError:
    """copytree gathers what went wrong as texts; the disk's own error number is worth more."""
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        return OSError(28 if "Errno 28" in str(error) or "Errno 27" in str(error) else 5, str(error.args[0][0][2]))
    return error


def _trash(folder: Path) -> Path:
    return folder / PRIVATE / "trash"


def _aside(folder: Path) -> Path:
    return folder / PRIVATE / "aside"
