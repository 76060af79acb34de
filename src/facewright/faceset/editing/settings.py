"""Settings of what makes a set anew with other pictures: another size or type, enhanced, or back from an editor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import field_validator

from facewright.core.registry import Plug, Registry
from facewright.core.settings import Settings, knob
from facewright.faces.settings import BOTH_SPELLINGS
from facewright.faceset.settings import MAX_SIDE_PX, MIN_SIDE_PX


class ReplaceSettings(Settings):
    """How pictures that come back are stored."""

    jpeg_quality: int = knob(100, "Quality of the new face files; 0 = lossless PNG", low=0, high=100)


class ResizeSettings(ReplaceSettings):
    """Another size or face type for a set."""

    side: int = knob(
        512, "Side of the new pictures, 128 at least; 0 = each face at the size it has in its frame", low=0,
        high=MAX_SIDE_PX, step=16, unit="px",
    )
    face_type: Annotated[
        Literal["same", "half_face", "midfull_face", "full_face", "whole_face", "head"], BOTH_SPELLINGS
    ] = knob("same", "How much of the head the new pictures hold; h, mf, f and wf are understood as well")
    invent: bool = knob(
        False, "Where the frames are not at hand: enlarge, and leave black what the old pictures do not show"
    )

    @field_validator("side")
    @classmethod
    def _large_enough(cls, value: int) -> int:
        if 0 < value < MIN_SIDE_PX:
            raise ValueError(f"Faces are {MIN_SIDE_PX} px at least, or 0 for the size in their frames")
        return value


ENHANCERS = Registry("enhancers")
"""name -> `(image: (H, W, 3) float32 RGB 0..1, strength: float 0..1) -> the same shape and range`."""

ENHANCERS.add(Plug(
    "detail", "facewright.image.enhance:enhance_detail", "brings out the fine detail that is there; invents nothing"
))


class EnhanceSettings(ReplaceSettings):
    """How faces are enhanced."""

    strength: float = knob(0.5, "How much: 0 leaves the faces as they are", low=0.0, high=1.0, step=0.05)


class RestoreSettings(Settings):
    """How pictures that an editor had are known again."""

    known_by: Literal["both", "name", "content"] = knob(
        "both", "What tells which face a picture shows: its name and, where that fails, what is on it; or one of them"
    )


class CollageSettings(Settings):
    """How faces are laid out on pages."""

    tile: int = knob(256, "Side of a face on the page; larger ones are shrunk, none is enlarged", low=64, high=1024,
                     step=16, unit="px")
    columns: int = knob(8, "Faces in a row", low=1, high=32)
    rows: int = knob(8, "Rows on a page", low=1, high=32)
    gap: int = knob(
        16, "Room around each face, filled with its own edge, for tools that bleed over edges", low=0, high=64,
        unit="px",
    )
