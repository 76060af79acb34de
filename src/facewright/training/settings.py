"""What may be set while a net learns: one class per net, the original's values as defaults.

All may differ from one start to the next. Those whose `lock` is "at_start" are read once when training starts; all
others are also taken over by a running job, between two iterations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import model_validator

from facewright.core.errors import SettingRefused
from facewright.core.settings import Settings, Unfit, knob, options
from facewright.models.settings import ShapeSettings

MOST_PASSES = 256
_FACES_SHOWN = 8

T = TypeVar("T", bound="TrainSettings")


class TrainSettings(Settings):
    """Knobs that every net's training has."""

    iterations: int = knob(0, "Stop at this iteration, counted from the run's beginning; 0 = no end", low=0)
    minutes: float = knob(
        0.0, "Stop after so many minutes of training, counted from the run's beginning; 0 = no end", low=0.0, unit="min"
    )
    clock: Literal["wall", "cpu"] = knob(
        "wall", "Count minutes of the clock on the wall, or of used processor time", lock="at_start"
    )
    batch_size: int = knob(
        0, "Faces of each side per iteration; 0 = 8 on a GPU with 4 GB or more, else 4", low=0, high=512,
        lock="at_start",
    )
    pretrain: str = knob(
        "", "Learn faces in general from this FACESET of many people (it needs a record of rights) instead of --src and"
        " --dst. The first start without it ends pretraining: iterations count from 0, the inters begin afresh",
        lock="at_start",
    )
    seed: int = knob(
        0, "Start of every random choice: same seed, same run on the same machine", low=0, high=2**31 - 1,
        lock="at_start",
    )

    optimiser: Literal["adabelief", "rmsprop", "adamw"] = knob(
        "adabelief", "How the net learns: adabelief (usual), rmsprop (less memory), adamw (the recipes of minutes)",
        lock="at_start",
    )
    lr: float = knob(5e-5, "Learning rate: a higher one learns faster and breaks sooner", low=1e-7, high=1e-1)
    lr_schedule: Literal["constant", "cosine", "cycle"] = knob(
        "constant",
        "Course of the learning rate: constant; cosine = 5 % warm-up, then down to 2 % at the end of --minutes or"
        " --iterations; cycle = up and down every 500 iterations (the original's with its learning rate dropout)",
    )
    lr_dropout: float = knob(
        1.0, "Share of the weights that move in one iteration; 1 = all, the original's dropout 0.3", low=0.05, high=1.0
    )
    accumulate: int = knob(
        1, "Passes of --batch-size faces that make one iteration together: larger batches in the same memory", low=1,
        high=MOST_PASSES,
    )
    progressive: float = knob(
        0.0, "Begin with faces of half the side, at a third of the cost, for this share of the budget; 0 = off. For"
        " a new model only", low=0.0, high=0.9, step=0.05,
    )
    clipgrad: bool = knob(False, "Limit the length of the gradient to 1, against collapse")

    ema: bool = knob(True, "Keep a running mean of the weights and use it for preview and merge", lock="at_start")
    ema_decay: float = knob(0.998, "Memory of the running mean", low=0.9, high=0.9999, shown_when="ema")
    precision: Literal["auto", "float32", "bf16"] = knob(
        "auto", "Number format of the convolutions; auto = bf16 where the processor computes it natively",
        lock="at_start",
    )
    device: str = knob(
        "auto", "Where the net learns: auto (the first GPU, else the CPU), cpu, cuda, cuda:1 ...", lock="at_start"
    )
    gpus: int = knob(
        1, "GPUs of this machine that learn together, each from --batch-size faces of its own; processes where there is"
        " no GPU", low=1, high=64, lock="at_start",
    )
    optimiser_device: Literal["auto", "cpu"] = knob(
        "auto", "Where the optimiser keeps its memory: with the net, or in the computer's own, so that a GPU holds"
        " larger nets; then every iteration sends gradients there and weights back", lock="at_start"
    )
    parity: Literal["none", "dfl"] = knob(
        "none", "dfl = as the original trains, where facewright differs on purpose: for a model that was begun there",
        lock="at_start",
    )
    threads: int = knob(0, "Processor threads of the net; 0 = all cores", low=0, high=1024, lock="at_start")

    save_minutes: float = knob(10.0, "Save every so often", low=0.05, high=24 * 60.0, unit="min")
    preview_seconds: float = knob(
        60.0, "Renew the preview picture every so often; 0 = only on request and at the end", low=0.0, high=24 * 3600.0,
        unit="s",
    )
    preview_history: bool = knob(False, "Keep every preview picture in RUN/preview, named by its iteration")
    log_every: int = knob(10, "Iterations between two reports; each waits once for the device", low=1, high=10000)
    autobackup_hours: int = knob(
        0, "Keep a snapshot every N hours, the last 24 of them; 0 = off", low=0, high=24, unit="h"
    )
    plateau: float = knob(
        0.02, "Say when the loss is flat: when half as long again would lower it by less than this share; 0 = never",
        low=0.0, high=0.5, step=0.01,
    )
    on_plateau: Literal["notice", "stop"] = knob("notice", "What follows when the loss is flat", shown_when="plateau")
    on_collapse: Literal["stop", "safer"] = knob(
        "stop", "What follows when the net falls apart, after going back to the last good save: stop and say what is to"
        " blame; or go on by itself with a safer value of that, up to three times",
    )
    keep: int = knob(3, "Newest saves to keep whole", low=1, high=100)
    hold_out: int = knob(
        0, "Keep the last --hold-out-last of every N frames out of training, to measure on; 0 = none", low=0,
        high=10000, unit="frames", lock="at_start",
    )
    hold_out_last: int = knob(
        4, "How many of every --hold-out frames", low=1, high=10000, unit="frames", shown_when="hold_out",
        lock="at_start",
    )

    @model_validator(mode="after")
    def _whole(self) -> TrainSettings:
        if self.lr_schedule == "cosine" and not (self.minutes or self.iterations):
            raise Unfit("The learning rate follows a cosine to an end that is not set.",
                        "Add --minutes 14 or --iterations 5000, for example; or --lr-schedule constant.", "--minutes")
        if self.progressive and not (self.minutes or self.iterations):
            raise Unfit("--progressive is a share of a training whose end is not set.",
                        "Add --minutes 60 or --iterations 5000, for example.", "--progressive")
        if self.optimiser == "adamw" and self.lr_dropout < 1:
            raise Unfit(
                "--lr-dropout does not go with --optimiser adamw.",
                "Leave it out; or learn as the original from here on: --optimiser adabelief --lr 5e-5"
                " --lr-schedule constant.", "--lr-dropout",
            )
        if self.hold_out and self.hold_out_last >= self.hold_out:
            raise Unfit("--hold-out-last leaves nothing of a block of --hold-out frames to learn from.",
                        f"Give at most {self.hold_out - 1}.", "--hold-out-last")
        if self.device not in ("auto", "cpu", "cuda") and not (
            self.device.startswith("cuda:") and self.device[5:].isdigit()
        ):
            raise Unfit(f"--device cannot be {self.device!r}.",
                        "Use auto, cpu, cuda or cuda:N; `facewright doctor` lists what is there.", "--device")
        return self


