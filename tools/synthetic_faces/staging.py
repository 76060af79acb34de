"""A dressed head on its stage: what is worn, what is put before the face, which samples show face."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from tools.footage import film, raster
from tools.footage.camera import Framing
from tools.footage.head import HeadModel, neck_weight, rotation, turn
from tools.footage.noise import to_linear
from tools.footage.parts import DRAWN
from tools.footage.person import Built
from tools.synthetic_faces import looks, place, worn
from tools.synthetic_faces.cast import Cast, Order
from tools.synthetic_faces.prop import Prop

from facewright.faces.face import FaceType

SAMPLES = 2
OCCLUDED, GLASSES, COVERED, HATS = 0.55, 0.16, 0.07, 0.09
"""Shares of heads with something before the face (of those COVERED with cloth over the lower face), with glasses,
with hats."""


@dataclass(frozen=True, slots=True)
class Dressed:
    """A built person, their look, and where a hat is (worn.hat_area), if any."""

    who: Built
    look: looks.Look
    hat: tuple[np.ndarray, bool] | None


def set_scene(
    cast: Cast, order: Order, dressed: Dressed, scene: film.Scene, pose_deg: tuple[float, float, float],
    weights: np.ndarray, rng: np.random.Generator,
) -> tuple[film.Stage, np.ndarray, place.Placed]:  # fmt: skip
    """The stage, (h, w) bool of samples that show face, and what was put before it."""
    model, who = cast.model, dressed.who
    found: list[tuple[np.ndarray, place.Placed]] = []

    def before(buffer: raster.Buffer, skin: np.ndarray) -> film.Pieces:
        corner = model.triangles[who.drawn]
        face = face_samples(model, dressed, order.face_type is FaceType.HEAD, buffer, corner)
        put = place.Placed([], 0.0)
        at = np.flatnonzero(face.reshape(-1) & (buffer.triangle.reshape(-1) < len(corner)))
        lens = scene.camera
        assert isinstance(lens, Framing)
        if len(at):
            some = at[rng.integers(0, len(at), 600)]
            ids = buffer.triangle.reshape(-1)[some]
            spots = raster.interpolate(skin[model.source], corner[ids], buffer.bary.reshape(-1, 2)[some])
            hair = to_linear(who.person.hair.colour)
            view = place.View(buffer, lens, SAMPLES, spots, np.asarray(who.person.skin.tone), hair)
            put = _props(cast, order, dressed, pose_deg, weights, view, rng)
        found.append((face, put))
        return [(p.points, p.triangles) for p in put.props if p.alpha > 0.5]

    stage = film.set_up(model, who, scene, np.asarray(pose_deg), weights, before, 512)
    return stage, *found[0]


def _props(cast: Cast, order: Order, dressed: Dressed, pose_deg: tuple[float, float, float], weights: np.ndarray,
           view: place.View, rng: np.random.Generator) -> place.Placed:  # fmt: skip
    model, pose = cast.model, rotation(*pose_deg)
    posed = model.posed(dressed.who.rest, weights)
    out: list[Prop] = []

    def on_head(parts: list[Prop]) -> list[Prop]:
        def placed(p: Prop) -> Prop:
            spun = turn(p.points, pose, np.maximum(neck_weight(p.points), 0))
            return dataclasses.replace(p, points=spun.astype(np.float32), normals=p.normals @ pose.T)

        return [placed(p) for p in parts]

    if rng.random() < GLASSES:
        out += on_head(worn.glasses(model, posed, rng))
    if dressed.hat:
        hats = on_head(worn.hat(model, posed, *dressed.hat, rng))
        whole = order.face_type is FaceType.HEAD
        out += [dataclasses.replace(p, keeps=whole) for p in hats]
    gap = 0.0
    if order.masks and rng.random() < OCCLUDED:
        if rng.random() < COVERED / OCCLUDED:
            out += on_head(worn.cover(model, posed, rng))
        else:
            put = place.put_before(view, cast.hand, rng)
            out, gap = out + put.props, put.gap
    return place.Placed(out, gap)


def face_samples(model: HeadModel, dressed: Dressed, whole: bool, buffer: raster.Buffer,
                  corner: np.ndarray) -> np.ndarray:  # fmt: skip
    """(h, w) bool: skin of the face, eyes, mouth, beard, brows and lashes; of a head all that is not neck or shirt."""
    who, look = dressed.who, dressed.look
    ids = buffer.triangle.reshape(-1)
    bary = buffer.bary.reshape(-1, 2)
    face = np.zeros(len(ids), bool)
    head = np.flatnonzero((ids >= 0) & (ids < len(corner)))
    part = model.part[who.drawn][ids[head]]
    skin = (part == DRAWN.index("face")) | (part == DRAWN.index("neck"))
    at = head[skin]
    values = (look.crown if whole else look.inner)[model.source][:, None]
    face[at] = raster.interpolate(values, corner[ids[at]], bary[at])[:, 0] > 0
    face[head[~skin]] = True  # eyes and mouth
    first = len(corner) + len(who.shirt.triangles)
    for s in who.strands[: 0 if whole else look.loose]:
        first += 2 * s.points.shape[0] * (s.points.shape[1] - 1)
    face[ids >= first] = True  # beard, brows, lashes
    return face.reshape(buffer.triangle.shape)
