"""Enhance the faces of a set into a new one, by a plug or a person's own net, and say how far each one drifted from
whom it showed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, SettingRefused
from facewright.core.files import sha256_of
from facewright.core.step import Item
from facewright.faces.nets import OnnxNet
from facewright.faceset.cut import sharpness
from facewright.faceset.editing.remake import Made, RemakeFaces
from facewright.faceset.editing.settings import ENHANCERS, EnhanceSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.image.warp import resize

ENHANCED = "enhanced"
DRIFT_COSINE = 0.85
"""Below it an enhanced face is named: as unlike its old self as a blur of 2 px at 112 px makes it (measured .75 to
.93 for 1 to 2 px, measuring-quality.md 2.1)."""
_LOOKED_AT = 400

Enhancer = Callable[[np.ndarray, float], np.ndarray]


def open_enhancer(name: str) -> Enhancer:
    """A plug's name or an .onnx file -> (picture (H, W, 3) float32 RGB 0..1, strength) -> the same shape and range.

    Raises SettingRefused: neither; FileRefused: a net that cannot be loaded.
    """
    if name in ENHANCERS.names():
        return ENHANCERS.load(name)
    path = Path(name)
    if path.suffix.lower() != ".onnx" or not path.is_file():
        raise SettingRefused(
            f"There is no enhancer {name!r}.", why="It is no plug's name, and no .onnx file.",
            remedy=f"Choose one of {', '.join(ENHANCERS.names())}, or name a net's .onnx file.", where=name,
        )
    return OwnNet(path)


class OwnNet:
    """A person's own net: one picture (1, 3, H, W) or (1, H, W, 3) float32 RGB 0..1 in, one of any size out. `strength`
    mixes its answer, at the picture's size, with what went in; a net of a fixed size gets pictures of that size."""

    def __init__(self, path: Path) -> None:
        """Raises FileRefused: a net that cannot be loaded, or does not take pictures."""
        self._net, self._path = OnnxNet(path), path
        shape = self._net.shape
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise self._refused(f"It takes {list(shape)}.")
        self._first = shape[1] == 3
        height, width = shape[2:] if self._first else shape[1:3]
        self._size = (width, height) if isinstance(width, int) and isinstance(height, int) else None

    def __call__(self, image: np.ndarray, strength: float) -> np.ndarray:
        """See open_enhancer. Raises FileRefused: the net gives something else."""
        asked = image if self._size is None else resize(image, self._size, "auto")
        data = np.ascontiguousarray(asked.transpose(2, 0, 1) if self._first else asked, np.float32)[None]
        try:
            made = self._net(data)[0]
        except Exception as error:
            raise self._refused((str(error).splitlines() or [type(error).__name__])[0]) from error
        if made.ndim != 4 or made.shape[1 if self._first else 3] != 3 or not np.isfinite(made).all():
            raise self._refused(f"It gives {list(made.shape)}, or values that are no numbers.")
        picture = np.ascontiguousarray(made[0].transpose(1, 2, 0) if self._first else made[0], np.float32)
        picture = resize(np.clip(picture, 0.0, 1.0), (image.shape[1], image.shape[0]), "auto")
        return image + np.float32(strength) * (picture - image)

    def _refused(self, why: str) -> FileRefused:
        return FileRefused(
            f"{self._path.name} is no enhancer of faces.", why=why[:200],
            remedy="It takes one RGB picture in 0..1, (1, 3, H, W) or (1, H, W, 3), and gives one.", where=self._path,
        )


class EnhanceStep(RemakeFaces[EnhanceSettings]):
    """The faces of `faceset` enhanced, in the folder `out`; all but their pixels stays."""

    stage = "enhance"

    def __init__(
        self, faceset: str, out: str, enhancer: str = "detail", settings: EnhanceSettings | None = None
    ) -> None:
        super().__init__(faceset, out, settings or EnhanceSettings())
        self.name = enhancer if enhancer in ENHANCERS.names() else str(Path(enhancer).resolve())

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "out": str(self.out), "enhancer": self.name}

    def inputs(self) -> dict[str, str]:
        """Which faces, and the digest of a person's own net."""
        own = {} if self.name in ENHANCERS.names() else {Path(self.name).name: sha256_of(Path(self.name))}
        return super().inputs() | own

    @cached_property
    def enhancer(self) -> Enhancer:
        """See open_enhancer."""
        return open_enhancer(self.name)

    def plan(self) -> list[Item]:
        """One item per folder. Raises what opening the enhancer raises."""
        _ = self.enhancer
        return super().plan()

    def make(self, parts: list[Row]) -> Iterator[Made | tuple[str, str]]:
        """The enhanced faces."""
        for whole in self.readable(parts):
            if isinstance(whole, tuple):
                yield whole
                continue
            made = self.enhancer(whole.image.astype(np.float32) / np.float32(255), self.settings.strength)
            image = np.rint(np.clip(made, 0.0, 1.0) * 255).astype(np.uint8)
            words = tuple(sorted({*whole.face.flags, ENHANCED}))
            face = dataclasses.replace(whole.face, flags=words, sharpness=sharpness(image))
            yield Made(face, image, whole.mask, self.settings.jpeg_quality)

    def tell(self, after: Faceset) -> dict[str, Any]:
        """How alike each face and its enhanced self are to the identity net, for at most 400 of them."""
        return {"enhancer": Path(self.name).name} | drift(self.faceset, after)


def drift(before: Faceset, after: Faceset) -> dict[str, Any]:
    """Cosine of each face before and after: median, lowest 5 %, and who fell below DRIFT_COSINE; words
    in place of them without the identity net."""
    ids = [row.face_id for row in after.rows()]
    if len(ids) > _LOOKED_AT:
        ids = [ids[at] for at in np.linspace(0, len(ids) - 1, _LOOKED_AT).round().astype(int)]
    old, new = before.vectors(ids), after.vectors(ids)
    if old is None or new is None:
        return {"identity": "not compared: the identity net is not at hand (`facewright weights fetch`)"}
    cosine = (old.matrix * new.matrix).sum(1)
    order = np.argsort(cosine)
    drifted = [[ids[at], round(float(cosine[at]), 3)] for at in order if cosine[at] < DRIFT_COSINE]
    return {"identity": {
        "compared": len(ids), "median": round(float(np.median(cosine)), 4),
        "lowest 5 %": round(float(np.quantile(cosine, 0.05)), 4), "limit": DRIFT_COSINE, "drifted": drifted,
    }}