class SwapTrain(TrainSettings):
    """What all nets that swap faces have in common: how their faces are shown to them."""

    random_warp: bool = knob(True, "Bend the input faces at random; off only for the last refinement")
    warp_strength: float = knob(
        1.0, "How far the bending goes; 1 = the original's", low=0.0, high=2.0, step=0.1, shown_when="random_warp"
    )
    warp_independent: bool = knob(
        False, "Bend along x and along y independently (the original mirrors one into the other)",
        shown_when="random_warp",
    )
    rotation_deg: float = knob(10.0, "Turn each face by up to so much", low=0.0, high=45.0, step=1.0, unit="deg")
    scale: float = knob(0.15, "Enlarge or shrink each face by up to this share", low=0.0, high=0.5, step=0.01)
    shift: float = knob(0.05, "Move each face by up to this share of its side", low=0.0, high=0.25, step=0.005)
    random_src_flip: bool = knob(False, "Mirror source faces now and then")
    random_dst_flip: bool = knob(True, "Mirror target faces now and then")

    uniform_yaw: bool = knob(False, "Show all turns of the head equally often, rare ones too")
    random_hsv_power: float = knob(
        0.0, "Shift hue, saturation and value of the source's inputs at random, against other light; 0 = off", low=0.0,
        high=0.3, step=0.05,
    )
    light_power: float = knob(
        0.0, "Show the inputs of both in other light: shadows, gradients, gamma, exposure; 0 = off, 1 = harsh", low=0.0,
        high=1.0, step=0.05,
    )
    degrade_power: float = knob(
        0.0, "Show the inputs of both as worse cameras would: motion blur, low resolution, noise, JPEG; 0 = off",
        low=0.0, high=1.0, step=0.05,
    )
    ct_mode: Literal["none", "rct", "lct", "mkl", "idt", "sot"] = knob(
        "none", "Give each source face the colours of a random target face: moves its skin tone and light over"
    )

    eyes_mouth_prio: bool = knob(False, "Weigh eyes and mouth more")
    eyes_mouth_weight: float = knob(
        300.0, "Weight of eyes and mouth beside the face; 300 = the original's", low=0.0, high=1000.0, step=10.0,
        shown_when="eyes_mouth_prio",
    )
    mouth_area: Literal["inner", "lips"] = knob(
        "inner", "inner: the inner lips count as mouth (the original); lips: all of them, and the mask keeps lips that"
        " stand out on a turned head", lock="at_start"
    )
    match_colour: bool = knob(
        False, "Move the source's colours to the target's statistics once, before training: no seam of skin tones,"
        " but the source's own skin tone is given up", lock="at_start"
    )

    preview_src: str = knob(
        "", "Frames of the source whose faces the preview shows, such as 12,340,77; empty = four, spread evenly"
    )
    preview_dst: str = knob("", "Frames of the target whose faces the preview shows; each row is one of both")

    checkpoint_decoder: bool = knob(
        False, "Keep fewer results of the net and compute them again: a larger net or batch in the same memory, at 1.3"
        " times the time"
    )
    memory_format: Literal["contiguous", "channels_last"] = knob(
        "contiguous", "Order of a picture's numbers in memory: by channel, or by pixel; only the speed differs, try it"
    )
    compile: bool = knob(
        False, "Translate the net for this machine first, which takes a minute and needs a compiler; on processors it"
        " was slower", lock="at_start"
    )

    @model_validator(mode="after")
    def _frames_are_numbers(self) -> SwapTrain:
        for name in ("preview_src", "preview_dst"):
            parts = [part.strip() for part in getattr(self, name).split(",") if part.strip()]
            if len(parts) > _FACES_SHOWN or not all(part.isascii() and part.isdigit() for part in parts):
                flag = "--" + name.replace("_", "-")
                raise Unfit(f"{flag} cannot be {getattr(self, name)!r}.",
                            f"Give up to {_FACES_SHOWN} frame numbers, such as 12,340,77.", flag)
        return self

    @model_validator(mode="after")
    def _one_colour_move(self) -> SwapTrain:
        if self.match_colour and self.ct_mode != "none":
            raise Unfit("--match-colour and --ct-mode both move the source's colours.",
                        "Choose one of them: --no-match-colour or --ct-mode none.", "--ct-mode")
        return self


