"""What is tried: one arm = the default of FW-bench leg T with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEED = 1
"""Of every arm but the A/A ones after the first."""

_ORIGINAL_AUGMENTATION = {
    "rotation_deg": 10.0, "scale": 0.15, "shift": 0.05, "warp_strength": 1.0, "warp_independent": False,
}
_ORIGINAL = {
    **_ORIGINAL_AUGMENTATION, "optimiser": "adabelief", "lr": 5e-5, "lr_schedule": "constant", "batch_size": 8,
    "random_src_flip": False, "random_dst_flip": True, "eyes_mouth_prio": False, "mouth_area": "inner",
    "match_colour": False, "ema": False, "precision": "float32", "adversary_pass": "fresh", "parity": "dfl",
}


@dataclass(frozen=True, slots=True)
class Arm:
    """why: what it answers. settings, shape: what is changed. late: (share of the budget, settings from there on).
    hook: an experiment of hooks.py that the product has not. recipe: whose values are changed."""

    name: str
    why: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, Any] = field(default_factory=dict)
    late: tuple[float, Mapping[str, Any]] | None = None
    hook: str = ""
    recipe: str = "quick"
    seed: int = SEED

    @property
    def changed(self) -> dict[str, Any]:
        """All that differs from the default, for the record."""
        found: dict[str, Any] = {**self.settings, **self.shape}
        if self.recipe != "quick":
            found["recipe"] = self.recipe
        if self.late:
            found["late"] = [self.late[0], dict(self.late[1])]
        if self.hook:
            found["hook"] = self.hook
        if self.seed != SEED:
            found["seed"] = self.seed
        return found

    @property
    def is_noise(self) -> bool:
        """Whether it is one of those that tell how large chance is."""
        return self.name.startswith("aa-")


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("aa-1", "the default"),
        Arm("aa-2", "the default, another seed", seed=2),
        Arm("aa-3", "the default, another seed", seed=3),
        Arm("parity-dfl", "the original's values and ways, at the same size", _ORIGINAL, recipe="original"),
        # What is better than the original, one by one taken back.
        Arm("float32", "without bf16", {"precision": "float32"}),
        Arm("ema-off", "weights as they are instead of their running mean", {"ema": False}),
        Arm("colour-off", "source in its own colours", {"match_colour": False}),
        Arm("source-not-mirrored", "source never mirrored", {"random_src_flip": False}),
        Arm("augmentation-original", "the original's turns, shifts and warp", _ORIGINAL_AUGMENTATION),
        Arm("augmentation-wider", "those of the recipe for an hour",
            {"rotation_deg": 5.0, "scale": 0.06, "shift": 0.02, "warp_strength": 0.7}),
        Arm("unmasked", "the whole square judged, not the face inside its mask", {"masked_training": False}),
        Arm("eyes-mouth-off", "eyes and mouth weigh no more", {"eyes_mouth_prio": False}),
        Arm("batch-4", "half the faces an iteration", {"batch_size": 4}),
        Arm("accumulate-2", "two passes an iteration", {"accumulate": 2}),
        Arm("clip-off", "gradients as long as they are", {"clipgrad": False}),
        # Options that are not the default.
        Arm("liae-ud", "shared inter", shape={"archi": "liae-ud"}),
        Arm("liae-ud-lr-double", "shared inter at twice the rate", {"lr": 2e-3}, {"archi": "liae-ud"}),
        Arm("progressive-third", "half the side for the first third", {"progressive": 0.35}),
        Arm("progressive-third-lr-double", "the same at twice the rate", {"progressive": 0.35, "lr": 2e-3}),
        Arm("progressive-half", "half the side for the first half", {"progressive": 0.5}),
        Arm("warp-off-late", "no warp in the last third", late=(0.667, {"random_warp": False})),
        Arm("light", "inputs in other light", {"light_power": 0.5}),
        Arm("degrade", "inputs as worse cameras show them", {"degrade_power": 0.5}),
        Arm("hsv", "source's inputs in other colours", {"random_hsv_power": 0.1}),
        Arm("uniform-yaw", "rare turns as often as common ones", {"uniform_yaw": True}),
        Arm("channels-last", "pixels instead of planes", {"memory_format": "channels_last"}),
        Arm("checkpoint-decoder", "computed twice instead of kept", {"checkpoint_decoder": True}),
        Arm("rmsprop", "RMSprop at half the rate", {"optimiser": "rmsprop", "lr": 5e-4}),
        Arm("adabelief", "AdaBelief at half the rate", {"optimiser": "adabelief", "lr": 5e-4}),
        Arm("lr-double", "twice the rate", {"lr": 2e-3}),
        Arm("lr-dropout", "the original's dropout of updates, at AdaBelief's rate",
            {"optimiser": "adabelief", "lr": 5e-4, "lr_dropout": 0.3}),
        Arm("l1", "absolute instead of squared differences of pixels", hook="l1"),
        Arm("face-features", "features of a face detector that the judge does not use", hook="face-features"),
        Arm("true-face", "discriminator of codes", {"true_face_power": 0.01}),
        Arm("true-face-fresh", "the same, learning from a pass of its own",
            {"true_face_power": 0.01, "adversary_pass": "fresh"}),
        Arm("gan-late", "discriminator of patches in the last third", late=(0.667, {"gan_power": 0.1})),
        Arm("gan-late-fresh", "the same, learning from a pass of its own", {"adversary_pass": "fresh"},
            late=(0.667, {"gan_power": 0.1})),
    )
}
"""Name -> arm, A/A first: without them no difference can be judged."""


def chosen(names: list[str]) -> list[Arm]:
    """Arms by name, `all`, or a beginning with a star (`aa-*`), in the order given. Raises KeyError with the list."""
    wanted: dict[str, Arm] = {}
    for name in names:
        found = [n for n in ARMS if name == "all" or n == name or (name.endswith("*") and n.startswith(name[:-1]))]
        if not found:
            raise KeyError(f"There is no arm {name!r}. There are: {', '.join(ARMS)}.")
        wanted |= {n: ARMS[n] for n in found}
    return list(wanted.values())
