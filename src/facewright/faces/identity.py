"""Face pictures -> unit identity vectors (pretrained-weights.md section 6).

Biometric data: whoever stores vectors keeps them with the net's digest, and never compares those of two nets.
An embedder is a class called with `(weights: Path | None, *, threads: int = 1)`; its instances are called with a list
of (H, W, 3) uint8 RGB pictures and (N, 5, 2) points in them (image-left eye, image-right eye, nose tip, image-left and
image-right mouth corner, by the mesh: a detector's own five make ten times as many errors) and give (N, D) float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from facewright.core.errors import Mismatch
from facewright.core.weights import WEIGHTS, available, resolve
from facewright.faces.face import Face
from facewright.faces.five_points import five_of_mesh
from facewright.faces.nets import OnnxNet
from facewright.faces.sample import sample
from facewright.faces.settings import EMBEDDERS
from facewright.image.geometry import apply_affine, umeyama

SAME_COSINE = 0.50
"""Frame against a person's mean: from here on the same person (different people pass in 0.06 % of pairs)."""
ASK_COSINE = 0.40
"""Between this and SAME_COSINE a human should decide; below, they are different people."""
LEAST_EYE_DISTANCE_PX = 24.0
LEAST_PRESENCE = 0.95
"""Smaller or doubtful faces say nothing about identity."""

TEMPLATE_112 = np.array([
    [38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]
])  # fmt: skip
"""(5, 2): where the five points lie in the net's 112 px picture."""

BATCH = 8


class Embedder(Protocol):
    """The contract; `sha256` names the net that its vectors belong to."""

    name: str
    sha256: str

    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """See the module's text."""
        ...


class MobileFace:
    """MobileFace V2: 256 numbers. Takes raw RGB 0..255; its graph scales them itself."""

    name = "mobileface_v2"
    # The published digest, also for a net that was converted here: both compute the same (checked at conversion).
    sha256 = WEIGHTS["mobileface_v2"].sha256

    def __init__(self, weights: Path | None, *, threads: int = 1) -> None:
        self._net = OnnxNet(weights or resolve("mobileface_v2"), threads=threads)

    def __call__(self, images: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """(N, 256) float32 of length 1; a face without size gives NaN points and raises Mismatch."""
        if len(images) == 0:
            return np.zeros((0, 256), np.float32)
        matrices = _frame_from_template(points)
        rows = []
        for at in range(0, len(images), BATCH):
            squares = np.stack([sample(i, m, 112) for i, m in zip(images[at : at + BATCH], matrices[at : at + BATCH])])
            rows.append(self._net(squares.transpose(0, 3, 1, 2).astype(np.float32))[0])
        vectors = np.concatenate(rows)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _frame_from_template(points: np.ndarray) -> np.ndarray:
    """(N, 5, 2) points in pixels -> (N, 3, 3) from the 112 px template to the picture, edges at integers."""
    template_from_frame = umeyama(np.asarray(points, np.float64) + 0.5, TEMPLATE_112 + 0.5)
    if not np.isfinite(template_from_frame).all() or (np.abs(np.linalg.det(template_from_frame)) < 1e-12).any():
        raise Mismatch(
            "A face has no size.", why="Its eyes, nose and mouth lie on one point.", remedy="Extract this frame again."
        )
    return np.linalg.inv(template_from_frame)


def identity_net(name: str = "mobileface_v2") -> tuple[str, str] | None:
    """(name, SHA-256) of the embedder if its net is at hand without network and not switched off, else None."""
    weights = EMBEDDERS.plug(name).weights
    if any(available(w) is None for w in weights):
        return None
    return name, EMBEDDERS.load(name).sha256


def make_embedder(name: str = "mobileface_v2", *, threads: int = 1) -> Embedder:
    """An embedder of the registry. Raises SettingRefused, WeightsMissing."""
    plug = EMBEDDERS.plug(name)
    path = resolve(plug.weights[0]) if plug.weights else None
    return _loaded(name, path, threads)


@lru_cache(maxsize=4)
def _loaded(name: str, path: Path | None, threads: int) -> Embedder:
    return EMBEDDERS.load(name)(path, threads=threads)


def embed(images: Sequence[np.ndarray], faces: Sequence[Face], *, name: str = "mobileface_v2") -> np.ndarray:
    """Crops of stored faces, (S, S, 3) uint8 each as `face.face_from_frame` cuts them, -> (N, D) unit float32.

    Raises WeightsMissing when the net is not at hand or switched off.
    """
    embedder = make_embedder(name)
    points = [
        apply_affine(face.face_from_frame, five_of_mesh(face.mesh[:, :2])) * (image.shape[0] / face.side_px)
        for image, face in zip(images, faces)
    ]
    return embedder(images, np.stack(points) if points else np.zeros((0, 5, 2)))


def compare(a: tuple[np.ndarray, str], b: tuple[np.ndarray, str]) -> np.ndarray:
    """Cosines (N, M) of two sets of (vectors, net's SHA-256). Raises Mismatch when the nets differ."""
    if a[1] != b[1]:
        raise Mismatch(
            "Identity vectors of two different nets cannot be compared.",
            remedy="Delete the stored ones with `facewright faces forget-identity`; they are made again.",
        )
    return a[0] @ b[0].T


def mean_vector(vectors: np.ndarray) -> np.ndarray:
    """(N, D) unit vectors -> (D,) unit mean; zeros when they cancel out."""
    mean = np.asarray(vectors, np.float64).mean(0)
    length = np.linalg.norm(mean)
    return (mean / length if length > 0 else mean).astype(np.float32)
