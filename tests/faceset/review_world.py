"""A made-up film of 70 frames and its faceset: no face in frames 3, 10, 17 ..., two in every third, else one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faceset import fake_finder
from tests.faceset.extraction.test_extract import make_film
from tests.steps import run

from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.settings import ExtractSettings

FRAMES = 70
EMPTY = [n for n in range(FRAMES) if n % 7 == 3]
TWO = [n for n in range(0, FRAMES, 3) if n % 7 != 3]


class SureFinder(fake_finder.FakeFinder):
    """The same without doubt, but for frame 20."""

    def faces(self, index: int) -> list[Any]:
        found = super().faces(index)
        if index == 20:
            import dataclasses

            found = [dataclasses.replace(one, flags=("low_presence",)) for one in found]
        return found


def film_at(folder: Path, name: str = "film.mp4", seed: int = 0) -> Path:
    return make_film(folder / name, FRAMES, seed=seed)


def extract(film: Path, folder: Path, only: Any = None, finder: Any = SureFinder, **settings: Any) -> Path:
    chosen = ExtractSettings(**{"resolution": 128, "shots": False, **settings})
    step = ExtractStep([str(film)], str(folder), chosen, make_finder=finder)
    run(step, only=only)
    return folder
