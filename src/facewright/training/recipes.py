"""Recipes: stages of training as data, laid under what the user gives.

`stages` is a list of (until, overrides): until is a share 0..1 of the budget (minutes or iterations), overrides
are training settings that hold up to there. Values and reasons of `quick`: docs/decisions, measured on two cores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from facewright.core.errors import SettingRefused


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named set of values. net: which net's settings they are ("" = any); shape: overrides of its shape."""

    name: str
    help: str
    net: str = ""
    shape: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[tuple[float, Mapping[str, Any]], ...] = ()

    def start(self) -> dict[str, Any]:
        """Training settings of the first stage, as one layer for `core.settings.merge`."""
        return dict(self.stages[0][1]) if self.stages else {}

    def later(self, given: Collection[str] = ()) -> list[list[Any]]:
        """Stages after the first as JSON-able [from share, overrides]; names in `given` stay the user's."""
        found: list[list[Any]] = []
        for (until, _), (_, overrides) in zip(self.stages, self.stages[1:]):
            found.append([until, {k: v for k, v in overrides.items() if k not in given}])
        return found


_SMALL: Mapping[str, Any] = {
    "archi": "df-ud", "ae_dims": 128, "e_dims": 24, "d_dims": 16, "d_mask_dims": 8, "face_type": "full_face",
}
_FAST: Mapping[str, Any] = {
    "batch_size": 8, "optimiser": "adamw", "lr": 2e-3, "lr_schedule": "cosine",
    "rotation_deg": 3.0, "scale": 0.04, "shift": 0.015, "warp_strength": 0.5, "warp_independent": True,
    "random_src_flip": True, "random_dst_flip": False,
    "eyes_mouth_prio": True, "eyes_mouth_weight": 30.0, "mouth_area": "lips",
    "match_colour": True, "ema": True, "ema_decay": 0.998,
}
_WIDER: Mapping[str, Any] = {"rotation_deg": 5.0, "scale": 0.06, "shift": 0.02, "warp_strength": 0.7}
RECIPES: dict[str, Recipe] = {
    r.name: r
    for r in (
        Recipe("original", "The original's values, for long trainings"),
        Recipe("quick", "The best known use of some minutes of processor time", net="saehd",
               shape={**_SMALL, "resolution": 96}, stages=((1.0, _FAST),)),
        Recipe("hour", "The best known use of about an hour: more pixels, wider augmentation", net="saehd",
               shape={**_SMALL, "resolution": 128}, stages=((1.0, {**_FAST, **_WIDER}),)),
    )
}
"""Name -> recipe."""


def recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises SettingRefused with the list."""
    if name not in RECIPES:
        raise SettingRefused(
            f"There is no recipe called {name!r}.", remedy=f"Choose one of: {', '.join(RECIPES)}.", where="--recipe"
        )
    return RECIPES[name]
