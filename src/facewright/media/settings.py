"""Settings of everything that is done to footage before faces are looked for. Loads no video library."""

from __future__ import annotations

import math
import re
from typing import Literal

from pydantic import field_validator, model_validator

from facewright.core.settings import Settings, Unfit, knob

FILM_SUFFIXES = (".mkv", ".mov", ".mp4", ".webm", ".mxf")
"""An output of such a name is a film, any other a folder of pictures."""
INTERMEDIATES = {".mkv": "ffv1", ".mov": "prores-4444", ".mp4": "h264", ".webm": "vp9", ".mxf": "dnxhr-hqx"}
"""Container -> what `auto` writes into it: lossless where the container has it."""

_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d{1,9})?)")

Codec = Literal[
    "auto", "h264", "h264-444", "h265", "h265-10bit", "av1", "vp9", "prores-hq", "prores-4444", "dnxhr-hqx", "ffv1"
]


def seconds(text: str) -> float | None:
    """`62.5`, `01:02.5` or `00:01:02.5` -> 62.5; "" -> None. ValueError for anything else."""
    word = text.strip()
    if not word:
        return None
    match = _CLOCK.fullmatch(word)
    if match:
        hours, minutes, rest = match.groups()
        if int(minutes) > 59 or float(rest.replace(",", ".")) >= 60:
            raise ValueError("Minutes and seconds of a time end at 59")
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))
    try:
        value = float(word.replace(",", "."))
    except ValueError:
        raise ValueError("A time is seconds (62.5) or hh:mm:ss.mmm (00:01:02.5)") from None
    if not 0 <= value < 1e7:
        raise ValueError("A time is not negative, and shorter than a year")
    return value


class PictureSettings(Settings):
    """What kind of picture files are written."""

    picture: Literal["png", "jpg"] = knob("png", "Kind of picture files: png is lossless, jpg small")
    jpeg_quality: int = knob(100, "Quality of jpg files", low=1, high=100, shown_when="picture=jpg")


class RateSettings(PictureSettings):
    """How many of a film's frames become pictures."""

    fps: float = knob(
        0.0, "Pictures of each second; 0 = every frame (right for the film that gets the new face)", low=0.0,
        high=240.0, unit="1/s",
    )


class ShotSettings(RateSettings):
    """Where one shot ends and the next begins, and how chosen ones are given out as pictures."""

    threshold: float = knob(
        3.0, "How many times more than its neighbours a change must be to count as a cut; smaller finds more",
        low=1.1, high=20.0, step=0.1,
    )


class SpanSettings(Settings):
    """The part of a film that is used."""

    start: str = knob("", "Begin here: seconds, or hh:mm:ss.mmm; empty = from the beginning")
    end: str = knob("", "End here: seconds, or hh:mm:ss.mmm; empty = to the end")

    @field_validator("start", "end")
    @classmethod
    def _a_time(cls, value: str) -> str:
        seconds(value)
        return value

    @model_validator(mode="after")
    def _forwards(self) -> SpanSettings:
        if self.start_s > self.end_s:
            raise Unfit("--end lies before --start.", "Correct --start and --end.", "--end")
        return self

    @property
    def start_s(self) -> float:
        """First moment in seconds from the first frame, 0 when not given."""
        return seconds(self.start) or 0.0

    @property
    def end_s(self) -> float:
        """Last moment in seconds from the first frame, infinity when not given."""
        found = seconds(self.end)
        return math.inf if found is None else found


class FramesSettings(RateSettings, SpanSettings):
    """Frames of films as pictures."""


class MadeSettings(PictureSettings, SpanSettings):
    """How treated footage is written: pictures for a folder, a codec for a film."""

    codec: Codec = knob(
        "auto", "Codec of a film; auto = lossless in .mkv (FFV1), ProRes 4444 in .mov, H.264 in .mp4, DNxHR in .mxf"
    )
    crf: int = knob(12, "Quality of h264, h265, av1 and vp9 on one scale: lower is better and larger", low=0, high=51)


class DenoiseSettings(MadeSettings):
    """How noise is taken away."""

    strength: int = knob(
        7, "How much noise is taken out: 4 for good cameras, 7 for indoor video, 15 for a webcam at night", low=1,
        high=20,
    )
    filter: Literal["atadenoise", "nlmeans"] = knob(
        "atadenoise",
        "atadenoise averages a pixel over nine frames while it hardly changes: landmarks get calmer, what moves stays "
        "sharp; nlmeans compares patches within each picture: cleaner, slow, landmarks stay as they are",
    )


class GradeSettings(MadeSettings):
    """Light and colour of frames. All at 0 (gamma 1) leaves a picture as it is."""

    brightness: float = knob(0.0, "Lighter or darker, in percent of white", low=-100.0, high=100.0, unit="%")
    contrast: float = knob(0.0, "More or less contrast around middle grey", low=-100.0, high=100.0, unit="%")
    saturation: float = knob(0.0, "More or less colour; -100 = black and white", low=-100.0, high=100.0, unit="%")
    gamma: float = knob(1.0, "Middle tones: above 1 lifts them, black and white stay", low=0.2, high=5.0, step=0.05)


class CutSettings(Settings):
    """How pieces are cut out of a film."""

    sound: str = knob("all", "Sound tracks that come along: all, none, or a number as `video info` lists them, from 0")
    codec: Codec = knob(
        "auto", "Codec where a piece must be encoded anew; auto = H.264, for more than 8 bit H.265, in .webm VP9"
    )
    crf: int = knob(12, "Quality of h264, h265, av1 and vp9 on one scale: lower is better and larger", low=0, high=51)

    @field_validator("sound")
    @classmethod
    def _a_choice(cls, value: str) -> str:
        if value not in ("all", "none") and not value.isdigit():
            raise ValueError("all, none, or a number from 0")
        return value
