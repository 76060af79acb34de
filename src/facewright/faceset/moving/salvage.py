"""What is still whole in a packed faceset that a drive, a broken copy or a flipped bit has damaged.

Members are looked for by what stands before them, from the beginning to the end, and by the lines of the index, each of
which carries its own checksum. A member counts only when its content matches its checksum; the zip's own directory is
not needed. Parts of the disk that cannot be read count as zeros.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.faceset import pack_format
from facewright.faceset.pack_format import INDEX, LOCAL, LOCAL_MAGIC, Member

_WINDOW, _BLOCK, _LINE_BYTES = 4 << 20, 4096, 16 << 10


@dataclass(slots=True)
class Found:
    """Members that are whole, by name; and (name, why) of those that are not."""

    whole: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Name -> (offset of the content, size)."""
    damaged: dict[str, str] = field(default_factory=dict)


class Torn:
    """A file that is read as far as it can be. Raises FileRefused: not there, or not to be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.size = path.stat().st_size
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115  (closed by `close`)
        except OSError as error:
            raise FileRefused(f"Cannot read {path.name}.", why=str(error.strerror or error),
                              remedy="Check the path and its rights.", where=path) from error

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def read(self, at: int, size: int) -> bytes:
        """Bytes from an offset on, fewer at the end; zeros where the disk gives none."""
        try:
            self._file.seek(at)
            return self._file.read(size)
        except OSError:
            if size <= _BLOCK:
                return bytes(max(min(size, self.size - at), 0))
        return b"".join(self.read(at + i, min(_BLOCK, size - i)) for i in range(0, size, _BLOCK))

    def find(self, what: bytes, at: int) -> int:
        """Offset of the next `what` from `at` on, else -1."""
        length = _BLOCK  # nearly always it is right there
        while at < self.size:
            window, length = self.read(at, length), min(4 * length, _WINDOW)
            place = window.find(what)
            if place >= 0:
                return at + place
            at += max(len(window) - len(what) + 1, 1)
        return -1


def search(torn: Torn) -> Found:
    """Everything that is whole, and the names of what is known to be missing or damaged."""
    found = Found()
    by_place: dict[int, str] = {}
    at = torn.find(LOCAL_MAGIC, 0)
    while at >= 0:
        member = _member_at(torn, at)
        whole = member is not None and zlib.crc32(torn.read(member.data_at, member.size)) == member.crc
        if member is not None and whole:
            by_place[member.data_at] = member.name
            found.whole.setdefault(member.name, (member.data_at, member.size))
        elif member is not None:
            found.damaged.setdefault(member.name, "It does not match its checksum.")
        at = torn.find(LOCAL_MAGIC, member.end if member is not None and whole else at + 1)
    behind = max((place + size for name, (place, size) in found.whole.items() if name != INDEX), default=0)
    for line in _index_lines(torn, behind):
        _compare(torn, line, found, by_place)
    for name in found.whole:
        found.damaged.pop(name, None)
    if not found.whole:
        raise FileRefused(f"Nothing of {torn.path.name} can be saved.",
                          why="It holds no part of a packed faceset that is whole.",
                          remedy="Check that this is the right file.", where=torn.path)
    return found


def _member_at(torn: Torn, at: int) -> Member | None:
    """The member whose header stands at an offset, if it can be one."""
    head = torn.read(at, LOCAL.size)
    if len(head) < LOCAL.size:
        return None
    _, _, _, method, _, _, crc, packed, size, length, extra = LOCAL.unpack(head)
    if method or extra or packed != size or not 1 <= length <= 1000:
        return None
    try:
        name = torn.read(at + LOCAL.size, length).decode()
    except UnicodeDecodeError:
        return None
    return Member(name, at, size, crc) if pack_format.allowed(name, size) and len(name.encode()) == length else None


def _compare(torn: Torn, line: dict[str, Any], found: Found, by_place: dict[int, str]) -> None:
    """Hold what one line of the index says against what was found."""
    try:
        name, place, size, crc = str(line["path"]), int(line["at"]), int(line["bytes"]), int(str(line["crc32"]), 16)
    except (ValueError, TypeError, LookupError):
        return
    if not pack_format.allowed(name, size) or place < 0:
        return
    if by_place.get(place, name) != name:  # its name was hit, not its content
        wrong = by_place.pop(place)
        if found.whole.get(wrong) == (place, size):
            found.whole.pop(wrong)
    elif name in found.whole:
        return
    data = torn.read(place, size)
    if len(data) == size and zlib.crc32(data) == crc:
        found.whole[name] = (place, size)
    else:
        cut = place + size > torn.size
        found.damaged[name] = "The file was cut short before its end." if cut else "It does not match its checksum."


def _index_lines(torn: Torn, at: int) -> Iterator[dict[str, Any]]:
    """Sound lines of the index, wherever it begins behind `at`."""
    rest = b""
    while at < torn.size:
        window = torn.read(at, _WINDOW)
        at += max(len(window), 1)
        *lines, rest = (rest + window).split(b"\n")
        rest = rest[-_LINE_BYTES:]
        for line in lines:
            # The first line follows the member's header without a break.
            start = max(line.find(b' {"path":') - 8, 0)
            crc, _, body = line[start:].partition(b" ")
            if body[:8] == b'{"path":' and crc == b"%08x" % zlib.crc32(body + b"\n"):
                yield json.loads(body)

