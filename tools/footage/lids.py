"""Where the eyelids' edges are: read from the lash strips of the head model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.csgraph as graph
from tools.footage.parts import PARTS

COLUMNS = 19


@dataclass(frozen=True, slots=True)
class Lashes:
    """One lash strip: `grid` (6, 19) int32 model vertices, row 0 on the lid's edge, row 5 at the tips, columns in
    the order of growing x; `upper`; `side` "left" (x > 0) or "right"."""

    grid: np.ndarray
    upper: bool
    side: str


def lash_strips(neutral: np.ndarray, quads: np.ndarray) -> tuple[Lashes, ...]:
    """The outermost strip of each of the four lids. `quads` (Q, 4): the model's quads of vertex indices."""
    first, last = PARTS["lashes"]
    mine = quads[(quads >= first).all(1) & (quads <= last).all(1)].astype(np.int64) - first
    edges = np.concatenate([mine[:, [k, (k + 1) % 4]] for k in range(4)])
    size = last - first + 1
    links = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size)).tocsr()
    count, label = graph.connected_components(links)
    found: dict[tuple[str, bool], Lashes] = {}
    heights = [neutral[first:][label == k, 1].mean() for k in range(count)]
    middle = float(np.mean(heights))
    for k in range(count):
        members = np.flatnonzero(label == k)
        side = "left" if neutral[first + members, 0].mean() > 0 else "right"
        key = (side, heights[k] > middle)
        if key not in found:
            found[key] = Lashes(_grid(neutral, mine, links, members) + first, key[1], side)
    return tuple(found[key] for key in sorted(found))


def _grid(neutral: np.ndarray, quads: np.ndarray, links: sparse.csr_matrix, members: np.ndarray) -> np.ndarray:
    """Rows and columns of one strip: on a grid, steps from two corners of a long side give both coordinates."""
    first = PARTS["lashes"][0]
    uses = np.bincount(quads.reshape(-1), minlength=links.shape[0])
    corners = members[uses[members] == 1]
    steps = graph.dijkstra(links, directed=False, unweighted=True, indices=corners)
    other = int(np.flatnonzero(steps[0, corners] == COLUMNS - 1)[0])
    near, far = steps[0, members], steps[other, members]
    row = ((near + far - (COLUMNS - 1)) / 2).astype(int)
    column = ((near - far + (COLUMNS - 1)) / 2).astype(int)
    grid = np.zeros((row.max() + 1, COLUMNS), np.int32)
    grid[row, column] = members
    if neutral[first + grid[0], 2].mean() > neutral[first + grid[-1], 2].mean():
        grid = grid[::-1]
    if neutral[first + grid[0, 0], 0] > neutral[first + grid[0, -1], 0]:
        grid = grid[:, ::-1]
    return np.ascontiguousarray(grid)