class AdversarialTrain(SwapTrain):
    """What SAEHD and AMP have in common: a blurred surrounding and a discriminator."""

    blur_out_mask: bool = knob(False, "Blur what lies just outside the mask in the targets")
    gan_power: float = knob(
        0.0, "Sharpen with a discriminator, at the end of a training and without random_warp; 0 = off, 0.1 is usual",
        low=0.0, high=10.0, step=0.05,
    )
    gan_patch_size: int = knob(
        0, "How large a patch the discriminator judges; 0 = an eighth of the face; another value starts it afresh",
        low=0, high=640, unit="px", shown_when="gan_power",
    )
    gan_dims: int = knob(
        16, "Channels of the discriminator; another value starts it afresh", low=4, high=512, shown_when="gan_power"
    )
    adversary_pass: Literal["shared", "fresh"] = knob(
        "shared", "Discriminators learn from the net's own pass, or from a fresh one after its step (the original's)"
    )

    @model_validator(mode="after")
    def _patch_is_possible(self) -> AdversarialTrain:
        if 0 < self.gan_patch_size < 3:
            raise Unfit(f"--gan-patch-size cannot be {self.gan_patch_size}.",
                        "Give at least 3, or 0 for an eighth of the face.", "--gan-patch-size")
        return self


class SaehdTrain(AdversarialTrain):
    """Training of SAEHD: the original's defaults."""

    begin_with: Literal["random", "drawn-heads"] = knob(
        "random", "What a new net begins with: random numbers, or weights that learned drawn heads, which come along"
        " for the shape of the recipe quick, at any resolution", lock="at_start",
    )
    masked_training: bool = knob(True, "Judge the face inside its mask only; the rest is left to chance")
    true_face_power: float = knob(
        0.0, "df nets: push the source's codes towards the target's, for more of the source's looks; 0 = off, 0.01 is"
        " usual, more risks the expressions", low=0.0, high=1.0, step=0.01,
    )
    face_style_power: float = knob(
        0.0, "Pull the swap's colours inside the mask towards the target's; 0 = off, above 10 risks artefacts",
        low=0.0, high=100.0, step=0.1,
    )
    bg_style_power: float = knob(
        0.0, "Pull what surrounds the swap's face towards the target's picture; 0 = off", low=0.0, high=100.0, step=0.1
    )


