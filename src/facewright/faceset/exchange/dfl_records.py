"""The file of records beside exported faces: what DeepFaceLab has no place for, one JSON object a line.

The first line is about the set (consent, person, people and tracks, sources), each other about one face: `face_id`,
`name` there, the `consent` that holds for it, `person`, `mask` (a digest of the mask that went out) and, of faces that
are our own, the whole metadata as `face`. Faces that come back are known by an id in their facts, whatever their files
are called now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.faces.face import Face, SourceRef
from facewright.faceset import facejson
from facewright.faceset.header import Header, Person, Source

NAME = "facewright-faces.jsonl"
FORMAT = "facewright.handed-out/1"

_ABOUT_BYTES, _LINE_BYTES, _FILE_BYTES = 64 << 20, 4 << 20, 16 << 30
_ID = re.compile(rb'\{"face_id":"([0-9a-f]{8}_[0-9]{7,18}_[0-9]{1,9})",')
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Records:
    """Where each face's line lies in the file: id -> (offset, bytes)."""

    path: Path
    lines: Mapping[str, tuple[int, int]]
    sources: Mapping[str, Source]
    people: tuple[Person, ...] = ()
    tracks: tuple[tuple[str, ...], ...] = ()

    def told(self, face_id: str) -> tuple[Face, str] | None:
        """A face as it left, with the record of consent that held for it, and the digest of its mask; None where the
        line holds no whole face, or is damaged."""
        offset, size = self.lines[face_id]
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                line = json.loads(file.read(size))
            face = facejson.from_json(json.dumps(line["face"]).encode("utf-8", "surrogatepass"), self.path)
            if face.face_id != face_id or not _SHA.fullmatch(face.source.sha256):
                return None
            return replace(face, consent=face.consent or str(line.get("consent", ""))), str(line.get("mask", ""))
        except (OSError, FileRefused, ValueError, TypeError, LookupError, RecursionError):
            return None

    def source(self, ref: SourceRef) -> Source:
        """What the set said of a face's film."""
        known = self.sources.get(ref.sha256)
        return known if known is not None else Source(ref.file.partition("/")[0], ref.sha256)


def line_of(told: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def read_records(folder: Path) -> Records | None:
    """The records in a folder; None where there are none that can be read."""
    path = folder / NAME
    lines: dict[str, tuple[int, int]] = {}
    try:
        if path.stat().st_size > _FILE_BYTES:
            return None
        with path.open("rb") as file:
            about = json.loads(file.readline(_ABOUT_BYTES))
            if about["format"] != FORMAT:
                return None
            offset = file.tell()
            while line := file.readline(_LINE_BYTES):
                match = _ID.match(line)
                if match and line.endswith(b"\n"):
                    lines[match[1].decode()] = (offset, len(line))
                offset += len(line)
        sources = {str(s["sha256"]): Source(str(s["file"]), str(s["sha256"]), str(s["rate"]), (
            int(s["size_px"][0]), int(s["size_px"][1])), int(s["frame_count"])) for s in about["sources"]}
        people = tuple(Person(str(p["name"]), tuple(map(str, p["tracks"])), bool(p.get("settled", False)))
                       for p in about.get("people", []))
        tracks = tuple(tuple(map(str, parts)) for parts in about.get("tracks", []) if parts)
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return Records(path, lines, sources, people, tracks)


def with_people(stored: Header, told: Records) -> Header:
    """The header with the people and whole tracks of faces that come back. What it says itself stays; a name that
    nobody gave (person-1) and that is taken stays away: it may be somebody else's."""
    named = {track for person in stored.people for track in person.tracks}
    people = {person.name: person for person in stored.people}
    for person in told.people:
        fresh = tuple(track for track in person.tracks if track not in named)
        before = people.get(person.name, Person(person.name, ()))
        if fresh and (person.settled or not before.tracks):
            people[person.name] = Person(person.name, (*before.tracks, *fresh), before.settled or person.settled)
    parts = set(stored.whole_tracks)
    wholes = [whole for whole in told.tracks if not parts.intersection(whole)]
    return replace(stored, people=tuple(people.values()), tracks=(*stored.tracks, *wholes))
