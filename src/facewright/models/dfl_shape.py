"""The shape of a foreign net: from its options, and what they leave out from the sizes of its arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, Mismatch, SettingRefused
from facewright.core.settings import Settings, check
from facewright.faces.settings import FACE_TYPES
from facewright.models.dfl_files import WHOLE, Family, damaged
from facewright.models.settings import SHAPES, Quick96Settings, split_archi, with_dims

Arrays = Mapping[str, Mapping[str, np.ndarray]]
"""Part -> {key -> array in the original's layout}."""

_MORPH = 0.5
_UNSEEN = frozenset("uc")
"""Letters that leave no trace in the arrays."""


def shape_of(family: Family, options: Mapping[str, Any], arrays: Arrays, archi: str, face_type: str) -> Settings:
    """Shape settings. Options come first, then the arrays; `archi` and `face_type` say what neither does.

    Raises FileRefused (damaged, or something cannot be known: the words to add are named), Mismatch (what was given
    contradicts the files).
    """
    if family.net == "quick96":
        return Quick96Settings()
    known = _from_arrays(family.net, arrays)
    said = {key: options[key] for key in SHAPES[family.net].model_fields if key in options}
    face = face_type or said.get("face_type", "")
    if "face_type" in said and FACE_TYPES.get(face, face) != FACE_TYPES.get(said["face_type"], said["face_type"]):
        raise Mismatch(
            f"This model is of the face type {said['face_type']}, not {face}.", why=f"{family.data.name} says so.",
            remedy="Leave --face-type out.", where="--face-type",
        )
    if not face:
        raise _unknown(family, "the face type", "--face-type h, mf, f, wf or head")
    words: dict[str, Any] = {**known, **said, "face_type": FACE_TYPES.get(face, face) if isinstance(face, str) else ""}
    if family.net == "saehd":
        words["archi"] = _archi(family, said.get("archi"), archi, arrays)
    elif family.net == "amp":
        words.setdefault("morph_factor", _MORPH)
    return _checked(family, words)


def _checked(family: Family, words: dict[str, Any]) -> Settings:
    cls = SHAPES[family.net]
    lacking = [name for name in cls.model_fields if name not in words]
    if lacking:
        raise damaged(family.data, f"neither options nor arrays say {', '.join(lacking)}")
    dims = {key: value for key, value in words.items() if key.endswith("_dims")}
    try:
        return with_dims(check(cls, {key: v for key, v in words.items() if key not in dims}), dims)
    except SettingRefused as error:
        raise damaged(family.data, f"{error.what} {error.why}".strip().rstrip(".")) from error


def _archi(family: Family, said: Any, given: str, arrays: Arrays) -> str:
    """Graph and letters. Raises FileRefused, Mismatch."""
    said = said.lower() if isinstance(said, str) else said
    if said is None and not given:
        example = f"--archi, for example {_with_u(_seen_archi(arrays))}"
        raise _unknown(family, "whether its architecture has the letters u and c", example)
    for text in filter(None, (said, given)):
        try:
            split_archi(text)
        except (ValueError, AttributeError) as error:
            if text is given:
                raise SettingRefused(
                    f"There is no architecture {given!r}.", why=f"{error}.",
                    remedy="Write for example df-ud or liae-udt.", where="--archi",
                ) from error
            raise damaged(family.data, f"its architecture {text!r} is unknown: {error}") from error
    if said and given and split_archi(said) != split_archi(given):
        raise Mismatch(
            f"The model's architecture is {said}, not {given}.", remedy="Leave --archi out.", where=family.data
        )
    archi = said or given
    if arrays and not _fits(archi, _seen_archi(arrays)):
        raise Mismatch(
            f"The arrays are not those of {archi}.", why=f"They look like {_seen_archi(arrays)} (u and c leave no "
            "trace).", remedy="Give the --archi that the model was made with." if given else
            "Restore the model's files from one and the same backup.", where=family.folder,
        )
    return archi


def _seen_archi(arrays: Arrays) -> str:
    """Graph and those of the letters d, t that the arrays show."""
    graph = "df" if {"inter", "decoder_src", "decoder_dst"} & set(arrays) else "liae"
    decoder = _first(arrays, "decoder_src", "decoder", "decoder_dst")
    letters = ("d" if "out_conv1/weight:0" in decoder else "") + ("t" if _deep(arrays) else "")
    return f"{graph}-{letters}" if letters else graph


def _fits(archi: str, seen: str) -> bool:
    graph, letters = split_archi(archi)
    return (graph, letters - _UNSEEN) == split_archi(seen)


def _with_u(seen: str) -> str:
    graph, _, letters = seen.partition("-")
    return f"{graph}-u{letters}"


def _deep(arrays: Arrays) -> bool:
    encoder, decoder = arrays.get("encoder", {}), _first(arrays, "decoder_src", "decoder", "decoder_dst")
    return "down1/conv1/weight:0" in encoder or "upscale3/conv1/weight:0" in decoder


def _first(arrays: Arrays, *parts: str) -> Mapping[str, np.ndarray]:
    return next((arrays[p] for p in parts if p in arrays), {})


def _size(content: Mapping[str, np.ndarray], key: str, axis: int) -> int:
    """Length of one axis of a stored array, 0 where it is missing."""
    array = content.get(key + ":0")
    return int(array.shape[axis]) if array is not None and array.ndim > abs(axis) - (axis < 0) else 0


def _from_arrays(net: str, arrays: Arrays) -> dict[str, Any]:
    """Whatever of the shape the arrays' sizes show."""
    if net == "xseg":
        return _without_zeros({"base_dims": _size(arrays.get(WHOLE, {}), "conv01/conv/weight", -1)})
    encoder, decoder = arrays.get("encoder", {}), _first(arrays, "decoder_src", "decoder", "decoder_dst")
    deep = net == "amp" or _deep(arrays)
    e = _size(encoder, "down1/conv1/weight", -1) or _size(encoder, "down1/downs_0/conv1/weight", -1)
    code = encoder if net == "amp" else _first(arrays, "inter", "inter_AB", "inter_B")
    flat, ae = _size(code, "dense1/weight", 0), _size(code, "dense1/weight", 1)
    grid = math.isqrt(flat // (8 * e)) if e else 0
    found = {
        "e_dims": e, "ae_dims": ae, "resolution": grid * (32 if deep else 16),
        "d_dims": _size(decoder, "upscale0/conv1/weight", -1) // 32,
        "d_mask_dims": _size(decoder, "upscalem0/conv1/weight", -1) // 32,
    }
    if net == "amp":
        found["inter_dims"] = _size(decoder, "upscale0/conv1/weight", 2)
    return _without_zeros(found)


def _without_zeros(found: dict[str, int]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value}


def _unknown(family: Family, what: str, words: str) -> FileRefused:
    return FileRefused(
        f"The files of {family.prefix} do not tell {what}.", why=f"{family.data.name} is missing or does not say it.",
        remedy=f"Say it with {words}.", where=family.folder,
    )
