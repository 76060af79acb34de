"""Other light and worse cameras for what a net sees, never for what it should make of it.

A net that has met a face in shadow, in noise and behind a codec's blocks draws it clean all the same. Everything works
on a whole batch on the training's device; what befalls a sample is a function of its own raw draws, as everywhere in
batches.py. Each effect comes upon half of the faces, and as strongly as the power and its own dice say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Effect = Callable[[Tensor, Tensor, float], Tensor]
"""(n, 3, R, R) BGR 0..1, raw draws (n, k) 0..1, power 0..1 -> pictures, not yet clipped."""

SHARE = 0.5
"""How many of the faces an effect comes upon."""

DEEPEST, STEEPEST = 0.75, 0.6
"""What the darkest shadow takes away; how much brighter and darker the ends of a gradient are (exp of it)."""
GAMMA, EXPOSURE = 0.5, 0.4
"""Logarithms of the strongest gamma and of the strongest gain, either way."""
LONGEST = 1 / 16
"""The longest motion blur, as a share of the picture's side."""
SMALLEST = 1 / 4
"""The smallest that a picture is made before it is enlarged again."""
NOISIEST = 0.06
"""Standard deviation of the strongest noise."""
WORST_QUALITY = 15.0
"""JPEG quality, 100 is best."""
_NODES = 4


def lit(images: Tensor, uniform: np.ndarray, power: float) -> Tensor:
    """(B, 3, R, R) float32 BGR 0..1 in other light: soft shadows, a gradient, gamma, exposure; clipped, a new tensor.

    uniform (B, LIGHT_DRAWS) in 0..1; power 0..1.
    """
    return _some(images, uniform, power, _LIGHT)


def worn(images: Tensor, uniform: np.ndarray, power: float) -> Tensor:
    """The same as a worse camera saw it: motion blur, low resolution, noise, JPEG, in this order.

    uniform (B, WEAR_DRAWS) in 0..1; power 0..1.
    """
    return _some(images, uniform, power, _WEAR)


def _some(images: Tensor, uniform: np.ndarray, power: float, effects: Sequence[tuple[Effect, int]]) -> Tensor:
    """Each effect upon its faces: a column that chooses, then the effect's own ones."""
    images, first = images.clone(), 0
    for effect, count in effects:
        chosen = np.flatnonzero(uniform[:, first] < SHARE)
        if len(chosen):
            own = torch.from_numpy(uniform[chosen, first + 1 : first + 1 + count]).float().to(images.device)
            rows = torch.from_numpy(chosen).to(images.device)
            images[rows] = effect(images[rows], own, power).clamp_(0, 1)
        first += 1 + count
    return images


def _columns(u: Tensor, count: int) -> list[Tensor]:
    """The first `count` draws, (n, 1, 1, 1) each."""
    return [u[:, k].view(-1, 1, 1, 1) for k in range(count)]


def shaded(images: Tensor, u: Tensor, power: float) -> Tensor:
    """The shadow of something irregular: a smooth random field, cut at a random height by a hard or soft edge."""
    depth, height, softness = _columns(u, 3)
    nodes = u[:, 3 : 3 + _NODES**2].view(-1, 1, _NODES, _NODES)
    field = F.interpolate(nodes, images.shape[-2:], mode="bicubic", align_corners=True)
    inside = torch.sigmoid((field - 0.25 - 0.5 * height) / (0.02 + 0.15 * softness))
    return images * (1 - DEEPEST * power * (0.3 + 0.7 * depth) * inside)


def sloped(images: Tensor, u: Tensor, power: float) -> Tensor:
    """Light from one side."""
    angle, amount = _columns(u, 2)
    axis = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    angle = 2 * math.pi * angle
    along = torch.cos(angle) * axis + torch.sin(angle) * axis[:, None]
    return images * torch.exp(STEEPEST * power * amount * along)


def bent_tones(images: Tensor, u: Tensor, power: float) -> Tensor:
    """Another gamma."""
    (amount,) = _columns(u, 1)
    return images.clamp(min=1e-6) ** torch.exp(GAMMA * power * (2 * amount - 1))


def exposed(images: Tensor, u: Tensor, power: float) -> Tensor:
    """Brighter or darker; what is too bright is lost."""
    (amount,) = _columns(u, 1)
    return images * torch.exp(EXPOSURE * power * (2 * amount - 1))


def moved(images: Tensor, u: Tensor, power: float) -> Tensor:
    """Motion blur along a straight line of any direction."""
    length, angle = _columns(u, 2)
    n, channels, side, _ = images.shape
    longest = LONGEST * side * power
    reach = math.ceil(longest / 2)
    axis = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    angle = math.pi * angle
    along = torch.cos(angle) * axis + torch.sin(angle) * axis[:, None]
    across = torch.cos(angle) * axis[:, None] - torch.sin(angle) * axis
    # A line one pixel wide with soft ends. Even the shortest blurs a little: it fades in.
    kernel = (1 - across.abs()).clamp(0, 1) * (length * longest / 2 + 1 - along.abs()).clamp(0, 1)
    kernel = (kernel / kernel.sum((2, 3), keepdim=True)).repeat_interleave(channels, 0)
    planes = F.pad(images, (reach,) * 4, mode="replicate").flatten(0, 1)[None]
    blurred = F.conv2d(planes, kernel, groups=n * channels).view_as(images)
    return torch.lerp(images, blurred, (length * longest).clamp(max=1))


