"""The head model: arrays read by path, shaped by identity and expression.

Axes: x to the model's left (image right when it looks at the camera), y up, z forward; units are about a centimetre.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from tools.footage.lids import Lashes, lash_strips
from tools.footage.parts import DRAWN, PARTS

PIVOT = np.array([0.0, -6.0, -1.0], np.float32)


@dataclass(frozen=True, slots=True)
class HeadModel:
    """A morphable head. Vertices are split where texture coordinates are, so one index serves both.

    `neutral` (V, 3) float32; `source` (R,) int32: model vertex of each render vertex; `uv` (R, 2) float32, tile 0 is
    the face and tile 1 the neck and scalp; `triangles` (T, 3) int32 into render vertices; `part` (T,) int8 index into
    `DRAWN`; `identity` (K, V, 3) and `expression` (E, V, 3) float32 offsets; `landmarks` (68,) int32 model vertices;
    `lashes`: strips of the four lids; `incidence` (V, T) sparse: 1 where a triangle touches a vertex; `neighbours`
    (V, V) sparse: averages a vertex with those around it.
    """

    neutral: np.ndarray
    source: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    part: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    expression_names: tuple[str, ...]
    landmarks: np.ndarray
    lashes: tuple[Lashes, ...]
    incidence: sparse.csr_matrix
    neighbours: sparse.csr_matrix

    def rest(self, identity: np.ndarray) -> np.ndarray:
        """(V, 3) float32 vertices of a person without expression; `identity` (<= K,) in standard deviations."""
        k = len(identity)
        return self.neutral + np.tensordot(np.asarray(identity, np.float32), self.identity[:k], 1)

    def weights(self, named: Mapping[str, float]) -> np.ndarray:
        """(E,) float32 expression weights from names; a name without side sets both sides."""
        out = np.zeros(len(self.expression_names), np.float32)
        for name, value in named.items():
            hits = [i for i, n in enumerate(self.expression_names) if n in (name, f"{name}_L", f"{name}_R")]
            if not hits:
                raise KeyError(f"the head model has no expression called {name}")
            out[hits] = value
        return out

    def posed(self, rest: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(V, 3) float32 vertices with an expression, still in the head's own axes."""
        active = np.flatnonzero(weights)
        return rest + np.tensordot(weights[active].astype(np.float32), self.expression[active], 1)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) float32 unit vertex normals, area weighted."""
        a, b, c = (vertices[self.source[self.triangles[:, k]]] for k in range(3))
        return unit(self.incidence @ np.cross(b - a, c - a))

    def smooth(self, values: np.ndarray, times: int) -> np.ndarray:
        """(V, C) values averaged `times` times with those of the neighbouring vertices."""
        for _ in range(times):
            values = self.neighbours @ values
        return values

    def where(self, *parts: str) -> np.ndarray:
        """(V,) bool: model vertices of the named parts."""
        out = np.zeros(len(self.neutral), bool)
        for part in parts:
            first, last = PARTS[part]
            out[first : last + 1] = True
        return out


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) scaled to length 1; zero stays zero."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return vectors / np.maximum(length, 1e-9).astype(vectors.dtype)


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """(3, 3) float32 Rz(roll) Rx(pitch) Ry(yaw): yaw > 0 nose to image right, pitch > 0 looks down, roll > 0 turns
    counter-clockwise in the picture."""
    y, p, r = np.radians([yaw_deg, pitch_deg, roll_deg])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rx = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rz = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (rz @ rx @ ry).astype(np.float32)


def neck_weight(points: np.ndarray) -> np.ndarray:
    """(N, 1) float32: 1 where a point turns with the head, 0 where it stays with the shoulders."""
    t = np.clip((points[:, 1:2] + 0.5 * np.maximum(0.0, points[:, 2:] - 4.5) + 13.2) / 6.5, 0.0, 1.0)
    side = np.clip((np.abs(points[:, :1]) - 5.6) / 2.0, 0.0, 1.0) * np.clip((-9.0 - points[:, 1:2]) / 2.0, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t) * (1.0 - side)).astype(np.float32)


def turn(points: np.ndarray, pose: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, 3) points turned by `pose` (3, 3) about the neck, in part where `weight` (N, 1) is below 1."""
    moved = (points - PIVOT) @ pose.T + PIVOT
    return points + weight * (moved - points)


def load(folder: Path) -> HeadModel:
    """Read `ict_facekit_light.npz` and `vertex_indices.json` from a folder."""
    with np.load(folder / "ict_facekit_light.npz") as data:
        neutral, quads, quads_uv, uv = data["neutral"], data["quads"], data["quads_uv"], data["uv"]
        identity = data["identity_delta_i16"] * data["identity_scale"][:, None, None]
        expression = data["expression_delta_i16"] * data["expression_scale"][:, None, None]
        names = tuple(str(n) for n in data["expression_names"])
    landmarks = json.loads((folder / "vertex_indices.json").read_text())["idx_to_landmark_verts"]
    quads, quads_uv = quads.astype(np.int64), quads_uv.astype(np.int64)
    part = np.full(len(quads), -1, np.int8)
    for k, name in enumerate(DRAWN):
        first, last = PARTS[name]
        part[((quads >= first) & (quads <= last)).any(1)] = k
    part[(quads > PARTS["eye_right"][1]).any(1)] = -1
    inner = ((quads > PARTS["eye_left"][1]) & (quads < PARTS["eye_right"][0])).any(1)
    part[inner] = -1
    pairs = quads * len(uv) + quads_uv
    kept = part >= 0
    unique, index = np.unique(pairs[kept], return_inverse=True)
    corners = index.reshape(-1, 4)
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).astype(np.int32)
    parts = np.concatenate([part[kept], part[kept]])
    real = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 2] != triangles[:, 0])
    )
    triangles, parts = triangles[real], parts[real]
    source = (unique // len(uv)).astype(np.int32)
    touched = source[triangles]
    rows = touched.T.reshape(-1)
    ones = np.ones(len(rows), np.float32)
    columns = np.tile(np.arange(len(triangles)), 3)
    incidence = sparse.csr_matrix((ones, (rows, columns)), shape=(len(neutral), len(triangles)))
    around = (incidence @ incidence.T).astype(bool).astype(np.float32) + sparse.identity(len(neutral), np.float32)
    neighbours = (sparse.diags(1.0 / np.asarray(around.sum(1)).reshape(-1)) @ around).tocsr().astype(np.float32)
    return HeadModel(
        neutral.astype(np.float32), source, uv[unique % len(uv)].astype(np.float32), triangles, parts,
        identity.astype(np.float32), expression.astype(np.float32), names, np.asarray(landmarks, np.int32),
        lash_strips(neutral, quads),
        incidence, neighbours,
    )  # fmt: skip
