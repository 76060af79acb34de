"""One still: a head in its light, what comes before it, the mask of what is left of the face, landmarks, the camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from tools.footage import film, raster, shade
from tools.footage.camera import Framing
from tools.footage.head import neck_weight, rotation, turn
from tools.footage.noise import to_linear
from tools.footage.person import Built
from tools.synthetic_faces import faults, heads, looks, staging, worn
from tools.synthetic_faces import prop as props
from tools.synthetic_faces.cast import Cast, Order
from tools.synthetic_faces.prop import Prop
from tools.synthetic_faces.staging import SAMPLES

from facewright.faces.align import face_from_frame
from facewright.image.filters import motion_blur

LEAVES = 0.06
"""Share of crops that reach beyond the frame, in sets for masks."""


@dataclass(frozen=True, slots=True)
class Still:
    """`picture` (S, S, 3) uint8 RGB, `mask` (S, S) uint8; `points_px` (68, 2) float32 and `mesh_px` (468, 3) float32 in
    crop px, pixel centres at integers; `pose_deg` yaw, pitch, roll; `hidden_01` share of the face that is covered."""

    picture: np.ndarray
    mask: np.ndarray
    points_px: np.ndarray
    mesh_px: np.ndarray
    pose_deg: tuple[float, float, float]
    hidden_01: float
    leaves_frame: bool


def render(cast: Cast, order: Order, rng: np.random.Generator) -> Still:
    """A head that nobody has."""
    model, look = cast.model, cast.look(rng)
    hat = worn.hat_area(model, rng) if order.masks and rng.random() < staging.HATS else None
    who = looks.wear(model, look, heads.draw_identity(rng), rng, hat[0] > 0 if hat else None)
    pose, weights = heads.draw_pose(rng), heads.draw_expression(model, rng)
    lens, points, mesh = _frame(cast, order, who, pose, weights, heads.draw_camera(rng, order.side_px))
    scene = film.Scene(camera=lens, light=heads.draw_light(rng), samples=SAMPLES)
    behind = heads.paint_behind(rng, order.side_px, np.asarray(who.person.skin.tone))
    stage, face, put = staging.set_scene(cast, order, staging.Dressed(who, look, hat), scene, pose, weights, rng)
    linear, covered = film.shade_all(model, who, scene, stage, weights)
    exposure = _exposure(linear, face, who, rng)
    _wear_glasses(stage, linear, covered, [p for p in put.props if p.keeps], scene)
    front = shade.film(linear, exposure) * covered[..., None]
    alpha, seen = _reduce(covered), _reduce(face.astype(np.float32))
    picture = _reduce(front) + shade.film(behind, float(np.exp(rng.normal(0, 0.4)))) * (1 - alpha[..., None])
    before = [p for p in put.props if not p.keeps]
    layer, hides = _layer(stage, before, scene, exposure)
    layer, hides = _shaken(layer, hides, put.gap, rng) if before else (layer, hides)
    if before:  # what is near a face keeps the sky's light from it
        near = cv2.GaussianBlur(hides, (0, 0), 0.03 * order.side_px) * np.float32(0.45 * np.exp(-max(put.gap, 0) / 2))
        picture = picture * (1 - near * alpha)[..., None]
    picture = picture * (1 - hides)[..., None] + layer
    mask = seen * (1 - hides)
    leaves = False
    if order.masks:
        picture, mask, leaves = _leave_frame(picture, mask, rng)
    area = float(seen.sum())
    filmed = faults.filmed(picture, rng, faults.SHARE if order.masks else faults.SHARE_CLEAN)
    whole = (np.clip(mask, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Still(filmed, whole, points, mesh, pose, 1 - float(mask.sum()) / max(area, 1.0), leaves)


def _frame(cast: Cast, order: Order, who: Built, pose_deg: tuple[float, float, float], weights: np.ndarray,
           camera: heads.Camera) -> tuple[Framing, np.ndarray, np.ndarray]:  # fmt: skip
    """The crop's view of the head, landmarks and mesh in crop px. A raster's samples lie half a pixel after crop px."""
    model, pose = cast.model, rotation(*pose_deg)
    posed = model.posed(who.rest, weights)
    marks = turn(posed[model.landmarks], pose, neck_weight(who.rest[model.landmarks]))
    flat = camera.project(marks)[:, :2].astype(np.float64)
    crop = face_from_frame(flat, order.side_px, order.face_type)
    centred = crop.copy()
    centred[:2, 2] += 0.5
    lens = Framing(camera, centred, order.side_px)
    mesh = turn(cast.bend.points(posed[model.landmarks]), pose, np.ones((1, 1), np.float32))
    size = float(np.sqrt(abs(np.linalg.det(crop[:2, :2])))) * camera.focal * camera.height_px / camera.distance
    depth = (marks[:, 2].mean() - mesh[:, 2]) * size
    points = lens.project(marks)[:, :2] - 0.5
    return lens, points, np.column_stack([lens.project(mesh)[:, :2] - 0.5, depth]).astype(np.float32)


def _exposure(linear: np.ndarray, face: np.ndarray, who: Built, rng: np.random.Generator) -> float:
    """As a camera's automatic: dark skin stays darker, light from behind leaves the face in the dark, some are off."""
    luma = linear[face] @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    level = float(np.sqrt(np.mean(luma) * np.percentile(luma, 80))) if len(luma) else 0.3
    tone = float(to_linear(who.person.skin.tone) @ np.array([0.2126, 0.7152, 0.0722]))
    wanted = 0.33 * (tone / 0.35) ** 0.55 * float(np.exp(rng.normal(0, 0.38)))
    return wanted / max(level, 1e-3)


