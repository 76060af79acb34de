"""Frames -> film or folder of pictures, with the source's times, colour tags, time code and sound."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facewright.core.errors import DiskRefused, FacewrightError, SettingRefused
from facewright.core.files import PART, disk_error, make_folder, part_file, replace_folder
from facewright.media.audio import Sound
from facewright.media.chunk import read_chunk, write_chunk
from facewright.media.container import fraction, local_name
from facewright.media.encoders import ENCODERS, Preset
from facewright.media.frame import ColourTags, Video
from facewright.media.pixels import FromRgb, matrix_of
from facewright.media.stills import encode_still, write_stills

__all__ = ["ENCODERS", "FilmWriter", "read_chunk", "write_chunk", "write_stills"]

KEY_EVERY_S = 2


class FilmWriter:
    """Context manager: `write(image, pts)` per frame; the film appears at `path` on a clean exit, else nothing is left.

    path: the file (its suffix names the container), or a new folder for the encoders png and tiff.
    like: times count in its time base; rate, colour tags, pixel aspect and time code are its. crf: quality on
    x264's scale 0..51. audio_from: the film whose sound goes in. size_px: of the pictures when it is not `like`'s.
    `notes` say in sentences what could not be kept. Raises SettingRefused (encoder, container, size), DiskRefused.
    """

    def __init__(
        self,
        path: Path,
        like: Video,
        *,
        encoder: str = "h264",
        crf: int = 18,
        audio_from: Video | None = None,
        size_px: tuple[int, int] | None = None,
    ) -> None:
        self.path, self.notes = Path(path), []
        self.notes: list[str]
        self.size_px = size_px or like.size_px
        self._like, self._crf, self._audio_from = like, crf, audio_from
        self._preset: Preset = ENCODERS.load(encoder)
        self._layout = _layout(self._preset, encoder, like, self.size_px, self.notes)
        _check_container(self._preset, encoder, self.path)
        self._last_pts: int | None = None
        self._sink: _Film | _Stills | None = None

    def __enter__(self) -> FilmWriter:
        if self._preset.suffixes:
            self._sink = _Film(self.path, self._like, self._preset, self._layout, self._crf, self.size_px, self.notes)
            try:
                self._sink.open(self._audio_from)
            except BaseException as error:
                self._sink.end(error)
                raise
        else:
            self._sink = _Stills(self.path, ".tif" if self._preset.codec == "tiff" else ".png")
            if self._audio_from is not None and self._audio_from.audio:
                self.notes.append("Pictures have no sound: it is left out.")
        return self

    def write(self, image: np.ndarray, pts: int) -> None:
        """Add one upright RGB picture (H, W, 3) uint8 or full-range uint16, shown at `pts` in `like.time_base` units.

        `pts` ascends. Raises DiskRefused (full, not writable).
        """
        if self._sink is None:
            raise RuntimeError("FilmWriter is used outside its with block")
        width, height = self.size_px
        if image.shape != (height, width, 3) or image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"picture is {image.shape} {image.dtype}, expected {(height, width, 3)} uint8 or uint16")
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"pts {pts} follows {self._last_pts}")
        self._last_pts = pts
        self._sink.write(image, pts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.end(error)


def _layout(preset: Preset, name: str, like: Video, size_px: tuple[int, int], notes: list[str]) -> str:
    width, height = size_px
    least = preset.min_size_px
    odd = bool(width % 2 or height % 2)
    if width < least[0] or height < least[1] or (odd and not preset.odd_pixels):
        limit = f"even sizes from {least[0]}x{least[1]}" if not preset.odd_pixels else f"{least[0]}x{least[1]} and up"
        raise SettingRefused(
            f"The encoder {name} cannot write {width}x{height}.", why=f"It takes {limit}.",
            remedy="Choose ffv1, prores-4444 or h264, which write this size exactly.", where=name,
        )
    if like.bit_depth > 8 and not preset.deep:
        notes.append(f"The source has {like.bit_depth} bit, {name} keeps 8; h265-10bit, prores or ffv1 keep more.")
    if like.bit_depth > 8 and preset.deep_pixels:
        return preset.deep_pixels
    if odd and preset.odd_pixels != preset.pixels:
        notes.append(
            f"{width}x{height} has an odd side: written with full colour resolution (4:4:4) to keep the exact size; "
            "some players do not play it."
        )
        return preset.odd_pixels
    return preset.pixels


def _check_container(preset: Preset, name: str, path: Path) -> None:
    if preset.suffixes and path.suffix.lower() not in preset.suffixes:
        raise SettingRefused(
            f"{name} cannot be written to a {path.suffix or 'nameless'} file.",
            remedy=f"Name it {path.stem}{preset.suffixes[0]} (or {', '.join(preset.suffixes)}).", where=path,
        )


def output_tags(like: Video, preset: Preset) -> ColourTags:
    """What the written samples are: the source's tags, its matrix made explicit; RGB becomes limited BT.709 or 601."""
    upright = like.rotation_deg % 180 == 0
    matrix = preset.matrix or matrix_of(like.colour, like.size_px if upright else like.size_px[::-1])
    full = like.colour.full_range and like.colour.matrix != 0 and preset.full_range
    return ColourTags(like.colour.primaries, like.colour.transfer, matrix, full)


