"""Which frames a film holds and when each is shown: counted from packets, headers distrusted.

One entry per shown picture, in order of time, so that index <-> pts is exact with B-frames and variable rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from facewright.media.container import fraction, open_film, video_stream

# Containers that store no presentation times: with reordered pictures the library guesses them, not always right,
# so frames are counted in the decoder's order, which is. Program streams store some: right, but not after a seek.
_COUNTED = ("avi", "h264", "hevc", "m4v", "obu")
_NO_SEEK = (*_COUNTED, "mpeg", "mpegvideo")
_CHECKED = 24


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The table of one stream.

    pts: (N,) int64, strictly ascending, in `time_base`: one per frame shown. keys: (K,) int64 ascending pts of the
    pictures where decoding can start. by_time: frames are told by their pts; else by counting from the start.
    last_duration: of the last frame, in `time_base` units, 0 when unknown. lost: frames the header names beyond these.
    made_up: the file stores no times at all, even ones stand in.
    """

    pts: np.ndarray
    keys: np.ndarray
    time_base: Fraction
    by_time: bool
    seekable: bool
    last_duration: int
    lost: int
    made_up: bool = False

    def index_of(self, pts: int | None) -> int:
        """The frame shown at `pts`, -1 when none is."""
        if pts is None:
            return -1
        at = int(np.searchsorted(self.pts, pts))
        return at if at < len(self.pts) and self.pts[at] == pts else -1


def timeline(path: Path, stream_index: int) -> Timeline:
    """The table of a film's stream; read once per file and kept (keyed by path, size and time of change)."""
    status = path.stat()
    return _timeline(str(path.absolute()), stream_index, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _timeline(path: str, stream_index: int, size: int, changed_ns: int) -> Timeline:
    with open_film(Path(path)) as container:
        stream = video_stream(container, Path(path), stream_index)
        packets = _Packets.read(container, stream)
        named, base = int(stream.frames), fraction(stream.time_base)
        guessed = fraction(stream.guessed_rate) or fraction(stream.average_rate) or Fraction(25)
        kind = container.format.name
    line = packets.table(base, named, kind)
    if line is None or (line.by_time and not _agrees(Path(path), stream_index, line)):
        line = _decoded(Path(path), stream_index, packets, base, guessed)
    return line


@dataclass(slots=True)
class _Packets:
    pts: list[int | None]
    dts: list[int | None]
    key: list[bool]
    shown: list[bool]
    duration: int = 0
    last_pts: int = -(1 << 62)

    @classmethod
    def read(cls, container: InputContainer, stream: VideoStream) -> _Packets:
        """Every packet of the stream, no picture decoded."""
        found = cls([], [], [], [])
        hides = stream.codec_context.name == "vp8"
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                # VP8 keeps pictures that are never shown as packets of their own; bit 4 of the first byte tells.
                hidden = packet.is_discard or (hides and not bytes(packet)[0] & 0x10)
                found.pts.append(packet.pts)
                found.dts.append(packet.dts)
                found.key.append(packet.is_keyframe)
                found.shown.append(not hidden)
                if packet.pts is not None and not hidden and packet.pts > found.last_pts:
                    found.last_pts, found.duration = packet.pts, packet.duration or 0
        except av.error.FFmpegError:
            return found  # the rest of the file is unreadable: what came before is the film
        return found

    def keys(self) -> np.ndarray:
        """Ascending pts of key packets, hidden ones too: decoding may start there."""
        return np.array(sorted({p for p, k in zip(self.pts, self.key) if k and p is not None}), np.int64)

    def table(self, base: Fraction, named: int, kind: str) -> Timeline | None:
        """The table by packets, None when packets do not tell the pictures (no or repeated times)."""
        shown = [p for p, s in zip(self.pts, self.shown) if s]
        if any(p is None for p in shown) or len(set(shown)) != len(shown):
            return None
        pts = np.array(sorted(p for p in shown if p is not None), np.int64)
        reordered = any(d is not None and p != d for p, d in zip(self.pts, self.dts))
        return Timeline(
            pts, self.keys(), base, by_time=not (reordered and kind in _COUNTED),
            seekable=not (reordered and kind in _NO_SEEK), last_duration=self.duration,
            lost=max(0, named - len(self.pts)),
        )


def _agrees(path: Path, stream_index: int, line: Timeline) -> bool:
    """Whether the first decoded pictures are in the table, without too many holes between.

    Damage makes a few holes, which the reader bridges; packets that hold fields or are never shown make many.
    """
    seen = [line.index_of(t) for t in _decoded_times(path, stream_index, _CHECKED)]
    return not seen or (min(seen) >= 0 and max(seen) - min(seen) + 1 <= 1.5 * len(seen) + 2)


def _decoded_times(path: Path, stream_index: int, limit: int | None) -> list[int | None]:
    times: list[int | None] = []
    with open_film(path) as container:
        stream = video_stream(container, path, stream_index)
        try:
            for packet in container.demux(stream):
                try:
                    times += [raw.pts for raw in packet.decode()]
                except av.error.FFmpegError:
                    continue  # counted by what decodes; the reader reports the hole
                if limit is not None and len(times) >= limit:
                    return times[:limit]
        except av.error.FFmpegError:
            return times
    return times


def _decoded(path: Path, stream_index: int, packets: _Packets, base: Fraction, guessed: Fraction) -> Timeline:
    """The table by decoding everything: slow, only for files whose packets do not tell."""
    times = _decoded_times(path, stream_index, None)
    known = [t for t in times if t is not None]
    by_time = len(known) == len(times) and all(a < b for a, b in pairwise(known))
    if by_time:
        pts, duration = np.array(known, np.int64), packets.duration
    else:  # no usable times in the file: even ones at the rate that the header names
        pts, base, duration = np.arange(len(times), dtype=np.int64), 1 / guessed, 1
    return Timeline(
        pts, packets.keys(), base, by_time=by_time, seekable=False, last_duration=duration, lost=0, made_up=not by_time
    )
