"""A person: parameters, and everything about them that does not change from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse.csgraph as graph
from tools.footage import cloth, hair, light, texture
from tools.footage.head import HeadModel
from tools.footage.lashes import LashPlan, plan_lashes
from tools.footage.parts import PARTS
from tools.footage.texture import Colour


@dataclass(frozen=True, slots=True)
class Person:
    """All parameters of one synthetic adult.

    `identity`: up to 60 shape components in standard deviations, |c| <= 2 (see `identity_of`); `iris` display RGB;
    `teeth` display RGB.
    """

    identity: tuple[float, ...] = ()
    skin: texture.SkinLook = field(default_factory=texture.SkinLook)
    hair: hair.HairLook = field(default_factory=hair.HairLook)
    cloth: cloth.ClothLook = field(default_factory=cloth.ClothLook)
    iris: Colour = (0.30, 0.38, 0.44)
    teeth: Colour = (0.80, 0.76, 0.68)


def identity_of(seed: int, number: int = 0, limit: float = 1.9) -> tuple[float, ...]:
    """60 shape components: head `number` of the row of heads that a seed stands for, each within +-`limit`."""
    row = np.random.default_rng(seed).normal(0, 1, (number + 1, 60))[number]
    return tuple(float(c) for c in np.clip(row, -limit, limit).round(4))


@dataclass(frozen=True, slots=True)
class Built:
    """A person ready to be rendered. `rest` (V, 3) float32; `drawn` (T',) int: triangles not hidden by the shirt;
    `open_rest`, `open_wide` (V,) float32 ambient openness with the mouth closed and open; `tooth` (V,) float32
    brightness of teeth."""

    person: Person
    rest: np.ndarray
    atlas: texture.Atlas
    strands: tuple[hair.Strands, ...]
    lashes: LashPlan
    shirt: cloth.Shirt
    drawn: np.ndarray
    open_rest: np.ndarray
    open_wide: np.ndarray
    open_shirt: np.ndarray
    tooth: np.ndarray


WIDE = 0.66


def build(model: HeadModel, person: Person, texture_px: int = 1024) -> Built:
    """Shape, paint, comb and dress a person: a few CPU seconds, then every frame is cheap."""
    rest = model.rest(np.asarray(person.identity, np.float32))
    scalp = hair.scalp_mask(model, person.hair)
    atlas = texture.bake(model, person.skin, scalp, person.hair.colour, texture_px)
    strands = tuple(hair.grow(model, rest, person.hair))
    shirt = cloth.tailor(rest[model.where("face", "neck")], person.cloth)
    angle = np.arctan2(rest[:, 0], rest[:, 2] + 1.2)
    hidden = rest[:, 1] < cloth.neckline(angle, person.cloth.collar) - 0.7
    corner = model.source[model.triangles]
    drawn = np.flatnonzero(~hidden[corner].all(1))
    pieces = [(shirt.points, shirt.triangles)]
    hairs = strands[0]
    ribbons = hair.ribbons(hairs.points[::3], hairs.width[::3] * 2.2, np.array([0, 0, 75], np.float32))
    pieces.append((ribbons.reshape(-1, 3), hair.ribbon_triangles(len(hairs.points[::3]), hairs.points.shape[1])))
    shade = []
    for jaw in (0.0, WIDE):
        posed = model.posed(rest, model.weights({"jawOpen": jaw}))
        normals = model.normals(posed)
        skin = (posed, corner[drawn])
        shade.append(model.smooth(light.openness(posed, normals, [skin, *pieces])[:, None], 1)[:, 0])
    open_shirt = light.openness(shirt.points, shirt.normal, [(rest, corner[drawn]), pieces[0]], 48)
    lashes = plan_lashes(model, person.hair.lash_length, person.hair.seed)
    return Built(
        person, rest, atlas, strands, lashes, shirt, drawn, shade[0], shade[1], open_shirt * shirt.shade,
        tooth_tones(model, person.skin.seed),
    )  # fmt: skip


def tooth_tones(model: HeadModel, seed: int) -> np.ndarray:
    """(V,) 0.7..1: each tooth has a tone of its own and is darker towards its gum and its neighbours."""
    first, last = PARTS["teeth"]
    links = (model.neighbours[first : last + 1, first : last + 1] > 0).astype(np.int8)
    count, label = graph.connected_components(links, directed=False)
    tone = np.random.default_rng(seed + 70).uniform(0.88, 1.0, count)[label]
    p = model.neutral[first : last + 1]
    for axis in (0, 1):
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, label, p[:, axis])
        np.maximum.at(high, label, p[:, axis])
        edge = np.abs((p[:, axis] - low[label]) / (high - low)[label] * 2 - 1)
        tone *= 1 - 0.25 * edge**6
    out = np.ones(len(model.neutral), np.float32)
    out[first : last + 1] = tone
    return out
