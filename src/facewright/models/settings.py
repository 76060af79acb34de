"""The shape of every net: chosen before the first iteration, locked afterwards. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import ValidationInfo, field_validator

from facewright.core.errors import SettingRefused
from facewright.core.settings import Settings, Unfit, knob
from facewright.faces.settings import BOTH_SPELLINGS, FaceTypeName

S = TypeVar("S", bound=Settings)

GRAPHS = ("df", "liae")
LETTERS = "udtc"
_D_MASK_SMALLEST = 16
_ARCHIS = "For example df, df-ud, liae-ud or liae-udt."


def split_archi(archi: str) -> tuple[str, frozenset[str]]:
    """`liae-ud` -> ("liae", {"u", "d"}). Raises ValueError in the user's words.

    Letters: u normalises the code, d doubles the resolution at the output, t deepens encoder and decoder,
    c replaces leaky ReLU by x cos(x). Any order, any subset.
    """
    graph, dash, letters = archi.partition("-")
    if graph not in GRAPHS:
        raise Unfit("It starts with df or liae, then optional letters.", _ARCHIS)
    if dash and not letters:
        raise Unfit("A dash is followed by at least one of the letters u d t c.", _ARCHIS)
    unknown = "".join(sorted(set(letters) - set(LETTERS)))
    if unknown:
        raise Unfit(f"There is no letter {unknown!r}: only u, d, t and c exist.", _ARCHIS)
    if len(set(letters)) != len(letters):
        raise Unfit("Each letter may occur once.", _ARCHIS)
    return graph, frozenset(letters)


def resolution_step(archi: str) -> int:
    """Pixels: the net's side must be a multiple of this. 16; 32 with d or t (five halvings)."""
    return 32 if split_archi(archi)[1] & {"d", "t"} else 16


def auto_d_mask_dims(d_dims: int) -> int:
    """A third of the decoder's channels, made even, at least 16 (64 -> 22)."""
    third = d_dims // 3
    return max(_D_MASK_SMALLEST, third + third % 2)


def _made_even(value: int) -> int:
    return value + value % 2


def _d_mask_from_d(value: int, info: ValidationInfo) -> int:
    # From the d_dims just given, not from a stored one (quirk Q10 of the original).
    return _made_even(value) if value else auto_d_mask_dims(info.data.get("d_dims", 64))


class SaehdSettings(Settings):
    """Shape of a SAEHD net. Ranges are the wider of the original's guide and program."""

    archi: str = knob(
        "liae-ud", "df keeps more of the source's shape, liae takes the target's light; then a dash and any of the"
        " letters u (normalised code), d (half the cost, wants pretraining), t (deeper), c (another activation):"
        " df-ud for example", lock="after_start",
    )
    resolution: int = knob(
        128, "Side of the face that the net sees and makes; a multiple of 32 with the letters d or t.",
        low=64, high=640, step=16, unit="px", lock="after_start",
    )
    face_type: FaceTypeName = knob("full_face", "How much of the head is replaced.", lock="after_start")
    ae_dims: int = knob(256, "Channels of the code between encoder and decoder.", low=32, high=2048, lock="after_start")
    e_dims: int = knob(64, "Channels of the encoder, made even.", low=16, high=256, lock="after_start")
    d_dims: int = knob(64, "Channels of the decoder, made even.", low=16, high=256, lock="after_start")
    d_mask_dims: int = knob(
        0, "Channels of the mask decoder, made even; 0 = a third of d_dims.", low=0, high=256, lock="after_start"
    )

    @field_validator("archi")
    @classmethod
    def _archi_exists(cls, value: str) -> str:
        split_archi(value)
        return value

    @field_validator("resolution")
    @classmethod
    def _resolution_fits_letters(cls, value: int, info: ValidationInfo) -> int:
        archi = info.data.get("archi")
        step = resolution_step(archi) if archi else 16
        if value % step:
            low = value // step * step
            raise Unfit(f"With the letters of {archi} it is a multiple of {step}.", f"Give {low} or {low + step}.")
        return value

    _even = field_validator("e_dims", "d_dims")(_made_even)
    _d_mask = field_validator("d_mask_dims")(_d_mask_from_d)


class Quick96Settings(Settings):
    """Quick96 asks nothing: its shape is fixed. The names are those of SaehdSettings."""

    archi: ClassVar[str] = "df-ud"
    resolution: ClassVar[int] = 96
    face_type: ClassVar[FaceTypeName] = "full_face"
    ae_dims: ClassVar[int] = 128
    e_dims: ClassVar[int] = 64
    d_dims: ClassVar[int] = 64
    d_mask_dims: ClassVar[int] = 16


class AmpSettings(Settings):
    """Shape of an AMP net: one decoder, one inter per person, a likeness that can be dosed when merging."""

    resolution: int = knob(
        224, "Side of the face that the net sees and makes.", low=64, high=640, step=32, unit="px", lock="after_start"
    )
    face_type: Annotated[Literal["full_face", "whole_face", "head"], BOTH_SPELLINGS] = knob(
        "whole_face", "How much of the head is replaced.", lock="after_start"
    )
    ae_dims: int = knob(256, "Channels of the encoder's code.", low=32, high=2048, lock="after_start")
    inter_dims: int = knob(
        1024, "Channels that the two people's inters share out among them.", low=32, high=2048, lock="after_start"
    )
    e_dims: int = knob(64, "Channels of the encoder, made even.", low=16, high=256, lock="after_start")
    d_dims: int = knob(64, "Channels of the decoder, made even.", low=16, high=256, lock="after_start")
    d_mask_dims: int = knob(
        0, "Channels of the mask decoder, made even; 0 = a third of d_dims.", low=0, high=256, lock="after_start"
    )
    morph_factor: float = knob(
        0.5, "Share of the channels that the source's inter fills while its faces are learned.",
        low=0.1, high=0.5, step=0.05, lock="after_start",
    )

    _even = field_validator("e_dims", "d_dims")(_made_even)
    _d_mask = field_validator("d_mask_dims")(_d_mask_from_d)


class XSegSettings(Settings):
    """Shape of an XSeg net, which draws the mask of a face; its side is fixed."""

    resolution: ClassVar[int] = 256

    face_type: FaceTypeName = knob("whole_face", "How much of the head the net sees.", lock="after_start")
    base_dims: int = knob(
        32, "Channels at full size; deeper levels have up to 8 times as many. 32 = the original's.",
        low=8, high=64, lock="after_start",
    )


LetteredSettings = SaehdSettings | Quick96Settings
"""Shapes of the family `{df|liae}[-udtc]`."""

ShapeSettings = LetteredSettings | AmpSettings
"""Shapes of the nets that swap faces."""

SHAPES: dict[str, type[Settings]] = {
    "saehd": SaehdSettings, "quick96": Quick96Settings, "amp": AmpSettings, "xseg": XSegSettings,
}
"""Net name -> class of its shape settings (the light half of the registry NETS)."""

_DIMS_LIMIT = 4096


def with_dims(shape: S, dims: Mapping[str, object]) -> S:
    """A shape with these channel counts as they are: models of others may have fewer than our own nets are given, or
    odd ones. Raises SettingRefused when they are impossible."""
    known = dims.keys() <= set(shape.model_dump())
    if not known or not all(type(value) is int and 1 <= value <= _DIMS_LIMIT for value in dims.values()):
        raise SettingRefused(
            f"The channel counts are impossible: {dict(dims)}.", remedy=f"Allowed: 1..{_DIMS_LIMIT}.", where="dims"
        )
    return shape.model_copy(update=dict(dims))
