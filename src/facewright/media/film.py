"""One container being written aside: pictures and sound in step, every failure in the user's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facewright.core.errors import SettingRefused
from facewright.core.files import disk_error, make_folder, part_file
from facewright.media.audio import Sound
from facewright.media.container import fraction, local_name
from facewright.media.encoders import Preset
from facewright.media.frame import ColourTags, Video
from facewright.media.pixels import FromRgb, matrix_of

KEY_EVERY_S = 2
X265_DELAY = 3


class Film:
    """A film that appears at `path` when `end(None)` succeeds; after anything else nothing is left.

    Raises DiskRefused (full, not writable) and SettingRefused (the encoder refuses) from every method.
    """

    def __init__(
        self, path: Path, like: Video, preset: Preset, layout: str, crf: int, size_px: tuple[int, int],
        audio_from: Video | None, notes: list[str], audio_span_s: tuple[Fraction, Fraction] | None = None,
    ) -> None:  # fmt: skip
        self._path, self._like, self._codec, self._notes = path, like, preset.codec, notes
        tags = output_tags(like, preset)
        self._from_rgb = FromRgb(layout, tags.matrix, full_range=tags.full_range)
        self._step = round(1 / (like.rate * like.time_base))
        self._times: list[int] = []  # of the first frames only
        make_folder(path.parent)
        with ExitStack() as stack:
            part = stack.enter_context(part_file(path))
            stack.enter_context(self._refusing())
            self._container: OutputContainer = stack.enter_context(
                av.open(local_name(part), "w", container_options=_muxer_options(part, like))
            )
            self._stream = _add_stream(self._container, like, preset, layout, tags, size_px, preset.crf(crf))
            self._sound: Sound | None = None
            if audio_from is not None:
                sound = Sound(self._container, part.suffix.lower(), audio_from, audio_span_s)
                self._sound = stack.enter_context(closing(sound))
            self._container.start_encoding()
            self._kept = stack.pop_all()
        if part.suffix.lower() in (".mkv", ".webm") and (1000 * like.time_base).denominator != 1:
            notes.append("Matroska and WebM keep times to the millisecond: frames are up to 0.5 ms off.")

    def write(self, image: np.ndarray, pts: int) -> None:
        """Encode one picture and the sound up to it."""
        raw = self._from_rgb(image)
        raw.pts, raw.time_base, raw.duration = pts, self._like.time_base, self._step
        if len(self._times) <= X265_DELAY:
            self._times.append(pts)
        with self._refusing():
            self._mux(self._stream.encode(raw))

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            now = (packet.dts or 0) * fraction(packet.time_base)
            self._container.mux(packet)
            if self._sound is not None:
                self._sound.feed(now)

    def end(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and rename, or, after an error, leave nothing."""
        if error is not None:
            self._kept.__exit__(kind, error, trace)
            return
        with self._kept:
            packets = self._stream.encode(None)
            if self._codec == "libx265" and len(self._times) <= X265_DELAY:
                self._date(packets)
            self._mux(packets)
            if self._sound is not None:
                self._sound.feed(None)
        if self._sound is not None:
            self._notes += self._sound.notes

    def _date(self, packets: list[Packet]) -> None:
        # x265 leaves decoding times unset (whatever memory held) in a film no longer than its reordering delay.
        for at, packet in enumerate(packets):
            packet.dts = self._times[0] + (at - X265_DELAY + 1) * self._step

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise disk_error(error, self._path) from error
        except av.error.FFmpegError as error:
            raise SettingRefused(
                f"The encoder {self._codec} refused the film {self._path.name}.", why=str(error),
                remedy="Choose another encoder with --codec.", where=self._path,
            ) from error


def output_tags(like: Video, preset: Preset) -> ColourTags:
    """What the written samples are: the source's tags, its matrix made explicit; RGB becomes limited BT.709 or 601."""
    upright = like.rotation_deg % 180 == 0
    matrix = preset.matrix or matrix_of(like.colour, like.size_px if upright else like.size_px[::-1])
    full = like.colour.full_range and like.colour.matrix != 0 and preset.full_range
    return ColourTags(like.colour.primaries, like.colour.transfer, matrix, full)


def _add_stream(
    container: OutputContainer, like: Video, preset: Preset, layout: str, tags: ColourTags, size_px: tuple[int, int],
    quality: dict[str, str],
) -> VideoStream:  # fmt: skip
    rate = like.rate.limit_denominator(100_000)
    stream = cast(VideoStream, container.add_stream(preset.codec, rate=rate, options=dict(preset.options) | quality))
    context = stream.codec_context
    context.width, context.height = size_px
    context.pix_fmt = layout
    context.time_base = like.time_base
    stream.time_base = like.time_base
    context.sample_aspect_ratio = like.pixel_aspect
    if preset.inter:
        context.gop_size = max(1, round(KEY_EVERY_S * rate))
    rgb = layout.startswith(("bgr", "gbr", "rgb"))
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    context.colorspace = 0 if rgb else tags.matrix
    context.color_range = 2 if rgb or tags.full_range else 1
    if like.timecode is not None:
        stream.metadata["timecode"] = like.timecode.text
    return stream


def _muxer_options(part: Path, like: Video) -> dict[str, str]:
    if part.suffix.lower() not in (".mp4", ".mov"):
        return {}
    # A start that is not zero is written as an edit in the movie's own units: milliseconds unless told.
    units = like.time_base.denominator
    while units < 10_000:
        units *= 2
    return {"movflags": "+faststart", "movie_timescale": str(units), "video_track_timescale": str(units)}
