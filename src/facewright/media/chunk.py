"""Lossless pieces of a film: pictures and masks of at most some dozens of frames in one Matroska file.

FFV1 level 3 with slice checksums; 8 bit as bgr0, more as gbrp16le; the mask is a second, grey stream. Matroska counts
milliseconds, so pictures are numbered and the exact times stand in a tag of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facewright.core.errors import FileRefused
from facewright.core.files import disk_error, part_file
from facewright.media.container import local_name, open_film

_TAG = "FACEWRIGHT_CHUNK"
_OPTIONS = {"level": "3", "slicecrc": "1", "slices": "4", "g": "1", "context": "0"}
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
    tag = json.dumps({"pts": times, "time_base": [time_base.numerator, time_base.denominator]})
    with part_file(path) as part:
        try:
            with av.open(local_name(part), "w", format="matroska") as container:
                container.metadata[_TAG] = tag
                _write(container, images, masks, len(times))
        except OSError as error:
            raise disk_error(error, path) from error


def _write(
    container: OutputContainer, images: Iterable[np.ndarray], masks: Iterable[np.ndarray] | None, count: int
) -> None:
    streams: tuple[VideoStream, ...] = ()
    written = 0
    for image, mask in zip_longest(images, masks if masks is not None else ()):
        if not streams:
            streams = _streams(container, image, mask is not None)
        raws = [_raw(image)] if mask is None else [_raw(image), _raw(_mask_u8(mask))]
        if len(raws) != len(streams):
            raise ValueError("a chunk has a mask for every picture, or none")
        for stream, raw in zip(streams, raws):
            raw.pts, raw.time_base = written, _STEP
            container.mux(stream.encode(raw))
        written += 1
    if written != count:
        raise ValueError(f"{written} pictures, {count} times")
    for stream in streams:
        container.mux(stream.encode(None))


def _streams(container: OutputContainer, image: np.ndarray, masked: bool) -> tuple[VideoStream, ...]:
    layouts = ["gbrp16le" if image.dtype == np.uint16 else "bgr0", *(["gray"] if masked else [])]
    made = []
    for layout in layouts:
        stream = container.add_stream("ffv1", rate=25, options=_OPTIONS)
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
    plane[:, : image.shape[1]] = cv2.cvtColor(image, cv2.COLOR_RGB2BGRA)
    return raw


def read_chunk(path: Path, part: Literal["image", "mask"] = "image") -> Iterator[tuple[int, np.ndarray]]:
    """(pts, picture (H, W, 3) RGB or mask (H, W) uint8) in order. Raises FileRefused: missing, damaged, incomplete."""
    with open_film(path) as container:
        streams = container.streams.video
        if _TAG not in container.metadata or len(streams) <= (part == "mask"):
            raise _refused(path, f"It holds no {part} of a chunk.")
        times = json.loads(container.metadata[_TAG])["pts"]
        stream = streams[1 if part == "mask" else 0]
        count = 0
        try:
            for raw in container.decode(stream):
                if raw.is_corrupt:
                    raise _refused(path, f"Picture {count} has a wrong checksum.")
                yield times[count], _array(raw)
                count += 1
        except (av.error.FFmpegError, IndexError) as error:
            raise _refused(path, str(error)) from error
        if count != len(times):
            raise _refused(path, f"{count} of {len(times)} pictures are there.")


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
