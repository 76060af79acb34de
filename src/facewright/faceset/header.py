"""`faceset.json`: what the faces of a set have in common, as small frozen data. Read whole, replaced atomically."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused, Mismatch
from facewright.core.files import read_file, write_atomic

NAME = "faceset.json"
FORMAT = "facewright.faceset/1"
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """One film or folder of pictures. `file` is a name, never a path; `rate` a fraction as text.

    settings: what decides the faces (a source is extracted with one set of them). done: every chunk is there.
    facts: counts of frames, faces, frames without a face and why, damaged frames, names of these in a
    folder of pictures.
    """

    file: str
    sha256: str
    rate: str = ""
    size_px: tuple[int, int] = (0, 0)
    frame_count: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def looked(self) -> Iterator[int]:
        """Frames that extraction looked at, as it noted them; or all, where it left none out."""
        runs = self.facts.get("looked")
        if isinstance(runs, list):
            for run in runs:
                if isinstance(run, list) and len(run) == 3 and all(isinstance(n, int) for n in run) and run[2] > 0:
                    yield from range(max(run[0], 0), min(run[1], self.frame_count or run[1]), run[2])
            return
        if self.done and not any(self.settings.get(word) for word in ("fps", "start", "end")):
            yield from range(self.frame_count)


@dataclass(frozen=True, slots=True)
class Person:
    """Tracks that belong to one head; `name` is the user's, or `person-1` and so on.

    settled: a user said so (named, merged, split); then its tracks stay together and apart from other settled people.
    """

    name: str
    tracks: tuple[str, ...]
    settled: bool = False


_NUMBER = re.compile(r"person-\d+")


def is_number(name: str) -> bool:
    """Whether a person is only numbered: extraction counted, and nobody gave a name."""
    return _NUMBER.fullmatch(name) is not None


def free_number(taken: Collection[str]) -> str:
    """The first `person-N` that is not taken."""
    return next(name for number in count(1) if (name := f"person-{number}") not in taken)


@dataclass(frozen=True, slots=True)
class Header:
    """The content of faceset.json. `consent` and `person` hold for every face that names none itself.

    tracks: those of chunks (as faces carry them) that are one head over a whole shot, in the order of time; the first
    names the whole. Tracks that end with their chunk are not listed.
    """

    face_type: str = ""
    side_px: int = 0
    sources: tuple[Source, ...] = ()
    consent: str = ""
    person: str = ""
    people: tuple[Person, ...] = ()
    tracks: tuple[tuple[str, ...], ...] = ()

    @property
    def whole_tracks(self) -> dict[str, str]:
        """Track of a chunk -> id of the whole that it is part of, for those in `tracks`; others are whole."""
        return {part: whole[0] for whole in self.tracks for part in whole}

    def source(self, sha256: str) -> Source | None:
        """The source with that digest, or None."""
        return next((s for s in self.sources if s.sha256 == sha256), None)

    def with_source(self, source: Source) -> Header:
        """This header with one source added, or replaced where it stood."""
        if self.source(source.sha256) is None:
            return dataclasses.replace(self, sources=(*self.sources, source))
        kept = tuple(source if s.sha256 == source.sha256 else s for s in self.sources)
        return dataclasses.replace(self, sources=kept)

    def begun(self, source: Source, *, face_type: str, side_px: int, consent: str, person: str) -> Header:
        """This header as the first faces of `source` come. A set without any source takes over what they are, and what
        it does not say itself of consent and person; a source that is known stays as it is."""
        if self.source(source.sha256) is not None:
            return self
        fresh = self if self.sources else dataclasses.replace(
            self, face_type=face_type, side_px=side_px, consent=self.consent or consent, person=self.person or person)
        return fresh.with_source(source)


def noted(facts: Mapping[str, Any], word: str) -> dict[int, str]:
    """Frame -> why, of the frames that a film's facts list under `no_face` or `damaged`."""
    pairs, found = facts.get(word), dict[int, str]()
    for pair in pairs if isinstance(pairs, list) else []:
        if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], int) and pair[0] >= 0:
            found[pair[0]] = str(pair[1])
    return found


def refuse_others(header: Header, consent: str, person: str, folder: Path) -> None:
    """Raise Mismatch where new faces would silently come under the set's consent or person: name them again."""
    for word, there, given in (("consent", header.consent, consent), ("person", header.person, person)):
        if there and given != there:
            raise Mismatch(
                f"The faces in {folder.name} are under the {word} {there!r}; the new ones name {given or 'none'!r}.",
                remedy=f"Add --{word} {there} if they are the same person's; else put them into another folder.",
                where=folder,
            )


def load(folder: Path) -> Header | None:
    """The header of a faceset folder, or None where there is no faceset.json. Raises FileRefused."""
    path = folder / NAME
    return decode(read_file(path, limit_bytes=_LIMIT_BYTES), path) if path.exists() else None


def decode(data: bytes, path: Path) -> Header:
    """The header in the bytes of a faceset.json; `path` is for messages. Raises FileRefused."""
    try:
        record = json.loads(data)
        if record["format"] != FORMAT:
            raise FileRefused(
                f"{path.parent.name} was made by another version of facewright ({str(record['format'])[:60]}).",
                why=f"This one reads {FORMAT}.", remedy="Update facewright.", where=path,
            )
        return from_record(record)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise FileRefused(
            f"{NAME} of {path.parent.name} is damaged.", why=f"{type(error).__name__}: {error}"[:200],
            remedy="Move it away: the faces carry their own metadata, and a new one is made from them.", where=path,
        ) from error


def save(folder: Path, header: Header) -> None:
    """Replace faceset.json atomically. The same header gives the same bytes. Raises DiskRefused."""
    write_atomic(folder / NAME, encode(header))


def encode(header: Header) -> bytes:
    """The bytes of a faceset.json."""
    record = {"format": FORMAT, **dataclasses.asdict(header)}
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "surrogatepass")


def from_record(record: dict[str, Any]) -> Header:
    """A header from its fields as JSON has them (`dataclasses.asdict`). ValueError, TypeError, LookupError: not one."""
    sources = tuple(
        Source(
            file=str(s["file"]), sha256=str(s["sha256"]), rate=str(s.get("rate", "")),
            size_px=(int(s["size_px"][0]), int(s["size_px"][1])), frame_count=int(s.get("frame_count", 0)),
            settings=dict(s.get("settings", {})), done=bool(s.get("done", False)), facts=dict(s.get("facts", {})),
        )
        for s in record.get("sources", [])
    )
    people = tuple(
        Person(str(p["name"]), tuple(map(str, p["tracks"])), bool(p.get("settled", False)))
        for p in record.get("people", [])
    )
    tracks = tuple(tuple(map(str, parts)) for parts in record.get("tracks", []) if parts)
    return Header(
        face_type=str(record.get("face_type", "")), side_px=int(record.get("side_px", 0)), sources=sources,
        consent=str(record.get("consent", "")), person=str(record.get("person", "")), people=people,
        tracks=tracks,
    )
