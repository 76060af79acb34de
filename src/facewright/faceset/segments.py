"""Bytes of a picture file <-> our parts in it: APP4 segments of a JPEG, private chunks of a PNG.

One part = `FACEWRIGHT\\0`, version u8, kind u8 (`J` JSON, `M` mask), number u16 (from 1), count u16, crc32 u32
(of the six bytes before it and the data), data; big endian, at most 65,000 bytes. Nothing here decodes pixels,
and everything that is not ours is copied as it stands. The format is described in docs/formats.md.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from facewright.core.errors import FileRefused

MAGIC = b"FACEWRIGHT\0"
VERSION = 1
PART_BYTES = 65_000
MAX_PARTS = 128
MAX_SIDE_PX = 4_096
CHUNK = b"fwRc"
"""PNG chunk type: ancillary, private, safe to copy."""

_HEAD = struct.Struct(">BBHH")
_DATA_BYTES = PART_BYTES - len(MAGIC) - _HEAD.size - 4
_PNG = b"\x89PNG\r\n\x1a\n"
_APP4, _SOS = 0xE4, 0xDA
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_REMEDY = "Take the file out of the faceset, or make it again with `facewright extract`."


@dataclass(frozen=True, slots=True)
class Pieces:
    """A picture file cut open. `before + ours + after` is the file; size_px is (width, height) by its header.

    `ours` are the payloads of our parts in file order; `head_end` is the offset behind the last byte looked at.
    """

    kind: str
    before: bytes
    ours: tuple[bytes, ...]
    after: bytes
    size_px: tuple[int, int]


def refuse(why: str, where: object = None) -> FileRefused:
    """The one sentence for a damaged or hostile face file."""
    name = where.name if isinstance(where, Path) else "The data"
    return FileRefused(f"{name} is not a sound face file.", why=why, remedy=_REMEDY, where=where)


def cut(data: bytes, where: object = None) -> Pieces:
    """Split a JPEG or PNG around our parts. Raises FileRefused: neither, truncated, oversized."""
    if data[:2] == b"\xff\xd8":
        return _cut_jpeg(data, where)
    if data[:8] == _PNG:
        return _cut_png(data, where)
    raise refuse("It is neither a JPEG nor a PNG.", where)


def join(pieces: Pieces, payloads: list[bytes]) -> bytes:
    """The file with `payloads` in place of its old parts; every other byte is unchanged."""
    wrap = _jpeg_segment if pieces.kind == "jpeg" else _png_chunk
    return pieces.before + b"".join(map(wrap, payloads)) + pieces.after


def is_whole(pieces: Pieces) -> bool:
    """Whether the picture's end is there (decoders fill a missing rest with grey and say nothing)."""
    return (b"\xff\xd9" if pieces.kind == "jpeg" else b"IEND") in pieces.after


def split_parts(kind: bytes, data: bytes) -> list[bytes]:
    """Data of one kind -> payloads of at most 65,000 bytes. Raises FileRefused when it needs too many."""
    blocks = [data[i : i + _DATA_BYTES] for i in range(0, len(data), _DATA_BYTES)] or [b""]
    if len(blocks) > MAX_PARTS:
        raise refuse(f"Its metadata would need {len(blocks)} parts, the limit is {MAX_PARTS}.")
    payloads = []
    for number, block in enumerate(blocks, 1):
        head = _HEAD.pack(VERSION, kind[0], number, len(blocks))
        payloads.append(MAGIC + head + struct.pack(">I", zlib.crc32(head + block)) + block)
    return payloads


