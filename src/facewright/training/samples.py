"""Face -> Sample: every face is decoded, aligned to the net's face type and masked once, then read from a flat file.

The file holds (N, 5, S, S) uint8: blue, green, red, face mask, eyes-mouth mask. Here, and nowhere else in training,
the house's RGB becomes the nets' BGR. Reading is by offset, so memory does not grow with the number of faces, and
the machine's page cache does the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from facewright.core.errors import DiskRefused
from facewright.core.files import PART, disk_error, free_bytes, make_folder, replace_folder
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face, FaceType
from facewright.image.geometry import apply_affine, invert, scale_of
from facewright.image.masks import eyes_mask, hull_mask, mouth_mask
from facewright.image.warp import resize, warp

VERSION = 3
CHANNELS = 5
MASK, PRIORITY = 3, 4
_CHUNK = 32


T = TypeVar("T")
Loaded = tuple[Face, np.ndarray, np.ndarray | None]
"""A face, its (S, S, 3) uint8 RGB picture, its stored (m, m) mask (uint8, or float32 0..1) or None."""


def crop_side(resolution: int, native_px: float) -> int:
    """Side of the stored crops for a net of side `resolution`.

    4/3 of it, so that one bilinear reading after turning and scaling stays sharp (training-on-a-budget.md sampled
    96 px from 128); never more than the faces hold (`native_px`), never less than the net's own side.
    """
    wanted = min(resolution * 4 / 3, max(native_px, resolution))
    return int(-(-wanted // 16) * 16)


def cut_face(loaded: Loaded, face_type: FaceType, side: int, whole_lips: bool) -> np.ndarray:
    """One face -> (5, side, side) uint8: BGR, mask, eyes-mouth mask, aligned afresh from the points that count."""
    face, image, mask = loaded
    stored_side = image.shape[0]
    model_from_frame = face_from_frame(face.points, side, face_type)
    stored_from_frame = face.face_from_frame
    if stored_side != face.side_px:
        stored_from_frame = np.diag([stored_side / face.side_px] * 2 + [1.0]) @ stored_from_frame
    model_from_stored = model_from_frame @ invert(stored_from_frame)
    points = apply_affine(stored_from_frame, face.points)
    if mask is None:
        mask = hull_mask(points, image.shape[:2], lips=whole_lips)
    elif mask.dtype == np.uint8:
        mask = mask.astype(np.float32) / 255
    area = _warp_mask(resize(mask, stored_side, "linear"), model_from_stored, side)
    priority = _priority(points, stored_side, model_from_stored, side, whole_lips) * (area > 0)
    if priority.max() > 0:
        priority = priority / priority.max()
    out = np.empty((CHANNELS, side, side), np.uint8)
    out[:3] = warp(image, model_from_stored, side, "auto", "replicate")[..., ::-1].transpose(2, 0, 1)
    out[MASK], out[PRIORITY] = np.rint(area * 255), np.rint(priority * 255)
    return out


def _priority(
    points: np.ndarray, stored_side: int, model_from_stored: np.ndarray, side: int, whole_lips: bool
) -> np.ndarray:
    """Eyes and mouth, (side, side) float32. Drawn at twice the wanted side where that is smaller than the stored
    picture: their wide blurs are what preparing costs (10 of 12 ms at 512 px), and they are soft anyway."""
    drawn_side = min(stored_side, 2 * side)
    share = drawn_side / stored_side
    mouth = mouth_mask(points * share, (drawn_side, drawn_side), whole_lips=whole_lips)
    parts = np.minimum(eyes_mask(points * share, (drawn_side, drawn_side)) + mouth, 1)
    return _warp_mask(parts, model_from_stored @ np.diag([1 / share, 1 / share, 1.0]), side)


def _warp_mask(mask: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    how = "area" if scale_of(matrix) < 0.5 else "linear"
    return np.clip(warp(mask.astype(np.float32), matrix, side, how, "constant"), 0, 1)


@dataclass(frozen=True, slots=True)
class Samples:
    """The prepared faces of one side. frames (N,) int64 frame numbers; yaw_rad (N,) float32; colour (2, 3): mean and
    standard deviation of blue, green, red (0..1) inside the masks; `chosen` (n,) int64: those that are trained on."""

    path: Path
    side: int
    frames: np.ndarray
    yaw_rad: np.ndarray
    colour: np.ndarray
    chosen: np.ndarray
    channels: int = CHANNELS

    @property
    def row_bytes(self) -> int:
        """Bytes of one face in the file."""
        return self.channels * self.side * self.side

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(n,) row numbers -> (n, C, S, S) uint8, C = channels."""
        out = np.empty((len(rows), self.channels, self.side, self.side), np.uint8)
        with open(self.path, "rb", buffering=0) as file:
            for place, row in zip(out, rows):
                file.seek(int(row) * self.row_bytes)
                if file.readinto(place.data.cast("B")) != self.row_bytes:
                    raise disk_error(OSError(5, "the sample cache is cut short"), self.path)
        return out

    def limited(self, chosen: np.ndarray) -> Samples:
        """The same, of which only rows `chosen` (n,) are trained on."""
        return replace(self, chosen=chosen)

    def held_out(self) -> np.ndarray:
        """Row numbers that training does not see."""
        return np.setdiff1d(np.arange(len(self.frames)), self.chosen)


