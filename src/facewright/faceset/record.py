"""The face file: one picture that any viewer opens, with its face's metadata and mask inside.

Pixels are encoded once, by `encode_face`; `replace_metadata` copies them as bytes. Exact layout: docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import read_file
from facewright.faces.face import Face
from facewright.faceset import facejson
from facewright.faceset.segments import MAX_SIDE_PX, Pieces, cut, is_whole, join, join_parts, refuse, split_parts

MAX_FILE_BYTES = 128 << 20
LOSSLESS = 0
"""A quality of 0 writes PNG."""

HEAD_BYTES = 48 << 10
"""Of a file's beginning: holds the metadata of nearly every face."""

_JSON, _MASK = b"J", b"M"
ORIGINAL = b"O"
"""Kind of the part that keeps another program's file whole, where our picture is only a piece of it."""


def suffix(quality: int) -> str:
    """`.jpg`, or `.png` for quality 0."""
    return ".png" if quality == LOSSLESS else ".jpg"


def encode_face(face: Face, image: np.ndarray, mask: np.ndarray | None = None, quality: int = 95) -> bytes:
    """A whole face file. image (S, S, 3) uint8 RGB; mask (m, m) uint8 or None; quality 1..100 JPEG, 0 PNG.

    4:4:4 chroma from quality 90 on, so that lips and eyes keep their colour; the same input gives the same bytes.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if quality == LOSSLESS:
        options = [cv2.IMWRITE_PNG_COMPRESSION, 4]
    else:
        chroma = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if quality >= 90 else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    _, coded = cv2.imencode(suffix(quality), bgr, options)
    return replace_metadata(coded.tobytes(), face, mask)


def replace_metadata(data: bytes, face: Face, mask: np.ndarray | None = None) -> bytes:
    """A JPEG or PNG with this face's metadata and mask in place of any older ones; no pixel byte changes.

    mask (m, m) uint8 or None (then the file holds none). Other people's segments (EXIF and so on) stay, and so do our
    parts of other kinds.
    """
    pieces = cut(data)
    others = [payload for payload in pieces.ours if payload[12:13] not in (_JSON, _MASK)]
    return join(pieces, _payloads(face, None if mask is None else _mask_png(mask)) + others)


def dress(data: bytes, face: Face, mask_png: bytes | None = None, original: bytes | None = None) -> bytes:
    """The same for a picture of another program: its mask as the bytes of a grey PNG, which stay as they are, and the
    whole file that the picture was cut out of. Raises FileRefused (no PNG, too large)."""
    if mask_png is not None:
        cut(mask_png)
    payloads = _payloads(face, mask_png) + ([] if original is None else split_parts(ORIGINAL, original))
    return join(cut(data), payloads)


def undress(data: bytes, where: object = None) -> tuple[bytes, Face, bytes | None, bytes | None]:
    """(the picture's file without our parts, face, bytes of the mask's PNG, what `dress` kept as the original)."""
    pieces = cut(data, where)
    parts = join_parts(pieces.ours, where)
    return join(pieces, []), _face(pieces, where), parts.get(_MASK), parts.get(ORIGINAL)


def _payloads(face: Face, mask_png: bytes | None) -> list[bytes]:
    payloads = split_parts(_JSON, facejson.to_json(face))
    return payloads if mask_png is None else payloads + split_parts(_MASK, mask_png)


def decode_face(data: bytes, where: object = None) -> Face:
    """The face of a whole file's bytes. Raises FileRefused when damaged, hostile, newer, or not a face file."""
    return _face(cut(data, where), where)


def decode_mask(data: bytes, where: object = None) -> np.ndarray | None:
    """(m, m) uint8 mask of a whole file's bytes, or None when it holds none. Raises FileRefused."""
    coded = join_parts(cut(data, where).ours, where).get(_MASK)
    return None if coded is None else decode_mask_png(coded, where)


def decode_mask_png(coded: bytes, where: object = None) -> np.ndarray:
    """(m, m) uint8 of a mask's PNG. Raises FileRefused."""
    cut(coded, where)  # refuses anything that is no PNG, or too large, before a decoder sees it
    mask = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise refuse("Its mask cannot be decoded.", where)
    return mask


def decode_image(data: bytes, where: object = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a JPEG's or PNG's bytes; size checked before decoding. Raises FileRefused."""
    if not is_whole(cut(data, where)):
        raise refuse("Its picture is cut short.", where)
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise refuse("Its picture cannot be decoded.", where)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_face(path: Path) -> Face:
    """The face in a file; reads only the file's beginning where that is enough. Raises FileRefused."""
    return read_head(path)[0]


def read_head(path: Path) -> tuple[Face, bool]:
    """(face, whether a mask is stored). Raises FileRefused."""
    return head_of(beginning_of(path), lambda: read_file(path, limit_bytes=MAX_FILE_BYTES), path)


def head_of(beginning: bytes, whole: Callable[[], bytes], where: object = None) -> tuple[Face, bool]:
    """The same for a file of which the first HEAD_BYTES are at hand; `whole` reads all of it where they are too few."""
    try:
        pieces = cut(beginning, where)
        return _face(pieces, where), any(payload[12:13] == _MASK for payload in pieces.ours)
    except FileRefused:
        if len(beginning) < HEAD_BYTES:  # there is no more of it
            raise
    pieces = cut(whole(), where)
    return _face(pieces, where), any(payload[12:13] == _MASK for payload in pieces.ours)


def beginning_of(path: Path) -> bytes:
    """The first HEAD_BYTES of a file, or all of a shorter one. Raises FileRefused."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return read_file(path)  # says why, in the house's words


def read_image(path: Path) -> np.ndarray:
    """(S, S, 3) uint8 RGB. Raises FileRefused."""
    return decode_image(read_file(path, limit_bytes=MAX_FILE_BYTES), path)


def read_mask(path: Path) -> np.ndarray | None:
    """(m, m) uint8, or None when the file holds no mask. Raises FileRefused."""
    return decode_mask(read_file(path, limit_bytes=MAX_FILE_BYTES), path)


def _face(pieces: Pieces, where: object) -> Face:
    parts = join_parts(pieces.ours, where)
    if _JSON not in parts:
        raise refuse("It carries no facewright metadata.", where)
    return facejson.from_json(parts[_JSON], where)


def _mask_png(mask: np.ndarray) -> bytes:
    if mask.ndim != 2 or mask.dtype != np.uint8 or not all(1 <= side <= MAX_SIDE_PX for side in mask.shape):
        raise ValueError(f"a mask is (m, m) uint8 of 1..{MAX_SIDE_PX} px, not {mask.dtype} {mask.shape}")
    return cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
