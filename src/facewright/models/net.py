"""What every net of the house offers, and the registry of nets."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from facewright.core.registry import Plug, Registry
from facewright.models.settings import ShapeSettings

NETS = Registry("nets")
NETS.add(Plug("saehd", "facewright.models.saehd:Saehd", "Autoencoder of every size: df or liae, letters u d t c."))
NETS.add(Plug("quick96", "facewright.models.quick96:Quick96", "Small fixed df-ud net of 96 px for a first look."))


@dataclass(frozen=True, slots=True)
class Views:
    """What one forward pass shows. Named whose decoder _ whose face; (B, 3, R, R) and (B, 1, R, R) float32 0..1, BGR.

    src_dst is the swap (source's looks, target's expression); None unless asked for, as no loss of the plain
    objective looks at it.
    """

    src_src: Tensor
    src_src_mask: Tensor
    dst_dst: Tensor
    dst_dst_mask: Tensor
    src_dst: Tensor | None = None
    src_dst_mask: Tensor | None = None


class Swap(NamedTuple):
    """The merge's answer: image (B, 3, R, R), mask_swap and mask_own (B, 1, R, R), float32 0..1, BGR."""

    image: Tensor
    mask_swap: Tensor
    mask_own: Tensor


class Net(nn.Module):
    """A face-swapping net. Inputs are BGR, NCHW, float32 in 0..1; callers flip from the house's RGB.

    Friendly to autocast: dense layers, normalisation and outputs stay float32.
    """

    name: str
    resolution: int
    face_type: str
    settings: ShapeSettings

    @abstractmethod
    def forward(self, src: Tensor, dst: Tensor, *, swap: bool = False) -> Views:
        """Faces of both people (B, 3, R, R) -> Views; `swap=True` also runs the swap (previews, style losses)."""

    @abstractmethod
    def swap(self, face: Tensor) -> Swap:
        """Target faces (B, 3, R, R) -> the source's likeness with its mask, and the target's own mask."""

    @abstractmethod
    def trainable(self, random_warp: bool) -> list[tuple[str, nn.Parameter]]:
        """Named parameters that the main optimiser moves, in the order of creation."""

    def parts(self) -> dict[str, nn.Module]:
        """The nets within the net (encoder, inter ..., decoder ...), one file each in the original."""
        return dict(self.named_children())


def build(name: str, settings: ShapeSettings, *, seed: int = 0) -> Net:
    """A fresh net with start values drawn from `seed` (same seed, same values; the global generator is untouched).

    Raises SettingRefused for an unknown name.
    """
    factory = NETS.load(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast(Net, factory(settings))