def coarse(images: Tensor, u: Tensor, power: float) -> Tensor:
    """Made smaller by areas and enlarged again by straight lines, by any factor: M X M', M = (enlarge) (shrink)."""
    side = images.shape[-1]
    factor = 1 + (1 / SMALLEST - 1) * power * u[:, 0].view(-1, 1, 1)
    pixel = torch.arange(side, dtype=torch.float32, device=images.device)
    cell = pixel[:, None]
    # Cell k is the mean of the pixels that it covers, k factor .. (k + 1) factor; cells beyond the picture are empty.
    covered = torch.minimum((cell + 1) * factor, pixel + 1) - torch.maximum(cell * factor, pixel)
    shrink = covered.clamp(min=0)
    shrink = shrink / shrink.sum(2, keepdim=True).clamp(min=1e-6)
    last = torch.ceil(side / factor - 1e-4) - 1
    place = ((cell + 0.5) / factor - 0.5).clamp(min=0).minimum(last)
    enlarge = (1 - (place - pixel).abs()).clamp(min=0)
    both = (enlarge @ shrink).unsqueeze(1)
    return both @ images @ both.transpose(2, 3)


def noisy(images: Tensor, u: Tensor, power: float) -> Tensor:
    """Noise of a sensor: more or less coloured, fine or in grains."""
    amount, colour, grain, key = _columns(u, 4)
    side = images.shape[-1]
    fine = _bell((key * 2**24).int(), (3, side, side))
    grains = 3 * F.avg_pool2d(F.pad(fine, (1, 1, 1, 1), mode="replicate"), 3, 1)
    noise = torch.lerp(fine, grains, grain)
    grey = noise.sum(1, keepdim=True) / math.sqrt(3)
    return images + NOISIEST * power * amount * torch.lerp(grey, noise, colour)


def _bell(key: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Noise of mean 0 and deviation 1, (n, *shape), nearly normal, a function of key (n, 1, 1, 1) int32 and place
    alone: the same on every device and in every batch. The four bytes of a mixed counter (murmur3's finaliser, in
    signed numbers that run over), added."""
    x = torch.arange(math.prod(shape), dtype=torch.int32, device=key.device).view(1, *shape) + key * -0x61C8864F
    x = (x ^ (x >> 16 & 0xFFFF)) * -0x7A143595
    x = (x ^ (x >> 13 & 0x7FFFF)) * -0x3D4D51CB
    x = x ^ (x >> 16 & 0xFFFF)
    total = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24 & 255)
    return (total.float() - 510) / math.sqrt(4 * (256**2 - 1) / 12)


def pressed(images: Tensor, u: Tensor, power: float) -> Tensor:
    """JPEG with halved colour (4:2:0): what its quantisation leaves of the pictures, at any side."""
    quality = 100 - (100 - WORST_QUALITY) * power * u[:, 0].view(-1, 1, 1, 1)
    return jpeg(images, quality)


_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *(99,) * 32,
)
"""Quantisation at quality 50: ITU-T T.81, annex K."""
_BGR_FROM_YCC = ((1.0, 1.772, 0.0), (1.0, -0.344136, -0.714136), (1.0, 0.0, 1.402))
_YCC_FROM_BGR = ((0.114, 0.587, 0.299), (0.5, -0.331264, -0.168736), (-0.081312, -0.418688, 0.5))


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """(n, 3, H, W) BGR 0..1 -> what a JPEG of them decodes to. quality (n, 1, 1, 1) 1..100, as libjpeg counts it."""
    height, width = images.shape[-2:]
    matrix = images.new_tensor(_YCC_FROM_BGR)
    picture = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc = torch.einsum("kc,nchw->nkhw", matrix, picture) * 255
    luma = _quantised(ycc[:, :1] - 128, quality, _LUMA) + 128
    chroma = _quantised(F.avg_pool2d(ycc[:, 1:], 2), quality, _CHROMA)
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    back = images.new_tensor(_BGR_FROM_YCC)
    made = torch.einsum("ck,nkhw->nchw", back, torch.cat([luma, chroma], 1)) / 255
    return made[..., :height, :width]


def _quantised(planes: Tensor, quality: Tensor, table: tuple[int, ...]) -> Tensor:
    """(n, c, H, W) in steps of 1/255, H and W multiples of 8: each block's cosine transform, rounded."""
    n, channels, height, width = planes.shape
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).unsqueeze(-1).unsqueeze(-1)
    steps = torch.floor((planes.new_tensor(table).view(8, 8) * scale + 50) / 100).clamp(1, 255)
    cosine = _cosine().to(planes.device)
    blocks = planes.view(n, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    kept = torch.round(cosine @ blocks @ cosine.T / steps) * steps
    return (cosine.T @ kept @ cosine).transpose(3, 4).reshape(n, channels, height, width)


def _cosine() -> Tensor:
    """The orthonormal cosine transform of eight values, (8, 8)."""
    k, x = torch.arange(8.0)[:, None], torch.arange(8.0)
    rows = torch.cos((2 * x + 1) * k * math.pi / 16) / 2
    rows[0] /= math.sqrt(2)
    return rows


_LIGHT: tuple[tuple[Effect, int], ...] = ((shaded, 3 + _NODES**2), (sloped, 2), (bent_tones, 1), (exposed, 1))
_WEAR: tuple[tuple[Effect, int], ...] = ((moved, 2), (coarse, 1), (noisy, 4), (pressed, 1))
"""Effects in their order, with the number of their draws."""

LIGHT_DRAWS = sum(1 + count for _, count in _LIGHT)
WEAR_DRAWS = sum(1 + count for _, count in _WEAR)
"""Raw draws of one sample."""
