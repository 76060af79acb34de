"""Where the 468 mesh points of a synthetic head are: the canonical mesh bent so that its 68 landmark points fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.head import HeadModel

from facewright.faces.align import canonical_mesh
from facewright.faces.landmark import MESH_FOR_68
from facewright.image.geometry import umeyama


@dataclass(frozen=True, slots=True)
class Bend:
    """Linear map from landmarks to mesh points: `rest` (468, 3), `weight` (468, 68)."""

    rest: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, model: HeadModel) -> Bend:
        """For a head model, from its generic landmarks (radial basis |r|, after a similarity)."""
        marks = model.neutral[model.landmarks].astype(np.float64)
        mesh = canonical_mesh()
        fit = umeyama(mesh[MESH_FOR_68], marks)
        mesh = mesh @ fit[:3, :3].T + fit[:3, 3]
        knots = mesh[MESH_FOR_68]
        near = np.linalg.norm(knots[:, None] - knots[None], axis=-1)
        far = np.linalg.norm(mesh[:, None] - knots[None], axis=-1)
        return cls(mesh, far @ np.linalg.inv(near + 1e-6 * np.eye(68)))

    def points(self, marks: np.ndarray) -> np.ndarray:
        """(468, 3) for landmarks (68, 3) in the head's own axes."""
        return (self.rest + self.weight @ (marks - self.rest[MESH_FOR_68])).astype(np.float32)
