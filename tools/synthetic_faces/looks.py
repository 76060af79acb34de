"""What a head can look like: skin, hair, eyes, clothes. A look is costly to prepare and serves several heads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial import cKDTree
from tools.footage import cloth, hair, light, person, texture
from tools.footage.head import HeadModel
from tools.footage.lashes import LashPlan, plan_lashes
from tools.footage.noise import to_linear
from tools.footage.parts import PARTS
from tools.synthetic_faces import beard
from tools.synthetic_faces.region import face_region, head_region

TEXTURE_PX = 512
STRANDS = 5200
DIRECTIONS = 40
"""From how many sides it is looked how open to light a head is."""
_TONES = np.array([
    [0.93, 0.78, 0.70], [0.87, 0.70, 0.60], [0.80, 0.61, 0.50], [0.70, 0.52, 0.40], [0.58, 0.42, 0.335],
    [0.45, 0.33, 0.265], [0.33, 0.25, 0.205],
])  # fmt: skip
_HAIR = ((0.08, 0.07, 0.065), (0.16, 0.11, 0.08), (0.28, 0.19, 0.12), (0.42, 0.30, 0.18), (0.62, 0.49, 0.30),
         (0.75, 0.64, 0.45), (0.45, 0.20, 0.10), (0.55, 0.54, 0.53), (0.80, 0.80, 0.79))  # fmt: skip
_IRIS = ((0.20, 0.12, 0.07), (0.30, 0.19, 0.10), (0.36, 0.40, 0.26), (0.36, 0.46, 0.54), (0.42, 0.50, 0.52))
_STYLES = ("short", "tied", "bob", "long", "fringe", "curly", "buzz", "bald")
_SHARES = (0.24, 0.13, 0.12, 0.11, 0.16, 0.10, 0.08, 0.06)


@dataclass(frozen=True, slots=True)
class Look:
    """A prepared look, grown on the generic head. `follows`: for each curve the model vertex every knot moves with;
    `inner` (V,) above 0 where a mask counts the head as face (`region.py`), `crown` the
    same for a whole head; of `strands` the first `loose` are hair
    that is not: beard and brows come after them."""

    skin: texture.SkinLook
    hair: hair.HairLook
    atlas: texture.Atlas
    strands: tuple[hair.Strands, ...]
    follows: tuple[np.ndarray, ...]
    lashes: LashPlan
    openness: tuple[np.ndarray, np.ndarray, np.ndarray]
    tooth: np.ndarray
    inner: np.ndarray
    crown: np.ndarray
    loose: int


def draw_skin(rng: np.random.Generator) -> texture.SkinLook:
    """Any adult skin, from very fair to very dark."""
    at = rng.uniform(0, len(_TONES) - 1.001)
    tone = _TONES[int(at)] * (1 - at % 1) + _TONES[int(at) + 1] * (at % 1)
    tone = np.clip(tone * (1 + rng.normal(0, 0.03, 3)), 0.1, 0.96)
    lips = np.clip(tone * np.array([0.88, 0.62, 0.64]) * (1 + rng.normal(0, 0.06, 3)), 0.06, 0.95)
    if rng.random() < 0.12:  # lipstick
        lips = np.array([rng.uniform(0.45, 0.8), rng.uniform(0.08, 0.3), rng.uniform(0.12, 0.35)])
    beard = rng.random() < 0.45
    return texture.SkinLook(
        tone=_colour(tone), lips=_colour(lips), redness=rng.uniform(0.1, 0.9),
        freckles=float(max(0.0, rng.normal(-0.2, 0.5))), stubble=rng.uniform(0.15, 1.3) if beard else 0.0,
        stubble_colour=_colour(np.array([0.16, 0.13, 0.11]) * rng.uniform(0.4, 2.2)),
        brow_shadow=_colour(tone * rng.uniform(0.4, 0.7)), lines=rng.uniform(0, 1), oil=rng.uniform(0, 1),
        moles=int(rng.integers(0, 7)), circles=rng.uniform(0, 0.8), lash_line=rng.uniform(0.3, 1.0),
        seed=int(rng.integers(1 << 30)),
    )  # fmt: skip


def draw_hair(rng: np.random.Generator) -> hair.HairLook:
    """Any hair; `strands` 0 is a bald head."""
    style = str(rng.choice(_STYLES, p=_SHARES))
    colour = np.array(_HAIR[int(rng.choice(len(_HAIR), p=(0.26, 0.2, 0.16, 0.1, 0.08, 0.05, 0.05, 0.06, 0.04)))])
    colour = np.clip(colour * rng.uniform(0.75, 1.25), 0.03, 0.95)
    if rng.random() < 0.03:
        colour = rng.uniform(0.15, 0.8, 3)
    bald = style == "bald"
    return hair.HairLook(
        style="buzz" if bald else style, colour=_colour(colour), brow_colour=_colour(colour * rng.uniform(0.6, 1.0)),
        strands=0 if bald else STRANDS, length=rng.uniform(0.7, 1.35), lift=rng.uniform(0.6, 1.7),
        recede=rng.uniform(-0.5, 1.5), sideburns=rng.uniform(0, 1), grey=float(max(0.0, rng.normal(-0.2, 0.35))),
        brow_width=rng.uniform(0.6, 1.5), brow_density=rng.uniform(0.35, 1.4), lash_length=rng.uniform(0.3, 1.0),
        seed=int(rng.integers(1 << 30)),
    )  # fmt: skip


def prepare(model: HeadModel, rng: np.random.Generator) -> Look:
    """Paint and comb a random look on the generic head: about a CPU second."""
    skin, hairs = draw_skin(rng), draw_hair(rng)
    bald = not hairs.strands
    scalp = None if bald else hair.scalp_mask(model, hairs)
    atlas = texture.bake(model, skin, scalp, hairs.colour, TEXTURE_PX)
    grown = hair.grow(model, model.neutral, dataclasses.replace(hairs, strands=hairs.strands or 200))
    thick = np.float32(np.sqrt(9000 / STRANDS))
    strands = [dataclasses.replace(s, width=s.width * (thick if s is grown[0] else 1)) for s in grown]
    if bald:
        strands[0] = dataclasses.replace(strands[0], points=strands[0].points * 0, width=strands[0].width * 0)
    loose = len(strands) - 1
    if skin.stubble > 0.5 and rng.random() < 0.55:
        strands.insert(loose, beard.grow(model, skin, hairs, rng))
    tree = cKDTree(model.neutral[: PARTS["neck"][1] + 1])
    follows = tuple(tree.query(s.points, workers=1)[1].astype(np.int32) for s in strands)
    style = "bald" if bald else hairs.style
    return Look(skin, hairs, atlas, tuple(strands), follows, plan_lashes(model, hairs.lash_length, hairs.seed),
                _openness(_Model(model), style), person.tooth_tones(model, skin.seed), face_region(model, hairs),
                head_region(model), loose)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Model:
    """A head model that can be a key: there is one in a process."""

    model: HeadModel

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Model) and other.model is self.model


@cache
def _openness(key: _Model, style: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How open to light the generic head is under hair of a style: mouth closed, wide open, and the shirt."""
    model = key.model
    shirt = cloth.tailor(model.neutral[model.where("face", "neck")], cloth.ClothLook())
    pieces = [(shirt.points, shirt.triangles)]
    if style != "bald":
        s = hair.grow(model, model.neutral, hair.HairLook(style=style, strands=3000))[0]
        ribbons = hair.ribbons(s.points, s.width * 2.2, np.array([0, 0, 75], np.float32))
        pieces.append((ribbons.reshape(-1, 3), hair.ribbon_triangles(*s.points.shape[:2])))
    corner = model.source[model.triangles]
    out = []
    for jaw in (0.0, person.WIDE):
        posed = model.posed(model.neutral, model.weights({"jawOpen": jaw}))
        free = light.openness(posed, model.normals(posed), [(posed, corner), *pieces], DIRECTIONS)
        out.append(model.smooth(free[:, None], 1)[:, 0])
    cloth_free = light.openness(shirt.points, shirt.normal, [(model.neutral, corner), pieces[0]], DIRECTIONS * 3 // 5)
    return out[0], out[1], cloth_free


def wear(model: HeadModel, look: Look, identity: np.ndarray, rng: np.random.Generator,
         under: np.ndarray | None = None) -> person.Built:  # fmt: skip
    """A new head under a prepared look: its own shape, shade of skin, eyes, clothes. `under` (V,) bool: where something
    presses the hair flat."""
    rest = model.rest(identity)
    moved = rest - model.neutral
    strands = tuple(
        dataclasses.replace(s, points=s.points + moved[at]) for s, at in zip(look.strands, look.follows, strict=True)
    )
    if under is not None:
        flat = [np.where(under[at][..., None], rest[at], s.points) for s, at in zip(strands, look.follows, strict=True)]
        loose = range(look.loose)
        strands = tuple(dataclasses.replace(s, points=flat[k]) if k in loose else s for k, s in enumerate(strands))
    colour = rng.uniform(0.03, 0.9, 3) if rng.random() < 0.5 else np.repeat(rng.uniform(0.04, 0.9), 3)
    dress = cloth.ClothLook(
        colour=_colour(colour), second=_colour(rng.uniform(0.05, 0.9, 3)), collar=rng.uniform(-0.6, 0.9),
        shoulders=rng.uniform(16, 21), stripes=float(rng.random() < 0.25), seed=int(rng.integers(1 << 30)),
    )  # fmt: skip
    shirt = cloth.tailor(rest[model.where("face", "neck")], dress)
    angle = np.arctan2(rest[:, 0], rest[:, 2] + 1.2)
    hidden = rest[:, 1] < cloth.neckline(angle, dress.collar) - 0.7
    drawn = np.flatnonzero(~hidden[model.source[model.triangles]].all(1))
    gain = np.float32(np.exp(rng.normal(0, 0.14))) * np.exp(rng.normal(0, 0.03, 3)).astype(np.float32)
    atlas = texture.Atlas(look.atlas.colour * np.append(gain, 1).astype(np.float32), look.atlas.slope)
    who = person.Person(
        identity=tuple(float(v) for v in identity),
        skin=dataclasses.replace(look.skin, tone=_colour(_gained(look.skin.tone, gain))),
        hair=look.hair, cloth=dress, iris=_IRIS[int(rng.integers(len(_IRIS)))],
        teeth=_colour(np.array([0.82, 0.78, 0.70]) * rng.uniform(0.8, 1.1)),
    )  # fmt: skip
    near, wide, shirt_free = look.openness
    return person.Built(who, rest, atlas, strands, look.lashes, shirt, drawn, near, wide, shirt_free * shirt.shade,
                        look.tooth)  # fmt: skip


def _gained(tone: texture.Colour, gain: np.ndarray) -> np.ndarray:
    return np.clip(to_linear(tone) * gain, 0, 1) ** (1 / 2.2)


def _colour(values: np.ndarray) -> texture.Colour:
    r, g, b = (float(v) for v in np.clip(values, 0.01, 0.98))
    return r, g, b
