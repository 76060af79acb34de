"""Every built-in order of a faceset: `(faceset) -> Ranking`. The registry is settings.ORDERS; `sort` runs them.

The first fifteen are the original's (data-formats-and-merging.md 7). An order is a permutation of all faces, the same
for the same set, and leaves faces of one score as they stood. What cannot be judged comes last, without a score; it is
never thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import overload

import numpy as np

from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.people.identity_groups import grouped
from facewright.faceset.sorting.best import best as best_faces
from facewright.faceset.sorting.measure_formulas import MEASURES
from facewright.faceset.sorting.measures import Progress, measures
from facewright.faceset.sorting.quality import LANDMARK_NEEDS, QUALITY_NEEDS, box_areas
from facewright.faceset.sorting.quality import landmark_quality as _landmark_quality
from facewright.faceset.sorting.quality import quality as _quality
from facewright.faceset.sorting.settings import SortSettings
from facewright.image.alike import histogram_chain, in_slices, pixel_chain, roots_of, strangeness

Values = Mapping[str, np.ndarray]


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Ranking(Sequence[str]):
    """Face ids in an order. score: each one's number, None where there is none; () for orders without scores.

    meaning: what the score is. rest: so many at the end are what the order sets aside. groups: (name, faces) of runs
    that belong together, one behind the other.
    """

    face_ids: tuple[str, ...]
    scores: tuple[float | None, ...] = ()
    meaning: str = ""
    rest: int = 0
    groups: tuple[tuple[str, int], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.face_ids)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        return self.face_ids[place]

    def __contains__(self, face_id: object) -> bool:
        return face_id in self.face_ids

    @property
    def known(self) -> list[float]:
        """The scores that there are, in order."""
        return [score for score in self.scores if score is not None]

    @property
    def direction(self) -> str:
        """Which end of the scores comes first, in words; "" where they do not run one way."""
        known = self.known
        if self.groups:
            return "highest first in each group" if known else ""
        return "" if not known or known[0] == known[-1] else f"{'highest' if known[0] > known[-1] else 'lowest'} first"


@dataclass(frozen=True, slots=True)
class ByScore:
    """An order by one number. score: rows and values of `needs` -> (N,); NaN = none."""

    score: Callable[[Sequence[Row], Values], np.ndarray]
    meaning: str
    needs: tuple[str, ...] = ()
    high_first: bool = True

    def __call__(
        self, faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None
    ) -> Ranking:
        """The order of a set; see the module's text."""
        rows, values, sound = _measured(faceset, self.needs, progress, refused)
        scores = np.where(sound, np.asarray(self.score(rows, values), np.float64), np.nan)
        return _ranked(rows, scores, self.meaning, high_first=self.high_first)


def _measured(
    faceset: Faceset, needs: Sequence[str], progress: Progress, refused: dict[str, str] | None
) -> tuple[list[Row], dict[str, np.ndarray], np.ndarray]:
    """Rows, their values, and (N,) bool: which could be read."""
    rows, wrong = list(faceset.rows()), {} if refused is None else refused
    if not needs:
        return rows, {}, np.ones(len(rows), bool)
    values = measures(faceset, needs, [row.face_id for row in rows], progress=progress, refused=wrong)
    return rows, values, np.array([row.path not in wrong for row in rows], bool)


def _ranked(rows: Sequence[Row], scores: np.ndarray, meaning: str, *, high_first: bool) -> Ranking:
    order = np.argsort(-scores if high_first else scores, kind="stable")  # NaN last, either way
    found = tuple(None if np.isnan(value) else float(value) for value in scores[order])
    return Ranking(tuple(rows[place].face_id for place in order), found, meaning)


def _measure(name: str, part: int | None = None, *, high_first: bool = True, meaning: str = "") -> ByScore:
    """An order by one measure, or one part of it."""

    def score(rows: Sequence[Row], values: Values) -> np.ndarray:
        return values[name] if part is None else values[name][:, part]

    return ByScore(score, meaning or MEASURES[name].help, (name,), high_first)


