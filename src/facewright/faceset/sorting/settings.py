"""Settings of sorting, and the orders that there are."""

from __future__ import annotations

from typing import Literal

from facewright.core.registry import Plug, Registry
from facewright.core.settings import Settings, knob


class SortSettings(Settings):
    """How a faceset is put in order."""

    count: int = knob(2_000, "best, best-fast: keep about so many faces; the rest stands behind them", low=1,
                      high=1_000_000)
    quality: Literal["blur", "size", "quality"] = knob(
        "quality", "best: which of two faces alike in pose is kept: the sharper (the original's rule, which takes some "
        "large blurs for sharp), the larger in its frame, or the one with the better quality in all"
    )
    legacy: bool = knob(
        False, "best, best-fast: count as the original does, which keeps fewer faces than asked for, and none below 64"
    )


ORDERS = Registry("orders")
"""name -> `order(faceset) -> Sequence[face_id]`: every face once; built-in ones give an orders.Ranking, with scores.

An order that wants them takes the keywords `progress(done, total)`, `refused` (a dict that gets path -> why of files
that it could not read; their faces come last) and `settings` (SortSettings)."""

for _name, _help in (
    ("blur", "sharp first: CPBD of what the landmarks enclose"),
    ("sharpness", "sharp first: variance of the Laplacian of the face itself at 256 px, whatever its size in the file"),
    ("motion-blur", "sharp first: variance of the Laplacian; quicker than blur"),
    ("yaw", "by the turn to the side, from image left to image right"),
    ("pitch", "by the nod, from up to down"),
    ("size", "by the size of the face in its frame, the largest first"),
    ("hist", "by colours: each face is followed by the one most like it, strange ones end up last"),
    ("hist-dissim", "by brightness: those unlike all others first"),
    ("brightness", "bright first"),
    ("hue", "by mean hue, from violet to red"),
    ("black", "by the amount of pure black, the least first: faces at the frame's edge end up last"),
    ("origname", "as they stand in the films: file, frame, from left to right"),
    ("oneface", "faces that are alone in their frame first, then those of two in a frame, and so on"),
    ("absdiff", "pixel by pixel at 64 px: each face is followed by the one most like it"),
    ("absdiff-dissim", "the same, followed by the one least like it"),
    ("best", "the best --count faces over all poses, without doubles, from image left to right; then the rest"),
    ("best-fast", "the same, by size in the frame instead of sharpness"),
    ("identity", "by person: all faces of one behind each other, the most typical first"),
    ("landmarks", "by how sure the landmarks are, the doubtful ones last"),
    ("mouth", "by expression: from an open mouth to a closed one"),
    ("eyes", "by expression: from open eyes to closed ones"),
    ("light", "by the direction of the light, from image left to image right"),
    ("light-height", "by the height of the light, from above to below"),
    ("quality", "the best first: sharpness, size, exposure and landmarks in one score"),
):
    ORDERS.add(Plug(_name, f"facewright.faceset.sorting.orders:{_name.replace('-', '_')}", _help))
