"""Labelled faces for a mask net: cut once, disturbed afresh each time. models-and-training.md section 6.

A label is what somebody drew; where nobody drew anything on any face, the stored masks stand in for it. The file of
cut faces holds (N, 4, 256, 256) uint8: blue, green, red, mask of 0 and 255.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from facewright.faces.face import Face, FaceType
from facewright.faceset.index import Row
from facewright.image.warp import resize, warp
from facewright.masks import label
from facewright.masks.by_net import seen_from_picture
from facewright.training import sequence
from facewright.training.batches import part_after
from facewright.training.samples import Form, Loaded, Samples, key_of, prepare_crops
from facewright.training.survey import Side, all_count, rows_of
from facewright.training.xseg_augment import Labelled, augmented, bent

CHANNELS, MASK = 4, 3
_SIDE = 2
"""Mark of the streams of this file, apart from those of the two people's batches."""


def is_drawn(row: Row) -> bool:
    """Whether somebody drew on this face."""
    return row.labels > 0


def is_masked(row: Row) -> bool:
    """Whether a mask is stored with this face."""
    return bool(row.has_mask)


def cut_labelled(loaded: Loaded, face_type: FaceType, side_px: int) -> np.ndarray:
    """A face -> (4, side, side) uint8: the picture as a net of `face_type` sees it (Lanczos, black outside) and what of
    it is face, 0 or 255. Raises ValueError where the face has neither a drawing nor a mask."""
    face, image, stored = loaded
    mask = label.drawn(face.polygons, len(image), face.side_px) if face.polygons else _as_01(stored, len(image))
    if face_type is face.face_type:
        image, mask = resize(image, side_px, "lanczos4"), resize(mask, side_px, "lanczos4")
    else:
        seen = seen_from_picture(face, len(image), face_type, side_px)
        image, mask = (warp(x, seen, side_px, "lanczos4", "constant") for x in (image, mask))
    out = np.empty((CHANNELS, side_px, side_px), np.uint8)
    out[:MASK], out[MASK] = image[..., ::-1].transpose(2, 0, 1), np.where(mask >= 0.5, 255, 0)
    return out


def _as_01(stored: np.ndarray | None, side_px: int) -> np.ndarray:
    if stored is None:
        raise ValueError("the face has neither a label nor a mask")
    mask = stored.astype(np.float32) / 255 if stored.dtype == np.uint8 else stored
    return (resize(mask, side_px, "linear") >= 0.5).astype(np.float32)


def prepare_labelled(
    folder: Path, side: Side, counts: Callable[[Row], bool], face_type: FaceType, side_px: int,
    progress: Callable[[int, int], None],
) -> Samples:
    """One faceset's labelled faces, ready to be read. Raises what `prepare_crops` raises."""
    def one(row: Row) -> tuple[Face, np.ndarray]:
        face, image, mask = side.faceset.load(row)
        if counts is all_count and mask is None:
            mask = np.zeros(image.shape[:2], np.uint8)  # of no account: the picture itself is what is learned
        return face, cut_labelled((face, image, mask), face_type, side_px)

    key = key_of(side.found.stamp, face_type, side_px, f"labels: {counts.__name__}")
    rows = rows_of(side.faceset, side.found.person, counts)
    return prepare_crops(folder, key, rows, one, side.found.count, Form(side_px, CHANNELS), progress)


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """On the device, float32 0..1: input (B, 3, R, R) BGR, target (B, 1, R, R) of 0 and 1."""

    input: torch.Tensor
    target: torch.Tensor


@dataclass
class LabelledBatches:
    """Makes batch i: a function of (seed, i), whoever makes it, whenever. The disturbances are work of the processor;
    beside a GPU the next batch is made meanwhile. calm: faces are bent and moved only (pretraining)."""

    samples: Sequence[Samples]
    batch: int
    device: torch.device
    calm: bool = False
    processes: int = 1
    _pool: ThreadPoolExecutor = field(init=False, repr=False)
    resolution: int = field(init=False)
    """Side of the batches: that of the cut faces, or half of it. Single faces come whole."""
    _ahead: tuple[tuple[int, ...], list[Future[Labelled]]] | None = None

    def __post_init__(self) -> None:
        """Start the threads."""
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="labelled")
        self.resolution = self.samples[0].side
        self._places = [(k, int(row)) for k, samples in enumerate(self.samples) for row in samples.chosen]

    def get(self, seed: int, iteration: int, part: int = 0, parts: int = 1) -> LabelledBatch:
        """Batch `iteration` (0 is the first), or a part of it, see Batches.get."""
        wanted, ready = (seed, iteration, part, parts), self._ahead
        made = ready[1] if ready is not None and ready[0] == (*wanted, self.batch) else self._ask(*wanted)
        self._ahead = None
        if self.device.type == "cuda":
            following = (seed, *part_after(iteration, part, parts // self.processes), parts)
            self._ahead = ((*following, self.batch), self._ask(*following))
        return self._fitted(self._stacked([future.result() for future in made]))

    def plain(self, k: int, rows: np.ndarray) -> LabelledBatch:
        """Faces of set `k` as they are, by their row numbers (n,)."""
        return self._stacked([self._read(k, int(row)) for row in rows])

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ahead = None

    def _ask(self, seed: int, iteration: int, part: int, parts: int) -> list[Future[Labelled]]:
        first = (iteration * parts + part) * self.batch
        order = sequence.order(seed, _SIDE, len(self._places), first, self.batch)
        slots = range(part * self.batch, (part + 1) * self.batch)
        return [self._pool.submit(self._one, seed, iteration, slot, int(n)) for slot, n in zip(slots, order)]

    def _one(self, seed: int, iteration: int, slot: int, number: int) -> Labelled:
        rng = np.random.Generator(np.random.Philox(key=[seed, _SIDE], counter=[0, 0, slot, iteration]))
        if self.calm:
            return bent(self._read(*self._places[number]), rng)
        other = self._read(*self._places[int(rng.integers(len(self._places)))])
        return augmented(self._read(*self._places[number]), other, rng)

    def _read(self, k: int, row: int) -> Labelled:
        crop = self.samples[k].read(np.array([row]))[0].astype(np.float32) / 255
        return Labelled(np.ascontiguousarray(crop[:MASK].transpose(1, 2, 0)), crop[MASK])

    def _fitted(self, batch: LabelledBatch) -> LabelledBatch:
        """At the side that is wanted now."""
        if batch.input.shape[-1] == self.resolution:
            return batch
        small = [F.adaptive_avg_pool2d(x, self.resolution) for x in (batch.input, batch.target)]
        return LabelledBatch(small[0], (small[1] >= 0.5).float())

    def _stacked(self, faces: Sequence[Labelled]) -> LabelledBatch:
        pictures = np.stack([face.image for face in faces]).transpose(0, 3, 1, 2)
        masks = np.stack([face.mask for face in faces])[:, None]
        return LabelledBatch(*(torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for x in (pictures, masks)))
