"""Endless batches without any state: batch i is a function of (seed, i, settings), whoever makes it, whenever.

Every sample draws from a counter-based generator keyed by (seed, side, iteration, slot), so a resumed run sees the
same batches as an undisturbed one, and the number of workers does not matter.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch

from facewright.training import augment
from facewright.training.augment import Geometry
from facewright.training.samples import CHANNELS, MASK, PRIORITY, Samples, colour_map
from facewright.training.settings import TrainSettings

SRC, DST = 0, 1
_ORDER = 1 << 32
"""Mark of the streams that order an epoch, apart from those that move a sample."""
FLIP_SHARE = 0.4
"""The original mirrors 40 % (quirk Q16, kept)."""
_RESIDENT_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Side:
    """One person's half of a batch on the device, float32 0..1, BGR.

    input, target (N, 3, R, R): what the net sees, and what it should make of it; mask, priority (N, 1, R, R).
    """

    input: torch.Tensor
    target: torch.Tensor
    mask: torch.Tensor
    priority: torch.Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """What one iteration learns from."""

    src: Side
    dst: Side


def order(seed: int, side: int, count: int, first: int, n: int) -> np.ndarray:
    """Places first .. first+n of an endless sequence of shuffled epochs over 0..count-1 -> (n,) int64."""
    places = np.arange(first, first + n)
    out = np.empty(n, np.int64)
    for epoch in np.unique(places // count):
        here = places // count == epoch
        out[here] = _shuffled(seed, side, count, int(epoch))[places[here] % count]
    return out


@lru_cache(maxsize=8)  # a millisecond for 60,000 faces; an epoch lasts thousands of calls
def _shuffled(seed: int, side: int, count: int, epoch: int) -> np.ndarray:
    key = np.random.Philox(key=[seed, _ORDER + side], counter=[0, 0, 0, epoch])
    return np.random.Generator(key).permutation(count)


def draws(seed: int, side: int, iteration: int, slot: int) -> tuple[np.ndarray, np.ndarray]:
    """One sample's raw randomness: six uniforms (turn, scale, x, y, mirror, cell) and warp noise
    (2, NODES-2, NODES-2), standard normal cut at 2.5 and divided by it. Independent of every setting."""
    rng = np.random.Generator(np.random.Philox(key=[seed, side], counter=[0, 0, slot, iteration]))
    uniform = rng.random(6)
    inner = augment.NODES - 2
    normal = np.empty(0)
    while len(normal) < 2 * inner * inner:
        more = rng.standard_normal(2 * inner * inner + 16)
        normal = np.concatenate([normal, more[np.abs(more) <= 2.5]])
    return uniform, (normal[: 2 * inner * inner] / 2.5).reshape(2, inner, inner)


def geometry(s: TrainSettings, side: int, iteration: int, batch: int, resolution: int) -> Geometry:
    """The random geometry of one side's batch (models-and-training.md 3.2)."""
    raw = [draws(s.seed, side, iteration, slot) for slot in range(batch)]
    u = np.stack([r[0] for r in raw])
    low = 1.0 / (1.0 + s.scale)
    spread = 2.0 * u[:, :4] - 1.0
    matrix = augment.forward_affine(
        resolution, spread[:, 0] * s.rotation_deg, low + u[:, 1] * (1.0 + s.scale - low),
        spread[:, 2] * s.shift, spread[:, 3] * s.shift,
    )
    allowed = s.random_src_flip if side == SRC else s.random_dst_flip
    cell = (u[:, 5] * len(augment.CELLS)).astype(int)
    noise = np.stack([r[1] for r in raw])
    return Geometry(
        augment.backward_affine(matrix, (u[:, 4] < FLIP_SHARE) & allowed, resolution),
        augment.warp_nodes(noise, cell, resolution, s.warp_strength, s.warp_independent),
        (resolution // np.asarray(augment.CELLS)[cell]).astype(np.float32),
    )


@dataclass
class Batches:
    """Makes batch i on `device`. On a GPU the next batch is made on a thread meanwhile, and the faces live on the
    device where they fit. On a CPU batches take 3 % of a step (0.6 % at 128 px), and a thread would take them from
    the net's own cores."""

    src: Samples
    dst: Samples
    resolution: int
    batch: int
    device: torch.device
    match_colour: bool = False
    _resident: dict[int, torch.Tensor] = field(default_factory=dict)
    _ahead: tuple[int, TrainSettings, Future[Batch]] | None = None
    _pool: ThreadPoolExecutor | None = None

    def __post_init__(self) -> None:
        """Decide where the faces live."""
        if self.device.type != "cuda":
            return
        self._pool = ThreadPoolExecutor(1)
        size = sum(len(s.frames) * s.row_bytes for s in (self.src, self.dst))
        if size <= min(_RESIDENT_BYTES, torch.cuda.mem_get_info(self.device)[0] // 4):
            for side, samples in ((SRC, self.src), (DST, self.dst)):
                self._resident[side] = torch.from_numpy(samples.read(np.arange(len(samples.frames)))).to(self.device)

    def get(self, iteration: int, s: TrainSettings) -> Batch:
        """Batch `iteration` (0 is the first) under settings `s`. Any order of calls gives the same batches."""
        ready = self._ahead
        self._ahead = None
        if ready is not None and ready[0] == iteration and ready[1] == s:
            batch = ready[2].result()
        else:
            batch = self._make(iteration, s)
        if self._pool is not None:
            self._ahead = (iteration + 1, s, self._pool.submit(self._make, iteration + 1, s))
        return batch

    def close(self) -> None:
        """End the thread and let the faces on the device go."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        self._ahead = None
        self._resident.clear()

    def _make(self, iteration: int, s: TrainSettings) -> Batch:
        return Batch(self._side(SRC, iteration, s), self._side(DST, iteration, s))

    def _side(self, side: int, iteration: int, s: TrainSettings) -> Side:
        samples = (self.src, self.dst)[side]
        places = order(s.seed, side, len(samples.chosen), iteration * self.batch, self.batch)
        crops = self._crops(side, samples.chosen[places])
        where = augment.grids(
            geometry(s, side, iteration, self.batch, self.resolution), self.resolution, self.device, bend=s.random_warp
        )
        return self._cut(crops, where)

    def _cut(self, crops: torch.Tensor, where: augment.Grids) -> Side:
        read = augment.sample(crops, where.target)
        target = read[:, :3]
        input = target if where.input is where.target else augment.sample(crops[:, :3], where.input)
        masks = read[:, MASK:] * where.inside
        return Side(input, target, masks[:, :1], masks[:, PRIORITY - MASK :])

    def plain(self, side: int, rows: np.ndarray) -> Side:
        """Faces as they are, unmoved, for previews and measuring; rows (n,) of the side's samples."""
        still = Geometry(
            np.tile(np.eye(3)[None, :2], (len(rows), 1, 1)),
            np.zeros((len(rows), 2, augment.NODES, augment.NODES), np.float32), np.ones(len(rows), np.float32),
        )
        return self._cut(self._crops(side, rows), augment.grids(still, self.resolution, self.device, bend=False))

    def _crops(self, side: int, rows: np.ndarray) -> torch.Tensor:
        if side in self._resident:
            crops = self._resident[side][torch.from_numpy(rows).to(self.device)]
        else:
            crops = torch.from_numpy((self.src, self.dst)[side].read(rows)).to(self.device)
        crops = crops.view(len(rows), CHANNELS, *crops.shape[2:]).float().div_(255)
        if side == SRC and self.match_colour:
            gain, offset = torch.from_numpy(colour_map(self.src.colour, self.dst.colour)).float().to(self.device)
            crops[:, :3] = (crops[:, :3] * gain.view(1, 3, 1, 1) + offset.view(1, 3, 1, 1)).clamp_(0, 1)
        return crops


def unbent(s: TrainSettings) -> TrainSettings:
    """The same settings with the input as it is (Quick96's reused batches)."""
    return s.model_copy(update={"random_warp": False})


