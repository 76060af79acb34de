"""Every frame of every film of a faceset, with its state: derived from faceset.json, the faces and review.jsonl.

Nothing is stored here: extraction, cleaning and decisions change what these functions say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from facewright.core.errors import FileRefused, NothingFound, SettingRefused
from facewright.faceset.face_choice import is_film
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import read_head
from facewright.faceset.header import Source, noted
from facewright.faceset.index import Row
from facewright.faceset.neighbours import by_hand
from facewright.faceset.review import decisions
from facewright.faceset.review.decisions import Decisions, Deed
from facewright.faceset.review.reasons import doubles, flag_doubts, jumps

State = Literal["no_face", "doubtful", "several", "accepted", "skipped", "damaged"]
STATES: tuple[State, ...] = ("no_face", "doubtful", "several", "accepted", "skipped", "damaged")
QUERIES: dict[str, tuple[State, ...]] = {
    "open": ("no_face", "doubtful"),
    "unaccepted": ("no_face", "doubtful", "skipped", "damaged"),
    "all": STATES,
}
"""Words for several states: what waits for a decision; frames without an accepted face; every frame."""

_LOST = "its faces were taken out"
_UNTOLD = "no face"


@dataclass(frozen=True, slots=True, eq=False)
class FrameState:
    """One frame. reasons: words of doubts.WORDS, or why there is no face, or what is damaged. by: "user" where a person
    decided (or placed its faces). time_s: from the film's beginning, NaN for pictures. people: name of each face.
    picture: the file's name, where the film is a folder of pictures."""

    sha256: str
    film: str
    frame: int
    time_s: float
    state: State
    reasons: tuple[str, ...]
    by: str
    rows: tuple[Row, ...]
    people: tuple[str, ...] = ()
    picture: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "film": self.film, "sha256": self.sha256, "frame": self.frame, "picture": self.picture,
            "time_s": None if np.isnan(self.time_s) else round(self.time_s, 3), "state": self.state,
            "reasons": list(self.reasons), "by": self.by,
            "faces": [_face(row, name) for row, name in zip(self.rows, self.people)],
        }


@dataclass(frozen=True, slots=True)
class Film:
    """One film of a faceset, as far as review knows it: frames that were looked at (ascending), what was noted.
    pictures: of a folder, number -> file of those that have no face."""

    sha256: str
    name: str
    looked: np.ndarray
    missed: dict[int, str]
    damaged: dict[int, str]
    rate: float
    pictures: dict[str, str] = field(default_factory=dict)


def wanted_states(word: str) -> tuple[State, ...]:
    """A state or a word of QUERIES ("" = open), hyphens or underscores. Raises SettingRefused."""
    name = word.strip().lower().replace("-", "_") or "open"
    if name in STATES:
        return (name,)
    if name not in QUERIES:
        raise SettingRefused(
            f"There is no state {word!r}.", remedy=f"States: {', '.join(s.replace('_', '-') for s in STATES)}; or "
            f"{', '.join(QUERIES)}.", where=word)
    return QUERIES[name]


def films(faceset: Faceset, name: str = "") -> list[Film]:
    """The films of a faceset in the order of the header; `name`: only the one of that name, or whose digest begins so.

    Raises NothingFound.
    """
    header = faceset.header
    seen = faceset.index.select(
        "SELECT DISTINCT source_sha256, source_file, frame_index FROM faces WHERE trouble = '' AND doubled = 0")
    frames: dict[str, list[int]] = {}
    names: dict[str, str] = {source.sha256: source.file for source in header.sources}
    for sha256, file, frame in seen:
        names.setdefault(sha256, file)
        frames.setdefault(sha256, []).append(frame)
    picked = [sha256 for sha256 in names if not name or is_film(name, names[sha256], sha256)]
    if not picked:
        raise NothingFound(
            f"{faceset.path.name} holds no frames of {name!r}." if name else f"{faceset.path.name} holds no film.",
            remedy=f"Its films are: {', '.join(sorted(names.values())) or 'none'}.", where=faceset.path)
    return [_film(sha256, names[sha256], header.source(sha256), frames.get(sha256, [])) for sha256 in picked]


def one_film(faceset: Faceset, name: str = "") -> Film:
    """The film that is meant: the named one, or the only one. Raises NothingFound, SettingRefused (several)."""
    found = films(faceset, name)
    if len(found) > 1:
        raise SettingRefused(
            f"{faceset.path.name} holds frames of {len(found)} films.", where=faceset.path,
            remedy=f"Name one: --film {found[0].name!r}, or the beginning of its digest ({found[0].sha256[:8]}); all: "
            f"{', '.join(f.name for f in found)}.")
    return found[0]