def choose(frames: np.ndarray, hold_out: int, hold_out_last: int) -> np.ndarray:
    """Row numbers to train on: without the last `hold_out_last` frames of every block of `hold_out`; all if that
    leaves fewer than two."""
    if not hold_out:
        return np.arange(len(frames))
    kept = np.flatnonzero(frames % hold_out < hold_out - hold_out_last)
    return kept if len(kept) >= 2 else np.arange(len(frames))


def key_of(digest: str, face_type: FaceType, side: int, mouth_area: str) -> str:
    """Name of the cache that holds exactly these faces in exactly this form."""
    text = json.dumps([VERSION, digest, str(face_type), side, mouth_area])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prepare(
    folder: Path, wanted: Iterable[T], load: Callable[[T], Loaded], count: int, *, digest: str, face_type: FaceType,
    side: int, mouth_area: str, progress: Callable[[int, int], None] = lambda done, total: None, workers: int = 0,
) -> Samples:
    """The cache of the `count` faces `wanted` under `folder`: found there, or made (in threads, aside, then put in
    place). `load` reads one of them and runs in the threads; `digest` changes whenever the faces do.

    Raises DiskRefused when it would not fit; damaged face files raise FileRefused.
    """
    def one(item: T) -> tuple[Face, np.ndarray]:
        loaded = load(item)
        return loaded[0], cut_face(loaded, face_type, side, mouth_area == "lips")

    form = Form(side, CHANNELS)
    key = key_of(digest, face_type, side, mouth_area)
    return prepare_crops(folder, key, wanted, one, count, form, progress, workers)


@dataclass(frozen=True, slots=True)
class Form:
    """What a crop in the file is: (channels, side, side) uint8, blue, green and red first, then a mask."""

    side: int
    channels: int


def prepare_crops(
    folder: Path, key: str, wanted: Iterable[T], one: Callable[[T], tuple[Face, np.ndarray]], count: int, form: Form,
    progress: Callable[[int, int], None] = lambda done, total: None, workers: int = 0,
) -> Samples:
    """The same for crops of any form: `one` reads and cuts a face, in the threads; `key` names the cache."""
    place = make_folder(folder) / key
    if not _is_whole(place, count, form):
        _room_for(folder, count * form.channels * form.side**2)
        _make(place, wanted, one, count, progress, workers)
        _forget_others(folder, place)
    facts = np.load(place / "facts.npz", allow_pickle=False)
    frames = facts["frames"]
    return Samples(
        place / "faces.u8", form.side, frames, facts["yaw_rad"], facts["colour"], np.arange(len(frames)), form.channels
    )


def _is_whole(place: Path, count: int, form: Form) -> bool:
    data, size = place / "faces.u8", count * form.channels * form.side**2
    return (place / "facts.npz").is_file() and data.is_file() and data.stat().st_size == size


def _room_for(folder: Path, size: int) -> None:
    if free_bytes(folder) < size + (256 << 20):
        raise DiskRefused(
            "There is no room for the prepared faces.", why=f"They need {size / 1e9:.1f} GB.",
            remedy="Free space, move the run, or train at a lower resolution.", where=folder,
        )


def _make(
    place: Path, wanted: Iterable[T], one: Callable[[T], tuple[Face, np.ndarray]], count: int,
    progress: Callable[[int, int], None], workers: int,
) -> None:
    part = place.with_name(place.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    frames, yaw_rad = np.zeros(count, np.int64), np.zeros(count, np.float32)
    sums, done, todo = np.zeros((3, 3)), 0, iter(wanted)

    try:
        with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool, open(part / "faces.u8", "wb") as file:
            while chunk := list(islice(todo, _CHUNK)):
                for face, crop in pool.map(one, chunk):
                    frames[done], yaw_rad[done] = face.source.frame_index, np.radians(face.yaw_deg)
                    sums += _colour_sums(crop)
                    file.write(crop.tobytes())
                    done += 1
                progress(done, count)
        np.savez(part / "facts.npz", frames=frames[:done], yaw_rad=yaw_rad[:done], colour=_colour(sums))
        replace_folder(part, _vacant(place))
    except BaseException as error:  # also a stop that `progress` raised: nothing half-made stays
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise disk_error(error, place) from error
        raise


def _vacant(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)  # a broken cache, made again; never user data
    return place


def _forget_others(folder: Path, place: Path) -> None:
    for other in folder.iterdir():
        if other != place and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)


def _colour_sums(crop: np.ndarray) -> np.ndarray:
    """(C, S, S) -> rows sum, sum of squares, count of each colour inside the mask."""
    inside = crop[MASK] > 127
    values = crop[:3, inside].astype(np.float64) / 255
    return np.stack([values.sum(1), (values**2).sum(1), np.full(3, values.shape[1], np.float64)])


def _colour(sums: np.ndarray) -> np.ndarray:
    count = np.maximum(sums[2], 1)
    mean = sums[0] / count
    return np.stack([mean, np.sqrt(np.maximum(sums[1] / count - mean**2, 1e-8))])


def colour_map(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3) mean and deviation of both -> (2, 3) gain and offset that give the source the target's statistics."""
    gain = target[1] / np.maximum(source[1], 1e-4)
    return np.stack([gain, target[0] - source[0] * gain])
