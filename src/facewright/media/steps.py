"""Steps on footage before faces are looked for: frames given out as pictures, denoised, graded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from facewright.media.batches import Treat
from facewright.media.denoise import check_depth, denoised, margin
from facewright.media.frame import Video
from facewright.media.grade import Grade
from facewright.media.parts import Part, picked
from facewright.media.prepare import PrepareStep
from facewright.media.settings import DenoiseSettings, FramesSettings, GradeSettings, MadeSettings

M = TypeVar("M", bound=MadeSettings)


class FramesStep(PrepareStep[FramesSettings]):
    """Frames of each film as pictures in a folder of its own, OUT/NAME/NAME_0000012.png; of spans of one film, each
    in its folder."""

    stage = "frames"
    settings: FramesSettings
    verb = "extract"

    def __init__(
        self, inputs: Sequence[str], out: str, settings: FramesSettings | None = None,
        spans: Sequence[Sequence[Any]] = (),
    ) -> None:
        super().__init__(inputs, out, settings or FramesSettings(), spans)

    @property
    def makes_film(self) -> bool:
        """Pictures, whatever the folder is called."""
        return False

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {**super().args(), "spans": self.spans}

    def place(self, name: str) -> Path:
        """A folder for each film."""
        return self.out / name

    def pick(self, video: Video, first: int, stop: int) -> np.ndarray:
        """Which frames are used."""
        chosen = self.settings
        return picked(video, first, stop, chosen.fps, chosen.start_s, chosen.end_s)

    def treat(self) -> tuple[Treat, int]:
        """How pictures are changed."""
        return iter, 0


class _Treating(PrepareStep[M]):
    """One input, treated, into a folder or a film."""

    def __init__(self, source: str, out: str, settings: M) -> None:
        super().__init__([source], out, settings)

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"source": self.films[0], "out": str(self.out)}

    @cached_property
    def parts(self) -> list[Part]:
        """The one part; pictures of a folder keep their names."""
        return [dataclasses.replace(part, name="" if part.video.stills else part.name) for part in super().parts]

    def pick(self, video: Video, first: int, stop: int) -> np.ndarray:
        """Which frames are used."""
        return picked(video, first, stop, 0.0, self.settings.start_s, self.settings.end_s)


class DenoiseStep(_Treating[DenoiseSettings]):
    """Footage without its noise."""

    stage = "denoise"
    settings: DenoiseSettings
    verb = "denoise"

    def __init__(self, source: str, out: str, settings: DenoiseSettings | None = None) -> None:
        super().__init__(source, out, settings or DenoiseSettings())

    def check(self, part: Part) -> None:
        """Whether the settings suit the footage."""
        check_depth(part.video, self.settings)

    def treat(self) -> tuple[Treat, int]:
        """How pictures are changed."""
        return lambda images: denoised(images, self.settings), margin(self.settings)


class GradeStep(_Treating[GradeSettings]):
    """Footage with another light and colour."""

    stage = "grade"
    settings: GradeSettings
    verb = "grade"

    def __init__(self, source: str, out: str, settings: GradeSettings | None = None) -> None:
        super().__init__(source, out, settings or GradeSettings())

    def check(self, part: Part) -> None:
        """Whether the settings suit the footage."""
        Grade(self.settings)

    def treat(self) -> tuple[Treat, int]:
        """How pictures are changed."""
        grade = Grade(self.settings)
        return lambda images: map(grade, images), 0
