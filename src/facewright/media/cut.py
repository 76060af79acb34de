"""Pieces cut out of a film: its packets as they are where they allow it, else encoded anew, exact to the frame.

Packets can be taken over when the piece begins with a key picture and no picture inside needs one behind its end.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facewright.core.errors import DiskRefused, FacewrightError, FileRefused, NothingFound, SettingRefused
from facewright.core.files import disk_error, make_folder, part_file
from facewright.media.audio import Sound, takes
from facewright.media.container import fraction, local_name, open_film, video_stream
from facewright.media.frame import Video
from facewright.media.moments import later
from facewright.media.reader import frame_times, frames
from facewright.media.settings import FILM_SUFFIXES, CutSettings
from facewright.media.timeline import timeline
from facewright.media.writer import FilmWriter

TOLERANCE_S = 5e-4
_FORMATS = {".mkv": "matroska", ".webm": "webm", ".mp4": "mp4", ".mov": "mov", ".mxf": "mxf"}

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """What was cut. first .. stop - 1: frames of the source. Seconds count from its first frame.

    copied: packets were taken over, nothing was encoded. exact: it is what was asked for, to the frame.
    """

    out: Path
    first: int
    stop: int
    start_s: float
    end_s: float
    copied: bool
    exact: bool
    notes: tuple[str, ...] = ()


def cut(
    video: Video, out: Path, start_s: float, end_s: float, settings: CutSettings, *, nearest: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> Piece:
    """Write the frames with start_s <= time < end_s (half a millisecond of tolerance) to the new film `out`.

    nearest: never encode, begin with the key picture at or before the start and end where pictures stop to need each
    other. Raises DiskRefused (out is there, disk), NothingFound (no frame), SettingRefused (container, track),
    FileRefused.
    """
    check_out(out)
    if video.stills:
        raise FileRefused(
            f"{video.path.name} holds pictures, not a film.", why="There is nothing to cut.",
            remedy="`facewright video extract --start --end` picks frames; or take the film they came from.",
            where=video.path,
        )
    pts = frame_times(video)
    times = (pts - pts[0]) * float(video.time_base)
    first, stop = (int(np.searchsorted(times, moment - TOLERANCE_S)) for moment in (start_s, end_s))
    if first >= stop:
        raise NothingFound(
            f"No frame of {video.path.name} lies in that range.", why=f"It lasts {times[-1]:.3f} s to its last frame.",
            remedy="Correct the range.", where=video.path,
        )
    chosen = _with_sound(video, settings.sound)
    whole = _whole(video, first, stop)
    if whole is not None and (nearest or whole == (first, stop)) and takes(
            _FORMATS[out.suffix.lower()], video, video.stream_index):
        with contextlib.suppress(_Unfit):
            notes = _copied(chosen, out, *whole, on_progress)
            return _piece(video, out, whole, (first, stop), True, notes)
    if nearest:
        raise SettingRefused(
            f"{video.path.name} cannot be cut without encoding.",
            why=f"Its packets cannot be taken over into {out.suffix[1:]}, or tell no times.",
            remedy="Leave --copy out, or name a .mkv file.", where="--copy",
        )
    notes = _encoded(chosen, out, first, stop, settings, on_progress)
    return _piece(video, out, (first, stop), (first, stop), False, notes)


def check_out(out: Path) -> None:
    """Raises DiskRefused (there already) and SettingRefused (no film's name)."""
    if out.suffix.lower() not in FILM_SUFFIXES:
        raise SettingRefused(
            f"{out.name} is not the name of a film.", remedy=f"Let it end in one of {' '.join(FILM_SUFFIXES)}.",
            where=out,
        )
    if out.exists():
        raise DiskRefused(
            f"{out.name} is there already.", why="Nothing is ever written over.", remedy="Name a new file.", where=out
        )


class _Unfit(Exception):
    """The taken-over packets do not decode to the wanted frames: encode them."""


def _piece(
    video: Video, out: Path, made: tuple[int, int], asked: tuple[int, int], copied: bool, notes: list[str]
) -> Piece:
    pts = frame_times(video)
    first, stop = made
    begin, end = _second(video, pts, first), _second(video, pts, stop)
    zero = int(pts[0]) * video.time_base
    start_s, end_s = (round(float(moment - zero), 6) for moment in (begin, end))
    return Piece(out, first, stop, start_s, end_s, copied, made == asked, tuple(notes))


def _second(video: Video, pts: np.ndarray, index: int) -> Fraction:
    """When frame `index` is shown, of the one behind the last: when the last one ends."""
    if index < len(pts):
        return int(pts[index]) * video.time_base
    length = timeline(video.path, video.stream_index).last_duration
    return int(pts[-1]) * video.time_base + (length * video.time_base or 1 / video.rate)


def _with_sound(video: Video, choice: str) -> Video:
    """The film with the chosen tracks alone. Raises SettingRefused: there is no such track."""
    if choice == "all":
        return video
    if choice == "none":
        return dataclasses.replace(video, audio=())
    if int(choice) >= len(video.audio):
        raise SettingRefused(
            f"{video.path.name} has no sound track {choice}.", why=f"It has {len(video.audio)}, counted from 0.",
            remedy="`facewright video info` lists them; or --sound all, or none.", where="--sound",
        )
    return dataclasses.replace(video, audio=(video.audio[int(choice)],))


def _whole(video: Video, first: int, stop: int) -> tuple[int, int] | None:
    """The least span of whole packets around the frames: (first, stop); None where packets do not tell."""
    line = timeline(video.path, video.stream_index)
    if not (line.by_time and line.seekable):
        return None
    keys = line.keys[line.keys <= line.pts[first]]
    start = line.index_of(int(keys[-1])) if len(keys) else -1
    if start < 0:
        return None
    last, came = stop, set[int]()
    for packet in _packets(video, int(keys[-1])):
        at = line.index_of(packet.pts)
        if at >= start:
            came.add(at)
        # Decoding goes on until everything before `last` has come; what else came until then is part of the piece.
        while len(came) >= last - start and all(at in came for at in range(start, last)):
            beyond = max(came) + 1
            if beyond == last:
                return start, last
            last = beyond
    return None


def _packets(video: Video, key: int) -> Iterator[Packet]:
    """Packets of the picture in decoding order from a key picture on."""
    with open_film(video.path) as container:
        stream = video_stream(container, video.path, video.stream_index)
        begun = False
        try:
            container.seek(key, stream=stream, backward=True)
            for packet in container.demux(stream):
                begun = begun or (packet.pts == key and packet.is_keyframe)
                if begun and packet.size and packet.pts is not None and packet.dts is not None:
                    yield packet
        except av.error.FFmpegError:
            return  # what is missing shows when the piece is counted


def _copied(video: Video, out: Path, first: int, stop: int, on_progress: OnProgress) -> list[str]:
    """Take packets over. Raises _Unfit when the result does not hold the frames it should."""
    pts = frame_times(video)
    begin, end = int(pts[first]), int(pts[stop]) if stop < len(pts) else int(pts[-1]) + 1
    span = (begin * video.time_base, _second(video, pts, stop))
    make_folder(out.parent)
    with part_file(out) as part:
        try:
            with av.open(local_name(part), "w") as container:
                notes = _mux(container, part.suffix.lower(), video, (begin, end, stop - first), span, on_progress)
        except OSError as error:
            raise disk_error(error, out) from error
        except (av.error.FFmpegError, ValueError) as error:
            raise _Unfit from error
        if not _holds(part, stop - first, video):
            raise _Unfit
    return notes


def _mux(
    container: OutputContainer, suffix: str, video: Video, wanted: tuple[int, int, int],
    span: tuple[Fraction, Fraction], on_progress: OnProgress,
) -> list[str]:
    begin, end, count = wanted
    with open_film(video.path) as source:
        template = video_stream(source, video.path, video.stream_index)
        made = cast(VideoStream, container.add_stream_from_template(template))
        made.time_base = template.time_base
        code = later(video.timecode, int(np.searchsorted(frame_times(video), begin)))
        if code is not None:
            made.metadata["timecode"] = code.text
        with closing(Sound(container, suffix, video, span)) as sound:
            done = 0
            for packet in _packets(video, begin):
                if begin <= cast(int, packet.pts) < end:
                    packet.pts, packet.dts = cast(int, packet.pts) - begin, cast(int, packet.dts) - begin
                    now = packet.dts * fraction(packet.time_base)
                    packet.stream = made
                    container.mux(packet)
                    sound.feed(now)
                    done += 1
                    on_progress(done, count)
                if done == count:
                    break
            sound.feed(None)
            return sound.notes


def _holds(part: Path, count: int, video: Video) -> bool:
    """Whether the piece reads as that many upright pictures, the first of which decodes."""
    from facewright.media.probe import probe

    try:
        made = probe(part)
        first = next(frames(made, 0, 1, on_damage=_refuse))
    except (FacewrightError, _Unfit, StopIteration):
        return False
    return made.frame_count == count and made.size_px == video.size_px and first.index == 0


def _refuse(index: int, text: str) -> None:
    raise _Unfit(text)


def _encoded(
    video: Video, out: Path, first: int, stop: int, settings: CutSettings, on_progress: OnProgress
) -> list[str]:
    pts = frame_times(video)
    begin = int(pts[first])
    like = dataclasses.replace(video, timecode=later(video.timecode, first))
    span = (begin * video.time_base, _second(video, pts, stop))
    notes: list[str] = []
    writer = FilmWriter(
        out, like, encoder=_codec(video, out, settings.codec), crf=settings.crf, audio_from=video, audio_span_s=span
    )
    reading = frames(video, first, stop, on_damage=lambda index, text: notes.append(f"Frame {index}: {text}"))
    with writer, closing(reading):  # type: ignore[type-var]
        for frame in reading:
            writer.write(frame.image, frame.pts - begin)
            on_progress(frame.index - first + 1, stop - first)
    return [*notes, *writer.notes]


def _codec(video: Video, out: Path, chosen: str) -> str:
    if chosen != "auto":
        return chosen
    by_suffix = {".webm": "vp9", ".mxf": "dnxhr-hqx"}
    return by_suffix.get(out.suffix.lower(), "h265-10bit" if video.bit_depth > 8 else "h264")
