"""Frames of a film: decoded and converted on a thread of their own, exact seek, damage told and bridged."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facewright.core.errors import FileRefused
from facewright.media.container import open_film, video_stream
from facewright.media.frame import Frame, Video
from facewright.media.pixels import ToRgb
from facewright.media.timeline import Timeline, timeline

DEPTH = 8
QUEUE_BYTES = 256 << 20
SEEK_TRIES = 4

Damage = Callable[[int, str], None]


class Closed(Exception):
    """A signal between the two ends of a Lane: the reader has gone, the decoding thread ends."""


class Lane:
    """A bounded queue of one producer thread and one consumer; either side may end it."""

    def __init__(self, depth: int) -> None:
        self._items: deque[object] = deque()
        self._depth, self._closed, self._changed = depth, False, threading.Condition()

    def put(self, item: object) -> None:
        """Wait for room and add. Raises Closed when the consumer has gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> object:
        """Wait for the next item."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items))
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """The consumer goes: nothing more is taken."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _Wanted:
    start: int
    stop: int
    step: int
    size_px: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Hurt:
    index: int
    text: str


def film_frames(
    video: Video, start: int, stop: int, step: int, on_damage: Damage | None, size_px: tuple[int, int] | None = None
) -> Iterator[Frame]:
    """Frames start, start + step, ... below stop. Closing the iterator ends the thread."""
    width, height = size_px or video.size_px
    bytes_each = width * height * 3 * (2 if video.bit_depth > 8 else 1)
    lane = Lane(max(2, min(DEPTH, QUEUE_BYTES // max(1, bytes_each))))
    wanted = _Wanted(start, stop, step, (width, height))
    thread = threading.Thread(target=_work, args=(lane, video, wanted), name=f"decode {video.path.name}", daemon=True)
    thread.start()
    try:
        while (item := lane.get()) is not None:
            if isinstance(item, Frame):
                yield item
            elif isinstance(item, _Hurt):
                if on_damage is not None:
                    on_damage(item.index, item.text)
            elif isinstance(item, BaseException):
                raise item
    finally:
        lane.close()
        thread.join()


def _work(lane: Lane, video: Video, wanted: _Wanted) -> None:
    """The thread: everything that happens, errors too, goes through the lane."""
    try:
        for item in _items(video, wanted):
            lane.put(item)
        lane.put(None)
    except Closed:
        return
    except BaseException as error:  # noqa: BLE001 - handed to the consumer, who raises it
        try:
            lane.put(error)
        except Closed:
            return


def _items(video: Video, wanted: _Wanted) -> Iterator[Frame | _Hurt]:
    """Frames in order; a hole repeats the picture before it (at the very start: the one after it) and says so."""
    line = timeline(video.path, video.stream_index)
    turn = 1 if video.rotation_deg % 180 == 0 else -1
    to_rgb = ToRgb(video.colour, _pair(video.size_px[::turn]), _pair(wanted.size_px[::turn]))
    last: np.ndarray | VideoFrame | None = None
    holes: list[int] = []
    for index, raw, hurt in _pictures(video, line, wanted):
        if index < wanted.start:
            last = raw  # kept in case the first wanted frame is the one that is missing
            continue
        if hurt:
            yield _Hurt(index, hurt)
        if raw is None and last is None:
            holes.append(index)
            continue
        if raw is not None:
            last = raw
        for at in [*holes, index]:
            if (at - wanted.start) % wanted.step == 0 and last is not None:
                image = to_rgb(last) if isinstance(last, VideoFrame) else last.copy()
                last = image
                yield Frame(at, int(line.pts[at]), line.time_base, image)
        holes = []
    if holes:
        raise FileRefused(
            f"Not one frame of {video.path.name} can be decoded.", why=f"Frames {holes[0]} to {holes[-1]} are damaged.",
            remedy="Use an undamaged copy of the file.", where=video.path,
        )


def _pair(size: tuple[int, ...]) -> tuple[int, int]:
    return size[0], size[1]


def _pictures(video: Video, line: Timeline, wanted: _Wanted) -> Iterator[tuple[int, VideoFrame | None, str]]:
    """(index, picture or None, what is wrong) for every index below stop, ascending; earlier ones may come first."""
    expected, repeat = wanted.start, "The frame cannot be decoded; the picture before it is repeated."
    for index, raw in _decoded(video, line, wanted):
        if index < wanted.start:
            yield index, raw, ""
            continue
        while expected < min(index, wanted.stop):
            yield expected, None, repeat
            expected += 1
        if index >= wanted.stop:
            return
        if index == expected:
            yield index, raw, "The frame is damaged; parts of it were guessed." if raw.is_corrupt else ""
            expected += 1
    while expected < wanted.stop:
        yield expected, None, repeat
        expected += 1


def _decoded(video: Video, line: Timeline, wanted: _Wanted) -> Iterator[tuple[int, VideoFrame]]:
    """(index, raw picture) ascending, from the nearest place at or before `wanted.start` that proves right."""
    for target in _places(line, wanted.start):
        with open_film(video.path) as container:
            stream = video_stream(container, video.path, video.stream_index)
            if target is not None and not _sought(container, stream, target):
                continue
            found = _numbered(container, stream, line)
            first = next(found, None)
            # Landing behind the wanted frame means that the seek was inexact or that the frame is damaged:
            # an earlier place gives it, or the picture before it, as reading from the start would.
            if target is not None and (first is None or first[0] > wanted.start):
                continue
            if first is not None:
                yield first
                yield from found
            return


def _places(line: Timeline, start: int) -> Iterator[int | None]:
    """Key pictures to try, nearest first, then None: the beginning of the file."""
    if start > 0 and line.seekable and line.by_time:
        below = line.keys[: int(np.searchsorted(line.keys, line.pts[start], side="right"))]
        for key in below[::-1][:SEEK_TRIES]:
            if key > line.pts[0]:
                yield int(key)
    yield None


def _sought(container: InputContainer, stream: VideoStream, target: int) -> bool:
    try:
        container.seek(target, stream=stream, backward=True)
    except av.error.FFmpegError:
        return False  # no index for it in the file: read from the start
    return True


def _numbered(container: InputContainer, stream: VideoStream, line: Timeline) -> Iterator[tuple[int, VideoFrame]]:
    last = -1
    for count, raw in enumerate(_raws(container, stream)):
        index = line.index_of(raw.pts) if line.by_time else count
        if last < index < len(line.pts):
            last = index
            yield index, raw


def _raws(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                continue  # the hole shows in the numbering and is reported there
    except av.error.FFmpegError:
        return  # the rest of the file is unreadable: likewise
