"""DeepFaceLab's ways: what it does where facewright does otherwise on purpose, and how far its questions went.

`--parity dfl` is for a model that was begun there: what that program never asks stands as it has it. What its user
chose (masked training, powers, flips, optimiser ...) came with the model and stays. docs/explanation/parity.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facewright.core.settings import Settings
from facewright.training.settings import settings_class

_FIXED: Mapping[str, Any] = {
    "lr": 5e-5, "ema": False, "precision": "float32", "adversary_pass": "fresh",
    "rotation_deg": 10.0, "scale": 0.15, "shift": 0.05, "warp_strength": 1.0, "warp_independent": False,
    "progressive": 0.0, "light_power": 0.0, "degrade_power": 0.0, "match_colour": False, "mouth_area": "inner",
    "eyes_mouth_weight": 300.0,
}
_OF_NET: Mapping[str, Mapping[str, Any]] = {
    "amp": {"eyes_mouth_prio": True, "train_inters": False},
    "quick96": {
        "lr": 2e-4, "optimiser": "rmsprop", "lr_dropout": 0.3, "lr_schedule": "constant", "clipgrad": False,
        "scale": 0.05, "random_src_flip": False, "random_dst_flip": False, "random_warp": True, "uniform_yaw": False,
        "random_hsv_power": 0.0, "ct_mode": "none", "eyes_mouth_prio": False, "reuse_batches": True,
    },
    "xseg": {"lr": 1e-4, "optimiser": "rmsprop", "lr_dropout": 0.3, "lr_schedule": "constant", "clipgrad": False},
}
"""What the original does not ask, and what it does not ask for one net (models-and-training.md 3 to 6)."""

PROGRAM_HIGH: Mapping[str, float] = {"ae_dims": 1024, "gan_power": 5}
"""The highest values that the original's program accepts where its guide goes further (quirk Q25)."""


def with_parity(net: str, layer: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of training settings; one that says `parity: dfl` has the original's values under its own. Raises
    SettingRefused for an unknown net."""
    own = {name: value for name, value in layer.items() if value is not None}
    if own.get("parity") != "dfl":
        return own
    known = settings_class(net).model_fields
    return {k: v for k, v in {**_FIXED, **_OF_NET.get(net, {})}.items() if k in known} | own


def beyond_the_program(*settings: Settings) -> Iterator[str]:
    """A sentence for each value that the original's guide allows and its program did not."""
    for name, high in PROGRAM_HIGH.items():
        for s in settings:
            value = getattr(s, name, 0)
            if value > high:
                yield (
                    f"--{name.replace('_', '-')} {value:g} is more than the original's program accepted ({high:g}):"
                    " few have tried it."
                )
