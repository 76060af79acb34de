"""Faces on a few large pages, for tools that take one picture at a time; and back into faces when the pages have been
worked on, at whatever size they come back.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.core.files import make_folder, read_file, refuse_occupied, sha256_of, write_atomic
from facewright.faceset.cut import eight_bit
from facewright.faceset.editing.enhance import drift
from facewright.faceset.editing.remake import Made, RemakeFaces, moved
from facewright.faceset.editing.restore import RESTORED
from facewright.faceset.editing.settings import CollageSettings, ReplaceSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.image.geometry import scaling
from facewright.image.warp import resize, warp
from facewright.media.stills import encode_still, is_still, read_still

MANIFEST = "collage.json"
FORMAT = "facewright.collage/1"
_SKEW = 0.005
"""Pages may come back scaled, not stretched: by so much their proportions may differ."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a face lies: page number, left and top edge and side of its tile in px of the page as it was laid out."""

    page: int
    x_px: int
    y_px: int
    side_px: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The pages' size (w, h) in px and the spot of each face id."""

    pages: int
    size_px: tuple[int, int]
    spots: dict[str, Spot]


def lay_out(rows: list[Row], settings: CollageSettings) -> Plan:
    """Faces in their order, row by row, page by page; each at its own side, or the tile's where that is less."""
    cell = settings.tile + 2 * settings.gap
    per_page, spots = settings.columns * settings.rows, dict[str, Spot]()
    for at, row in enumerate(rows):
        page, place = divmod(at, per_page)
        down, across = divmod(place, settings.columns)
        spots[row.face_id] = Spot(page, across * cell + settings.gap, down * cell + settings.gap,
                                  min(settings.tile, row.side_px))
    pages = -(-len(rows) // per_page)
    return Plan(pages, (settings.columns * cell, settings.rows * cell), spots)


def write_pages(folder: Path, out: Path, settings: CollageSettings, progress: Any = lambda done, total: None) -> Plan:
    """Lay the faces of a set out on PNG pages in `out`, with a manifest. Raises DiskRefused: `out` is not empty;
    NothingFound: no face."""
    faceset = Faceset.open(folder)
    rows = list(faceset.rows())
    if not rows:
        raise NothingFound(f"The faceset {folder.name} is empty.", remedy="There is nothing to lay out.", where=folder)
    refuse_occupied(out, "the pages")
    make_folder(out)
    plan = lay_out(rows, settings)
    per_page = settings.columns * settings.rows
    for number in range(plan.pages):
        page = np.full((plan.size_px[1], plan.size_px[0], 3), 128, np.uint8)
        for row in rows[number * per_page : (number + 1) * per_page]:
            _place(page, faceset.image(row.face_id), plan.spots[row.face_id], settings)
        write_atomic(out / page_name(number), encode_still(page))
        progress(min((number + 1) * per_page, len(rows)), len(rows))
    facts = {"format": FORMAT, "pages": plan.pages, "size_px": list(plan.size_px),
             "spots": {face_id: list(dataclasses.astuple(spot)) for face_id, spot in plan.spots.items()}}
    write_atomic(out / MANIFEST, json.dumps(facts, indent=1).encode())
    return plan


def page_name(number: int) -> str:
    """File name of a page."""
    return f"page-{number + 1:04d}.png"


def read_plan(place: Path) -> Plan:
    """The manifest in a folder of pages. Raises FileRefused."""
    if not (place / MANIFEST).is_file():
        raise FileRefused(f"There is no {MANIFEST} in {place.name}.", where=place,
                          remedy="Name the folder that `facewright faces collage out` wrote.")
    try:
        facts = json.loads(read_file(place / MANIFEST, limit_bytes=64 << 20))
        if facts["format"] != FORMAT:
            raise ValueError(f"it says {str(facts['format'])[:60]}")
        spots = {str(face_id): Spot(*map(int, spot)) for face_id, spot in facts["spots"].items()}
        width, height = map(int, facts["size_px"])
        if not all(0 <= s.page < int(facts["pages"]) and s.side_px > 0 and s.x_px >= 0 and s.y_px >= 0
                   and s.x_px + s.side_px <= width and s.y_px + s.side_px <= height for s in spots.values()):
            raise ValueError("a face lies beside its page")
        return Plan(int(facts["pages"]), (width, height), spots)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise FileRefused(
            f"{MANIFEST} in {place.name} cannot be read.", why=str(error)[:200],
            remedy="Give back the folder that `facewright faces collage out` wrote, with this file in it.",
            where=place / MANIFEST,
        ) from error


class CollageInStep(RemakeFaces[ReplaceSettings]):
    """The faces of `faceset` with the pictures that the pages in `pages` show now, in the folder `out`."""

    stage = "collage"

    def __init__(self, faceset: str, pages: str, out: str, settings: ReplaceSettings | None = None) -> None:
        super().__init__(faceset, out, settings or ReplaceSettings())
        self.pages = Path(pages).resolve()
        self._open: tuple[int, np.ndarray] | None = None

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "pages": str(self.pages), "out": str(self.out)}

    @cached_property
    def layout(self) -> Plan:
        """Where each face lies. Raises FileRefused."""
        return read_plan(self.pages)

    @cached_property
    def files(self) -> dict[int, Path]:
        """Page number -> its picture, of whatever kind it came back."""
        by_stem = {path.stem: path for path in sorted(self.pages.iterdir()) if is_still(path)}
        stems = {number: Path(page_name(number)).stem for number in range(self.layout.pages)}
        return {number: by_stem[stem] for number, stem in stems.items() if stem in by_stem}

    def inputs(self) -> dict[str, str]:
        """Which faces, and the pages."""
        return super().inputs() | {path.name: sha256_of(path) for path in self.files.values()}

    def folders(self) -> Mapping[str, list[Row]]:
        """The faces that the pages show, by page: each page is opened once. Raises NothingFound."""
        lost = [page_name(number) for number in range(self.layout.pages) if number not in self.files]
        if lost:
            raise NothingFound(f"{lost[0]} is not in {self.pages.name}.", why=f"{len(lost)} pages are missing.",
                               remedy="Put all pages back under their names; any kind of picture will do.",
                               where=self.pages)
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            spot = self.layout.spots.get(row.face_id)
            if spot is not None:
                found.setdefault(f"faces/collage/{spot.page:07d}", []).append(row)
        return found

    def make(self, parts: list[Row]) -> Iterator[Made | tuple[str, str]]:
        """The faces of one page."""
        for whole in self.readable(parts):
            if isinstance(whole, tuple):
                yield whole
                continue
            spot = self.layout.spots[whole.face.face_id]
            page, factor = self._page(spot.page)
            side = round(spot.side_px * factor)
            cut = scaling(side / (spot.side_px * factor)) @ np.array(
                [[1, 0, -spot.x_px * factor], [0, 1, -spot.y_px * factor], [0, 0, 1.0]])
            image = warp(page, _half_pixel(cut), side, "cubic")
            face = moved(whole.face, scaling(side / whole.face.side_px), side, image,
                         flags=tuple(sorted({*whole.face.flags, RESTORED})))
            yield Made(face, image, whole.mask, self.settings.jpeg_quality)

    def tell(self, after: Faceset) -> dict[str, Any]:
        """Faces of the set that no page shows, and how far the others drifted from whom they showed."""
        lost = sum(row.face_id not in self.layout.spots for row in self.rows)
        return {"on no page": lost} | drift(self.faceset, after)

    def _page(self, number: int) -> tuple[np.ndarray, float]:
        """(H, W, 3) uint8 and how many times larger than laid out. Raises FileRefused: stretched or cropped."""
        if self._open is None or self._open[0] != number:
            self._open = number, eight_bit(read_still(self.files[number]))
        page = self._open[1]
        across, down = page.shape[1] / self.layout.size_px[0], page.shape[0] / self.layout.size_px[1]
        if abs(across / down - 1) > _SKEW:
            raise FileRefused(
                f"{self.files[number].name} has other proportions than it had.",
                why=f"It is {page.shape[1]} x {page.shape[0]}, laid out {self.layout.size_px[0]} x "
                f"{self.layout.size_px[1]}.", remedy="Scale pages evenly, and do not crop or turn them.",
                where=self.files[number],
            )
        return page, (across + down) / 2


def _half_pixel(matrix: np.ndarray) -> np.ndarray:
    """A matrix between edges of pixels -> the same between their centres."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    return np.linalg.inv(half) @ matrix @ half


def _place(page: np.ndarray, image: np.ndarray, spot: Spot, settings: CollageSettings) -> None:
    tile, gap = resize(image, spot.side_px, "auto"), settings.gap
    framed = cv2.copyMakeBorder(tile, gap, gap, gap, gap, cv2.BORDER_REPLICATE)
    page[spot.y_px - gap : spot.y_px + spot.side_px + gap, spot.x_px - gap : spot.x_px + spot.side_px + gap] = framed
