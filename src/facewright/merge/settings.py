"""How predicted faces are put into the film. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from facewright.core.settings import Settings, knob

Mode = Literal["overlay", "hist-match", "seamless", "seamless-hist-match", "raw-rgb", "raw-predict", "original"]
Mask = Literal[
    "learned", "learned-prd*learned-dst", "learned-prd", "learned-dst", "learned-prd+learned-dst", "dst", "full"
]  # fmt: skip
Colour = Literal["rct-masked", "rct", "none", "lct", "mkl", "mkl-m", "idt", "idt-m", "sot-m", "mix-m"]
Sharpen = Literal["none", "box", "gaussian"]


class MergeSettings(Settings):
    """Everything that a merge can be told. Facts: data-formats-and-merging.md 8.3 (the names are the original's)."""

    mode: Mode = knob(
        "overlay",
        "How the face meets the frame: overlay blends by the mask; hist-match also matches histograms; seamless keeps "
        "the frame's gradients at the edge; the raw modes show the net's picture; original swaps nothing.",
    )
    mask: Mask = knob(
        "learned",
        "Which pixels are replaced. learned: where both predicted masks are more than a quarter sure; the original's "
        "choices are the swap's own mask (prd), the target's (dst), both, either, the hull (dst), or all (full).",
    )
    hull: bool = knob(True, "Cut the mask by the hull of the target's landmarks too, so that no background leaks in.")
    erode_permille: float = knob(
        20.0, "Shrink the mask by this share of the face square; negative grows it.", low=-2100, high=2100, step=5.0,
        unit="per mille",
    )
    blur_permille: float = knob(
        50.0, "Soften the mask's edge over this share of the face square.", low=0, high=2100, step=5.0, unit="per mille"
    )
    mask_scale: Literal[1, 2, 4] = knob(
        1, "Mask work is done at this multiple of the net's side; the original's 4 costs 16 times as much."
    )
    colour: Colour = knob(
        "rct-masked", "Give the predicted face the colours of the frame; rct is the original's, with its black border."
    )
    seam: int = knob(
        60, "Carry the frame's tone along the mask's edge into the face, so that no step of light shows; not in the "
        "seamless modes, which do so themselves. 0 is the original.", low=0, high=100, unit="%",
    )
    face_scale: float = knob(0.0, "Draw the face smaller (above 0) or larger.", low=-50, high=50, step=1.0, unit="%")
    crop: Literal["auto", "cubic"] = knob(
        "auto", "How the target's face is cut out for the net: auto averages when it shrinks more than twice."
    )
    hist_threshold: int = knob(
        238, "Highest quantile that histogram matching reaches; lower is darker.", low=0, high=255,
        shown_when="mode=hist-match",
    )
    masked_hist: bool = knob(
        True, "Histogram matching leaves out what the mask leaves out.", shown_when="mode=hist-match"
    )
    motion_blur: int = knob(
        0, "Blur along the face's own movement between the neighbouring frames.", low=0, high=100, unit="%"
    )
    sharpen_mode: Sharpen = knob("none", "How positive blur_sharpen sharpens.")
    blur_sharpen: int = knob(0, "Sharpen (above 0) or blur (below 0) the face.", low=-100, high=100)
    denoise: int = knob(0, "Smooth the frame around the face by medians.", low=0, high=500)
    degrade: int = knob(0, "Take detail from the frame around the face.", low=0, high=100)
    colour_degrade: int = knob(0, "Reduce the whole picture to 256 colours, mixed in by this share.", low=0, high=100)
    seed: int = knob(0, "Start of the random colour transfers: the same for every frame, so that nothing flickers.")
    morph: float = knob(
        1.0, "How much of the source's likeness an AMP model shows: 0 the target's own, 1 the source's.", low=0.0,
        high=1.0, step=0.05,
    )
    ema: bool = knob(True, "Use the averaged weights of the run where it has them.")
    device: str = knob("auto", "Where the net runs: auto, cpu, cuda, cuda:1 ...")
    precision: Literal["float32", "bfloat16"] = knob("float32", "Number format of the net while predicting.")
    batch_size: int = knob(8, "Faces predicted at once.", low=1, high=256)
    workers: int = knob(0, "Threads that compose frames; 0 = one per core, at most 4.", low=0, high=64)
    stills: bool = knob(False, "Also write every frame and its mask as PNG (folders merged and mask).")

    @property
    def changes_background(self) -> bool:
        """Whether pixels outside of the mask may change: these settings treat the whole frame."""
        return bool(self.denoise or self.degrade or self.colour_degrade)

    @property
    def raw(self) -> bool:
        """Whether the net's picture is shown as it is."""
        return self.mode.startswith("raw")

    @property
    def seamless(self) -> bool:
        """Whether gradients are cloned instead of pixels."""
        return self.mode.startswith("seamless")

    def mask_pixels(self, permille: float, side_px: int) -> int:
        """A share of the face square in whole pixels of a mask of `side_px`."""
        return round(permille * side_px / 1000.0)


def permille_of(original_px: int, resolution: int) -> float:
    """The original's erode or blur (pixels of its mask of 4 x resolution) as a share of the face square."""
    return original_px * 1000.0 / (4 * resolution)
