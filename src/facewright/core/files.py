"""Disk habits of the house: write aside, sync, rename; lock; trash instead of delete; safe names."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from facewright.core.errors import DiskRefused, FileRefused

PART = ".part"
"""Suffix of anything half-written; whoever finds such a file may remove it."""


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Old content or new, never neither and never half. Raises DiskRefused (full, not writable)."""
    part = path.with_name(path.name + PART)
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(part, path)
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, path) from error


def replace_folder(part: Path, final: Path) -> None:
    """Put a fully written folder in its place: sync its files, rename, sync the parent.

    `final` must not exist: a folder is never replaced in place, versions get new names.
    """
    try:
        for place, _, names in os.walk(part):
            for name in names:
                _sync_file(Path(place, name))
        sync_folder(part)
        os.replace(part, final)
        sync_folder(final.parent)
    except OSError as error:
        raise disk_error(error, final) from error


def replace_files(parts: Sequence[tuple[Path, Path]]) -> None:
    """Put fully written files in their places: sync all, rename all, sync their folders. OSError when it cannot."""
    for part, _ in parts:
        _sync_file(part)
    for part, final in parts:
        os.replace(part, final)
    for folder in dict.fromkeys(final.parent for _, final in parts):
        sync_folder(folder)


def write_all(files: Iterable[tuple[Path, bytes]]) -> int:
    """Write files together, new or in the place of older ones: all aside, then synced, then renamed. Returns how many.

    Cheaper than one by one (the disk's journal is flushed once), and a full disk leaves every place as it was. Folders
    are made where there are none. Raises DiskRefused, and whatever `files` raises.
    """
    parts: list[tuple[Path, Path]] = []
    fresh: dict[Path, None] = {}
    final: Path | None = None
    try:
        for final, data in files:
            if not final.parent.is_dir():
                missing = [place for place in (final.parent, *final.parent.parents) if not place.exists()]
                final.parent.mkdir(parents=True, exist_ok=True)
                fresh |= dict.fromkeys(place.parent for place in missing)
            parts.append((final.with_name(final.name + PART), final))
            parts[-1][0].write_bytes(data)
        replace_files(parts)
        for folder in fresh:  # a new folder's own entry must last as well
            sync_folder(folder)
    except OSError as error:
        if final is None:
            raise
        raise disk_error(error, final) from error
    finally:
        for part, _ in parts:
            part.unlink(missing_ok=True)
    return len(parts)


def _sync_file(path: str | Path) -> None:
    handle = os.open(path, os.O_RDWR)  # Windows syncs only what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable (POSIX; a no-op on Windows, where NTFS journals it)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_error(error: OSError, path: Path) -> DiskRefused:
    """An OSError in the user's words: full disk, size limit, rights, read-only."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskRefused(
            f"Cannot write {path.name}: the disk is full.", why=str(error.strerror),
            remedy="Free space or move the project, then run the same command again; nothing finished is lost.",
            where=path,
        )
    remedy = "Choose a folder that you may write to, or correct its rights."
    if error.errno == errno.EISDIR:
        remedy = "It is a folder: name a file, in it or elsewhere."
    elif error.errno in (errno.EEXIST, errno.ENOTDIR):
        remedy = "A file lies where a folder is wanted: name another place."
    return DiskRefused(f"Cannot write {path.name}.", why=str(error.strerror or error), remedy=remedy, where=path)


def make_folder(path: Path) -> Path:
    """Create a folder (and parents). Raises DiskRefused."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, path) from error
    return path


def refuse_occupied(folder: Path, what: str, is_ours: Callable[[str], bool] = lambda name: False) -> None:
    """Raise DiskRefused where `what` must not be put: on a file, or into a folder that holds anything but what is ours
    (by name; half-written files are)."""
    try:
        names = [place.name for place in folder.iterdir()]
    except FileNotFoundError:
        return
    except NotADirectoryError:
        why = "It is a file."
    except OSError as error:
        raise disk_error(error, folder) from error
    else:
        others = sorted(name for name in names if not is_ours(name.removesuffix(PART)))
        if not others:
            return
        why = f"It holds {others[0]}."
    raise DiskRefused(f"{folder.name} is not an empty folder.", why=why,
                      remedy=f"Name a new or empty folder for {what}.", where=folder)


