"""Look at a film once: mesh, points, pose, eye distance, identity vectors and pair-judge features per frame.

ROI rule of measuring-quality.md: the swap's points come from one mesh pass on the crop that the *plate's* points
span, else the detector's jitter counts as the swap's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.fwbench import ground

from facewright.faces import identity
from facewright.faces.align import pose_deg
from facewright.faces.find import FaceFinder
from facewright.faces.five_points import five_of_mesh
from facewright.faces.landmark import FaceMesh, _square_around, corrected_points
from facewright.faces.sample import sample
from facewright.media.frame import Frame

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Seen:
    """One face per frame, frames in order: `frames` indices, meshes (T,468,3), points (T,68,2), poses (T,3) deg,
    presence (T,), u_px (T,); `crops` are 112 px aligned pictures, `vectors` (T, D) or None without the net."""

    frames: Array
    meshes: Array
    points: Array
    poses: Array
    presence: Array
    u_px: Array
    crops: list[Array]
    vectors: Array | None

    def valid(self, yaw_deg: float) -> Array:
        """presence >= .95, u >= 24 px, |yaw| below the limit: (T,) bool."""
        return (self.presence >= 0.95) & (self.u_px >= 24) & (np.abs(self.poses[:, 0]) <= yaw_deg)

    def at(self, keep: Array) -> Seen:
        """The chosen frames only."""
        vectors = None if self.vectors is None else self.vectors[keep]
        chosen = np.flatnonzero(keep)
        return Seen(
            self.frames[keep],
            self.meshes[keep],
            self.points[keep],
            self.poses[keep],
            self.presence[keep],
            self.u_px[keep],
            [self.crops[i] for i in chosen],
            vectors,
        )


def find_faces(frames: Sequence[Frame], chunk: int = 32) -> dict[int, Array]:
    """Frame index -> mesh (468, 3) of the largest face, for frames that have one."""
    finder, found = FaceFinder(), {}
    for start in range(0, len(frames), chunk):
        part = list(frames[start : start + chunk])
        for frame, faces in zip(part, finder.find(part)):
            good = [f for f in faces if f.presence_01 >= 0.5]
            if good:
                biggest = max(good, key=lambda f: f.eye_distance_px)
                found[frame.index] = biggest.landmarks.mesh_px
    return found


def look(images: dict[int, Array], meshes: dict[int, Array], batch: int = 16) -> Seen:
    """One mesh pass per picture on the square that `meshes` (the plate's) span, and what follows from it."""
    net = FaceMesh(None)
    order = sorted(i for i in images if i in meshes)
    found, logits = [], []
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        centre, side, angle = _square_around(np.stack([meshes[i] for i in part]).astype(np.float64))
        mesh, logit = net._pass([images[i] for i in part], centre + 0.5, side, angle)
        mesh[..., :2] -= 0.5
        found.append(mesh)
        logits.append(logit)
    mesh = np.concatenate(found).astype(np.float32)
    poses = pose_deg(mesh)
    pictures, five = [images[i] for i in order], five_of_mesh(mesh[..., :2])
    matrices = identity._frame_from_template(five)
    crops = [sample(i, m, 112) for i, m in zip(pictures, matrices)]
    u = np.array([ground.eye_distance_px(m, p[0]) for m, p in zip(mesh, poses)])
    presence = 1 / (1 + np.exp(-np.clip(np.concatenate(logits), -80, 80)))
    vectors = identity.make_embedder()(pictures, five) if identity.identity_net() is not None else None
    return Seen(np.array(order), mesh, corrected_points(mesh), poses, presence, u, crops, vectors)
