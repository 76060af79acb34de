"""Accept, skip, undo, redo: a person's word about frames, written down at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import NothingFound, SettingRefused
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.review import decisions, edits
from facewright.faceset.review.decisions import Decisions, Deed, Do
from facewright.faceset.review.review import Film, FrameState, State, films, one_film, states
from facewright.faceset.review.smoothing import INTERPOLATED
from facewright.faceset.store import Writer
from facewright.faceset.tags import PARKED, words_of

MOST_FRAMES = 10_000_000
"""Of one command: a slip of the finger in a range is refused, not obeyed."""

_RANGE = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?(?:/(\d{1,12}))?")


def parse_frames(words: Iterable[str]) -> list[int]:
    """`["7", "120-130", "0-300/25"]` -> frame numbers, ascending, both ends inside. Raises SettingRefused."""
    found = set[int]()
    for word in (part for text in words for part in text.replace(",", " ").split()):
        match = _RANGE.fullmatch(word)
        if match is None:
            raise _no_frames(word, "Frames are numbers (7), ranges (120-130), every so many of one (0-300/25), or "
                             "photos by their names.")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step == 0:
            raise _no_frames(word, "A range goes from the lower number to the higher, in steps of 1 or more.")
        if (last - first) // step + len(found) > MOST_FRAMES:
            raise _no_frames(word, f"That is more than {MOST_FRAMES:,} frames.")
        found.update(range(first, last + 1, step))
    return sorted(found)


def frames_of(folder: Path, words: Iterable[str], *, film: str = "") -> list[int]:
    """The same, and names of photos: `["IMG 0012.jpg", "7"]`. Of a faceset with several films, `film` names the one.
    Raises SettingRefused, NothingFound (no such film)."""
    words = list(words)
    strange = {word for word in words if not all(_RANGE.fullmatch(part) for part in word.replace(",", " ").split())}
    if not strange:
        return parse_frames(words)
    faceset = Faceset.open(folder)
    named: dict[str, list[int]] = {}
    for one in states(faceset, film=one_film(faceset, film).sha256):
        if one.picture:
            named.setdefault(one.picture, []).append(one.frame)
    photos = strange & named.keys()
    return sorted({*parse_frames(word for word in words if word not in photos), *(f for n in photos for f in named[n])})


def known_frames(film: Film, frames: Sequence[int]) -> list[int]:
    """Those frames, if the film has them. Raises NothingFound: none of them was looked at."""
    known = np.intersect1d(np.asarray(frames, np.int64), film.looked).tolist()
    if not known:
        last = f"0 to {int(film.looked[-1])}" if len(film.looked) else "none"
        raise NothingFound(
            f"None of these frames of {film.name} was looked at.", why=f"Frames here: {last}.",
            remedy="List them with `facewright faces review FACESET --state all`.", where=film.name)
    return known


def accept(folder: Path, frames: Sequence[int], *, film: str = "", every: State | None = None) -> dict[str, Any]:
    """The faces of these frames are right as they are; faces that come later make them doubtful again. Those that were
    put in between their neighbours (gaps.py) are parked no more.

    every: all frames of that state instead, of all films or the named one. Frames without a face are not accepted
    (they are skipped): `without_face` lists them. Raises NothingFound, SettingRefused, DiskRefused.
    """
    faceset = Faceset.open(folder)
    chosen = _chosen(faceset, frames, film, every)
    with_face = [one for one in chosen if one.rows]
    without = [one.frame for one in chosen if not one.rows]
    if chosen and not with_face:
        raise NothingFound(
            f"There is no face to accept in {_named(without)}.", where=folder,
            remedy="Skip them (`faces skip`), place a face (`faces place`) or look again (`faces again`).")
    rows = [row for one in with_face for row in one.rows]
    done = _decide(faceset, "accept", with_face, rows)
    return done | {"faces": len(rows), "unparked": len(_waiting(rows)), "without_face": without}


def skip(folder: Path, frames: Sequence[int], *, film: str = "", every: State | None = None) -> dict[str, Any]:
    """These frames are asked about no more. Their faces, where there are any, stay and are used as ever."""
    faceset = Faceset.open(folder)
    return _decide(faceset, "skip", _chosen(faceset, frames, film, every), [])


def undo(folder: Path) -> dict[str, Any]:
    """Take the latest decision or edit back, with its files. Raises NothingFound."""
    return _turn(folder, "undo", lambda now: now.deeds, edits.undo)


def redo(folder: Path) -> dict[str, Any]:
    """Let the latest one that was undone hold again; a new decision ends this. Raises NothingFound."""
    return _turn(folder, "redo", lambda now: now.undone, edits.redo)


def take_over(folder: Path, other: Path) -> dict[str, int]:
    """Write down here what was accepted or skipped in another set of the same films, for frames that nobody has decided
    about here; what was said here stays. Doing it twice adds nothing. Returns how many frames of each."""
    faceset, source = Faceset.open(folder), Faceset.open(other)
    said, theirs = decisions.read(folder), decisions.read(other)
    if not theirs.deeds:
        return {"accepted": 0, "skipped": 0}
    ids = {row.face_id: row for row in faceset.rows()}
    found: dict[Do, dict[str, list[int]]] = {"accept": {}, "skip": {}}
    faces: list[Row] = []
    named: dict[str, list[str]] = {}
    for face in {face for deed in theirs.deeds if deed.do == "accept" for face in deed.faces} & ids.keys():
        named.setdefault(face.rpartition("_")[0], []).append(face)
    known = {film.sha256: film for film in films(faceset)}
    for film in films(source):
        here = known.get(film.sha256)
        if here is None:
            continue
        mine = {frame: deed for frame, deed in zip(here.looked.tolist(), said.of_frames(film.sha256, here.looked))}
        for frame, deed in zip(film.looked.tolist(), theirs.of_frames(film.sha256, film.looked)):
            if deed is not None and frame in mine and mine[frame] is None:
                found[deed.do].setdefault(film.sha256, []).append(frame)
                faces += [ids[face] for face in sorted(named.get(f"{film.sha256[:8]}_{frame:07d}", ()))]
    for do, frames in found.items():
        if frames:
            _say(folder, do, frames, faces if do == "accept" else [], {"from": other.name})
    counts = {do: sum(map(len, frames.values())) for do, frames in found.items()}
    return {"accepted": counts["accept"], "skipped": counts["skip"]}


def _turn(
    folder: Path, word: str, pile: Callable[[Decisions], Sequence[Deed]], files: Callable[[Path, Deed], None]
) -> dict[str, Any]:
    Faceset.open(folder, refresh=False)
    with decisions.deciding(folder) as desk:
        found = pile(desk.now)
        if not found:
            raise NothingFound(
                f"There is nothing to {word} in {folder.name}.", where=folder,
                remedy="Deletions are undone by `facewright faces trash restore`." if word == "undo" else
                       "Only what was undone since the latest decision can be done again.")
        first, frames = found[-1], 0
        run = first.facts.get("run")
        for deed in reversed(found):
            if deed is not first and (run is None or deed.facts.get("run") != run):
                break
            # Files first, and so that doing it twice does no harm: killed in between, the same command goes on.
            files(folder, deed)
            (desk.undo if word == "undo" else desk.redo)(deed)
            frames += deed.count
        left = len(pile(desk.now))
    return {"faceset": str(folder), word: first.do, "at": first.at, "frames": frames, "left": left}


def _chosen(faceset: Faceset, frames: Sequence[int], film: str, every: State | None) -> list[FrameState]:
    if every is not None:
        if frames:
            raise SettingRefused("Frames are named, and all of a state as well.", remedy="Do either.", where=film)
        return [one for one in states(faceset, film=film) if one.state == every]
    if not frames:
        raise SettingRefused("No frame is named.", remedy="Name frames (7, 120-130), or all of a state.", where=film)
    one = one_film(faceset, film)
    wanted = set(known_frames(one, frames))
    return [state for state in states(faceset, film=one.sha256) if state.frame in wanted]


def _decide(faceset: Faceset, do: Do, chosen: list[FrameState], faces: list[Row]) -> dict[str, Any]:
    frames: dict[str, list[int]] = {}
    for one in chosen:
        frames.setdefault(one.sha256, []).append(one.frame)
    if chosen:
        _say(faceset.path, do, frames, faces, {})
    films = {one.sha256: one.film for one in chosen}
    return {"faceset": str(faceset.path), "did": do, "frames": len(chosen),
            "films": {films[sha256]: len(numbers) for sha256, numbers in frames.items()}}


def _say(
    folder: Path, do: Do, frames: Mapping[str, Iterable[int]], faces: Sequence[Row], facts: Mapping[str, Any]
) -> None:
    """Write a deed down; proposed faces among `faces` come into use with it."""
    unpark = _waiting(faces)
    # The faces' lock only where it is needed: one can decide while an extraction runs.
    with Writer(folder) if unpark else nullcontext() as writer, decisions.deciding(folder) as desk:
        deed = desk.add(do, frames, [row.face_id for row in faces], {**facts, "unparked": unpark} if unpark else facts)
        if writer is not None:
            edits.park(writer, deed, parked=False)


def _waiting(rows: Sequence[Row]) -> list[str]:
    """Files of the proposed faces that are still parked."""
    return [row.path for row in rows if {INTERPOLATED, PARKED} <= words_of(row)]


def _named(frames: Sequence[int]) -> str:
    runs = decisions.spans(frames)
    words = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:8]]
    return ("frame " if len(frames) == 1 else "frames ") + ", ".join(words) + (" ..." if len(runs) > 8 else "")


def _no_frames(word: str, remedy: str) -> SettingRefused:
    return SettingRefused(f"{word[:60]!r} names no frames.", remedy=remedy, where=word[:60])
