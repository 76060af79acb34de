"""Lossless pieces of a film: pictures and masks of at most some dozens of frames in one Matroska file.

FFV1 level 3, 8 bit as bgr0, more as gbrp16le; the mask is a second, grey stream. Matroska counts milliseconds, so
pictures are numbered there and the exact times stand in a footer, with a checksum per packet: the decoder bridges a
damaged slice with the picture before it and says nothing (measured, whatever `err_detect` it is given).

Footer: an EBML Void element after the segment, which players skip; its payload is JSON, the JSON's length (4 bytes,
big-endian) and "FWCHUNK1".
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facewright.core.errors import FileRefused
from facewright.core.files import disk_error, part_file
from facewright.media.container import local_name, open_film

_END = b"FWCHUNK1"
_VOID, _SIZE_OF_8 = b"\xec", 1 << 56
_FOOTER_LIMIT = 1 << 20
_OPTIONS = {"level": "3", "slicecrc": "1", "g": "1"}
_SLICES_FROM_PX = 32
_STEP = Fraction(1, 25)


def write_chunk(
    path: Path,
    images: Iterable[np.ndarray],
    masks: Iterable[np.ndarray] | None,
    pts: Iterable[int],
    time_base: Fraction,
) -> None:
    """Write pictures (H, W, 3) RGB uint8 or uint16, and masks (H, W) uint8 or float 0..1, exactly as they are.

    All of one size and depth; float masks are rounded to 1/255. Appears whole or not at all. Raises DiskRefused.
    """
    times = [int(p) for p in pts]
    with part_file(path) as part:
        try:
            with av.open(local_name(part), "w", format="matroska") as container:
                sums = _write(container, images, masks, len(times))
            footer = {"pts": times, "time_base": [time_base.numerator, time_base.denominator], "crc32": sums}
            with part.open("ab") as file:
                file.write(_footer(footer))
        except OSError as error:
            raise disk_error(error, path) from error


def _footer(facts: dict[str, Any]) -> bytes:
    body = json.dumps(facts).encode()
    payload = body + len(body).to_bytes(4, "big") + _END
    return _VOID + (_SIZE_OF_8 | len(payload)).to_bytes(8, "big") + payload


def _read_footer(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER_LIMIT))
        tail = file.read()
    if not tail.endswith(_END):
        raise _refused(path, "Its end is missing.")
    length = int.from_bytes(tail[-12:-8], "big")
    try:
        return json.loads(tail[-12 - length : -12])
    except ValueError as error:
        raise _refused(path, "Its end is damaged.") from error


def _write(
    container: OutputContainer, images: Iterable[np.ndarray], masks: Iterable[np.ndarray] | None, count: int
) -> list[list[int]]:
    """Encode everything; returns the checksums of the packets of each stream."""
    streams: tuple[VideoStream, ...] = ()
    sums: list[list[int]] = [[], []]
    written = 0

    def mux(at: int, packets: list[Packet]) -> None:
        for packet in packets:
            sums[at].append(zlib.crc32(packet))
            container.mux(packet)

    for image, mask in zip_longest(images, masks if masks is not None else ()):
        if image is None or (mask is None) == (masks is not None):
            raise ValueError("a chunk has a mask for every picture, or none")
        if not streams:
            streams = _streams(container, image, mask is not None)
        raws = [_raw(image)] if mask is None else [_raw(image), _raw(_mask_u8(mask))]
        for at, (stream, raw) in enumerate(zip(streams, raws)):
            raw.pts, raw.time_base = written, _STEP
            mux(at, stream.encode(raw))
        written += 1
    if written != count:
        raise ValueError(f"{written} pictures, {count} times")
    for at, stream in enumerate(streams):
        mux(at, stream.encode(None))
    return sums[: len(streams)]


def _streams(container: OutputContainer, image: np.ndarray, masked: bool) -> tuple[VideoStream, ...]:
    layouts = ["gbrp16le" if image.dtype == np.uint16 else "bgr0", *(["gray"] if masked else [])]
    slices = {"slices": "4" if min(image.shape[:2]) >= _SLICES_FROM_PX else "1"}
    made = []
    for layout in layouts:
        stream = container.add_stream("ffv1", rate=25, options=_OPTIONS | slices)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = layout
        stream.codec_context.time_base = _STEP
        made.append(stream)
    return tuple(made)


def _mask_u8(mask: np.ndarray) -> np.ndarray:
    if mask.dtype == np.uint8:
        return mask
    return np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)


def _raw(image: np.ndarray) -> VideoFrame:
    if image.ndim == 2:
        return VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gray")
    if image.dtype == np.uint16:
        return VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gbrp16le")
    raw = VideoFrame(image.shape[1], image.shape[0], "bgr0")
    plane = np.frombuffer(memoryview(raw.planes[0]), np.uint8).reshape(image.shape[0], -1, 4)
    plane[:, : image.shape[1]] = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGRA)
    return raw


def read_chunk(path: Path, part: Literal["image", "mask"] = "image") -> Iterator[tuple[int, np.ndarray]]:
    """(pts, picture (H, W, 3) RGB or mask (H, W) uint8) in order. Raises FileRefused: missing, damaged, no mask."""
    with open_film(path) as container:
        facts, streams, at = _read_footer(path), container.streams.video, 1 if part == "mask" else 0
        times, sums = facts["pts"], facts["crc32"]
        if at >= min(len(streams), len(sums)):
            raise _refused(path, f"It holds no {part}.")
        count = 0
        try:
            for raw in _checked(container, streams[at], sums[at], path):
                yield times[count], _array(raw)
                count += 1
        except av.error.FFmpegError as error:
            raise _refused(path, str(error)) from error
        if count != len(times):
            raise _refused(path, f"{count} of {len(times)} pictures are there.")


def _checked(container: Any, stream: VideoStream, sums: list[int], path: Path) -> Iterator[VideoFrame]:
    stream.thread_type = "SLICE"
    number = 0
    for packet in container.demux(stream):
        if packet.size:
            if number >= len(sums) or zlib.crc32(packet) != sums[number]:
                raise _refused(path, f"Picture {number} has a wrong checksum.")
            number += 1
        yield from packet.decode()


def _array(raw: VideoFrame) -> np.ndarray:
    if raw.format.name == "bgr0":
        plane = np.frombuffer(memoryview(raw.planes[0]), np.uint8).reshape(raw.height, -1, 4)
        return cv2.cvtColor(plane[:, : raw.width], cv2.COLOR_BGRA2RGB)
    return np.ascontiguousarray(raw.to_ndarray())


def _refused(path: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{path.name} is not a whole chunk of a merge.", why=why,
        remedy="Delete this file and run the merge again: only this piece is made anew.", where=path,
    )
