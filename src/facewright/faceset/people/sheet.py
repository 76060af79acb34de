"""A contact sheet of who is who: a row for everybody, or for each track of one person."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.people.people import CLEAR_PRESENCE
from facewright.faceset.people.persons import rows_of
from facewright.faceset.sheet import AMBER, BLUE, PAPER, Colour, pages, save


def people_sheet(folder: Path, out: Path, person: str = "", across: int = 8) -> list[Path]:
    """A row of faces for everybody, spread over their tracks; or, for one `person`, a row for each of their tracks.
    Those with few faces share a row, framed in turns.

    Returns the written pages. Raises NothingFound, DiskRefused.
    """
    faceset = Faceset.open(folder)
    wholes, name = faceset.header.whole_tracks, faceset.namer()
    groups: dict[str, list[Row]] = {}
    for row in rows_of(faceset, person) if person else faceset.rows():
        groups.setdefault(wholes.get(row.track, row.track) if person else name(row), []).append(row)
    ordered = list(groups.items())
    if not person:
        ordered.sort(key=lambda pair: (-len(pair[1]), len(pair[0]), pair[0]))
    chosen = [_spread(rows, across) for _, rows in ordered]
    cells: list[tuple[Row | None, str, Colour | None]] = []
    for shelf in _shelves([len(some) for some in chosen], across):
        for nth, at in enumerate(shelf):
            who, rows = ordered[at]
            words = _captions(who.replace("_", "_\n", 1) if person else who or "nobody", rows, chosen[at])
            edge = (BLUE, AMBER)[nth % 2] if len(shelf) > 1 else None
            cells += [(row, text, edge) for row, text in zip(chosen[at], words)]
        cells += [(None, "", None)] * (-len(cells) % across)
    blank = np.full((1, 1, 3), PAPER, np.uint8)
    filled = (blank if row is None else faceset.image(row) for row, _, _ in cells)
    what = f"{person}, tracks: {len(ordered)}" if person else f"people: {len(ordered)}"
    head = f"{folder.name}, {what}, faces: {sum(len(rows) for _, rows in ordered):,}"
    edges = [edge for _, _, edge in cells]
    return save(pages(filled, [text for _, text, _ in cells], across, 128, headline=head, edges=edges,
                      per_page=across * 15), out)


def _shelves(sizes: Sequence[int], across: int) -> list[list[int]]:
    """Groups, by their numbers, in rows of `across` places: in their order, none broken over two rows."""
    shelves, room = list[list[int]](), 0
    for at, size in enumerate(sizes):
        if size > room:
            shelves.append([])
            room = across
        shelves[-1].append(at)
        room -= size
    return shelves


def _captions(who: str, rows: Sequence[Row], some: Sequence[Row]) -> list[str]:
    first = [who, *([f"{len(rows):,} faces"] if len(rows) > 1 else []), some[0].origin]
    return ["\n".join(first), *(row.origin for row in some[1:])]


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` of them, evenly over time; of each stretch the clearest."""
    edges = np.linspace(0, len(rows), min(count, len(rows)) + 1).round().astype(int)
    return [max(rows[a:b], key=lambda r: (r.presence_01 >= CLEAR_PRESENCE, r.sharpness)) for a, b in
            pairwise(edges)]
