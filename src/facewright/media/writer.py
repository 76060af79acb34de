"""Frames -> film or folder of pictures, with the source's times, colour tags, time code and sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from facewright.core.errors import SettingRefused
from facewright.media.chunk import read_chunk, write_chunk
from facewright.media.encoders import ENCODERS, Preset
from facewright.media.film import Film
from facewright.media.frame import Video
from facewright.media.stills import StillsFolder, write_stills

__all__ = ["ENCODERS", "FilmWriter", "read_chunk", "write_chunk", "write_stills"]


class FilmWriter:
    """Context manager: `write(image, pts)` per frame; the film appears at `path` on a clean exit, else nothing is left.

    path: the file (its suffix names the container), or a new folder for the encoders png and tiff.
    like: times count in its time base; rate, colour tags, pixel aspect and time code are its. crf: quality on
    x264's scale 0..51. audio_from: the film whose sound goes in; audio_span_s: only these seconds of it,
    moved to zero. size_px: of the pictures when it is not `like`'s.
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
        audio_span_s: tuple[Fraction, Fraction] | None = None,
    ) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self.size_px = size_px or like.size_px
        self._like, self._crf, self._audio_from, self._audio_span_s = like, crf, audio_from, audio_span_s
        self._preset: Preset = ENCODERS.load(encoder)
        self._layout = _layout(self._preset, encoder, like, self.size_px, self.notes)
        _check_container(self._preset, encoder, self.path)
        self._last_pts: int | None = None
        self._sink: Film | StillsFolder | None = None

    def __enter__(self) -> FilmWriter:
        if self._preset.suffixes:
            self._sink = Film(
                self.path, self._like, self._preset, self._layout, self._crf, self.size_px, self._audio_from,
                self.notes, self._audio_span_s,
            )  # fmt: skip
        else:
            self._sink = StillsFolder(self.path, ".tif" if self._preset.codec == "tiff" else ".png")
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
            sink.end(kind, error, trace)


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
