"""DeepFaceLab's face files as bytes: where their data lies in a picture (data-formats-and-merging.md 4.1 and 4.6).

Nothing here decodes pixels or runs a pickle. JPEGs that the original cannot read (restart intervals, extended
baseline, no or foreign APP0) are read as well; `opens_there` says which ones these are.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

PAYLOAD_BYTES = 65_533
"""What one segment holds."""

_SIDES_PX = (16, 8_192)
_APP0, _APP15, _SOS, _DRI = 0xE0, 0xEF, 0xDA, 0xDD
_SOF = {0xC0, 0xC1, 0xC2}
_PNG, _PNG_CHUNK = b"\x89PNG\r\n\x1a\n", b"fcWp"


@dataclass(frozen=True, slots=True)
class Opened:
    """One file: (width, height) of its picture, its data (b"" where it carries none), the picture's file without them.
    insert: where in `picture` data belong. opens_there: whether the original reads a JPEG made like this one."""

    kind: str
    size_px: tuple[int, int]
    coded: bytes
    picture: bytes
    insert: int
    opens_there: bool


def opened(data: bytes) -> Opened:
    """Raises ValueError: neither JPEG nor PNG, cut short, a picture larger or smaller than faces are."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == _PNG:
        return _png(data)
    raise ValueError("it is no JPEG")


def with_payload(picture: Opened, payload: bytes) -> bytes:
    """The JPEG with data behind its last APP segment of the first ones, as the original writes it; junk behind the
    picture's end, which the original stumbles over, is left out. ValueError: more than a segment holds."""
    if len(payload) > PAYLOAD_BYTES:
        raise ValueError(f"its data have {len(payload):,} bytes; a file there holds {PAYLOAD_BYTES:,}")
    segment = b"\xff\xef" + struct.pack(">H", len(payload) + 2) + payload
    end = picture.picture.rfind(b"\xff\xd9") + 2
    if end < 2:
        raise ValueError("the JPEG has no end")
    return picture.picture[: picture.insert] + segment + picture.picture[picture.insert : end]


def _jpeg(data: bytes) -> Opened:
    at, size, coded, insert = 2, None, b"", 2
    kept, leading, sound = [data[:2]], True, True
    while True:
        begin = at
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            raise ValueError("the JPEG ends before its picture")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise ValueError("a JPEG segment is longer than the file")
        if marker == _SOS:
            break
        if marker in _SOF and length >= 7:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            size = (width, height)
        sound = sound and not (
            marker in (0xC1, _DRI) or begin != at or (marker == _APP0 and data[at + 4 : at + 8] != b"JFIF"))
        leading = leading and 0xE0 <= marker <= 0xEF
        if marker == _APP15:
            coded = data[at + 4 : end]
        else:
            kept.append(data[begin:end])
            insert += end - begin if leading else 0
        at = end
    return Opened("jpeg", _checked(size), coded, b"".join(kept) + data[begin:], insert, sound)


def _png(data: bytes) -> Opened:
    at, size, coded, kept = 8, None, b"", [data[:8]]
    while at < len(data):
        end, kind = at + 12 + int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if end > len(data):
            raise ValueError("a PNG chunk is longer than the file")
        if size is None and (kind != b"IHDR" or end - at != 25):
            raise ValueError("the PNG does not begin with its header")
        if kind == b"IHDR":
            size = struct.unpack(">II", data[at + 8 : at + 16])
        if kind == _PNG_CHUNK:
            coded = data[at + 8 : end - 4]
            if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise ValueError("its data do not match their checksum")
        else:
            kept.append(data[at:end])
        at = end
    return Opened("png", _checked(size), coded, b"".join(kept), 0, False)


def _checked(size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        raise ValueError("it does not say how large its picture is")
    low, high = _SIDES_PX
    if not all(low <= side <= high for side in size):
        raise ValueError(f"its picture is {size[0]} x {size[1]} px; faces have {low} to {high} a side")
    return size
