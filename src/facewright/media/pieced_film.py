"""A film of treated frames: kept as lossless pieces while they are made, put together at the end.

The pieces lie in `home`, a hidden folder beside the film; made.json there says what film this very task made of them.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import DiskRefused, FacewrightError, FileRefused
from facewright.core.files import disk_error, make_folder, read_file, replace_files, sha256_of, write_atomic
from facewright.media.frame import Frame
from facewright.media.moments import later
from facewright.media.parts import Part
from facewright.media.reader import count_frames, frame_times
from facewright.media.settings import INTERMEDIATES, MadeSettings
from facewright.media.writer import FilmWriter, read_chunk, write_chunk

_MADE = "made.json"


class PiecedFilm:
    """The film that a step makes of a part. home: where its pieces lie meanwhile."""

    def __init__(self, home: Path, settings: MadeSettings) -> None:
        self.home, self.settings = home, settings
        self.pieces = home / "pieces"

    def write_piece(self, part: Part, first: int, images: list[Frame], damaged: list[tuple[int, str]]) -> Path:
        """Frames in a row, the first of them number `first`, under a name that does not count yet. Raises FileRefused:
        nothing can be read, or pictures of several sizes; DiskRefused."""
        make_folder(self.pieces)
        if not images:
            raise FileRefused(
                f"None of {len(damaged)} pictures in a row of {part.video.path.name} can be read.",
                why=damaged[0][1], remedy="Remove or replace them.", where=part.video.path,
            )
        _same_size(part, images)
        piece = self.pieces / f"new-{first:07d}.mkv"
        times = [frame.pts for frame in images]
        write_chunk(piece, (frame.image for frame in images), None, times, part.video.time_base)
        return piece

    def keep_piece(self, piece: Path, first: int) -> str:
        """From now on it counts; returns its name."""
        name = f"{first:07d}.mkv"
        _renamed(piece, self.pieces / name)
        return name

    def complete(self, part: Part, pieces: list[str], progress: Callable[..., None]) -> dict[str, Any]:
        """The film of these pieces, or the one that was made of them before: {frames, notes, sha256, made_by}."""
        made = self.made(part) or self._put_together(part, sorted(pieces), progress)
        shutil.rmtree(self.pieces, ignore_errors=True)  # our own pieces; the film holds them
        return made

    def made(self, part: Part) -> dict[str, Any] | None:
        """What this very task made of a part, None where it is not there (any more)."""
        try:
            told = json.loads(read_file(self.home / _MADE, limit_bytes=1 << 20))
            ours = told["made_by"] == part.made_by
        except (FacewrightError, ValueError, TypeError, KeyError):
            return None
        return told if ours and part.place.is_file() and sha256_of(part.place) == told["sha256"] else None

    def refuse(self, part: Part) -> None:
        """Raise where the film cannot be written: SettingRefused (the encoder), DiskRefused (another film is there)."""
        self._writer(part, self.home / ("film" + part.place.suffix.lower()), None)
        if part.place.exists() and self.made(part) is None:
            raise DiskRefused(
                f"{part.place.name} is there already.", why="It is not what this very command makes.",
                remedy="Name a new file; nothing is ever written over.", where=part.place,
            )

    def _put_together(self, part: Part, pieces: list[str], progress: Callable[..., None]) -> dict[str, Any]:
        aside = self.home / ("film" + part.place.suffix.lower())
        video, pts = part.video, frame_times(part.video)
        shift = int(pts[part.indices[0]]) if part.indices[0] > 0 else 0
        count, total = 0, len(part.indices)
        whole = len(part.indices) == count_frames(video)
        with self._writer(part, aside, None if whole else _span(part, pts)) as writer:
            for name in pieces:
                for at, image in read_chunk(self.pieces / name):
                    writer.write(image, at - shift)
                    count += 1
                progress(count, total, "encode")
        made = {"made_by": part.made_by, "sha256": sha256_of(aside), "frames": count, "notes": writer.notes}
        write_atomic(self.home / _MADE, json.dumps(made).encode())
        self.refuse(part)
        make_folder(part.place.parent)
        _renamed(aside, part.place)
        return made

    def _writer(self, part: Part, path: Path, span_s: tuple[Fraction, Fraction] | None) -> FilmWriter:
        settings = self.settings
        codec = INTERMEDIATES[part.place.suffix.lower()] if settings.codec == "auto" else settings.codec
        like = dataclasses.replace(part.video, timecode=later(part.video.timecode, int(part.indices[0])))
        return FilmWriter(path, like, encoder=codec, crf=settings.crf, audio_from=part.video, audio_span_s=span_s)


def _same_size(part: Part, images: list[Frame]) -> None:
    width, height = part.video.size_px
    deep = np.dtype(np.uint8 if part.video.bit_depth <= 8 else np.uint16)
    for frame in images:
        if frame.image.shape[:2] != (height, width) or frame.image.dtype != deep:
            name = part.video.stills[frame.index] if part.video.stills else f"Frame {frame.index}"
            raise FileRefused(
                f"{name} is not of the size of the others.",
                why=f"{frame.image.shape[1]}x{frame.image.shape[0]} instead of {width}x{height}, or of another depth.",
                remedy="Name a folder as output: pictures of several sizes make no film.", where=part.video.path,
            )


def _span(part: Part, pts: np.ndarray) -> tuple[Fraction, Fraction]:
    """Seconds of the film that the part's frames cover."""
    base, first, after = part.video.time_base, int(part.indices[0]), int(part.indices[-1]) + 1
    end = int(pts[after]) * base if after < len(pts) else int(pts[-1]) * base + 1 / part.video.rate
    return int(pts[first]) * base if first else Fraction(0), end


def _renamed(part: Path, final: Path) -> None:
    try:
        replace_files([(part, final)])
    except OSError as error:
        raise disk_error(error, final) from error
