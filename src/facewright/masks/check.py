"""Which stored masks of a faceset are doubtful, and why; as rows, and as a contact sheet."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import make_folder, write_atomic
from facewright.faceset.faceset import Faceset
from facewright.masks.doubt import Facts, jumps, measure, reasons
from facewright.masks.maskers import no_masks
from facewright.masks.settings import CheckSettings
from facewright.masks.sheet import Tile, sheet

MISSING, JUMP = "missing", "jump"


@dataclass(frozen=True, slots=True)
class Doubtful:
    """One face whose mask needs a look. words: missing, empty, holes, pieces, blur, small, large, jump; facts None when
    there is no mask; origin: Row.origin; jump: 0..1, see doubt.jumps."""

    face_id: str
    path: str
    film: str
    frame_index: int
    words: tuple[str, ...]
    facts: Facts | None
    origin: str
    jump: float = 0.0

    @property
    def weight(self) -> float:
        """How doubtful: sorts the list."""
        facts = self.facts
        return len(self.words) + self.jump + (facts.uncertainty_01 if facts is not None else 2.0)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        facts = self.facts
        shares = {} if facts is None else {
            "area_01": round(facts.area_01, 4), "holes_01": round(facts.holes_01, 4),
            "pieces_01": round(facts.pieces_01, 4), "edge_px": round(facts.edge_px, 2),
            "of_hull": round(facts.of_hull, 3)}
        return {"face_id": self.face_id, "path": self.path, "film": self.film, "frame": self.frame_index,
                "origin": self.origin,
                "reasons": list(self.words), **shares, "jump": round(self.jump, 4)}


def doubtful(
    folder: Path, settings: CheckSettings, *, person: str = "", sheet_file: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Look at every stored mask. `rows`: the doubtful ones, worst first. sheet_file: a PNG with the worst 60.

    `refused`: [path, why] of files that could not be read, whoever they show; the others are looked at.

    Raises NothingFound: no face of the set has a mask.
    """
    faceset = Faceset.open(folder)
    found: dict[str, Doubtful] = {}
    looked, makers, refused = 0, Counter[str](), faceset.damaged()
    rows, name = list(faceset.rows_of(person)), faceset.namer()
    if not any(row.has_mask for row in rows):
        raise no_masks(folder)

    def masks() -> Iterator[tuple[str, str, np.ndarray]]:
        nonlocal looked
        for row in rows:
            progress(looked, len(rows))
            looked += 1
            makers[row.mask_by or ("" if row.has_mask else MISSING)] += 1
            try:
                face, mask = faceset.face(row), faceset.mask(row)
            except FileRefused as error:
                refused[row.path] = error.why or error.what
                continue
            facts = None if mask is None else measure(mask, face)
            words = [MISSING] if facts is None else reasons(facts, settings)
            found[row.face_id] = Doubtful(
                row.face_id, row.path, row.source_file, row.frame_index, tuple(words), facts, row.origin)
            if mask is not None:
                who = name(row)
                yield f"{row.source_sha256} {who or row.track}", row.face_id, mask

    for face_id, jump in jumps(masks()):
        one = found[face_id]
        words = (*one.words, JUMP) if 100 * jump > settings.jump else one.words
        found[face_id] = dataclasses.replace(one, words=words, jump=jump)
    worst = sorted((one for one in found.values() if one.words), key=lambda one: (-one.weight, one.path))
    words = Counter(word for one in worst for word in one.words)
    answer: dict[str, Any] = {
        "faceset": str(folder), "faces": len(rows), "masks": sum(n for by, n in makers.items() if by != MISSING),
        "made_by": dict(sorted(makers.items())), "doubtful": len(worst), "reasons": dict(words.most_common()),
        "rows": [one.as_dict() for one in worst],
    }
    if sheet_file is not None and worst:
        head = f"{folder.name}: {len(worst)} doubtful of {answer['masks']} masks"
        make_folder(sheet_file.parent)
        write_atomic(sheet_file, sheet(head, _tiles(faceset, worst, refused)))
        answer["sheet"] = str(sheet_file)
    return answer | {"refused": [list(pair) for pair in refused.items()]}


def _tiles(faceset: Faceset, rows: list[Doubtful], refused: dict[str, str]) -> Iterator[Tile]:
    """One for each row whose file can be read; of the others the reason goes into `refused`."""
    for one in rows:
        try:
            mask, picture = faceset.mask(one.face_id), faceset.image(one.face_id)
        except FileRefused as error:
            refused[one.path] = error.why or error.what
            continue
        yield picture, mask, (f"{', '.join(one.words)}", one.origin)
