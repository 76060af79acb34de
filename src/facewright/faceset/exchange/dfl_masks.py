"""The mask in DeepFaceLab's facts: a coded picture in an array (data-formats-and-merging.md 4.3), here a grey PNG."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import FacewrightError
from facewright.faceset.segments import cut

LIKE_MASK_BYTES = 50_000
"""A mask's PNG that is larger goes out as a JPEG (4.3)."""


def mask_of(facts: Mapping[str, Any]) -> bytes | None:
    """The stored mask as the bytes of a grey PNG: its own where it is one, else decoded and coded anew."""
    stored = facts.get("xseg_mask")
    if stored is None:
        return None
    if not isinstance(stored, np.ndarray) or stored.dtype != np.uint8 or stored.size < 32:
        raise ValueError("its mask is of an unknown make")
    coded = np.ascontiguousarray(stored).reshape(-1)
    width, height = mask_size(coded.tobytes())
    if not all(1 <= side <= 4_096 for side in (width, height)):
        raise ValueError(f"its mask is {width} x {height} px")
    data = coded.tobytes()
    if is_grey_png(data):
        return data
    picture: Any = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError("its mask cannot be decoded")
    grey = picture if picture.ndim == 2 else picture[..., 0]
    grey = grey if grey.dtype == np.uint8 else (grey >> 8).astype(np.uint8)
    return cv2.imencode(".png", grey)[1].tobytes()


def is_grey_png(coded: bytes) -> bool:
    """Whether it is a sound PNG of 8 bits of grey, not interlaced: each part matches its checksum, and the pixels are
    as many as the header says. A quarter of the time that decoding it takes."""
    if coded[:8] != b"\x89PNG\r\n\x1a\n" or coded[24:29] != b"\x08\0\0\0\0":
        return False
    width, height = mask_size(coded)
    at, packed = 8, b""
    while at + 12 <= len(coded):
        end = at + 12 + int.from_bytes(coded[at : at + 4], "big")
        if end > len(coded) or zlib.crc32(coded[at + 4 : end - 4]) != int.from_bytes(coded[end - 4 : end], "big"):
            return False
        if coded[at + 4 : at + 8] == b"IDAT":
            packed += coded[at + 8 : end - 4]
        elif coded[at + 4 : at + 8] == b"IEND":
            try:
                rows = zlib.decompressobj().decompress(packed, height * (width + 1) + 1)
            except zlib.error:
                return False
            return end == len(coded) and len(rows) == height * (width + 1) and max(rows[:: width + 1]) <= 4
        at = end
    return False


def mask_size(coded: bytes) -> tuple[int, int]:
    """(width, height) by the header of a PNG or JPEG, before a decoder sees it. ValueError: neither."""
    if coded[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(coded[16:20], "big"), int.from_bytes(coded[20:24], "big")
    try:
        return cut(coded).size_px
    except FacewrightError as error:
        raise ValueError("its mask is neither a PNG nor a JPEG") from error


def shrunk(facts: dict[str, Any], limit_bytes: int = LIKE_MASK_BYTES) -> dict[str, Any]:
    """With a mask of at most so many bytes: a larger one becomes a JPEG, of quality 100 downward (4.3)."""
    mask = facts.get("xseg_mask")
    if not isinstance(mask, np.ndarray) or mask.nbytes <= limit_bytes:
        return facts
    picture: Any = cv2.imdecode(np.ascontiguousarray(mask).reshape(-1), cv2.IMREAD_GRAYSCALE)
    for quality in range(100, 0, -1):
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].reshape(-1)
        if coded.nbytes <= limit_bytes:
            return facts | {"xseg_mask": coded}
    half = cv2.imencode(".png", cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))[1]
    return shrunk(facts | {"xseg_mask": half.reshape(-1)}, limit_bytes)


def mask_digest(facts: Mapping[str, Any]) -> str:
    """Of the mask in a file of theirs, "" where there is none."""
    mask = facts.get("xseg_mask")
    return hashlib.sha256(mask.tobytes()).hexdigest()[:16] if isinstance(mask, np.ndarray) else ""
