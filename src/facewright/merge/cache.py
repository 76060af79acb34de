"""Predictions of a chunk beside its frames, so that another blend needs no net. A cache: losing it costs time only."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facewright.core.files import make_folder, write_atomic
from facewright.faces.face import FaceType
from facewright.merge.paste import Target
from facewright.merge.predict import Prediction

_FIELDS = ("image", "mask_swap", "mask_own")


def cache_key(*parts: object) -> str:
    """A folder name for everything that decides a prediction but the face: weights, number format, crop."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


@dataclass(slots=True)
class ChunkCache:
    """Predicted faces of one chunk as integers: face id -> (digest of its landmarks, image, mask_swap, mask_own).

    Fresh predictions pass through the same rounding, so that a resumed merge is equal to an undisturbed one. `dtype`
    is uint8, or uint16 for films of more than 8 bit.
    """

    path: Path
    dtype: np.dtype
    rows: dict[str, tuple[bytes, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)
    fresh: bool = False

    @classmethod
    def open(cls, path: Path, dtype: np.dtype) -> ChunkCache:
        """What was stored for a chunk; empty when nothing, or nothing readable, is there."""
        cache = cls(path, np.dtype(dtype))
        try:
            with np.load(path, allow_pickle=False) as stored:
                ids, digests = stored["ids"].tolist(), stored["digests"]
                planes = [stored[name] for name in _FIELDS]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return cache
        if planes[0].dtype == cache.dtype:
            cache.rows = {i: (d.tobytes(), *rows) for i, d, *rows in zip(ids, digests, *planes)}
        return cache

    def has(self, target: Target) -> bool:
        """Whether this face with these landmarks is stored."""
        row = self.rows.get(target.face_id)
        return row is not None and row[0] == _digest(target)

    def put(self, targets: list[Target], prediction: Prediction) -> None:
        """Keep fresh predictions, one row per target in order."""
        self.fresh = self.fresh or bool(targets)
        top = np.float32(np.iinfo(self.dtype).max)
        planes = [np.rint(np.clip(getattr(prediction, n), 0, 1) * top).astype(self.dtype) for n in _FIELDS]
        for target, image, swap, own in zip(targets, *planes):
            self.rows[target.face_id] = (_digest(target), image, swap, own)

    def get(self, targets: tuple[Target, ...], face_type: FaceType) -> Prediction:
        """The stored predictions of these faces as float32 0..1."""
        scale = np.float32(1.0 / np.iinfo(self.dtype).max)
        rows = [self.rows[t.face_id][1:] for t in targets]
        image, swap, own = (np.multiply(np.stack(p), scale, dtype=np.float32) for p in zip(*rows))
        return Prediction(tuple(t.face_id for t in targets), face_type, image, swap, own)

    def mask_mean(self, target: Target) -> float:
        """Mean of the predicted mask, 0..1: about 0 for a net that knows no face yet."""
        return float(self.rows[target.face_id][2].mean() / np.iinfo(self.dtype).max)

    def save(self) -> None:
        """Write when something is new. Raises DiskRefused."""
        if not self.fresh or not self.rows:
            return
        digests = np.stack([np.frombuffer(row[0], np.uint8) for row in self.rows.values()])
        planes = {n: np.stack([row[k] for row in self.rows.values()]) for k, n in enumerate(_FIELDS, 1)}
        buffer = io.BytesIO()
        np.savez(buffer, ids=np.array(list(self.rows)), digests=digests, **planes)  # type: ignore[arg-type]
        make_folder(self.path.parent)
        # Not synced: a torn cache is recognised and made again.
        write_atomic(self.path, buffer.getvalue(), sync=False)


def _digest(target: Target) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(target.points_px, np.float32).tobytes()).digest()[:8]
