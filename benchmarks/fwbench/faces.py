"""Aligned face crops: cut, compared within their hulls, and what a net makes of faces that it never learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

Array = np.ndarray
SIDE = 128


def crops(images: dict[int, Array], points: dict[int, Array], side: int = SIDE) -> tuple[Array, Array]:
    """Full-face crops and their hulls: (T, S, S, 3) float32 0..1, (T, S, S) float32."""
    from facewright.faces.align import crop, face_from_frame
    from facewright.faces.face import FaceType
    from facewright.image.geometry import apply_affine
    from facewright.image.masks import hull_mask

    faces, hulls = [], []
    for index, p in points.items():
        matrix = face_from_frame(p, side, FaceType.FULL)
        faces.append(crop(images[index], matrix, side).astype(np.float32) / 255)
        hulls.append(hull_mask(apply_affine(matrix, p), (side, side)))
    return np.stack(faces), np.stack(hulls).reshape(len(faces), side, side)


def faceset_crops(path: Path, side: int = SIDE) -> tuple[Array, Array, Array]:
    """(frame indices, crops, hulls) of a whole faceset, one face a frame."""
    from facewright.faceset.faceset import Faceset
    from facewright.image.geometry import apply_affine

    faces = Faceset.open(path)
    found = {f.source.frame_index: f for f in faces}
    points = {i: apply_affine(f.face_from_frame, f.points).astype(np.float32) for i, f in found.items()}
    return np.array(list(found)), *crops({i: faces.image(f) for i, f in found.items()}, points, side)


def colour_move(faces: Array, hulls: Array, like: Array, like_hulls: Array) -> tuple[Array, Array]:
    """(gain, offset) (3,) each: per channel, over hull pixels of the whole clip, (x - mean) / std * std' + mean'."""
    a, b = faces[hulls > 0.5], like[like_hulls > 0.5]
    gain = b.std(0) / a.std(0)
    return gain, b.mean(0) - a.mean(0) * gain


def in_colours_of(faces: Array, hulls: Array, like: Array, like_hulls: Array) -> Array:
    """Faces moved to the colours of others."""
    gain, offset = colour_move(faces, hulls, like, like_hulls)
    return np.clip(faces * gain + offset, 0, 1).astype(np.float32)


def masked_dssim(a: Array, b: Array, hulls: Array, window: int = 11) -> float:
    """Training's DSSIM of the masked pictures, mean over frames and channels."""
    import torch

    from facewright.training.losses import dssim

    m = hulls[..., None]
    x, y = (torch.from_numpy(np.ascontiguousarray((p * m).transpose(0, 3, 1, 2))) for p in (a, b))
    return float(dssim(x, y, window).mean())


def reconstructed(net: Any, faces: Array, side: str) -> Array:
    """(T, S, S, 3) RGB 0..1 -> what the net makes of them as faces of "src" or "dst", at the same size."""
    import torch

    size = faces.shape[1]
    small = faces
    if size != net.resolution:
        small = np.stack([cv2.resize(f, (net.resolution,) * 2, interpolation=cv2.INTER_AREA) for f in faces])
    tensor = torch.from_numpy(np.ascontiguousarray(small[..., ::-1].transpose(0, 3, 1, 2)))
    with torch.inference_mode():
        views = net(tensor, tensor)
    made = (views.src_src if side == "src" else views.dst_dst).float().clamp(0, 1).numpy().transpose(0, 2, 3, 1)
    pictures = [np.ascontiguousarray(m) for m in made[..., ::-1]]
    if size == net.resolution:
        return np.stack(pictures)
    return np.stack([cv2.resize(m, (size, size), interpolation=cv2.INTER_CUBIC) for m in pictures])
