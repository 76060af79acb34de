"""What to take out of a set, and why: looks at everything, changes nothing. `step` carries it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.faceset import sheet as sheets
from facewright.faceset.cleaning.coverage_cells import Views, best, rescued
from facewright.faceset.cleaning.faults import Columns, faults, needed, quality
from facewright.faceset.cleaning.settings import FAULTS, CleanSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.people.main_person import VectorsOf, likeness
from facewright.faceset.sorting.measures import measures
from facewright.faceset.sorting.near_duplicates import near_duplicates
from facewright.faceset.tags import GOOD, KEEP, is_parked, words_of

MOVE, PARK, STAY = "move", "park", "stay"
"""What becomes of a face: into the trash; left where it is but out of training; nothing (somebody said it is good, or
its pose is rare)."""
SPARED = {"cut_off", "bad_exposure", "blurry", "small", "duplicate"}
"""Faults that a rare pose outweighs."""
SURPLUS = "surplus"
WORDS = (*FAULTS, "duplicate", SURPLUS)
"""Categories, the gravest first: the first that a face has names its folder in the trash."""

_SHEET_FACES = 480
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One face that something is wrong with. words: its categories, the gravest first; reasons: why for each, with the
    value and the limit that it is beyond; deed: MOVE, PARK or STAY; like: the face that a duplicate repeats, else "";
    origin: what it was cut from."""

    face_id: str
    path: str
    words: tuple[str, ...]
    reasons: tuple[str, ...]
    deed: str
    like: str
    origin: str

    @property
    def why(self) -> str:
        """All of it in one line."""
        return "; ".join(f"{word.replace('_', ' ')}: {reason}" for word, reason in zip(self.words, self.reasons))

    @property
    def folder(self) -> str:
        """Name of its folder in the trash; duplicates have one a step."""
        return next(word for word in self.words if word != "obstructed" or len(self.words) == 1)


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked at. notes: what could not be looked for."""

    faces: int
    findings: tuple[Finding, ...]
    refused: dict[str, str]
    notes: tuple[str, ...]

    def counts(self, deed: str = "") -> dict[str, int]:
        """Category -> faces (each once, under its folder), of one deed or of all."""
        counted = Counter(f.folder for f in self.findings if not deed or f.deed == deed)
        return {word: counted[word] for word in sorted(counted, key=_rank)}

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "faces": self.faces, "move": self.counts(MOVE), "park": self.counts(PARK), "stay": self.counts(STAY),
            "notes": list(self.notes), "refused": [list(pair) for pair in self.refused.items()],
            "rows": [{"face_id": f.face_id, "category": f.folder, "categories": list(f.words), "deed": f.deed,
                      "why": f.why, "like": f.like, "path": f.path} for f in self.findings],
        }


def find(
    faceset: Faceset, settings: CleanSettings, person: str = "", *, park: bool = False,
    progress: Progress = lambda done, total: None, vectors_of: VectorsOf | None = None,
) -> Found:
    """Look at every face (of one person) that is not parked, and say what is wrong with which. park: nothing is to be
    moved, only parked.

    The measures stay in the index: asked again with other settings it reads no picture. Raises NothingFound (no faces).
    """
    rows = [row for row in faceset.rows_of(person) if not is_parked(row)]
    if not rows:
        raise NothingFound(f"There are no faces{f' of {person}' if person else ''} in {faceset.path.name}.",
                           remedy="`facewright faces info` counts what it holds.", where=faceset.path)
    refused: dict[str, str] = {}
    names = [*needed(settings), "laplacian", "expression", "light"]
    names += ["small"] if settings.duplicates >= 0 else []
    found = measures(faceset, names, [row.face_id for row in rows], progress=progress, refused=refused)
    wants_people = "other_person" in settings.wanted and settings.same > 0
    cosine = likeness(faceset, rows, vectors_of) if wants_people else np.full(len(rows), np.nan)
    columns = Columns(rows, found, cosine, _frames(faceset, rows))
    judged = _judge(columns, settings)
    notes = [] if not wants_people or np.isfinite(cosine).any() else [
        "Other people were not looked for: the identity net is not here (`facewright weights fetch mobileface_v2`), or "
        "no face is clear enough."]
    findings = tuple(_findings(columns, judged, park))
    if any("other_person" in one.words for one in findings):
        notes += _several(faceset, rows)
    return Found(len(rows), findings, refused, tuple(notes))


def _several(faceset: Faceset, rows: Sequence[Row]) -> list[str]:
    """A word where a set shows several people on purpose: all but one would go."""
    name = faceset.namer()
    people = Counter(filter(None, map(name, rows)))
    if len(people) < 2:
        return []
    told = ", ".join(f"{who} ({number:,})" for who, number in people.most_common(4))
    more = f" and {len(people) - 4:,} more" if len(people) > 4 else ""
    return [f"The set shows several people: {told}{more}. Whoever is not its main person counts as another: clean one "
            "alone with --person, or look for all else with --same 0."]


@dataclass(slots=True)
class _Judged:
    """Place -> category -> why; which faces stay for their rare pose, which because somebody said so; place -> the face
    it repeats."""

    words: dict[int, dict[str, str]]
    rescued: np.ndarray
    trusted: np.ndarray
    like: dict[int, str]


def _judge(columns: Columns, settings: CleanSettings) -> _Judged:
    """Faults of single faces first; duplicates among those that stay, then the best of what is left."""
    count = len(columns.rows)
    views = Views(columns.of("yaw_deg").astype(float), columns.of("pitch_deg").astype(float),
                  columns.found["expression"], columns.found["light"])
    worth = quality(columns, columns.found["laplacian"])
    words: dict[int, dict[str, str]] = {}
    for fault, reasons in faults(columns, settings).items():
        for at, why in reasons.items():
            words.setdefault(at, {})[fault] = why
    trusted = np.array([bool({GOOD, KEEP} & words_of(row)) for row in columns.rows], bool)
    gone = np.array([at in words and not trusted[at] and set(words[at]) != {"obstructed"} for at in range(count)], bool)
    like: dict[int, str] = {}
    if settings.duplicates >= 0:
        stay = np.flatnonzero(~gone)
        prized = worth[stay] + trusted[stay] * (1 + worth.max(initial=0))
        step, same = near_duplicates(columns.found["small"][stay], np.stack([views.yaw_deg, views.pitch_deg], 1)[stay],
                           views.expression[stay], prized, settings.duplicates)
        for place in np.flatnonzero(step >= 0).tolist():
            at, other = int(stay[place]), columns.rows[int(stay[same[place]])]
            words.setdefault(at, {})[f"duplicate-{step[place]}"] = (
                f"like {other.origin}, step {step[place]} (--duplicates {settings.duplicates})")
            like[at] = other.face_id
            gone[at] |= not trusted[at]
    least = min(settings.rare, -(-count // 100))
    mild = np.array([gone[at] and {w.partition("-")[0] for w in words[at]} - {"obstructed"} <= SPARED
                     and "duplicate-0" not in words[at] for at in range(count)], bool)
    cells = views.pose_cell
    inside = ~gone | mild
    spared = np.zeros(count, bool)
    spared[inside] = rescued(cells[inside], mild[inside], worth[inside], least)
    if settings.best:
        stay = np.flatnonzero(~gone | spared)
        prized = worth[stay] + trusted[stay] * (1 + worth.max(initial=0))
        for at in stay[~best(views.of(stay), prized, settings.best)].tolist():
            words.setdefault(at, {})[SURPLUS] = f"not among the best (--best {settings.best})"
            spared[at] = False
    return _Judged(words, spared, trusted, like)


def _findings(columns: Columns, judged: _Judged, park: bool) -> Iterator[Finding]:
    for at, found in sorted(judged.words.items()):
        row = columns.rows[at]
        words = tuple(sorted(found, key=_rank))
        covered = "obstructed" in words and not {"no_face", "other_person"} & set(words)
        deed = PARK if park or covered else MOVE
        if judged.trusted[at] or (judged.rescued[at] and not covered):
            deed = STAY
        reasons = tuple(found[word] for word in words)
        yield Finding(row.face_id, row.path, words, reasons, deed, judged.like.get(at, ""), row.origin)


def _rank(word: str) -> tuple[int, str]:
    return WORDS.index(word.partition("-")[0]), word


def _frames(faceset: Faceset, rows: Sequence[Row]) -> np.ndarray:
    """(N, 2) width and height of the frames whose edge a crop crosses; NaN elsewhere, and where nobody knows."""
    sizes = {source.sha256: source.size_px for source in faceset.header.sources if all(source.size_px)}
    unknown = (np.nan, np.nan)
    return np.array([sizes.get(row.source_sha256, unknown) if "crop_leaves_frame" in row.flags else unknown
                     for row in rows], float).reshape(-1, 2)


def draw(faceset: Faceset, found: Found, folder: Path) -> dict[str, list[str]]:
    """A contact sheet (pages of PNG) for each category in `folder`: category -> files. At most 480 faces each, spread
    evenly; frames tell what becomes of a face: red moved, amber parked, green stays."""
    files: dict[str, list[str]] = {}
    edges = {MOVE: sheets.RED, PARK: sheets.AMBER, STAY: sheets.GREEN}
    for word, total in found.counts().items():
        some = [f for f in found.findings if f.folder == word]
        if len(some) > _SHEET_FACES:
            some = [some[i] for i in np.linspace(0, len(some) - 1, _SHEET_FACES).round().astype(int)]
        head = f"{faceset.path.name}: {word.replace('_', ' ')}, {total:,} {'face' if total == 1 else 'faces'}" + (
            f" ({len(some)} of them)" if len(some) < total else "") + "  red: to the trash, amber: parked, green: stays"
        wide = bool(some[0].like)
        pages = sheets.pages(
            _pictures(faceset, some), [_caption(f) for f in some], 5 if wide else 8, 264 if wide else 160,
            headline=head, tall=0.5 if wide else 1.0, edges=[edges[f.deed] for f in some])
        files[word] = [str(path) for path in sheets.save(pages, folder / f"{word}.png")]
    return files


def _caption(finding: Finding) -> str:
    """Where it is from, the rule that took it with value and limit, and what else is wrong with it."""
    found = dict(zip(finding.words, finding.reasons))
    reason = found.pop(finding.folder)
    others = f"\nalso {', '.join(found).replace('_', ' ')}" if found else ""
    return f"{finding.origin}\n{reason}{others}"


def _pictures(faceset: Faceset, some: Sequence[Finding]) -> Iterator[np.ndarray | None]:
    """The faces, each beside the one it repeats where it does."""
    for one in some:
        try:
            image = faceset.image(one.face_id)
            yield image if not one.like else np.concatenate([image, _like(faceset.image(one.like), image)], 1)
        except (FileRefused, NothingFound):
            yield None


def _like(other: np.ndarray, image: np.ndarray) -> np.ndarray:
    if other.shape == image.shape:
        return other
    from facewright.image.warp import resize

    return resize(other, image.shape[0], "auto")
