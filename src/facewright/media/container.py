"""Opening a film that may be hostile: allowed formats only, local files only, and limits on what it claims."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from facewright.core.errors import FacewrightError, FileRefused, NothingFound

# Self-contained demuxers only. Never concat, hls, dash, image2, sdp or lavfi: those open other files or hosts
# that a "video" names (measured: a text file x.mp4 with `ffconcat` inside plays the file it names).
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mxf,"
    "gif,flv,asf,mpeg,mpegvideo,ogg,nut,ivf,obu,dv,yuv4mpegpipe,h264,hevc,m4v"
)
MAX_SIDE_PX = 8192
MAX_RATE_HZ = 240
MAX_DURATION_S = 24 * 3600
MAX_STREAMS = 16
DECODE_THREADS = max(1, min(4, os.cpu_count() or 1))

_MAKE_PLAYABLE = "Check that it plays in a video player; convert it to mp4, mov, mkv or webm if it does."


def fraction(value: object) -> Fraction:
    """The library's rational (its type changes between versions, unset is None or 0/1) as a Fraction; unset is 0."""
    if not value:
        return Fraction(0)
    return Fraction(int(value.numerator), int(value.denominator))  # type: ignore[attr-defined]


def local_name(path: Path) -> str:
    """The library's name of a local file: the prefix keeps `concat:x` or `http:x` from being read as a protocol."""
    return f"file:{path.absolute()}"


def open_film(path: Path) -> InputContainer:
    """Open a film for reading. Raises FileRefused (missing, no video, damaged, not allowed), NothingFound."""
    if not path.is_file():
        raise FileRefused(f"There is no file {path.name or path}.", remedy="Check the path.", where=path)
    try:
        return av.open(
            local_name(path),
            container_options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
            options={"max_pixels": str(MAX_SIDE_PX * MAX_SIDE_PX)},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise not_a_video(path, error) from error


def not_a_video(path: Path, error: Exception) -> FacewrightError:
    """What the library said when opening, in the user's words."""
    why = str(getattr(error, "strerror", "") or error) or "The video library cannot read it."
    if path.is_file() and path.stat().st_size == 0:
        return FileRefused(f"{path.name} is empty.", why="0 bytes.", remedy="Copy or record it again.", where=path)
    if isinstance(error, EOFError):
        return NothingFound(
            f"{path.name} ends before its first frame.", why=why, remedy="Copy or record it again.", where=path
        )
    if isinstance(error, PermissionError):
        return FileRefused(f"Cannot read {path.name}.", why=why, remedy="Correct its rights.", where=path)
    if isinstance(error, av.error.InvalidDataError) and path.suffix.lower() in (".mp4", ".mov", ".m4v"):
        return FileRefused(
            f"{path.name} is not a video, or its index (moov) is missing because the recording was cut off.", why=why,
            remedy=f"{_MAKE_PLAYABLE} A cut-off recording needs a repair tool of the camera's maker.", where=path,
        )
    return FileRefused(f"{path.name} is not a video that can be read.", why=why, remedy=_MAKE_PLAYABLE, where=path)


def video_stream(container: InputContainer, path: Path, index: int | None = None) -> VideoStream:
    """The stream to look at: `index`, else the best one that is no cover picture. Raises FileRefused (limits, none)."""
    if len(container.streams) > MAX_STREAMS:
        raise _over(path, f"It has {len(container.streams)} streams, the limit is {MAX_STREAMS}.")
    stream = container.streams[index] if index is not None else _best(container)
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise FileRefused(
            f"{path.name} holds no picture that can be decoded.", why="No video stream with a known codec.",
            remedy="Choose a file with a picture; a sound file has no faces.", where=path,
        )
    if max(stream.codec_context.width, stream.codec_context.height) > MAX_SIDE_PX:
        size = f"{stream.codec_context.width}x{stream.codec_context.height}"
        raise _over(path, f"Its pictures are {size}, the limit is {MAX_SIDE_PX} a side.")
    stream.codec_context.thread_type = "AUTO"
    stream.codec_context.thread_count = DECODE_THREADS
    return stream


def _best(container: InputContainer) -> VideoStream | None:
    films = [s for s in container.streams.video if not int(s.disposition) & _COVER]
    best = container.streams.best("video")
    return best if best in films else (films[0] if films else None)


_COVER = 1 << 10  # AV_DISPOSITION_ATTACHED_PIC


def check_time(path: Path, rate: Fraction, duration_s: float) -> None:
    """Refuse what would run for days: more than 240 frames a second or 24 hours."""
    if rate > MAX_RATE_HZ:
        raise _over(path, f"It claims {float(rate):.0f} frames a second, the limit is {MAX_RATE_HZ}.")
    if duration_s > MAX_DURATION_S:
        raise _over(path, f"It lasts {duration_s / 3600:.1f} hours, the limit is {MAX_DURATION_S // 3600}.")


def _over(path: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{path.name} is beyond what is read safely.", why=why,
        remedy="Convert it to a smaller size or rate, or cut it into parts, and use that file.", where=path,
    )