blur = _measure("blur")
sharpness = _measure("laplacian")
motion_blur = _measure("motion_blur")
yaw = _measure("pose", 0, high_first=False, meaning="turn by the 68 points: degrees, > 0 = nose to image right")
pitch = _measure("pose", 1, high_first=False, meaning="nod by the 68 points: degrees, > 0 = looks down")
size = ByScore(lambda rows, values: box_areas(rows), "area of the face's box in its frame, square pixels")
brightness = _measure("brightness")
hue = _measure("hue")
black = _measure("black", high_first=False)
mouth = _measure("expression", 0, meaning="openness of the mouth: height of the inner lips over their width, 0 = shut")
eyes = _measure("expression", 1, meaning="openness of the eyes: height over width, mean of both, 0 = shut")
light = _measure("light", 0, high_first=False, meaning="light from image left (< 0) or right: -1..1, 0 = even")
light_height = _measure("light", 1, meaning="light from above (> 0) or below: -1..1, 0 = even")
landmarks = ByScore(_landmark_quality, "how sure the landmarks are: 0..1, 1 = surest", LANDMARK_NEEDS)
quality = ByScore(_quality, "sharpness, size, exposure and landmarks in one: 0..1, 1 = best", QUALITY_NEEDS)
hist_dissim = ByScore(
    lambda rows, values: strangeness(roots_of(values["inside_counts"])).round(9),
    "sum of the Bhattacharyya distances of its brightness to all others'; larger = stranger", ("inside_counts",))


def origname(faceset: Faceset) -> Ranking:
    """As the faces stand in the films: the order of every set."""
    return Ranking(tuple(row.face_id for row in faceset.rows()))


def oneface(faceset: Faceset) -> Ranking:
    """Faces that are alone in their frame, then those of two in a frame, and so on; those that are not are the rest."""
    rows = list(faceset.rows())
    company = Counter((row.source_sha256, row.frame_index) for row in rows)
    scores = np.array([company[row.source_sha256, row.frame_index] for row in rows], np.float64)
    made = _ranked(rows, scores, "faces in its frame", high_first=False)
    return Ranking(made.face_ids, made.scores, made.meaning, rest=int((scores > 1).sum()))


def _chain(
    faceset: Faceset, need: str, chain: Callable[[np.ndarray, Progress], np.ndarray], progress: Progress,
    refused: dict[str, str] | None,
) -> Ranking:
    """Faces that can be read by a chain over one measure; then the others."""
    rows, values, sound = _measured(faceset, (need,), progress, refused)
    places = np.flatnonzero(sound)
    found = values.pop(need)
    order = places[in_slices(lambda some: chain(some, progress), found if sound.all() else found[places])]
    return Ranking(tuple(rows[place].face_id for place in [*order, *np.flatnonzero(~sound)]))


def hist(faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None) -> Ranking:
    """Greedy chain by the histograms of red, green and blue; longer sets than 20,000 in slices."""
    return _chain(faceset, "colour_counts", _histogram_chain, progress, refused)


def _histogram_chain(counts: np.ndarray, progress: Progress) -> np.ndarray:
    return histogram_chain(roots_of(counts), progress)


def absdiff(faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None) -> Ranking:
    """Greedy chain by the sum of absolute differences at 64 px, the least first; in slices as `hist`."""
    return _chain(faceset, "small", pixel_chain, progress, refused)


def absdiff_dissim(faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None) -> Ranking:
    """The same, the greatest first."""
    return _chain(faceset, "small", partial(pixel_chain, alike=False), progress, refused)


def best(
    faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None,
    settings: SortSettings | None = None,
) -> Ranking:
    """The best `settings.count` faces over all poses (see faceset/sorting/best.py), then the rest."""
    chosen = settings or SortSettings()
    kept, left = best_faces(faceset, chosen.count, chosen.quality, legacy=chosen.legacy, progress=progress,
                            refused=refused)
    return Ranking((*kept, *left), rest=len(left))


def best_fast(
    faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None,
    settings: SortSettings | None = None,
) -> Ranking:
    """The same, by size in the frame."""
    chosen = (settings or SortSettings()).model_copy(update={"quality": "size"})
    return best(faceset, progress=progress, refused=refused, settings=chosen)


def identity(faceset: Faceset, *, progress: Progress = silent, refused: dict[str, str] | None = None) -> Ranking:
    """By person, the one with most faces first; see faceset/people/identity_groups.py."""
    rows = list(faceset.rows())
    groups = grouped(faceset, rows, progress, refused)
    order = [place for group in groups for place in group.places]
    scores = [score for group in groups for score in group.likeness]
    return Ranking(
        tuple(rows[place].face_id for place in order), tuple(scores),
        "likeness to the mean of its group: cosine, 1 = the most typical",
        groups=tuple((group.name, len(group.places)) for group in groups),
    )
