"""Write a chunk on its own thread while its frames are still being composed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from facewright.core.files import write_atomic
from facewright.media.stills import encode_still
from facewright.media.writer import write_chunk

_POLL_S = 0.2


class Abandoned(Exception):
    """The merge ended before the chunk was whole; its half-written file is removed."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A composed frame ready to be stored: image (H, W, 3) RGB, mask (H, W) uint8. `swapped`: any pixel replaced."""

    index: int
    image: np.ndarray
    mask: np.ndarray
    swapped: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where one chunk goes. stills: folders for pictures and masks, or None."""

    path: Path
    pts: tuple[int, ...]
    time_base: Fraction
    stills: tuple[Path, Path] | None = None


class ChunkWriter:
    """Takes futures of Finished in frame order; encodes on `thread`; `done` tells the frames that were replaced."""

    def __init__(self, thread: ThreadPoolExecutor, place: Place, *, ahead: int) -> None:
        self._place = place
        self._queue: queue.Queue[Future[Finished] | None] = queue.Queue(maxsize=ahead)
        self._abandoned = threading.Event()
        self._mask: np.ndarray | None = None
        self._swapped: dict[int, bool] = {}
        self.done: Future[dict[int, bool]] = thread.submit(self._write)

    def put(self, frame: Future[Finished] | None) -> None:
        """Hand over the next frame (None = that was the last). Waits while the encoder is behind; raises its errors."""
        while True:
            if self.done.done():
                self.done.result()
                return
            try:
                self._queue.put(frame, timeout=_POLL_S)
                return
            except queue.Full:
                continue

    def abandon(self) -> None:
        """Drop the chunk; nothing of it stays on the disk."""
        self._abandoned.set()

    def _write(self) -> dict[int, bool]:
        place = self._place
        write_chunk(place.path, self._images(), self._masks(), place.pts, place.time_base)
        return self._swapped

    def _images(self) -> Iterator[np.ndarray]:
        while True:
            frame = self._next()
            if frame is None:
                return
            finished = frame.result()
            self._swapped[finished.index] = finished.swapped
            self._mask = finished.mask
            if self._place.stills is not None:
                for folder, picture in zip(self._place.stills, (finished.image, finished.mask)):
                    data = encode_still(picture if picture.ndim == 3 else np.dstack([picture] * 3))
                    write_atomic(folder / f"{finished.index:07d}.png", data, sync=False)
            yield finished.image

    def _masks(self) -> Iterator[np.ndarray]:
        """The mask of the picture that was just taken: both streams are read in turn."""
        while self._mask is not None:
            mask, self._mask = self._mask, None
            yield mask

    def _next(self) -> Future[Finished] | None:
        while not self._abandoned.is_set():
            try:
                return self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
        raise Abandoned
