"""Detection -> 468 mesh points and 68 points in iBUG order (pretrained-weights.md section 5).

A landmarker is a class called with `(weights: Path | None, *, threads: int = 1)`; its instances are called with a
list of (H, W, 3) uint8 pictures and a list of Detections, one each, and give one Landmarks each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from facewright.core.weights import WEIGHTS, resolve
from facewright.faces.align import FIT_POINTS, canonical_mesh
from facewright.faces.correction import CORRECTION_CM, CORRECTION_NAME
from facewright.faces.face import Detection
from facewright.faces.nets import LiteNet
from facewright.faces.sample import sample
from facewright.faces.settings import LANDMARKERS
from facewright.image.geometry import umeyama

MESH_FOR_68 = np.array([
    127, 234, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 405, 17, 181, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
])  # fmt: skip
"""Mesh index of each of the 68 points: jaw, brows, nose, eyes, outer lips, inner lips."""

OVAL = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])  # fmt: skip
"""The face's outline as mesh indices, closed, from the forehead toward image right."""

CROP_FACTOR = 1.5
"""Side of the square that the net sees, over the longer side of the face's box."""

_OUTER_EYES = (33, 263)
_ALIGNING = MESH_FOR_68[FIT_POINTS]


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Points of one face in frame px. mesh_px (468, 3) float32, z in the same unit, negative toward the camera;
    points_px (68, 2) float32, corrected; presence_01 0..1 and its logit (which does not saturate); roll_deg of the
    line between the outer eye corners, counter-clockwise positive. unsteady: how far two passes of the net disagree,
    mean distance of the points that align over the distance of the eyes; 0 where there was one pass."""

    mesh_px: np.ndarray
    points_px: np.ndarray
    presence_01: float
    presence_logit: float
    roll_deg: float
    unsteady: float = 0.0


class Landmarker(Protocol):
    """The contract; `net` is its stored id, e.g. `face_mesh:1055cb9d+corr1`."""

    net: str

    def __call__(self, images: list[np.ndarray], detections: list[Detection]) -> list[Landmarks]:
        """One Landmarks for each pair of picture and detection."""
        ...


def make_landmarker(name: str = "face_mesh", *, threads: int = 1) -> Landmarker:
    """A landmarker of the registry. Raises SettingRefused, WeightsMissing."""
    plug = LANDMARKERS.plug(name)
    path = resolve(plug.weights[0]) if plug.weights else None
    return LANDMARKERS.load(name)(path, threads=threads)


def corrected_points(mesh_px: np.ndarray) -> np.ndarray:
    """(..., 468, 3) mesh -> (..., 68, 2) float32 iBUG points, freed of the mesh's constant shape bias.

    The correction is fixed to the head: it turns and scales with the similarity canonical head -> mesh.
    """
    mesh = np.asarray(mesh_px, np.float64)
    flip = np.array([1.0, -1.0, -1.0])
    linear = umeyama(canonical_mesh(), mesh * flip)[..., :3, :3]
    offset = np.einsum("...ij,pj->...pi", linear, CORRECTION_CM) * flip
    return (mesh[..., MESH_FOR_68, :2] + offset[..., :2]).astype(np.float32)


def crop_matrix(centre: np.ndarray, side: np.ndarray, angle_rad: np.ndarray, net_side: int) -> np.ndarray:
    """(N, 3, 3) frame_from_net: net px 0..net_side (edges) -> frame px (edges) of squares of `side`, turned by
    `angle_rad` (clockwise in the image)."""
    scale = side / net_side
    cos, sin = np.cos(angle_rad) * scale, np.sin(angle_rad) * scale
    matrix = np.zeros((len(side), 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1], matrix[:, 2, 2] = cos, -sin, sin, cos, 1.0
    middle = np.full(2, net_side / 2)
    matrix[:, :2, 2] = centre - matrix[:, :2, :2] @ middle
    return matrix


class FaceMesh:
    """The 468-point mesh in two passes: the second looks at a square that the first one's points span."""

    def __init__(self, weights: Path | None, *, threads: int = 1) -> None:
        self._net = LiteNet(weights or resolve("face_mesh"), threads=threads)
        self.net = f"face_mesh:{WEIGHTS['face_mesh'].sha256[:8]}+{CORRECTION_NAME}"

    def __call__(self, images: list[np.ndarray], detections: list[Detection]) -> list[Landmarks]:
        """See the module's text."""
        if not detections:
            return []
        boxes = np.array([d.box_px for d in detections], np.float64)
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + 0.5
        side = CROP_FACTOR * (boxes[:, 2:] - boxes[:, :2]).max(-1)
        angle = -np.radians([d.roll_deg for d in detections])
        first, _ = self._pass(images, centre, side, angle)
        centre, side, angle = _square_around(first)
        mesh, logits = self._pass(images, centre, side, angle)
        unsteady = _disagreement(first, mesh)
        mesh[..., :2] -= 0.5
        points = corrected_points(mesh)
        eyes = mesh[:, _OUTER_EYES[1], :2] - mesh[:, _OUTER_EYES[0], :2]
        rolls = -np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))
        return [
            Landmarks(
                m.astype(np.float32), p, float(1 / (1 + np.exp(-np.clip(g, -80, 80)))), float(g), float(r), float(u)
            )
            for m, p, g, r, u in zip(mesh, points, logits, rolls, unsteady)
        ]

    def _pass(
        self, images: list[np.ndarray], centre: np.ndarray, side: np.ndarray, angle: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """-> (N, 468, 3) float64 mesh in frame px (edges at 0), (N,) presence logits."""
        side = np.maximum(side, 1.0)
        matrices = crop_matrix(centre, side, angle, self._net.side)
        pictures = np.stack([sample(i, m, self._net.side) for i, m in zip(images, matrices)])
        results = self._net(pictures.astype(np.float32) / np.float32(255.0))
        mesh = results[0].reshape(-1, 468, 3).astype(np.float64)
        mesh[..., :2] = mesh[..., :2] @ matrices[:, :2, :2].transpose(0, 2, 1) + matrices[:, None, :2, 2]
        mesh[..., 2] *= (side / self._net.side)[:, None]
        return mesh, results[1].reshape(-1).astype(np.float64)


def _disagreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, 468, 3) meshes of two passes -> (N,): see Landmarks.unsteady."""
    moved = np.linalg.norm(first[:, _ALIGNING, :2] - second[:, _ALIGNING, :2], axis=-1).mean(-1)
    eyes = np.linalg.norm(second[:, _OUTER_EYES[1], :2] - second[:, _OUTER_EYES[0], :2], axis=-1)
    return np.asarray(moved / np.maximum(eyes, 1.0))


def _square_around(mesh: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, side and angle of the upright (in the head's own frame) square around each mesh."""
    eyes = mesh[:, _OUTER_EYES[1], :2] - mesh[:, _OUTER_EYES[0], :2]
    angle = np.arctan2(eyes[:, 1], eyes[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)  # upright -> frame
    flat = mesh[..., :2] @ turn
    low, high = flat.min(1), flat.max(1)
    centre = (turn @ ((low + high) / 2)[..., None])[..., 0]
    return centre, CROP_FACTOR * (high - low).max(-1), angle