class _Film:
    """One container being written aside."""

    def __init__(
        self, path: Path, like: Video, preset: Preset, layout: str, crf: int, size_px: tuple[int, int], notes: list[str]
    ) -> None:
        self._path, self._like, self._preset, self._layout = path, like, preset, layout
        self._crf, self._size, self._notes = crf, size_px, notes
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._sound: Sound | None = None
        self._guard: AbstractContextManager[Path] | None = None
        tags = output_tags(like, preset)
        self._tags = tags
        self._from_rgb = FromRgb(layout, tags.matrix, full_range=tags.full_range)
        self._step = round(1 / (like.rate * like.time_base))

    def open(self, audio_from: Video | None) -> None:
        """Start the file. On an error call `end` with it."""
        make_folder(self._path.parent)
        self._guard = part_file(self._path)
        part = self._guard.__enter__()
        try:
            self._container = av.open(local_name(part), "w", container_options=_muxer_options(part, self._like))
            self._stream = self._add_stream(self._container)
            if audio_from is not None:
                self._sound = Sound(self._container, part.suffix.lower(), audio_from)
                self._notes += self._sound.notes
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError) as error:
            raise self._refusal(error) from error
        if part.suffix.lower() in (".mkv", ".webm") and (1000 * self._like.time_base).denominator != 1:
            self._notes.append("Matroska and WebM keep times to the millisecond: frames are up to 0.5 ms off.")

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        like, preset = self._like, self._preset
        rate = like.rate.limit_denominator(100_000)
        options = {**dict(preset.options), **preset.crf(self._crf)}
        stream = container.add_stream(preset.codec, rate=rate, options=options)
        stream.width, stream.height = self._size
        stream.pix_fmt = self._layout
        context = stream.codec_context
        context.time_base = like.time_base
        stream.time_base = like.time_base
        context.sample_aspect_ratio = like.pixel_aspect
        if preset.inter:
            context.gop_size = max(1, round(KEY_EVERY_S * rate))
        tags = self._tags
        rgb = self._layout.startswith(("bgr", "gbr", "rgb"))
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        context.colorspace = 0 if rgb else tags.matrix
        context.color_range = 2 if rgb or tags.full_range else 1
        if like.timecode is not None:
            stream.metadata["timecode"] = like.timecode.text
        return stream

    def write(self, image: np.ndarray, pts: int) -> None:
        """Encode one picture and the sound up to it."""
        raw = self._from_rgb(image)
        raw.pts, raw.time_base, raw.duration = pts, self._like.time_base, self._step
        try:
            self._mux(self._stream.encode(raw))
        except (av.error.FFmpegError, OSError) as error:
            raise self._refusal(error) from error

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            now = packet.dts * fraction(packet.time_base)
            self._container.mux(packet)
            if self._sound is not None:
                self._sound.feed(now)

    def end(self, error: BaseException | None) -> None:
        """Finish and rename, or, after an error, leave nothing."""
        try:
            if error is None:
                self._finish()
        except BaseException as late:
            self._drop(late)
            raise
        if error is not None:
            self._drop(error)
        else:
            self._guard.__exit__(None, None, None)

    def _finish(self) -> None:
        try:
            self._mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.feed(None)
                self._notes += [n for n in self._sound.notes if n not in self._notes]
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._refusal(error) from error
        finally:
            if self._sound is not None:
                self._sound.close()

    def _drop(self, error: BaseException) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            with suppress(av.error.FFmpegError, OSError):  # the error that led here is the one to tell
                self._container.close()
        if self._guard is not None:
            try:
                self._guard.__exit__(type(error), error, error.__traceback__)
            except BaseException as same:
                if same is not error:
                    raise

    def _refusal(self, error: Exception) -> FacewrightError:
        if isinstance(error, OSError):
            return disk_error(error, self._path)
        return SettingRefused(
            f"The encoder {self._preset.codec} refused the film {self._path.name}.", why=str(error),
            remedy="Choose another encoder with --codec.", where=self._path,
        )


def _muxer_options(part: Path, like: Video) -> dict[str, str]:
    if part.suffix.lower() not in (".mp4", ".mov"):
        return {}
    # A start that is not zero is written as an edit in the movie's own units: milliseconds unless told.
    units = like.time_base.denominator
    while units < 10_000:
        units *= 2
    return {"movflags": "+faststart", "movie_timescale": str(units), "video_track_timescale": str(units)}


class _Stills:
    """A folder of pictures being written aside."""

    def __init__(self, path: Path, suffix: str) -> None:
        if path.exists():
            raise DiskRefused(
                f"{path.name} is there already.", why="A folder of pictures is never replaced.",
                remedy="Choose a new name, or move the old folder away.", where=path,
            )
        self._path, self._suffix, self._count = path, suffix, 0
        self._part = path.with_name(path.name + PART)
        _empty(self._part)
        make_folder(self._part)

    def write(self, image: np.ndarray, pts: int) -> None:
        """One more picture, numbered from 0."""
        file = self._part / f"{self._count:07d}{self._suffix}"
        try:
            file.write_bytes(encode_still(image, self._suffix))
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._count += 1

    def end(self, error: BaseException | None) -> None:
        """Rename, or leave nothing."""
        if error is None:
            replace_folder(self._part, self._path)
        else:
            _empty(self._part)


def _empty(part: Path) -> None:
    if part.is_dir():
        for file in part.iterdir():
            file.unlink()
        part.rmdir()
