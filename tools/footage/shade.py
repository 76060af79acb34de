"""Light on skin, eyes, teeth, cloth and hair. Linear light throughout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.head import unit
from tools.footage.light import Light, Shadow, towards
from tools.footage.noise import to_linear
from tools.footage.texture import Colour


@dataclass(frozen=True, slots=True)
class Lamps:
    """The light of one frame. `eye` (3,) position of the camera."""

    light: Light
    shadow: Shadow
    eye: np.ndarray

    def ambient(self, normals: np.ndarray) -> np.ndarray:
        """(N, 3) light from sky and ground."""
        up = (0.5 + 0.5 * normals[:, 1:2]) ** 1.0
        return np.asarray(self.light.ground, np.float32) * (1 - up) + np.asarray(self.light.sky, np.float32) * up


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) dot products of (N, 3) with (N, 3) or (3,)."""
    return np.einsum("ij,ij->i", a, b) if b.ndim == 2 else a @ b


def _wrap(cosine: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(N, 3) diffuse light that reaches beyond the terminator, each colour by its own offset (light in skin)."""
    lit = np.maximum(0.0, (cosine[:, None] + offset) / (1.0 + offset))
    return lit * (0.6 + 0.4 * lit)


def _gloss(
    normals: np.ndarray, view: np.ndarray, way: np.ndarray, power: np.ndarray | float, base: float
) -> np.ndarray:
    """(N,) normalised Blinn-Phong highlight with Schlick's Fresnel term."""
    half = unit(view + way)
    fresnel = base + (1 - base) * (1 - np.clip(dot(half, view), 0, 1)) ** 5
    lobe = np.maximum(0, dot(normals, half)) ** power * ((power + 8) / 25.1)
    return lobe * fresnel * np.maximum(0, dot(normals, way))


_SKIN_WRAP = np.array([0.30, 0.21, 0.17], np.float32)


def skin(
    lamps: Lamps, p: np.ndarray, n: np.ndarray, soft_n: np.ndarray, slope: np.ndarray, texel: np.ndarray,
    opening: np.ndarray, spin: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(N, 3) light leaving skin. `n` and `soft_n` fine and blurred normals: red light, which travels far in skin, sees
    the blurred one. `slope` surface gradient in world axes; `texel` (N, 4) colour and gloss; `opening` (N,) 0..1."""
    light = lamps.light
    view = unit(lamps.eye - p)
    fine = unit(n - (slope - n * dot(slope, n)[:, None]))
    colour, gloss = texel[:, :3], texel[:, 3]
    key = light.direction("key")
    lit = lamps.shadow.lit(p + 0.16 * n, light.softness, 0.10, spin)
    near = np.minimum(1.0, opening * 1.35)
    cosine = np.stack(
        [dot(0.4 * soft_n + 0.3 * n + 0.3 * fine, key), dot(0.5 * n + 0.5 * fine, key), dot(fine, key)], 1
    )
    diffuse = np.maximum(0, (cosine + _SKIN_WRAP) / (1 + _SKIN_WRAP))
    diffuse *= 0.55 + 0.45 * diffuse
    shade = lit[:, None] ** np.array([0.88, 0.98, 1.0], np.float32)
    out = diffuse * shade * (near**0.5)[:, None] * np.asarray(light.key, np.float32)
    for name, strength in (("fill", 1.0), ("rim", 0.55)):
        way = light.direction(name)
        out += (
            _wrap(dot(fine, way), _SKIN_WRAP)
            * (near * strength)[:, None]
            * np.asarray(getattr(light, name), np.float32)
        )
    # Light bounced between skin and skin is red: occlusion darkens blue more than red.
    dim = near[:, None] ** np.array([1.1, 1.17, 1.2], np.float32)
    out += lamps.ambient(fine) * dim
    out *= colour
    shine = _gloss(fine, view, key, 14 + 22 * gloss, 0.028) * lit + 0.45 * _gloss(fine, view, key, 90.0, 0.028) * lit
    strength = (gloss * 0.85 * near)[:, None]
    out += strength * shine[:, None] * np.asarray(light.key, np.float32)
    rim = _gloss(fine, view, light.direction("rim"), 12.0, 0.03)
    out += 0.5 * strength * rim[:, None] * np.asarray(light.rim, np.float32)
    fill = _gloss(fine, view, light.direction("fill"), 16.0, 0.03)
    out += strength * fill[:, None] * np.asarray(light.fill, np.float32)
    grazing = (1 - np.clip(dot(fine, view), 0, 1)) ** 4
    out += (0.10 * grazing * near)[:, None] * lamps.ambient(fine)
    return out


def matt(
    lamps: Lamps, p: np.ndarray, n: np.ndarray, colour: np.ndarray, opening: np.ndarray, spin: np.ndarray,
    gloss: float = 0.0, spill: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """(N, 3) light leaving a dull surface (cloth, gums), with an optional wet highlight; `spill` 0..1 of the key light
    gets past whatever casts the shadow (bounced around, as inside a mouth)."""
    light = lamps.light
    key = light.direction("key")
    lit = spill + (1 - spill) * lamps.shadow.lit(p + 0.2 * n, light.softness, 0.12, spin)
    out = (np.maximum(0, dot(n, key)) * lit)[:, None] * np.asarray(light.key, np.float32)
    for name in ("fill", "rim"):
        way = light.direction(name)
        out += (np.maximum(0, dot(n, way)) * opening)[:, None] * np.asarray(getattr(light, name), np.float32)
    out += lamps.ambient(n) * opening[:, None]
    out *= colour
    if gloss:
        view = unit(lamps.eye - p)
        shine = _gloss(n, view, key, 60.0, 0.04) * lit * gloss * opening
        out += shine[:, None] * np.asarray(light.key, np.float32)
    return out


def eye(
    lamps: Lamps, p: np.ndarray, n: np.ndarray, local: np.ndarray, axis: np.ndarray, pupil: np.ndarray, iris: Colour,
    lid: np.ndarray, opening: np.ndarray, spin: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(N, 3) light leaving an eyeball. `local` (N, 3) unit direction from the ball's centre at rest, `axis` (3,) where
    the pupil looks at rest, `pupil` (3,) where it looks now in the world; `lid` (N,) distance below the upper lid's
    edge in units."""
    light = lamps.light
    off = np.degrees(np.arccos(np.clip(local @ axis, -1, 1)))
    side = np.cross(axis, [0.0, 1.0, 0.0])
    turn = np.arctan2(local @ np.cross(side, axis), local @ side)
    ray = 0.5 + 0.25 * np.sin(turn * 23 + 2.0 * np.sin(turn * 5)) + 0.25 * np.sin(turn * 41 + off * 0.35)
    tone = to_linear(iris)
    inner = np.exp(-(((off - 13.5) / 3.2) ** 2))
    disc = tone * (0.55 + 0.9 * ray * np.clip((off - 9) / 10, 0, 1))[:, None]
    disc = disc + inner[:, None] * (tone[::-1] * 0.25 + np.array([0.05, 0.03, 0.01], np.float32)) * 0.6
    disc *= (1 - 0.72 * np.clip((off - 21.5) / 4.5, 0, 1))[:, None]
    disc *= np.clip((off - 9.2) / 1.6, 0.0, 1.0)[:, None]
    key = light.direction("key")
    white = np.array([0.52, 0.475, 0.44], np.float32) * (1 - 0.10 * np.clip((off - 40) / 40, 0, 1))[:, None]
    white = white * (1 - np.clip((off - 38) / 50, 0, 1)[:, None] * np.array([0.0, 0.22, 0.22], np.float32))
    edge = np.clip((off - 25.3) / 3.4, 0, 1)[:, None]
    colour = disc * (1 - edge) + white * edge
    edge_free = 1 - edge
    lit = lamps.shadow.lit(p + 0.25 * n, light.softness, 0.3, spin)
    lid_shade = 0.30 + 0.70 * np.clip(lid / 0.55, 0, 1) ** 0.8
    cosine = np.maximum(0, (dot(n, key) + 0.25) / 1.25)
    out = (cosine * (0.25 + 0.75 * lit) * lid_shade)[:, None] * np.asarray(light.key, np.float32) * 0.75
    out += (
        _wrap(dot(n, light.direction("fill")), np.float32(0.2))
        * np.asarray(light.fill, np.float32)
        * lid_shade[:, None]
    )
    room = np.clip(opening * 1.5, 0.25, 1)
    out += lamps.ambient(n) * (room * lid_shade)[:, None] * 1.1
    out *= colour
    view = unit(lamps.eye - p)
    wet = unit(n + 0.7 * edge_free * (n - pupil))  # the cornea bulges: over the iris the surface turns faster
    # The lamp's mirror image, half way down to the camera as an eye light is set, so that the lid does not hide it.
    lamp = towards(light.key_azimuth_deg * 0.75, light.key_elevation_deg * 0.5)
    shine = 2.0 * np.clip((dot(wet, unit(view + lamp)) - 0.985) / 0.006, 0, 1)
    window = 0.16 * np.clip((dot(wet, unit(view + light.direction("fill"))) - 0.985) / 0.008, 0, 1)
    shine = shine + window + 0.10 * (1 - np.clip(dot(wet, view), 0, 1)) ** 3
    return out + (shine * np.clip(lid / 0.16, 0, 1))[:, None] * np.array([0.9, 0.9, 0.92], np.float32)


def strands(
    lamps: Lamps, p: np.ndarray, along: np.ndarray, n: np.ndarray, tint: np.ndarray, shade: np.ndarray, gloss: float,
    spin: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(N, 3) light leaving hair: two highlights shifted along the strand (Kajiya and Kay 1989, Marschner 2003)."""
    light = lamps.light
    view = unit(lamps.eye - p)
    lit = lamps.shadow.lit(p + 0.25 * n, light.softness * 1.2, 0.35, spin)
    lit = 0.10 + 0.90 * lit
    out = lamps.ambient(n) * (0.75 * shade)[:, None] * tint
    for name, strength, seen in (("key", 1.0, lit), ("fill", 0.8, 1.0), ("rim", 1.0, 1.0)):
        way = light.direction(name)
        colour = np.asarray(getattr(light, name), np.float32) * strength
        t_l = dot(along, way)
        body = np.sqrt(np.maximum(0, 1 - t_l**2)) * np.clip(0.30 + 0.75 * dot(n, way), 0, 1)
        half = unit(view + way)
        facing = np.clip(0.25 + dot(n, way), 0, 1)
        sheen = np.zeros_like(t_l)
        tinted = np.zeros_like(t_l)
        for shift, power, which in ((-0.10, 70.0, 0), (0.14, 22.0, 1)):
            t_h = dot(unit(along + shift * n), half)
            lobe = np.maximum(0, 1 - t_h**2) ** (power / 2) * facing
            if which:
                tinted = lobe
            else:
                sheen = lobe
        glow = gloss * (0.075 * sheen[:, None] + 1.1 * tinted[:, None] * tint)
        out += ((body * 0.9)[:, None] * tint + glow) * colour * (seen * shade)[:, None]
    return out


def film(linear: np.ndarray, exposure: float) -> np.ndarray:
    """Linear light to display values 0..1: soft shoulder and toe (fit of the ACES curve by Narkowicz 2015)."""
    x = np.maximum(linear, 0) * np.float32(exposure * 0.62)
    y = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return np.power(np.clip(y, 0, 1), np.float32(1 / 2.2))
