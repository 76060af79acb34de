"""Endless batches without any state: batch i is a function of (seed, i, settings), whoever makes it, whenever.

Every sample draws from a counter-based generator keyed by (seed, side, iteration, slot), so a resumed run sees the
same batches as an undisturbed one, and the number of workers does not matter.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from facewright.training import augment, degrade, recolour, sequence
from facewright.training.augment import Geometry
from facewright.training.samples import CHANNELS, MASK, PRIORITY, Samples, colour_map
from facewright.training.settings import SwapTrain

SRC, DST = 0, 1
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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A part of an iteration's batch, and what it is made under: settings, side of the faces, faces of a part."""

    iteration: int
    settings: SwapTrain
    side_px: int
    batch: int
    part: int = 0
    parts: int = 1

    def following(self, processes: int) -> _Wanted:
        """The one that will probably be asked for next where so many processes share an iteration's parts."""
        iteration, part = part_after(self.iteration, self.part, self.parts // processes)
        return replace(self, iteration=iteration, part=part)


def part_after(iteration: int, part: int, each: int) -> tuple[int, int]:
    """(iteration, part) that a process which takes `each` parts of every iteration, side by side, takes next."""
    over = (part + 1) % each == 0
    return iteration + over, part + 1 - (each if over else 0)


@dataclass(frozen=True, slots=True)
class Draws:
    """Raw randomness of B samples, independent of every setting.

    moves (B, 6) uniform: turn, scale, x, y, mirror, cell; bends (B, 2, NODES-2, NODES-2): standard normal cut at 2.5
    and divided by it; colours (B, 3) uniform: hue, saturation, value; light (B, LIGHT_DRAWS) and wear (B, WEAR_DRAWS)
    uniform: see degrade.py.
    """

    moves: np.ndarray
    bends: np.ndarray
    colours: np.ndarray
    light: np.ndarray
    wear: np.ndarray


def draws(seed: int, side: int, iteration: int, batch: int, first: int = 0) -> Draws:
    """The randomness of one side's batch, from slot `first` on; a slot's does not depend on the others."""
    slots = range(first, first + batch)
    return Draws(*(np.stack(part) for part in zip(*(_slot(seed, side, iteration, i) for i in slots))))


def _slot(seed: int, side: int, iteration: int, slot: int) -> tuple[np.ndarray, ...]:
    rng = np.random.Generator(np.random.Philox(key=[seed, side], counter=[0, 0, slot, iteration]))
    uniform = rng.random(6)
    inner = augment.NODES - 2
    normal = np.empty(0)
    while len(normal) < 2 * inner * inner:
        more = rng.standard_normal(2 * inner * inner + 16)
        normal = np.concatenate([normal, more[np.abs(more) <= 2.5]])
    bends = (normal[: 2 * inner * inner] / 2.5).reshape(2, inner, inner)
    # What comes last changes nothing of what was drawn before it existed.
    return uniform, bends, rng.random(3), rng.random(degrade.LIGHT_DRAWS), rng.random(degrade.WEAR_DRAWS)


def geometry(s: SwapTrain, side: int, drawn: Draws, resolution: int) -> Geometry:
    """The random geometry of one side's batch (models-and-training.md 3.2)."""
    u = drawn.moves
    low = 1.0 / (1.0 + s.scale)
    spread = 2.0 * u[:, :4] - 1.0
    matrix = augment.forward_affine(
        resolution, spread[:, 0] * s.rotation_deg, low + u[:, 1] * (1.0 + s.scale - low),
        spread[:, 2] * s.shift, spread[:, 3] * s.shift,
    )
    allowed = s.random_src_flip if side == SRC else s.random_dst_flip
    cell = (u[:, 5] * len(augment.CELLS)).astype(int)
    return Geometry(
        augment.backward_affine(matrix, (u[:, 4] < FLIP_SHARE) & allowed, resolution),
        augment.warp_nodes(drawn.bends, cell, resolution, s.warp_strength, s.warp_independent),
        (resolution // np.asarray(augment.CELLS)[cell]).astype(np.float32),
    )


@dataclass
class Batches:
    """Makes batch i on `device`. On a GPU the next batch is made on a thread meanwhile, and the faces live on the
    device where they fit. On a CPU batches take 3 % of a step (0.6 % at 128 px), and a thread would take them from
    the net's own cores. `resolution` (px) may change at any time, as may `batch`."""

    src: Samples
    dst: Samples
    resolution: int
    batch: int
    device: torch.device
    match_colour: bool = False
    processes: int = 1
    _resident: dict[int, torch.Tensor] = field(default_factory=dict)
    _by_yaw: dict[int, sequence.ByYaw] = field(default_factory=dict)
    _painters: ThreadPoolExecutor | None = None
    _ahead: tuple[_Wanted, Future[tuple[Batch, torch.cuda.Event]]] | None = None
    _pool: ThreadPoolExecutor | None = None
    _stream: torch.cuda.Stream | None = None
    """Of the thread: on the net's own, each copy to the device would wait for the whole step in work."""

    def __post_init__(self) -> None:
        """Decide where the faces live."""
        if self.device.type != "cuda":
            return
        self._pool, self._stream = ThreadPoolExecutor(1), torch.cuda.Stream(self.device)
        many = self.src is self.dst  # pretraining: the same faces on both sides
        size = sum(len(s.frames) * s.row_bytes for s in ((self.src,) if many else (self.src, self.dst)))
        if size <= min(_RESIDENT_BYTES, torch.cuda.mem_get_info(self.device)[0] // 4):
            src = _whole(self.src, self.device)
            self._resident = {SRC: src, DST: src if many else _whole(self.dst, self.device)}

    def get(self, iteration: int, s: SwapTrain, part: int = 0, parts: int = 1) -> Batch:
        """Batch `iteration` (0 is the first) under settings `s`, or part `part` of it: `parts` of them together are the
        batch that one of `parts` times the size would be. Any order of calls gives the same batches."""
        wanted, ready = _Wanted(iteration, s, self.resolution, self.batch, part, parts), self._ahead
        self._ahead = None
        batch = self._taken(ready[1]) if ready is not None and ready[0] == wanted else self._make(wanted)
        if self._pool is not None:
            following = wanted.following(self.processes)
            self._ahead = (following, self._pool.submit(self._made_ahead, following))
        return batch

    def close(self) -> None:
        """End the thread and let the faces on the device go."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._painters is not None:
            self._painters.shutdown(wait=True)
        self._ahead = None
        self._resident.clear()

    def _made_ahead(self, wanted: _Wanted) -> tuple[Batch, torch.cuda.Event]:
        """On the thread and its stream: the batch, and when it is whole."""
        assert self._stream is not None
        with torch.cuda.stream(self._stream):
            batch, whole = self._make(wanted), torch.cuda.Event()
            whole.record()
        return batch, whole

    def _taken(self, made: Future[tuple[Batch, torch.cuda.Event]]) -> Batch:
        """A batch made ahead, for the net's stream."""
        batch, whole = made.result()
        here = torch.cuda.current_stream(self.device)
        here.wait_event(whole)
        for side in (batch.src, batch.dst):
            for tensor in (side.input, side.target, side.mask, side.priority):
                tensor.record_stream(here)  # its memory is not the thread's again before the net is done with it
        return batch

    def _make(self, wanted: _Wanted) -> Batch:
        return Batch(self._side(SRC, wanted), self._side(DST, wanted))

    def _side(self, side: int, wanted: _Wanted) -> Side:
        s, first = wanted.settings, wanted.part * wanted.batch
        rows = self._rows(side, wanted)
        recoloured = side == SRC and s.ct_mode != "none"
        crops = self._recoloured(rows, wanted) if recoloured else self._crops(side, rows)
        drawn = draws(s.seed, side, wanted.iteration, wanted.batch, first)
        where = augment.grids(
            geometry(s, side, drawn, wanted.side_px), wanted.side_px, self.device, bend=s.random_warp,
            half_pixel=s.parity == "dfl",
        )
        made = self._cut(crops, where)
        return replace(made, input=_disturbed(made.input, drawn, s, side))

    def _rows(self, side: int, wanted: _Wanted) -> np.ndarray:
        """Which faces make this batch: (B,) row numbers."""
        s, samples = wanted.settings, (self.src, self.dst)[side]
        first = (wanted.iteration * wanted.parts + wanted.part) * wanted.batch
        if not s.uniform_yaw:
            return samples.chosen[sequence.order(s.seed, side, len(samples.chosen), first, wanted.batch)]
        if side not in self._by_yaw:
            self._by_yaw[side] = sequence.ByYaw(samples.yaw_rad[samples.chosen])
        return samples.chosen[self._by_yaw[side].order(s.seed, side, first, wanted.batch)]

    def _recoloured(self, rows: np.ndarray, wanted: _Wanted) -> torch.Tensor:
        """Source crops in the colours of random target faces; host work, since the transfers are."""
        if self._painters is None:
            self._painters = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="recolour")
        s, iteration, first = wanted.settings, wanted.iteration, wanted.part * wanted.batch
        like = self.dst.chosen[recolour.references(s.seed, iteration, len(rows), len(self.dst.chosen), first)]
        crops = recolour.transferred(
            self.src.read(rows), self.dst.read(like), s.ct_mode, s.seed, iteration, self._painters, first
        )
        return self._on_device(SRC, torch.from_numpy(crops).to(self.device))

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
        return self._on_device(side, crops)

    def _on_device(self, side: int, crops: torch.Tensor) -> torch.Tensor:
        """(n, 5, S, S) uint8 -> float32 0..1, the source's colours moved where that is wanted."""
        crops = crops.view(len(crops), CHANNELS, *crops.shape[2:]).float().div_(255)
        if side == SRC and self.match_colour:
            gain, offset = torch.from_numpy(colour_map(self.src.colour, self.dst.colour)).float().to(self.device)
            crops[:, :3] = (crops[:, :3] * gain.view(1, 3, 1, 1) + offset.view(1, 3, 1, 1)).clamp_(0, 1)
        return crops


def _whole(samples: Samples, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(samples.read(np.arange(len(samples.frames)))).to(device)


def _disturbed(faces: torch.Tensor, drawn: Draws, s: SwapTrain, side: int) -> torch.Tensor:
    """What the net sees in place of `faces`: other colours (the source's only), other light, a worse camera."""
    if side == SRC and s.random_hsv_power:
        faces = recolour.shift_hsv(faces, drawn.colours, s.random_hsv_power)
    if s.light_power:
        faces = degrade.lit(faces, drawn.light, s.light_power)
    if s.degrade_power:
        faces = degrade.worn(faces, drawn.wear, s.degrade_power)
    return faces


def unbent(s: SwapTrain) -> SwapTrain:
    """The same settings with the input as it is (Quick96's reused batches)."""
    return s.model_copy(update={"random_warp": False})


