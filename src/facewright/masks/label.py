"""Labels: polygons that include or exclude, in the pixels of a face picture; labels <-> masks.

Rules of data-formats-and-merging.md 4.4: includes are filled with 1 first, then excludes with 0, in their order;
vertices are truncated to whole pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facewright.image.geometry import apply_affine
from facewright.image.warp import resize

INCLUDE, EXCLUDE = 1, 0
Polygon = tuple[int, np.ndarray]
"""(INCLUDE or EXCLUDE, (N, 2) float32 x, y in crop px)."""

_FAR_PX = 1 << 16
_CORNER_SHARE = 0.2
"""Corners that stand out from the straight line by this share of a node's distance keep a node of their own."""


def in_order(polygons: Sequence[Polygon]) -> list[Polygon]:
    """Includes before excludes, else as they stood."""
    return sorted(polygons, key=lambda polygon: polygon[0] != INCLUDE)


def drawn(polygons: Sequence[Polygon], side_px: int, picture_px: int = 0) -> np.ndarray:
    """(side, side) float32, exactly 0 or 1. picture_px: side of the picture that the points belong to, where it is
    another: drawn there by the rule and resampled, so that every size covers the same share (edges are then soft)."""
    if picture_px and picture_px != side_px:
        return resize(drawn(polygons, picture_px), side_px, "area" if picture_px > side_px else "linear")
    mask = np.zeros((side_px, side_px), np.uint8)
    for kind, points in in_order(polygons):
        if len(points):
            limited = np.clip(np.asarray(points, np.float64), -_FAR_PX, _FAR_PX)
            cv2.fillPoly(mask, [np.trunc(limited).astype(np.int32)], 1 if kind == INCLUDE else 0)
    return mask.astype(np.float32)


def moved(polygons: Sequence[Polygon], matrix: np.ndarray) -> tuple[Polygon, ...]:
    """Polygons whose points went through a (3, 3) target_from_source."""
    return tuple((kind, apply_affine(matrix, points).astype(np.float32)) for kind, points in polygons)


def same(a: Sequence[Polygon], b: Sequence[Polygon]) -> bool:
    """Whether two labels are equal to the last bit."""
    return len(a) == len(b) and all(k == q and np.array_equal(p, r) for (k, p), (q, r) in zip(a, b))


def traced(mask: np.ndarray, node_px: float = 10.0, smallest_px: float = 0.0) -> tuple[Polygon, ...]:
    """Polygons of a (h, w) mask, inside where it is >= 0.5, in its pixels: a node at each corner and about every
    `node_px` between. Pieces and holes of fewer than `smallest_px` pixels are left out.

    A piece is an include, a hole in it an exclude. node_px <= 1 keeps every contour pixel: drawing gives the mask back.
    """
    inside = _without_specks((mask >= 0.5).astype(np.uint8), smallest_px)
    inside = 1 - _without_specks(1 - inside, smallest_px, connectivity=4, keep_rim=True)
    outlines = _outlines(inside)
    filled = np.zeros_like(inside)
    for outline in outlines:
        cv2.fillPoly(filled, [outline], 1)
    holes = [outline for part in _without_islands(filled & (1 - inside)) for outline in _outlines(part)]
    found = [(INCLUDE, outline) for outline in outlines] + [(EXCLUDE, outline) for outline in holes]
    return tuple((kind, _nodes(outline, node_px).astype(np.float32)) for kind, outline in found)


def _outlines(inside: np.ndarray) -> list[np.ndarray]:
    """The outermost contours (N, 2) int32: what lies in a hole of another piece is left out."""
    return [c[:, 0] for c in cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]]


def _without_specks(
    binary: np.ndarray, smallest_px: float, connectivity: int = 8, keep_rim: bool = False
) -> np.ndarray:
    """Drop connected pieces of fewer than `smallest_px` pixels; keep_rim: not those that touch the picture's rim."""
    if smallest_px <= 1:
        return binary
    _, labels, facts, _ = cv2.connectedComponentsWithStats(binary, connectivity=connectivity)
    x, y, width, height, area = facts.T
    kept = area >= smallest_px
    if keep_rim:
        kept |= (x == 0) | (y == 0) | (x + width == binary.shape[1]) | (y + height == binary.shape[0])
    kept[0] = False
    return kept[labels].astype(np.uint8)


def _without_islands(holes: np.ndarray) -> list[np.ndarray]:
    """The same pixels as regions that enclose nothing: as excludes come after includes, an exclude drawn around an
    island would erase it, so such a hole is divided through the island's middle."""
    todo, done = [holes], list[np.ndarray]()
    while todo:
        region = todo.pop()
        found, links = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        around = next((i for i in range(len(found)) if links[0][i][3] >= 0), -1)
        if around < 0:
            done.append(region)
            continue
        middle = int(found[around][:, 0, 0].min() + found[around][:, 0, 0].max() + 1) // 2
        for keep in (slice(0, middle), slice(middle, None)):
            half = np.zeros_like(region)
            half[:, keep] = region[:, keep]
            todo.append(half)
    return done


def _nodes(outline: np.ndarray, node_px: float) -> np.ndarray:
    """(N, 2) contour pixels -> the corners among them, and evenly spread ones between."""
    if node_px <= 1 or len(outline) <= 3:
        return outline
    corners = cv2.approxPolyDP(outline[:, None], _CORNER_SHARE * node_px, True)[:, 0]
    places = np.array(_places(outline, corners))
    ends = np.append(places[1:], places[0] + len(outline))
    chosen = [np.linspace(a, b, max(round((b - a) / node_px), 1), endpoint=False) for a, b in zip(places, ends)]
    nodes = outline[np.rint(np.concatenate(chosen)).astype(int) % len(outline)]
    return nodes if len(nodes) >= 3 else outline


def _places(outline: np.ndarray, corners: np.ndarray) -> list[int]:
    """Ascending indices of `corners` (in the outline's order, from any start); thin parts pass a pixel twice."""
    places: list[int] = []
    for corner in corners:
        here = np.flatnonzero((outline == corner).all(1))
        later = here[here > places[-1]] if places else here
        if len(later):
            places.append(int(later[0]))
    # A start within the outline leaves corners before it: they come first.
    rest = {int(i) for corner in corners for i in np.flatnonzero((outline == corner).all(1))[:1]}
    return sorted({*places, *rest})