def read_file(path: Path, *, limit_bytes: int = 1 << 30) -> bytes:
    """The bytes of a file. Raises FileRefused: missing, a folder, a device, unreadable, over `limit_bytes`."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
            raise FileRefused(f"{path.name} is no plain file.", remedy="Check that this is the right file.", where=path)
        with path.open("rb") as file:
            data = file.read(min(facts.st_size, limit_bytes) + 1)
            while len(data) > facts.st_size and len(data) <= limit_bytes and (more := file.read(1 << 16)):
                data += more  # it has grown since, or does not say how large it is
        if len(data) > limit_bytes:
            raise FileRefused(
                f"{path.name} is too large.", why=f"More than {limit_bytes} bytes.",
                remedy="Check that this is the right file.", where=path,
            )
        return data
    except OSError as error:
        raise FileRefused(
            f"Cannot read {path.name or path}.", why=str(error.strerror or error),
            remedy="Check the path and its rights.", where=path,
        ) from error


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, streamed."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileRefused(
            f"Cannot read {path.name or path}.", why=str(error.strerror or error),
            remedy="Check the path and its rights.", where=path,
        ) from error


def free_bytes(path: Path) -> int:
    """Free space of the disk that holds `path` (or its nearest existing parent)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def to_trash(path: Path, trash: Path) -> Path:
    """Move user data into a trash folder instead of deleting it; returns its new place."""
    make_folder(trash)
    now = time.time_ns()  # to the microsecond: names sort by time
    moment = time.strftime("%Y%m%dT%H%M%S", time.localtime(now // 10**9))
    target = trash / f"{moment}-{now // 1000 % 10**6:06d}-{path.name}"
    os.replace(path, target)
    return target


RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"COM{i}" for i in range(1, 10)), *(f"LPT{i}" for i in range(1, 10))}
"""Names that Windows takes for devices, whatever their ending."""


_ODD = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]+')


def plain_name(text: str, *, fill: str = "_", most_bytes: int = 240) -> str:
    """A text from outside as the name of one file or folder that every system takes; "" where nothing is left of it."""
    short = _ODD.sub(fill, unicodedata.normalize("NFC", text)).encode()[:most_bytes].decode("utf-8", "ignore")
    name = short.strip(" ").rstrip(". ")
    device = name.partition(".")[0].rstrip().upper() in RESERVED
    return f"_{name}" if device or name.startswith(".") else name


def is_safe_name(name: str) -> bool:
    """Whether a name from outside keeps the rules of `safe_join` by its letters alone."""
    text = unicodedata.normalize("NFC", name).replace("\\", "/")
    return bool(text) and not text.startswith("/") and "\0" not in text and ":" not in text and not any(
        p in ("", ".", "..") or p != p.rstrip(". ") or p.split(".")[0].upper() in RESERVED for p in text.split("/"))


def is_plain_name(name: str) -> bool:
    """The same for a name that is no path, as ids and digests are."""
    return "/" not in name and "\\" not in name and is_safe_name(name)


def safe_join(root: Path, name: str) -> Path:
    """`root / name` for a name from outside; raises FileRefused when it could leave `root` or trick a system.

    Rules of consent-and-provenance.md section 6: NFC; no absolute, drive or UNC path, `..`, NUL, `:`,
    trailing dot or space, reserved device names.
    """
    bad = not is_safe_name(name)
    joined = root if bad else root.joinpath(*unicodedata.normalize("NFC", name).replace("\\", "/").split("/"))
    if bad or not joined.resolve().is_relative_to(root.resolve()):
        raise FileRefused(
            f"The name {name!r} is not safe to use as a file.", remedy="Rename it inside its archive or folder.",
            where=root,
        )
    return joined


class FolderLock:
    """An OS lock on a file: held by at most one process, freed by the kernel at its death."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """True when the lock is now ours; False when another process holds it. Raises DiskRefused (not writable)."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise disk_error(error, self.path) from error
        try:
            _lock(handle)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Give it back (also done by the kernel when the process ends)."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def held_by_other(self) -> bool:
        """Whether some process holds it now; False also when the file is not there."""
        if self._handle is not None or not self.path.exists():
            return False
        if self.acquire():
            self.release()
            return False
        return True

    def __enter__(self) -> FolderLock:
        if not self.acquire():
            raise DiskRefused(
                f"{self.path.parent.name} is in use by another facewright process.",
                remedy="Wait for it, or stop it with `facewright jobs list` and `facewright jobs stop ID`.",
                where=self.path.parent,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(handle: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def part_file(path: Path) -> Iterator[Path]:
    """For writers that need a path: yields `path`.part-like name with the right suffix; renamed on success.

    On any exception the half-written file is removed and the old one stays.
    """
    part = path.with_name(f".{path.stem}{PART}{path.suffix}")
    try:
        yield part
        _sync_file(part)
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, path) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