class AmpTrain(AdversarialTrain):
    """Training of AMP: the original's defaults; always judged inside the mask."""

    eyes_mouth_prio: bool = knob(True, "Weigh eyes and mouth more")
    train_inters: bool = knob(
        False, "Let the two inters learn too; off keeps their random start, as the original's models do"
    )


class Quick96Train(SwapTrain):
    """Training of Quick96, which asks nothing: the original's fixed values."""

    batch_size: int = knob(4, "Faces of each side per iteration", low=1, high=512, lock="at_start")
    optimiser: Literal["adabelief", "rmsprop", "adamw"] = knob(
        "rmsprop", "How gradients become changes of weights", lock="at_start"
    )
    lr: float = knob(2e-4, "Learning rate", low=1e-7, high=1e-1)
    lr_dropout: float = knob(0.3, "Share of the weights that move in one iteration; 1 = all", low=0.05, high=1.0)
    scale: float = knob(0.05, "Enlarge or shrink each face by up to this share", low=0.0, high=0.5, step=0.01)
    random_dst_flip: bool = knob(False, "Mirror target faces now and then")
    reuse_batches: bool = knob(True, "Every third iteration shows the last batch again, unbent")


class XSegTrain(TrainSettings):
    """Training of XSeg: the original's fixed values. Its samples are disturbed in a way of their own."""

    batch_size: int = knob(4, "Faces per iteration", low=1, high=512, lock="at_start")
    optimiser: Literal["adabelief", "rmsprop", "adamw"] = knob(
        "rmsprop", "How gradients become changes of weights", lock="at_start"
    )
    lr: float = knob(1e-4, "Learning rate", low=1e-7, high=1e-1)
    lr_dropout: float = knob(0.3, "Share of the weights that move in one iteration; 1 = all", low=0.05, high=1.0)


PRETRAINING: Mapping[str, object] = {
    "random_warp": False, "random_src_flip": True, "random_dst_flip": True, "uniform_yaw": True, "lr_dropout": 1.0,
    "random_hsv_power": 0.0, "ct_mode": "none", "match_colour": False, "gan_power": 0.0, "true_face_power": 0.0,
    "face_style_power": 0.0, "bg_style_power": 0.0,
}
"""What holds while a swapping net is pretrained, whatever is set: models-and-training.md 3.6, and true face (Q8)."""


def in_effect(s: T) -> T:
    """The settings that training goes by: those of `s`, and while pretraining those that are fixed then."""
    if not s.pretrain or not isinstance(s, SwapTrain):
        return s
    fixed = {name: value for name, value in PRETRAINING.items() if hasattr(s, name)}
    if s.lr_schedule == "cycle":
        fixed["lr_schedule"] = "constant"  # the original's comes and goes with its learning rate dropout
    return s.model_copy(update=fixed)


TRAIN_SETTINGS: dict[str, type[TrainSettings]] = {
    "saehd": SaehdTrain, "quick96": Quick96Train, "amp": AmpTrain, "xseg": XSegTrain,
}
"""Net name -> class of its training settings."""

AT_START = frozenset(o.name for cls in TRAIN_SETTINGS.values() for o in options(cls) if o.lock == "at_start")
"""Settings that take effect when training starts the next time, never in the middle of a run of the program."""


def settings_class(net: str) -> type[TrainSettings]:
    """The training settings of net `net`. Raises SettingRefused with the list of nets."""
    if net not in TRAIN_SETTINGS:
        raise SettingRefused(
            f"There is no net called {net!r}.", remedy=f"Choose one of: {', '.join(TRAIN_SETTINGS)}.", where=net
        )
    return TRAIN_SETTINGS[net]


def suits(s: TrainSettings, shape: ShapeSettings) -> None:
    """Raise SettingRefused when a net of this shape cannot be trained with these settings."""
    archi = getattr(shape, "archi", "")
    if getattr(s, "true_face_power", 0) and not archi.startswith("df"):
        raise SettingRefused(
            "--true-face-power works with df nets only.", why=f"In a {archi} net both people share their codes.",
            remedy="Set it to 0, or start a run with --archi df-ud.", where="--true-face-power",
        )


def live(now: TrainSettings, wanted: TrainSettings) -> None:
    """Raise SettingRefused when `wanted` changes something that a running training cannot take over."""
    stuck = [n for n in sorted(AT_START) if getattr(now, n, None) != getattr(wanted, n, None)]
    if stuck:
        flag = "--" + stuck[0].replace("_", "-")
        raise SettingRefused(
            f"{flag} cannot change while training runs.", why="It is read once, when training starts.",
            remedy=f"Stop the job, then train again with {flag}; nothing learned is lost.", where=flag,
        )
