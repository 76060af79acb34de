"""What every net of the house offers, and the registry of nets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facewright.core.errors import SettingRefused
from facewright.core.registry import Plug, Registry
from facewright.models.autoencoder import Computing, Decoder, Encoder
from facewright.models.settings import ShapeSettings

M = TypeVar("M", bound=nn.Module)
S = TypeVar("S")

NETS = Registry("nets")
NETS.add(Plug("saehd", "facewright.models.saehd:Saehd", "Autoencoder of every size: df or liae, letters u d t c."))
NETS.add(Plug("quick96", "facewright.models.quick96:Quick96", "Small fixed df-ud net of 96 px for a first look."))
NETS.add(Plug("amp", "facewright.models.amp:Amp", "One decoder over mixed codes: the likeness can be dosed later."))
NETS.add(Plug("xseg", "facewright.models.xseg:XSeg", "Draws the mask of a face of 256 px; makes no faces."))


@dataclass(frozen=True, slots=True)
class Views:
    """What one forward pass shows. Named whose decoder _ whose face; (B, 3, R, R) and (B, 1, R, R) float32 0..1, BGR.

    What no loss of the plain objective looks at is None unless asked for:
    src_dst and src_dst_mask, the swap (source's looks, target's expression);
    src_dst_styled (B, 3, R, R), the swap's face made from a code without gradient: what a loss of it changes is the
    decoder alone;
    src_code, dst_code (B, C, H, W), what the inter of a df net makes.
    """

    src_src: Tensor
    src_src_mask: Tensor
    dst_dst: Tensor
    dst_dst_mask: Tensor
    src_dst: Tensor | None = None
    src_dst_mask: Tensor | None = None
    src_dst_styled: Tensor | None = None
    src_code: Tensor | None = None
    dst_code: Tensor | None = None


class Swap(NamedTuple):
    """The merge's answer: image (B, 3, R, R), mask_swap and mask_own (B, 1, R, R), float32 0..1, BGR."""

    image: Tensor
    mask_swap: Tensor
    mask_own: Tensor


class Net(nn.Module):
    """A face-swapping net. Inputs are BGR, NCHW, float32 in 0..1; callers flip from the house's RGB.

    Friendly to autocast: dense layers, normalisation and outputs stay float32. `forward` also takes faces of
    `half_side` px and makes such: convolutions do not mind, and between them and the dense layers maps are fitted.
    """

    name: str
    resolution: int
    face_type: str
    settings: ShapeSettings

    @abstractmethod
    def forward(
        self, src: Tensor, dst: Tensor, *, swap: bool = False, codes: bool = False, style: bool = False
    ) -> Views:
        """Faces of both people (B, 3, R, R) -> Views; `swap` also runs the swap (previews, background style),
        `codes` keeps the codes (true face), `style` also makes src_dst_styled with src_dst_mask (face style; without
        `swap` that mask has no gradient to the code).

        Raises ValueError where the net has no such thing.
        """

    @abstractmethod
    def swap(self, face: Tensor, morph: float | Tensor = 1.0) -> Swap:
        """Target faces (B, 3, R, R) -> the source's likeness with its mask, and the target's own mask.

        `morph`: how much of the likeness, 0..1; nets that cannot dose it ignore it.
        """

    @property
    @abstractmethod
    def code_side(self) -> int:
        """Side of the code that a decoder enlarges."""

    @property
    def half_side(self) -> int:
        """Pixels: about half of the resolution, so many that a whole number of code cells makes them."""
        return (self.code_side + 1) // 2 * (self.resolution // self.code_side)

    def fitted(self, code: Tensor, seen: Tensor) -> Tensor:
        """The code (B, C, H, W), made as small as the faces `seen` (B, 3, h, h) are, by means of its cells."""
        side = seen.shape[-1] * self.code_side // self.resolution
        return code if side == self.code_side else F.adaptive_avg_pool2d(code, side)

    def compute(self, how: Computing) -> None:
        """Change how encoder and decoders compute, from the next pass on."""
        for module in self.modules():
            if isinstance(module, Encoder | Decoder):
                module.computing = how

    @abstractmethod
    def trainable(self, random_warp: bool) -> list[tuple[str, nn.Parameter]]:
        """Named parameters that the main optimiser moves, in the order of creation."""

    def parts(self) -> dict[str, nn.Module]:
        """The nets within the net (encoder, inter ..., decoder ...), one file each in the original."""
        return dict(self.named_children())


def build(name: str, settings: ShapeSettings, *, seed: int = 0) -> Net:
    """A fresh net that swaps faces, see `fresh`. Raises SettingRefused for an unknown name and for one that does not
    swap (xseg: `fresh(XSeg, settings)`)."""
    net = fresh(NETS.load(name), settings, seed=seed)
    if not isinstance(net, Net):
        raise SettingRefused(
            f"{name} makes masks, not faces.", remedy=f"Choose a net that swaps: {', '.join(_swapping())}.", where=name
        )
    return net


def fresh(factory: Callable[[S], M], settings: S, *, seed: int = 0) -> M:
    """Any net of the house with start values drawn from `seed`: same seed, same values; the global generator is
    untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory(settings)


def _swapping() -> list[str]:
    return [name for name in NETS.names() if name != "xseg"]
