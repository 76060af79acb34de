"""What a user says about people: names, who is one, who is two, who gets a faceset of their own; and what there is.

Every word settles the people it is about: later extractions add to them, and never part or join them again. Where faces
carry their name themselves (extracted with `--person`), their files are rewritten, 64 at a time; killed on its way, the
same command goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from facewright.core.errors import Mismatch, NothingFound
from facewright.faces.face import Face
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, free_number
from facewright.faceset.index import Row
from facewright.faceset.people.people import CLEAR_PRESENCE, Linked, VectorsOf, link
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import Writer

FRONTAL_YAW_DEG = 30.0


@dataclass(slots=True)
class _Seen:
    """One person (or track) while the rows go by."""

    faces: int = 0
    tracks: set[str] = field(default_factory=set)
    films: dict[str, int] = field(default_factory=dict)
    frames: tuple[int, int] = (0, 0)
    best: tuple[tuple[bool, bool, float], str] = ((False, False, -1.0), "")

    def add(self, row: Row, track: str) -> None:
        self.frames = (row.frame_index, row.frame_index) if not self.faces else (self.frames[0], row.frame_index)
        self.faces += 1
        self.tracks.add(track)
        self.films[row.source_file] = self.films.get(row.source_file, 0) + 1
        worth = (row.presence_01 >= CLEAR_PRESENCE, abs(row.yaw_deg) <= FRONTAL_YAW_DEG, row.sharpness)
        self.best = max(self.best, (worth, row.path))


def listed(folder: Path) -> dict[str, Any]:
    """Everybody in a faceset, with most faces first: name, settled, faces, tracks, films (name -> faces), share of the
    faces, sample (path of a clear, sharp, frontal face). "" is nobody: tracks that were never told apart."""
    faceset = Faceset.open(folder)
    name, wholes = faceset.namer(), faceset.header.whole_tracks
    seen: dict[str, _Seen] = {}
    for row in faceset.rows():
        seen.setdefault(name(row), _Seen()).add(row, wholes.get(row.track, row.track))
    settled = {person.name for person in faceset.header.people if person.settled}
    total = max(sum(one.faces for one in seen.values()), 1)
    rows = [
        {"name": who, "settled": who in settled, "faces": one.faces, "tracks": len(one.tracks), "films": one.films,
         "share": round(one.faces / total, 4), "sample": one.best[1]}
        for who, one in sorted(seen.items(), key=lambda pair: (-pair[1].faces, len(pair[0]), pair[0]))
    ]
    return {"faceset": str(folder), "faces": total if seen else 0, "people": rows}


def tracks_of(folder: Path, person: str) -> list[dict[str, Any]]:
    """The tracks of one person in the order of film and time: id, film, shot, first and last frame, faces, parts (the
    chunks' tracks it is made of), sample. Raises NothingFound."""
    faceset = Faceset.open(folder)
    wholes, seen, facts = faceset.header.whole_tracks, dict[str, _Seen](), dict[str, tuple[str, int]]()
    parts: dict[str, dict[str, None]] = {}
    for row in rows_of(faceset, person):
        track = wholes.get(row.track, row.track)
        seen.setdefault(track, _Seen()).add(row, track)
        facts[track] = (row.source_file, row.shot)
        parts.setdefault(track, {})[row.track] = None
    return [
        {"track": track, "film": facts[track][0], "shot": facts[track][1], "first_frame": one.frames[0],
         "last_frame": one.frames[1], "faces": one.faces, "parts": list(parts[track]), "sample": one.best[1]}
        for track, one in seen.items()
    ]


def tell_apart(folder: Path, vectors_of: VectorsOf | None = None) -> dict[str, Any]:
    """Find tracks and people anew: after an import, a merge of sets, or faces that came back from the trash."""
    faceset = Faceset.open(folder)
    linked = link(faceset, vectors_of)
    with Writer(folder) as writer:
        writer.update_header(linked.into)
    return listed(folder)


def rename(folder: Path, old: str, new: str) -> dict[str, Any]:
    """Give a person another name. Raises NothingFound, Mismatch (somebody else has it)."""
    faceset = Faceset.open(folder)
    rows = rows_of(faceset, old)
    _checked(new)
    if new != old and any(name == new for name in _names(faceset)) and not _begun(faceset, rows, new):
        raise Mismatch(
            f"Somebody in {folder.name} is called {new} already.", where=folder,
            remedy=f"If both are one: `facewright faces people merge FACESET {quote(new)} {quote(old)}`; else choose "
            "another name.")
    _say(faceset, rows, new, [old])
    return {"faceset": str(folder), "name": new, "before": old, "faces": len(rows)}


def merge(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Several people are one, called as the first of them. Raises NothingFound, Mismatch (fewer than two)."""
    chosen = list(dict.fromkeys(names))
    if len(chosen) < 2:
        raise Mismatch("One person alone cannot be merged.", remedy="Name two or more.", where=folder)
    faceset = Faceset.open(folder)
    rows = [row for name in chosen for row in rows_of(faceset, name)]
    _say(faceset, rows, chosen[0], chosen)
    return {"faceset": str(folder), "name": chosen[0], "merged": chosen[1:], "faces": len(rows)}


def split(folder: Path, name: str, tracks: Sequence[str], into: str = "") -> dict[str, Any]:
    """Some tracks of a person are somebody else's: of `into`, who may be there already, or is new ("": a number).

    tracks: ids as `tracks_of` gives them, or one part of a track. Raises NothingFound, Mismatch (all of the person's).
    """
    faceset = Faceset.open(folder)
    rows, header = rows_of(faceset, name), faceset.header
    parts = {part: {part} for row in rows for part in [row.track]}
    parts |= {whole[0]: {part for part in whole if part in parts} for whole in header.tracks if whole[0] in parts}
    missing = [track for track in tracks if track not in parts]
    if missing or not tracks:
        raise NothingFound(
            f"{name or 'Nobody'} has no track {missing[0]!r}." if missing else "No track is named.", where=folder,
            remedy="List them with `facewright faces people tracks FACESET NAME`.")
    wanted = set().union(*(parts[track] for track in tracks))
    moved = [row for row in rows if row.track in wanted]
    if len(moved) == len(rows):
        raise Mismatch(f"These are all tracks of {name}.", remedy="Rename the person instead.", where=folder)
    into = into or free_number(_names(faceset))
    _checked(into)
    _say(faceset, moved, into, [])
    return {"faceset": str(folder), "name": into, "from": name, "tracks": sorted(wanted), "faces": len(moved)}


def cut(folder: Path, track: str, frame: int) -> dict[str, Any]:
    """A track goes over to another head at this frame of the film: from there on it is a track of its own, for `split`.

    Where the border lies inside a chunk, the faces behind it are written anew. Raises NothingFound, Mismatch (the frame
    is not inside the track).
    """
    faceset = Faceset.open(folder)
    wholes = faceset.header.whole_tracks
    rows = [row for row in faceset.rows() if track in (row.track, wholes.get(row.track))]
    if not rows or not track:
        raise NothingFound(f"{folder.name} has no track {track!r}.", where=folder,
                           remedy="List them with `facewright faces people tracks FACESET NAME`.")
    if not rows[0].frame_index < frame <= rows[-1].frame_index:
        raise Mismatch(
            f"Frame {frame} does not part the track {track}.", where=folder,
            remedy=f"It has the frames {rows[0].frame_index} to {rows[-1].frame_index}: give one behind the first.")
    parts = list(dict.fromkeys(row.track for row in rows))
    ahead = {row.track for row in rows if row.frame_index < frame}
    behind = [row for row in rows if row.frame_index >= frame]
    torn = [row for row in behind if row.track in ahead]
    known = {name for (name,) in faceset.index.select("SELECT DISTINCT track FROM faces")}
    fresh = next(name for tail in count(1) if (name := f"{torn[0].track}c{tail}") not in known) if torn else ""
    second = ([fresh] if torn else []) + [part for part in parts if part not in ahead]
    with Writer(folder) as writer:
        source = iter(torn)
        while batch := list(islice(source, BATCH_FACES)):
            writer.write_faces(_changed(folder, batch, track=fresh))
        writer.update_header(lambda stored: _cut(stored, [part for part in parts if part in ahead], second))
    faceset.index.refresh()
    return {"faceset": str(folder), "track": track, "new": second[0], "faces": len(behind)}


def rows_of(faceset: Faceset, person: str) -> list[Row]:
    """The rows of one person ("": nobody's). Raises NothingFound."""
    name = faceset.namer()
    rows = [row for row in faceset.rows() if name(row) == person]
    if not rows:
        names = ", ".join(one for one in _names(faceset) if one)
        raise NothingFound(
            f"Nobody in {faceset.path.name} is called {person!r}.", where=faceset.path,
            remedy=f"The names are: {names}." if names else "Nobody is told apart there: `faces people link FACESET`.")
    return rows


def _names(faceset: Faceset) -> list[str]:
    name = faceset.namer()
    return sorted({name(row) for row in faceset.rows()} | {person.name for person in faceset.header.people})


def _checked(name: str) -> None:
    """Raise Mismatch for a name that no list could show."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise Mismatch(f"{name!r} is no name.", remedy="Give one line of text without spaces around it.")


def _say(faceset: Faceset, rows: Sequence[Row], name: str, given_up: Sequence[str]) -> None:
    """These rows are `name`: by their tracks in faceset.json, and in the files that carry a name themselves.

    given_up: names that become this one, with all tracks that they have.
    """
    whole = faceset.header.person
    own = [row for row in rows if (row.person or (whole if whole not in given_up else "")) not in ("", name)]
    with Writer(faceset.path) as writer:
        # First, so that after a kill the files that are still to be written are known by their tracks.
        writer.update_header(lambda stored: _settled(stored, {row.track for row in rows}, name, given_up))
        source = iter(own)
        while batch := list(islice(source, BATCH_FACES)):
            writer.write_faces(_changed(faceset.path, batch, person=name))
    faceset.index.refresh()


def _begun(faceset: Faceset, rows: Sequence[Row], name: str) -> bool:
    """Whether faceset.json says already that all of these rows are `name`: only their files are still to be written."""
    said = {track for person in faceset.header.people if person.name == name for track in person.tracks}
    return all(row.track in said for row in rows)


def _changed(folder: Path, rows: Sequence[Row], **words: Any) -> Iterator[tuple[Path, Face, np.ndarray | None]]:
    for row in rows:
        path = folder / row.path
        yield path, dataclasses.replace(record.read_face(path), **words), record.read_mask(path)


def _cut(header: Header, first: Sequence[str], second: Sequence[str]) -> Header:
    """The header in which one track has become two, both of the person that it was of."""
    touched = {*first, *second}
    wholes = [whole for whole in header.tracks if touched.isdisjoint(whole)]
    wholes += [tuple(run) for run in (first, second) if len(run) > 1]
    people = tuple(
        dataclasses.replace(person, tracks=tuple(dict.fromkeys((*person.tracks, *second))))
        if touched & set(person.tracks) else person for person in header.people)
    return Linked(people, tuple(wholes)).into(header)


def _settled(header: Header, tracks: set[str], name: str, given_up: Sequence[str]) -> Header:
    """The header in which `tracks` (and those of the names given up) are `name`'s; whoever lost or got is settled."""
    tracks = tracks - {""}
    people: dict[str, list[str]] = {}
    settled = {name}
    for person in header.people:
        goes = person.name in given_up
        kept = [] if goes else [track for track in person.tracks if track not in tracks]
        if person.settled or len(kept) < len(person.tracks):
            settled.add(person.name)
        people.setdefault(name if goes else person.name, []).extend(person.tracks if goes else kept)
    known = {track for found in people.values() for track in found}
    people.setdefault(name, []).extend(sorted(tracks - known))
    told = tuple(Person(who, tuple(found), who in settled) for who, found in people.items() if found)
    whole = name if header.person and header.person in given_up else header.person
    return dataclasses.replace(Linked(told, _parted(header.tracks, told)).into(header), person=whole)


def _parted(wholes: tuple[tuple[str, ...], ...], people: Sequence[Person]) -> tuple[tuple[str, ...], ...]:
    """Tracks that run through two people now, cut where the name changes."""
    owner = {track: person.name for person in people for track in person.tracks}
    found: list[list[str]] = []
    for whole in wholes:
        runs: list[list[str]] = []
        for part in whole:
            if runs and owner.get(runs[-1][-1]) == owner.get(part):
                runs[-1].append(part)
            else:
                runs.append([part])
        found += [run for run in runs if len(run) > 1]
    return tuple(tuple(run) for run in found)
