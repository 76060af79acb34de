"""Settings of extraction. Loads neither cv2 nor any net."""

from __future__ import annotations

import math
import re
from typing import Literal

from pydantic import field_validator

from facewright.core.settings import knob
from facewright.faces.settings import DetectSettings, FaceTypeName

CHUNK_FRAMES = 32
"""Selected frames that are found, tracked and committed together."""

MIN_SIDE_PX, MAX_SIDE_PX = 128, 2048

_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d{1,9})?)")


class ExtractSettings(DetectSettings):
    """How films become a faceset."""

    face_type: FaceTypeName = knob(
        "whole_face", "How much of the head a crop holds, from tight to wide; h, mf, f and wf are understood as well"
    )
    resolution: int = knob(
        512, "Side of the crops, 128 at least; 0 = estimate it from the faces", low=0, high=MAX_SIDE_PX, step=16,
        unit="px",
    )
    max_faces: int = knob(0, "Keep at most so many faces of a frame, the largest; 0 = all", low=0, high=100)
    fps: float = knob(
        0.0, "Look at so many frames of each second; 0 = every frame (right for the film that gets the new face)",
        low=0.0, high=240.0, unit="1/s",
    )
    start: str = knob("", "Begin here: seconds, or hh:mm:ss.mmm; empty = from the beginning")
    end: str = knob("", "End here: seconds, or hh:mm:ss.mmm; empty = to the end")
    jpeg_quality: int = knob(95, "Quality of the face files; 0 = lossless PNG", low=0, high=100)
    crop: Literal["cubic", "lanczos4", "linear"] = knob(
        "cubic", "How crops are resampled; crops that shrink more than 2x are averaged first"
    )
    min_presence: float = knob(
        0.0, "Leave out faces of which the landmark net is less sure than this; 0 = keep and flag them",
        low=0.0, high=1.0, step=0.01,
    )
    debug: bool = knob(False, "Also write pictures with boxes and points drawn in, under FACESET/debug")

    @field_validator("resolution")
    @classmethod
    def _large_enough(cls, value: int) -> int:
        if 0 < value < MIN_SIDE_PX:
            raise ValueError(f"Crops are {MIN_SIDE_PX} px at least, or 0 for an estimate")
        return value

    @field_validator("start", "end")
    @classmethod
    def _a_time(cls, value: str) -> str:
        seconds(value)
        return value

    @property
    def start_s(self) -> float:
        """First moment in seconds, 0 when not given."""
        return seconds(self.start) or 0.0

    @property
    def end_s(self) -> float:
        """Last moment in seconds, infinity when not given."""
        found = seconds(self.end)
        return math.inf if found is None else found

    def detection(self) -> DetectSettings:
        """The part that the finder of faces understands."""
        return DetectSettings(**{name: getattr(self, name) for name in DetectSettings.model_fields})

    def deciding(self) -> dict[str, object]:
        """The settings that decide which faces come out, JSON-able: threads and debug pictures do not."""
        return self.model_dump(mode="json", exclude={"net_threads", "debug"})


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
