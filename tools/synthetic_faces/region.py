"""Which part of the head a mask counts: of a whole face from forehead to chin, without ears, neck and scalp; of a head
all but the neck."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse.csgraph as graph
from tools.footage.hair import HairLook, distance_above_hairline
from tools.footage.head import HeadModel


def face_region(model: HeadModel, look: HairLook) -> np.ndarray:
    """(V,) float32: above 0 inside the face, in units from its border.

    Measured on the generic head: up to the hairline (smooth, as a person would draw it), down to the jaw's edge, back
    to the front of the ears.
    """
    p = model.neutral
    smooth = dataclasses.replace(look, sideburns=1.0)
    below_hair = -distance_above_hairline(p, smooth, ragged=0.25)
    jaw = model.neutral[model.landmarks[:17]]
    angle = np.degrees(np.arctan2(p[:, 0], p[:, 2] - 2.0))
    edge_angle = np.degrees(np.arctan2(jaw[:, 0], jaw[:, 2] - 2.0))
    above_jaw = p[:, 1] - np.interp(angle, edge_angle, jaw[:, 1]) + 0.35
    side = np.interp(p[:, 1], [-8, -4, 0, 3, 6, 9], [2.0, 3.2, 2.9, 2.5, 2.2, 2.6])
    before_ear = p[:, 2] - side
    inside = np.minimum(np.minimum(below_hair, above_jaw), before_ear)
    inside = np.where(model.where("face"), inside, -1.0)
    within = np.flatnonzero(inside > 0)  # edges of the ears reach into it: only what hangs together counts
    piece = graph.connected_components(model.neighbours[within][:, within], directed=False)[1]
    inside[within[piece != np.bincount(piece).argmax()]] = -0.01
    return inside.astype(np.float32)


def head_region(model: HeadModel) -> np.ndarray:
    """(V,) float32: above 0 above the jaw's edge and, behind the ears, above the nape."""
    p = model.neutral
    jaw = model.neutral[model.landmarks[:17]]
    angle = np.degrees(np.arctan2(p[:, 0], p[:, 2] - 2.0))
    edge_angle = np.degrees(np.arctan2(jaw[:, 0], jaw[:, 2] - 2.0))
    line = np.interp(angle, [-180, *edge_angle, 180], [-5.5, *jaw[:, 1], -5.5])
    ear = (np.abs(p[:, 0]) > 7.2) & (p[:, 1] > -3.5)
    inside = np.where(ear, 1.0, p[:, 1] - line + 0.35)
    return np.where(model.where("face", "neck"), inside, -1.0).astype(np.float32)
