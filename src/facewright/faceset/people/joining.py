"""What two sets say of their faces as one: films, tracks, people.

A name that a user gave means the same person everywhere. A number (`person-1`) means nobody: extraction counts in every
set anew. Such a person is whoever has the same faces over there, or the same tracks; else the number must be free.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, Source, free_number, is_number, noted
from facewright.faceset.index import Row
from facewright.faceset.selection import stretches

SAME_FACE_IOU = 0.5
"""Boxes of one frame that overlap by more are one face, found twice."""


def iou(a: Row, b: Row) -> float:
    """Intersection over union of the two boxes, 0..1."""
    width = min(a.x1_px, b.x1_px) - max(a.x0_px, b.x0_px)
    height = min(a.y1_px, b.y1_px) - max(a.y0_px, b.y0_px)
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(r.x1_px - r.x0_px) * (r.y1_px - r.y0_px) for r in (a, b)]
    return both / max(sum(areas) - both, 1e-9)


def numbered(source: Faceset, out: Faceset, there: Mapping[tuple[str, int], Sequence[Row]]) -> dict[str, str]:
    """What the people of `source` that have but a number are called in `out`.

    there: (film, frame) -> the rows of `out`. Asked again once they are there, the answer is the same.
    """
    name = source.namer()
    votes: dict[str, Counter[str]] = {}
    tracks: dict[str, set[str]] = {}
    called, by_track = _names_there(out, there)
    for row in source.rows():
        who = name(row)
        if is_number(who):
            near = [one for one in there.get((row.source_sha256, row.frame_index), ()) if iou(one, row) > SAME_FACE_IOU]
            votes.setdefault(who, Counter()).update(filter(None, (called[one.path] for one in near)))
            tracks.setdefault(who, set()).add(row.track)
    for person in source.header.people:  # of tracks that have left the source as well
        tracks.get(person.name, set()).update(person.tracks)
    own = {person.name for person in source.header.people} | set(votes)
    taken = {*called.values(), *by_track.values(), *(person.name for person in out.header.people)}
    found: dict[str, str] = {}
    for who, seen in votes.items():
        told = seen or Counter(by_track[track] for track in tracks[who] if by_track.get(track))
        if told:
            found[who] = max(told, key=lambda one: (told[one], one))
        else:
            found[who] = who if who not in taken else free_number(taken | own | set(found.values()))
    return found


def _names_there(
    out: Faceset, there: Mapping[tuple[str, int], Sequence[Row]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Path -> name, and track -> name."""
    name = out.namer()
    rows = [row for some in there.values() for row in some]
    by_track = {} if out.header.person else {t: person.name for person in out.header.people for t in person.tracks}
    return {row.path: name(row) for row in rows}, {row.track: name(row) for row in rows if row.track} | by_track


def united(one: Source, other: Source) -> Source:
    """The same film, looked at for two sets that come together: what either knows of its frames. Settings and words of
    `one` stay; where the other looked at nothing more, so does all the rest."""
    mine, theirs = set(one.looked()), set(other.looked())
    done = one.done or other.done
    if theirs <= mine:
        return dataclasses.replace(one, done=done)
    a, b = one.facts, other.facts
    missed: dict[int, str] = {}
    for facts, looked_by_the_other, elsewhere in ((b, mine, noted(a, "no_face")), (a, theirs, noted(b, "no_face"))):
        missed |= {at: why for at, why in noted(facts, "no_face").items()
                   if at in elsewhere or at not in looked_by_the_other}
    longer = max((facts.get("shots") or [] for facts in (a, b)), key=lambda shots: shots[-1] if shots else [])
    return dataclasses.replace(one, done=done, facts={
        **b, **a, "frames": len(mine | theirs), "frames_without_face": len(missed),
        "reasons": dict(Counter(missed.values())), "no_face": [list(pair) for pair in sorted(missed.items())],
        "damaged": [list(pair) for pair in sorted((noted(b, "damaged") | noted(a, "damaged")).items())],
        "looked": stretches(sorted(mine | theirs)), **({"shots": longer} if longer else {}),
        **({"pictures": {**b.get("pictures", {}), **a.get("pictures", {})}} if "pictures" in {*a, *b} else {}),
        **{word: a.get(word, 0) + b.get(word, 0) for word in ("faces", "left_out") if mine.isdisjoint(theirs)},
    })


def joined(
    stored: Header, source: Header, films: Collection[str], names: Mapping[str, str], settled: Collection[str],
    fresh: set[str],
) -> Header:
    """OUT's header with the source's films, the names of its tracks (`settled`: those that a user said), and which of
    the `fresh` tracks are one head."""
    head = stored
    for film in source.sources:
        known = head.source(film.sha256)
        if film.sha256 in films:
            head = head.with_source(film if known is None else united(known, film))
    people = {person.name: person for person in head.people}
    named = {track for person in head.people for track in person.tracks}
    for track, name in names.items():
        if track not in named and not head.person:
            before = people.get(name, Person(name, ()))
            people[name] = Person(name, (*before.tracks, track), before.settled or name in settled)
    known_parts = set(head.whole_tracks)
    wholes = [whole for whole in source.tracks if fresh.intersection(whole) and not known_parts.intersection(whole)]
    return dataclasses.replace(head, people=tuple(people.values()), tracks=(*head.tracks, *wholes))
