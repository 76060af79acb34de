"""What a film is: one Video from its packets, its first picture and, last, its headers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from facewright.core.errors import NothingFound
from facewright.core.files import sha256_of
from facewright.media import pixels
from facewright.media.container import check_time, fraction, open_film, video_stream
from facewright.media.frame import AudioTrack, ColourTags, Timecode, Video
from facewright.media.timeline import Timeline, timeline


def probe(path: Path, sha256: str = "") -> Video:
    """Read everything but the pictures. Raises FileRefused (not a video, over a limit), NothingFound (no frame)."""
    with open_film(path) as container:
        stream = video_stream(container, path)
        length_s = (container.duration or 0) / 1_000_000
        check_time(path, Fraction(0), length_s)
        index, named = stream.index, _rates(stream)
        first = _first_picture(container, stream)
        if first is None:
            raise NothingFound(
                f"{path.name} holds no frame that can be decoded.", why="Zero frames.",
                remedy="Check that it plays in a video player, or use another file.", where=path,
            )
        codec, audio, aspect = stream.codec_context.codec.canonical_name, _audio(container), _aspect(stream, first)
        colour, code = _colour(stream, first), _timecode_text(container, stream)
        named_length_s = _named_length_s(stream, length_s if not audio else 0.0)
    line = timeline(path, index)
    rate, variable = rate_of(line, named)
    shown = Fraction(line.last_duration) * line.time_base or 1 / rate
    duration = (int(line.pts[-1]) - int(line.pts[0])) * line.time_base + shown
    check_time(path, rate, float(duration))
    matrix = pixels.display_matrix(first)
    width, height = first.width, first.height
    return Video(
        path=path, sha256=sha256 or sha256_of(path), stream_index=index,
        size_px=(width, height) if matrix[0] else (height, width),
        rate=rate, frame_count=len(line.pts), duration_s=float(duration),
        rotation_deg=pixels.rotation_deg(matrix), bit_depth=pixels.depth_of(first), colour=colour,
        time_base=line.time_base, variable_rate=variable, codec=codec,
        timecode=Timecode(code, rate) if code else None, audio=audio,
        pixel_aspect=aspect if matrix[0] else 1 / aspect,
        notes=_notes(line, float(duration), named_length_s),
    )


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    try:
        for packet in container.demux(stream):
            try:
                for raw in packet.decode():
                    return raw
            except av.error.FFmpegError:
                continue  # a damaged start: look for the first picture that decodes
    except av.error.FFmpegError:
        return None
    return None


def _rates(stream: VideoStream) -> list[Fraction]:
    """Rates that the headers claim, most trusted first."""
    claims = [fraction(r) for r in (stream.base_rate, stream.average_rate, stream.guessed_rate)]
    return [r for r in dict.fromkeys(claims) if r > 0]


# Film, PAL, NTSC and their doubles, for files whose header claims a rounded rate.
_USUAL = [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)] + [
    Fraction(n) for n in (24, 25, 30, 48, 50, 60, 10, 12, 15, 20, 100, 120)
]


def rate_of(line: Timeline, named: list[Fraction]) -> tuple[Fraction, bool]:
    """The exact rate, and whether it varies (then the rate is the mean).

    The rate is constant when some claimed or usual rate explains every pts up to the rounding of one tick.
    """
    pts = line.pts
    if len(pts) < 2:
        return (named[-1] if named else Fraction(25)), False
    for rate in [*named, *_USUAL]:
        if _explains(line, rate):
            return rate, False
    mean = (len(pts) - 1) / ((int(pts[-1]) - int(pts[0])) * line.time_base)
    return mean.limit_denominator(100_000), True


def _explains(line: Timeline, rate: Fraction) -> bool:
    # pts * base - i / rate in units of 1 / (base.den * rate.num). Allowed: the rounding of one tick, or of the
    # millisecond that Matroska counts in, also when such times were copied into a finer container.
    base = line.time_base
    tick = max(base, Fraction(1, 1000)) * base.denominator * rate.numerator
    ideal = np.arange(len(line.pts), dtype=np.int64) * (rate.denominator * base.denominator)
    rest = (line.pts - line.pts[0]) * (base.numerator * rate.numerator) - ideal
    return int(rest.max()) - int(rest.min()) < tick


def _audio(container: InputContainer) -> tuple[AudioTrack, ...]:
    return tuple(
        AudioTrack(s.index, sound.codec.canonical_name, sound.sample_rate, sound.channels, s.language or "")
        for s in container.streams.audio
        if (sound := s.codec_context) is not None
    )


def _aspect(stream: VideoStream, first: VideoFrame) -> Fraction:
    aspect = fraction(stream.sample_aspect_ratio)
    return aspect if Fraction(1, 10) <= aspect <= 10 else Fraction(1)


def _colour(stream: VideoStream, first: VideoFrame) -> ColourTags:
    """Tags of the first picture, else of the stream. RGB samples: matrix 0, full range, sRGB unless said."""
    context = stream.codec_context
    pairs = (
        (first.color_primaries, context.color_primaries), (first.color_trc, context.color_trc),
        (first.colorspace, context.colorspace),
    )
    primaries, transfer, matrix = (_told(int(a), int(b)) for a, b in pairs)
    full = 2 in (int(first.color_range), int(context.color_range)) or first.format.name.startswith("yuvj")
    if pixels.is_rgb(first):
        return ColourTags(primaries, transfer, 0, True)
    return ColourTags(primaries, transfer, matrix, full)


def _told(first: int, second: int) -> int:
    return first if first not in (0, 2, 3) else (second if second not in (0, 3) else 2)


def _timecode_text(container: InputContainer, stream: VideoStream) -> str:
    for tags in (stream.metadata, *(s.metadata for s in container.streams if s.type == "data"), container.metadata):
        for key, value in tags.items():
            if key.lower() == "timecode" and value:
                return value
    return ""


def _named_length_s(stream: VideoStream, length_s: float) -> float:
    """The length that the header claims for the picture; the container's where it has nothing but the picture."""
    if stream.duration and stream.time_base:
        return float(stream.duration * fraction(stream.time_base))
    text = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return length_s


def _notes(line: Timeline, duration_s: float, named_length_s: float) -> tuple[str, ...]:
    notes = []
    if line.lost:
        notes.append(
            f"The file is cut short: its header names {line.lost + len(line.pts)} frames, {len(line.pts)} are there."
        )
    elif named_length_s - duration_s > max(1.0, 0.02 * duration_s):
        notes.append(
            f"The file is cut short: its header names {named_length_s:.1f} s, {duration_s:.1f} s are there."
        )
    if line.made_up:
        notes.append("The file stores no usable frame times: even ones at the rate of its header are used.")
    return tuple(notes)
