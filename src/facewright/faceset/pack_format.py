"""The zip that a packed faceset is: members stored as they are, one behind the other, so that any zip tool opens it.

Sizes and checksums stand before each member, so a file that was cut short still says what it holds. Nothing here
trusts a file: names, kinds, sizes and places are checked before anything is read by them.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shlex import quote

from facewright.core.errors import FileRefused
from facewright.core.files import disk_error, is_safe_name
from facewright.faceset import header as header_file
from facewright.faceset.record import MAX_FILE_BYTES

NOTE, INDEX = "pack.json", "index.jsonl"
"""First member: what this file is. Last member: size, checksums and place of every face."""
FORMAT = "facewright.pack/1"
LIMITS = {NOTE: 1 << 20, INDEX: 1 << 30, header_file.NAME: 64 << 20, "review.jsonl": 256 << 20}
"""Members that are no faces, and how large each may be."""
ORDERS = "orders"
ORDER_BYTES = 64 << 20
MAX_MEMBERS = 1_000_000
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_MAGIC = b"PK\x03\x04"

_STRANGE = re.compile(r'[\x00-\x1f\\:*?"<>|\x7f\ud800-\udfff]')
_FACE = re.compile(r"faces/.+\.(jpe?g|png)", re.IGNORECASE | re.DOTALL)
_CENTRAL, _END64, _LOCATOR, _END = (struct.Struct(text) for text in ("<4s6H3L5H2L", "<4sQ2H2L4Q", "<4sLQL", "<4s4H2LH"))
_UTF8, _DAY, _32, _16 = 0x800, 0x21, 0xFFFFFFFF, 0xFFFF
_FILE = (stat.S_IFREG | 0o644) << 16
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, ValueError,
           struct.error)


@dataclass(frozen=True, slots=True)
class Member:
    """One file in the zip. at: offset of its header."""

    name: str
    at: int
    size: int
    crc: int

    @property
    def data_at(self) -> int:
        """Offset of its content."""
        return self.at + LOCAL.size + len(self.name.encode())

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.data_at + self.size


def layout(sizes: Iterable[tuple[str, int]], start: int = 0) -> Iterator[Member]:
    """Where members (name, size) come to lie one behind the other; their checksums are not known yet (0)."""
    for name, size in sizes:
        member = Member(name, start, size, 0)
        yield member
        start = member.end


def local_header(member: Member) -> bytes:
    """What stands before a member's content."""
    name = member.name.encode()
    return LOCAL.pack(LOCAL_MAGIC, 20, _UTF8, 0, 0, _DAY, member.crc, member.size, member.size, len(name), 0) + name


def directory(members: Iterable[Member], start: int) -> Iterator[bytes]:
    """The list of members that ends a zip and begins at offset `start`; ZIP64 where counts or places need it."""
    count = size = 0
    for member in members:
        name = member.name.encode()
        far = member.at >= _32
        extra = struct.pack("<HHQ", 1, 8, member.at) if far else b""
        version = 45 if far else 20
        head = _CENTRAL.pack(b"PK\x01\x02", 3 << 8 | version, version, _UTF8, 0, 0, _DAY, member.crc, member.size,
                             member.size, len(name), len(extra), 0, 0, 0, _FILE, _32 if far else member.at)
        count, size = count + 1, size + len(head) + len(name) + len(extra)
        yield head + name + extra
    if count >= _16 or start >= _32 or size >= _32:
        yield _END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
        yield _LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1)
    yield _END.pack(b"PK\x05\x06", 0, 0, min(count, _16), min(count, _16), min(size, _32), min(start, _32), 0)


def members_of(file: Path) -> list[Member]:
    """All members, in their order in the file, each once, plain, stored, of its limits, none over another.

    Raises FileRefused: damaged, hostile, or no packed faceset.
    """
    try:
        total = file.stat().st_size
        with zipfile.ZipFile(file) as archive:
            if len(archive.filelist) > MAX_MEMBERS:
                raise refused(file, "it holds too many parts")
            found = sorted((_member(info, file) for info in archive.filelist), key=lambda member: member.at)
    except _BROKEN as error:
        raise refused(file, f"{type(error).__name__}: {error}"[:200]) from error
    except OSError as error:
        raise FileRefused(f"Cannot read {file.name}.", why=str(error.strerror or error),
                          remedy="Check the path and its rights.", where=file) from error
    if not found or found[0].name != NOTE or found[0].at != 0:
        raise refused(file, "it does not begin with what a packed faceset begins with")
    if len({unicodedata.normalize("NFC", member.name) for member in found}) != len(found):
        raise refused(file, "it holds two parts of one name")
    if any(a.end > b.at for a, b in pairwise(found)) or found[-1].end > total:
        raise refused(file, "its parts overlap, or are longer than the file")
    return found


def _member(info: zipfile.ZipInfo, file: Path) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    plain = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x1 and kind in (0, stat.S_IFREG)
    if not plain or info.file_size != info.compress_size:
        raise refused(file, f"{info.filename[:80]!r} is not a plain stored file")
    if not allowed(info.orig_filename, info.file_size):
        raise refused(file, f"a part {info.orig_filename[:80]!r} does not belong into one")
    return Member(info.orig_filename, info.header_offset, info.file_size, info.CRC)


def is_face(name: str) -> bool:
    """Whether a member is one of the faces."""
    return bool(_FACE.fullmatch(name))


def allowed(name: str, size: int) -> bool:
    """Whether a member of that name and size may be in a packed faceset, and may be unpacked by its name."""
    if name in LIMITS:
        return size <= LIMITS[name]
    order = name.startswith(f"{ORDERS}/") and name.endswith((".json", ".jsonl"))
    if (not is_face(name) and not order) or size > (ORDER_BYTES if order else MAX_FILE_BYTES):
        return False
    return safe_name(name) and len(name.encode("utf-8", "surrogatepass")) <= 1000


def safe_name(name: str) -> bool:
    """Whether every system takes this path as it stands, and nothing is led astray by it."""
    return not _STRANGE.search(name) and is_safe_name(name)


def refused(file: Path, why: str) -> FileRefused:
    """The one sentence for a file that is no sound packed faceset."""
    return FileRefused(
        f"{file.name} is no sound packed faceset.", why=f"{why[:1].upper()}{why[1:]}.", where=file,
        remedy=f"`facewright faces unpack --salvage {quote(str(file))} OUT` brings back every face in it that is "
        "whole.",
    )


def put(file: Path, at: int, pieces: Iterable[bytes], *, end: bool = False) -> int:
    """Write pieces at an offset of a file that is being made; `end`: nothing stays behind them. Returns the offset
    behind them. Raises DiskRefused."""
    try:
        with open(file, "r+b" if file.exists() else "w+b") as out:
            out.seek(at)
            for piece in pieces:
                out.write(piece)
            if end:
                out.truncate()
            return out.tell()
    except OSError as error:
        raise disk_error(error, file) from error
