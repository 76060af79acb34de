"""What a film and a frame are, without the library that reads them.

Time is an integer `pts` and a rational `time_base`; a rate is a Fraction (29.97 is 30000/1001).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class ColourTags:
    """Numbers of ITU-T H.273 (1 = BT.709, 5/6 = BT.601, 9 = BT.2020, 2 = not said); `full_range` else 16..235."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One sound track as the container lists it."""

    stream_index: int
    codec: str
    rate_hz: int
    channels: int
    language: str = ""


@dataclass(frozen=True, slots=True)
class Timecode:
    """A start time code `hh:mm:ss:ff` and the rate it counts in."""

    text: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Video:
    """A film, or a folder of stills seen as one. `size_px` is (width, height) upright, after rotation.

    `stills` names the files of a folder of stills (sorted), else (). `still_pts` are their times where a frames.json
    says of which film they are the frames; photos have none and do not follow each other.
    `variable_rate`: pts are not evenly spaced, and `rate` is then the mean. `sha256` of a folder of stills is the
    digest of its names and file digests.
    `rotation_deg` (0, 90, 180, 270) is the counter-clockwise turn that the reader applies to the coded picture.
    `pixel_aspect` is width : height of one upright pixel. `notes` say what is odd about the file, in sentences.
    """

    path: Path
    sha256: str
    stream_index: int
    size_px: tuple[int, int]
    rate: Fraction
    frame_count: int | None
    duration_s: float | None
    rotation_deg: int
    bit_depth: int
    colour: ColourTags
    time_base: Fraction = Fraction(1, 1000)
    variable_rate: bool = False
    codec: str = ""
    timecode: Timecode | None = None
    audio: tuple[AudioTrack, ...] = ()
    stills: tuple[str, ...] = field(default=(), repr=False)
    still_pts: tuple[int, ...] = field(default=(), repr=False)
    pixel_aspect: Fraction = Fraction(1)
    notes: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether its pictures follow each other in time: a film, or its frames as stills; photos do not."""
        return not self.stills or bool(self.still_pts)


@dataclass(frozen=True, slots=True)
class Frame:
    """One upright picture: (H, W, 3) RGB, uint8 or (for more than 8 bit) uint16 at full range."""

    index: int
    pts: int
    time_base: Fraction
    image: np.ndarray

    @property
    def time_s(self) -> float:
        """Seconds from the stream's zero."""
        return float(self.pts * self.time_base)
