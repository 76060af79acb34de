"""Frames of a scene: geometry, shading, lens and film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from tools.footage import backdrop, hair, light, raster, shade
from tools.footage.camera import Camera, Framing
from tools.footage.head import HeadModel, neck_weight, rotation, turn, unit
from tools.footage.motion import Track
from tools.footage.parts import DRAWN, PARTS
from tools.footage.person import WIDE, Built


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a person is filmed. `samples` 1..4 per pixel side; `grain` 0..0.03 of the display range; `seed`."""

    camera: Camera | Framing = field(default_factory=Camera)
    light: light.Light = field(default_factory=light.Light)
    backdrop: backdrop.Backdrop = field(default_factory=backdrop.Backdrop)
    samples: int = 2
    grain: float = 0.008
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame: `picture` (H, W, 3) uint8 RGB; `landmarks_px` (68, 2) float32; `pose_deg` (3,) yaw, pitch, roll."""

    picture: np.ndarray
    landmarks_px: np.ndarray
    pose_deg: np.ndarray


@dataclass(frozen=True, slots=True)
class Stage:
    """Geometry of one frame in the world, raster buffer included.

    `posed` (V, 3) the head in its own axes, `skin` (V, 3) in the world, `pose` (3, 3); `corner` (T', 3) triangles of
    the head that are drawn; `curves`, `curve_normals` of hair, brows and lashes; `buffer` what each sample sees:
    triangle ids below `offsets[0]` are the head's, below `offsets[1]` the shirt's, then one run for every curve.
    """

    posed: np.ndarray
    skin: np.ndarray
    corner: np.ndarray
    pose: np.ndarray
    curves: tuple[np.ndarray, ...]
    curve_normals: tuple[np.ndarray, ...]
    buffer: raster.Buffer
    offsets: tuple[int, ...]
    lamps: shade.Lamps


def shoot(model: HeadModel, who: Built, scene: Scene, track: Track) -> Iterator[Shot]:
    """Render every frame of a performance."""
    behind = backdrop.paint(scene.backdrop, scene.camera)
    for k in range(len(track.weights)):
        yield frame(model, who, scene, track.pose_deg[k], track.weights[k], behind, k)


def frame(
    model: HeadModel, who: Built, scene: Scene, pose_deg: np.ndarray, weights: np.ndarray, behind: np.ndarray,
    number: int = 0,
) -> Shot:  # fmt: skip
    """Render one frame before the picture `behind` (H, W, 3) linear light."""
    stage = set_up(model, who, scene, pose_deg, weights)
    linear, covered = shade_all(model, who, scene, stage, weights)
    height, width, s = scene.camera.height_px, scene.camera.width_px, scene.samples
    seen = covered.reshape(-1) > 0  # the curve is costly: only where something was drawn
    front = np.zeros((covered.size, 3), np.float32)
    front[seen] = shade.film(linear.reshape(-1, 3)[seen], scene.light.exposure)
    front = front.reshape(linear.shape)
    size = (width, height)
    front = cv2.resize(front, size, interpolation=cv2.INTER_AREA) if s > 1 else front
    alpha = cv2.resize(covered, size, interpolation=cv2.INTER_AREA)[..., None] if s > 1 else covered[..., None]
    picture = front + shade.film(behind, 1.0) * (1 - alpha)
    picture = _develop(picture, scene, number)
    marks = scene.camera.project(stage.skin[model.landmarks])[:, :2]
    return Shot((picture * 255 + 0.5).astype(np.uint8), marks, np.asarray(pose_deg, np.float32))


def _develop(picture: np.ndarray, scene: Scene, number: int) -> np.ndarray:
    """Lens vignette, a gentle grade and grain."""
    h, w = picture.shape[:2]
    y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    picture = picture * (1 - 0.10 * (x * x + y * y) ** 1.2)[..., None].astype(np.float32)
    luma = picture @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    warm = (luma - 0.35)[..., None] * np.array([0.020, 0.006, -0.022], np.float32)
    picture = luma[..., None] + (picture - luma[..., None]) * 1.04 + warm
    rng = np.random.default_rng((scene.seed, number))
    grain = rng.normal(0, 1, (h, w)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * 1.9
    return np.clip(picture + (grain * scene.grain * (0.5 + 2 * luma * (1 - luma)))[..., None], 0, 1)


Pieces = list[tuple[np.ndarray, np.ndarray]]
"""Vertices (V, 3) and triangles (T, 3) of things that cast shadows."""


def set_up(
    model: HeadModel, who: Built, scene: Scene, pose_deg: np.ndarray, weights: np.ndarray,
    props: Callable[[raster.Buffer, np.ndarray], Pieces] | None = None, shadow_px: int = 768,
) -> Stage:  # fmt: skip
    """Pose a person and draw them. `props` sees what was drawn and the skin's vertices, and gives what else casts
    shadows; `shadow_px` is the side of the shadow map."""
    posed = model.posed(who.rest, weights)
    pose = rotation(*[float(a) for a in pose_deg])
    skin = turn(posed, pose, neck_weight(who.rest))
    moved = posed - who.rest
    curves, normals, widths = [], [], []
    for s in who.strands:
        rest = s.points + moved[s.anchor][:, None]
        flat = rest.reshape(-1, 3)
        weight = np.maximum(neck_weight(flat), 0) if s.points.shape[1] > 6 else np.ones((len(flat), 1), np.float32)
        curves.append(turn(flat, pose, weight).reshape(rest.shape))
        normals.append(s.normal @ pose.T)
        widths.append(s.width)
    lashes = who.lashes.points(posed)
    curves.append(turn(lashes.reshape(-1, 3), pose, np.ones((1, 1), np.float32)).reshape(lashes.shape))
    normals.append(np.broadcast_to(unit(np.array([0, 0.5, 0.8], np.float32)) @ pose.T, lashes.shape))
    widths.append(who.lashes.width)
    corner = model.triangles[who.drawn]
    s = scene.samples
    buffer = raster.Buffer.empty(scene.camera.height_px * s, scene.camera.width_px * s)
    raster.draw(buffer, scene.camera.project(skin, s)[model.source], corner)
    offsets = [len(corner)]
    raster.draw(buffer, scene.camera.project(who.shirt.points, s), who.shirt.triangles, offsets[-1])
    offsets.append(offsets[-1] + len(who.shirt.triangles))
    pieces = [(skin, model.source[corner]), (who.shirt.points, who.shirt.triangles)]
    for points, width in zip(curves, widths, strict=True):
        edges = hair.ribbons(points, width, scene.camera.eye).reshape(-1, 3)
        triangles = hair.ribbon_triangles(*points.shape[:2])
        raster.draw(buffer, scene.camera.project(edges, s), triangles, offsets[-1])
        offsets.append(offsets[-1] + len(triangles))
    scalp = curves[0][::2]
    lamp = scene.light.direction("key")
    facing = hair.ribbons(scalp, who.strands[0].width[::2] * 1.4, 200 * lamp).reshape(-1, 3)
    pieces.append((facing, hair.ribbon_triangles(*scalp.shape[:2])))
    pieces += props(buffer, skin) if props else []
    shadow = light.cast(pieces, lamp, np.array([0, -4, 0], np.float32), 24.0, shadow_px)
    lamps = shade.Lamps(scene.light, shadow, scene.camera.eye)
    return Stage(posed, skin, corner, pose, tuple(curves), tuple(normals), buffer, tuple(offsets), lamps)


def shade_all(
    model: HeadModel, who: Built, scene: Scene, stage: Stage, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(h, w, 3) linear light of everything drawn and (h, w) float32 coverage, per sample."""
    shape = stage.buffer.triangle.shape
    ids = stage.buffer.triangle.reshape(-1)
    bary = stage.buffer.bary.reshape(-1, 2)
    out = np.zeros((len(ids), 3), np.float32)
    spin = spins(shape, scene.samples).reshape(-1)
    first = stage.offsets[0]
    head = np.flatnonzero((ids >= 0) & (ids < first))
    _shade_head(model, who, stage, weights, head, ids, bary, spin, out)
    at = np.flatnonzero((ids >= first) & (ids < stage.offsets[1]))
    tri = who.shirt.triangles[ids[at] - first]
    values = np.concatenate([who.shirt.points, who.shirt.normal, who.shirt.tint, who.open_shirt[:, None]], 1)
    v = raster.interpolate(values, tri, bary[at])
    out[at] = shade.matt(stage.lamps, v[:, :3], unit(v[:, 3:6]), v[:, 6:9], v[:, 9], spin[at])
    looks = [(s.tint, s.shade, s.gloss) for s in who.strands]
    looks.append((who.lashes.tint, np.ones(who.lashes.width.shape, np.float32), 0.1))
    for k, (tint, open_, gloss) in enumerate(looks):
        at = np.flatnonzero((ids >= stage.offsets[k + 1]) & (ids < stage.offsets[k + 2]))
        if not len(at):
            continue
        points, normal = stage.curves[k], stage.curve_normals[k]
        count, knots = points.shape[:2]
        along = unit(np.gradient(points, axis=1)).reshape(-1, 3)
        turn_ = np.linspace(0, 40, count * knots, dtype=np.float32)
        lit = shade.strands(stage.lamps, points.reshape(-1, 3), along, normal.reshape(-1, 3),
                            np.repeat(tint, knots, 0), open_.reshape(-1), gloss, turn_)  # fmt: skip
        tri = hair.ribbon_triangles(count, knots)[ids[at] - stage.offsets[k + 1]] // 2
        out[at] = raster.interpolate(lit, tri, bary[at])
    return out.reshape(*shape, 3), (ids >= 0).astype(np.float32).reshape(shape)


def spins(shape: tuple[int, int], side: int) -> np.ndarray:
    """Angles (h, w) that turn the shadow's sampling pattern, each of a pixel's samples differently."""
    tile = (np.arange(side * side, dtype=np.float32) * (2 * np.pi * 0.381966)).reshape(side, side)
    return np.tile(tile, (shape[0] // side, shape[1] // side))


def _shade_head(
    model: HeadModel, who: Built, stage: Stage, weights: np.ndarray, at: np.ndarray, ids: np.ndarray,
    bary: np.ndarray, spin: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    jaw = float(np.clip(weights[model.expression_names.index("jawOpen")] / WIDE, 0, 1))
    opening = who.open_rest + jaw * (who.open_wide - who.open_rest)
    n = model.normals(stage.skin)
    soft = unit(model.smooth(n, 6))
    values = np.concatenate([stage.skin, n, soft, opening[:, None]], 1)[model.source]
    values = np.concatenate([values, model.uv], 1)
    part = model.part[who.drawn][ids[at]]
    lamps = stage.lamps
    skin = np.isin(part, [DRAWN.index(k) for k in ("face", "neck", "socket", "mouth")])
    where = at[skin]
    v = raster.interpolate(values, stage.corner[ids[where]], bary[where])
    texel, slope = who.atlas.sample(v[:, 10:12])
    mouth = part[skin] == DRAWN.index("mouth")
    texel[mouth] = [0.30, 0.075, 0.065, 0.5]
    socket = part[skin] == DRAWN.index("socket")
    texel[socket] = texel[socket] * [0.9, 0.6, 0.55, 1] + [0.05, 0.01, 0.01, 0.3]
    open_ = v[:, 9].copy()
    local = _local(stage, v[:, :3])
    open_[mouth] = (0.3 + 0.7 * open_[mouth]) * _depth(model, stage, local[mouth])
    out[where] = shade.skin(
        lamps, v[:, :3], unit(v[:, 3:6]), unit(v[:, 6:9]), slope @ stage.pose.T, texel, open_, spin[where]
    )
    _shade_mouth(model, who, stage, values, part, at, ids, bary, spin, out)
    for side in ("eye_left", "eye_right"):
        where = at[part == DRAWN.index(side)]
        if len(where):
            _shade_eye(model, who, stage, values, side, where, ids, bary, spin, out)


def _local(stage: Stage, p: np.ndarray) -> np.ndarray:
    """World points back in the head's own axes."""
    return turn(p, stage.pose.T, np.ones((1, 1), np.float32))


def _depth(model: HeadModel, stage: Stage, local: np.ndarray) -> np.ndarray:
    """(N,) 0.1..1: how much light comes past the lips to points inside the mouth."""
    lips = stage.posed[model.landmarks[60:68]]
    gap = float(np.clip(np.linalg.norm(lips[2] - lips[6]), 0.0, 3.0))
    reach = 1.2 + 2.2 * gap
    return np.clip(np.exp(-np.maximum(0, lips[:, 2].max() - 0.3 - local[:, 2]) / reach), 0.10, 1.0)


def _shade_mouth(
    model: HeadModel, who: Built, stage: Stage, values: np.ndarray, part: np.ndarray, at: np.ndarray,
    ids: np.ndarray, bary: np.ndarray, spin: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    for name in ("gums", "teeth"):
        where = at[part == DRAWN.index(name)]
        if not len(where):
            continue
        corner = stage.corner[ids[where]]
        v = raster.interpolate(values, corner, bary[where])
        light_in = _depth(model, stage, _local(stage, v[:, :3])) * np.clip(0.6 + v[:, 9], 0, 1)
        if name == "teeth":
            tone = raster.interpolate(who.tooth[model.source][:, None], corner, bary[where])
            colour = shade.to_linear(who.person.teeth) * tone
        else:
            colour = np.repeat(np.array([[0.42, 0.13, 0.12]], np.float32), len(where), 0)
        n = unit(unit(v[:, 3:6]) + np.array([0, 0, 0.6], np.float32) @ stage.pose.T)
        lit = shade.matt(stage.lamps, v[:, :3], n, colour, light_in**0.5, spin[where], 0.5, 0.55)
        out[where] = lit * (light_in**0.7)[:, None]


def _shade_eye(
    model: HeadModel, who: Built, stage: Stage, values: np.ndarray, side: str, where: np.ndarray, ids: np.ndarray,
    bary: np.ndarray, spin: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    first, last = PARTS[side]
    ball = model.neutral[first : last + 1]
    centre, iris = ball.mean(0), model.neutral[last + 1 : last + 801].mean(0)
    corner = stage.corner[ids[where]]
    v = raster.interpolate(values, corner, bary[where])
    rest = raster.interpolate(model.neutral[model.source], corner, bary[where])
    posed_centre = stage.skin[first : last + 1].mean(0)
    pupil = unit(stage.skin[last + 1 : last + 801].mean(0) - posed_centre)
    n = unit(v[:, :3] - posed_centre)
    strip = next(s for s in model.lashes if s.upper and side.endswith(s.side))
    edge = stage.posed[strip.grid[0]]
    local = _local(stage, v[:, :3])
    lid = np.interp(local[:, 0], edge[:, 0], edge[:, 1]) - local[:, 1]
    out[where] = shade.eye(
        stage.lamps,
        v[:, :3],
        n,
        unit(rest - centre),
        unit(iris - centre),
        pupil,
        who.person.iris,
        lid,
        v[:, 9],
        spin[where],
    )