def join_parts(payloads: tuple[bytes, ...], where: object = None) -> dict[bytes, bytes]:
    """Payloads -> {kind: data}. Raises FileRefused: newer version, wrong crc, missing, doubled or too many parts."""
    found: dict[bytes, list[bytes]] = {}
    counts: dict[bytes, int] = {}
    start = len(MAGIC)
    for payload in payloads:
        body = start + _HEAD.size + 4
        if len(payload) < body:
            raise refuse("A part of its metadata is cut short.", where)
        version, letter, number, count = _HEAD.unpack_from(payload, start)
        if version > VERSION:
            raise _newer(version, where)
        (crc,) = struct.unpack_from(">I", payload, start + _HEAD.size)
        if crc != zlib.crc32(payload[start : start + _HEAD.size] + payload[body:]):
            raise refuse("A part of its metadata does not match its checksum.", where)
        kind = bytes([letter])
        blocks = found.setdefault(kind, [])
        if count > MAX_PARTS or number != len(blocks) + 1 or counts.setdefault(kind, count) != count:
            raise refuse("The parts of its metadata are out of order or too many.", where)
        blocks.append(payload[body:])
    if any(len(blocks) != counts[kind] for kind, blocks in found.items()):
        raise refuse("A part of its metadata is missing.", where)
    return {kind: b"".join(blocks) for kind, blocks in found.items()}


def _newer(version: int, where: object) -> FileRefused:
    name = where.name if isinstance(where, Path) else "The data"
    return FileRefused(
        f"{name} was written by a newer facewright (face file version {version}).",
        why=f"This one reads up to version {VERSION}.", remedy="Update facewright.", where=where,
    )


def _cut_jpeg(data: bytes, where: object) -> Pieces:
    ours: list[bytes] = []
    kept: list[bytes] = [data[:2]]
    insert = 0  # index into `kept` where our parts stand or would stand
    size: tuple[int, int] | None = None
    at, leading = 2, True
    while True:
        begin = at
        while at < len(data) - 1 and data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes are legal
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            raise refuse("The JPEG ends before its picture.", where)
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise refuse("A JPEG segment is longer than the file.", where)
        if marker in _SOF and end - at >= 9:
            size = (int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
        leading = leading and 0xE0 <= marker <= 0xEF
        if marker == _APP4 and data[at + 4 : at + 4 + len(MAGIC)] == MAGIC:
            insert = insert if ours else len(kept)
            ours.append(data[at + 4 : end])
            if len(ours) > 2 * MAX_PARTS:
                raise refuse("It holds too many parts of metadata.", where)
        else:
            if leading and not ours:
                insert = len(kept) + 1
            kept.append(data[begin:end])
        at = end
        if marker == _SOS:
            break
    return Pieces("jpeg", b"".join(kept[: insert or 1]), tuple(ours), b"".join(kept[insert or 1 :]) + data[at:],
                  _checked(size, where))


def _cut_png(data: bytes, where: object) -> Pieces:
    ours: list[bytes] = []
    at, before = 8, b""
    rest: list[bytes] = []
    size: tuple[int, int] | None = None
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if end > len(data) and kind != b"IDAT":
            raise refuse("A PNG chunk is longer than the file.", where)
        if size is None:
            if kind != b"IHDR" or end - at != 25:
                raise refuse("The PNG does not begin with its header.", where)
            size = (int.from_bytes(data[at + 8 : at + 12], "big"), int.from_bytes(data[at + 12 : at + 16], "big"))
            before = data[:end]
        elif kind == CHUNK and data[at + 8 : at + 8 + len(MAGIC)] == MAGIC:
            if len(ours) >= 2 * MAX_PARTS:
                raise refuse("It holds too many parts of metadata.", where)
            ours.append(data[at + 8 : end - 4])
        elif kind == b"IDAT":  # everything from the pixels on is copied unseen
            rest.append(data[at:])
            break
        else:
            rest.append(data[at:end])
        at = end
    return Pieces("png", before, tuple(ours), b"".join(rest), _checked(size, where))


def _checked(size_px: tuple[int, int] | None, where: object) -> tuple[int, int]:
    if size_px is None:
        raise refuse("It does not say how large its picture is.", where)
    if not all(1 <= side <= MAX_SIDE_PX for side in size_px):
        raise refuse(f"Its picture is {size_px[0]} x {size_px[1]}; the limit is {MAX_SIDE_PX} a side.", where)
    return size_px


def _jpeg_segment(payload: bytes) -> bytes:
    return b"\xff" + bytes([_APP4]) + struct.pack(">H", len(payload) + 2) + payload


def _png_chunk(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + CHUNK + payload + struct.pack(">I", zlib.crc32(CHUNK + payload))