def states(
    faceset: Faceset, *, film: str = "", person: str = "", decided: Decisions | None = None
) -> Iterator[FrameState]:
    """Every frame that was looked at, film by film, ascending. person: other people's faces are not looked at.

    decided: the decisions where they are known already. Raises NothingFound (no such film), FileRefused.
    """
    decided = decisions.read(faceset.path) if decided is None else decided
    name = faceset.namer()
    right = {deed.number: frozenset(deed.faces) for deed in decided.deeds if deed.do == "accept"}
    for one in films(faceset, film):
        rows = [row for row in faceset.rows(source_sha256=one.sha256) if not person or name(row) == person]
        by_frame: dict[int, list[Row]] = {}
        for row in rows:
            by_frame.setdefault(row.frame_index, []).append(row)
        odd = jumps(rows)
        times = _times(faceset, one, rows)
        for deed, frame, time_s in zip(decided.of_frames(one.sha256, one.looked), one.looked.tolist(), times.tolist()):
            here = tuple(by_frame.get(frame, ()))
            known = right.get(deed.number, frozenset()) if deed is not None else frozenset()
            fresh = deed is not None and any(row.face_id not in known and not by_hand(row) for row in here)
            state = _state(one, frame, here, deed, odd, fresh=fresh)
            picture = here[0].picture if here else one.pictures.get(str(frame), "")
            yield FrameState(one.sha256, one.name, frame, time_s, *state, here, tuple(map(name, here)), picture)


def counted(found: Iterator[FrameState], wanted: Sequence[State]) -> tuple[list[FrameState], dict[str, dict[str, int]]]:
    """(the frames of the wanted states, film name -> state -> count of all of them)."""
    kept, counts = list[FrameState](), dict[str, Counter[str]]()
    for one in found:
        counts.setdefault(one.film, Counter())[one.state] += 1
        if one.state in wanted:
            kept.append(one)
    return kept, {film: {state: count[state] for state in STATES if count[state]} for film, count in counts.items()}


def _state(
    film: Film, frame: int, rows: tuple[Row, ...], deed: Deed | None, odd: set[str], *, fresh: bool
) -> tuple[State, tuple[str, ...], str]:
    if deed is not None and deed.do == "skip":
        return "skipped", (), "user"
    if not rows:
        if frame in film.damaged:
            return "damaged", (film.damaged[frame],), ""
        return "no_face", (film.missed.get(frame, _LOST if film.missed else _UNTOLD),), ""
    if deed is not None and not fresh:
        return "accepted", (), "user"
    words = [word for row in rows for word in flag_doubts(row)]
    words += ["jump"] * any(row.face_id in odd for row in rows)
    words += ["double"] * bool(doubles(rows))
    words += ["new_face"] * fresh
    by = "user" if all(by_hand(row) for row in rows) else ""
    if words:
        return "doubtful", tuple(dict.fromkeys(words)), by
    return ("several" if len(rows) > 1 else "accepted"), (), by


def _film(sha256: str, name: str, source: Source | None, with_face: list[int]) -> Film:
    facts = source.facts if source is not None else {}
    missed, damaged = noted(facts, "no_face"), noted(facts, "damaged")
    known = {*with_face, *missed, *damaged, *(source.looked() if source is not None else ())}
    named = facts.get("pictures")
    pictures = {str(at): str(file) for at, file in named.items()} if isinstance(named, dict) else {}
    return Film(sha256, name, np.array(sorted(known), np.int64), missed, damaged, _rate(source), pictures)


def _rate(source: Source | None) -> float:
    try:
        return float(Fraction(source.rate)) if source is not None and source.rate else 0.0
    except (ValueError, ZeroDivisionError):
        return 0.0


def _times(faceset: Faceset, film: Film, rows: list[Row]) -> np.ndarray:
    """Seconds from the film's beginning of each frame looked at: by the faces' time stamps, else by the rate."""
    even = film.looked / film.rate if film.rate else np.full(len(film.looked), np.nan)
    if not rows or not film.rate:
        return even
    try:
        source = read_head(faceset.files, rows[0].path)[0].source
    except FileRefused:  # changed under our hands: the next refresh says so
        return even
    if "/" in source.file:  # a picture of a folder: pictures have no clock
        return np.full(len(film.looked), np.nan)
    base = float(source.time_base)
    frames, first = np.unique([row.frame_index for row in rows], return_index=True)
    stamps = np.array([row.pts for row in rows], np.float64)[first] * base
    # Stamps may begin anywhere; frame 0 is the beginning, as far as its neighbours tell.
    late = np.interp(film.looked, frames, stamps - frames / film.rate)
    return even + late - late[0] if len(late) else even


def _face(row: Row, person: str) -> dict[str, Any]:
    return {
        "face_id": row.face_id, "path": row.path, "track": row.track, "person": person, "flags": row.flags.split(),
        "box_px": [row.x0_px, row.y0_px, row.x1_px, row.y1_px], "score": row.score, "presence_01": row.presence_01,
        "yaw_deg": row.yaw_deg, "pitch_deg": row.pitch_deg, "roll_deg": row.roll_deg, "edited": bool(row.edited),
    }