def _draw(stage: film.Stage, things: list[Prop], scene: film.Scene) -> list[tuple[Prop, np.ndarray, np.ndarray]]:
    """For each prop that is seen before the head: (prop, samples, linear light)."""
    buffer = raster.Buffer(stage.buffer.key.copy(), np.full_like(stage.buffer.triangle, -1), stage.buffer.bary.copy())
    offsets = [0]
    for p in things:
        raster.draw(buffer, scene.camera.project(p.points, SAMPLES), p.triangles, offsets[-1])
        offsets.append(offsets[-1] + len(p.triangles))
    ids, bary = buffer.triangle.reshape(-1), buffer.bary.reshape(-1, 2)
    spin = film.spins(buffer.triangle.shape, SAMPLES).reshape(-1)
    out = []
    for p, low, high in zip(things, offsets, offsets[1:], strict=False):
        at = np.flatnonzero((ids >= low) & (ids < high))
        if len(at):
            out.append((p, at, props.lit(p, p.triangles[ids[at] - low], bary[at], stage.lamps, spin[at])))
    return out


def _wear_glasses(stage: film.Stage, linear: np.ndarray, covered: np.ndarray, glasses: list[Prop],
                  scene: film.Scene) -> None:  # fmt: skip
    flat, cover = linear.reshape(-1, 3), covered.reshape(-1)
    lenses = [p for p in glasses if p.alpha < 1]
    for group in (lenses, [p for p in glasses if p.alpha == 1]):
        for p, at, light in _draw(stage, group, scene) if group else []:
            flat[at] += (light - flat[at]) * np.float32(p.alpha)
            cover[at] = np.maximum(cover[at], p.alpha)


def _layer(stage: film.Stage, before: list[Prop], scene: film.Scene, exposure: float) -> tuple[np.ndarray, np.ndarray]:
    """(S, S, 3) display colour times cover, and (S, S) cover 0..1 of what comes before the face."""
    shape = stage.buffer.triangle.shape
    colour, cover = np.zeros((shape[0] * shape[1], 3), np.float32), np.zeros(shape[0] * shape[1], np.float32)
    for _, at, light in _draw(stage, before, scene) if before else []:
        colour[at], cover[at] = shade.film(light, exposure), 1.0
    return _reduce(colour.reshape(*shape, 3)), _reduce(cover.reshape(shape))


def _shaken(
    layer: np.ndarray, hides: np.ndarray, gap: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Motion blur, three of ten times; out of focus when far before the face."""
    both = np.concatenate([layer, hides[..., None]], 2)
    side = both.shape[0]
    if rng.random() < 0.3:
        both = motion_blur(both, max(2, int(side / 256 * np.exp(rng.uniform(1.0, 3.0)))), float(rng.uniform(0, 180)))
    if rng.random() < 0.4:
        both = cv2.GaussianBlur(both, (0, 0), side / 256 * float(rng.uniform(0.3, 0.6 + 0.14 * max(gap, 0))))
    return both[..., :3], np.clip(both[..., 3], 0, 1)


def _leave_frame(
    picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, bool]:
    """At times the crop reaches beyond the film's edge: black there, and no face."""
    if rng.random() >= LEAVES:
        return picture, mask, False
    side = len(mask)
    inside = np.zeros((side, side), np.float32)
    left, top, right, bottom = (int(v * side) if rng.random() < 0.4 else 0 for v in rng.uniform(0.03, 0.3, 4))
    inside[top : side - bottom, left : side - right] = 1
    return picture * inside[..., None], mask * inside, bool(inside.min() < 1)


def _reduce(samples: np.ndarray) -> np.ndarray:
    side = samples.shape[0] // SAMPLES
    return cv2.resize(samples, (side, side), interpolation=cv2.INTER_AREA)
