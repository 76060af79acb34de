"""`faceset.pak`: version, list of facts (a pickle), offsets, the face files (data-formats-and-merging.md 5.1).

The list only repeats what the files hold, but for the names, which are only there; a pak whose list is hostile or
broken is read by its table of offsets alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.pickling import LIST_BEGINS, LIST_ENDS, Enumerated, body
from facewright.core.unpickle import read_pickle
from facewright.faceset.exchange.dfl_facts import last_part

NAME = "faceset.pak"
FACE_TYPES = {
    "half_face": 0, "midfull_face": 1, "full_face": 2, "full_face_no_align": 3, "whole_face": 4, "head": 10,
    "head_no_align": 20, "mark_only": 100,
}
"""What the list says instead of the type's name (1.1)."""

FACE_BYTES, _PAK_BYTES, _MOST_FACES = 64 << 20, 1 << 40, 1_000_000
_LIST_BYTES, _OPCODES = 4 << 30, 2_000_000_000
_HEAD = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Member:
    """One face file in a pak: `start` and `size` in bytes; name and person as packed ("" where the list is unread)."""

    number: int
    start: int
    size: int
    name: str = ""
    person: str = ""


def members(path: Path, *, names: bool = True) -> tuple[list[Member], str]:
    """(what a pak holds, why its list of names could not be read or ""). Raises FileRefused: no pak, damaged."""
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size or total > _PAK_BYTES:
                raise refused(path.name, "it is too short or too large for a pak")
            version, config = _HEAD.unpack(head)
            if version != 1 or _HEAD.size + config > total:
                raise refused(path.name, f"its version is {version}, or its list is cut short")
            listed = file.read(config) if names and config <= _LIST_BYTES else b""
            file.seek(_HEAD.size + config)
            table = np.frombuffer(file.read(8 * min(_MOST_FACES + 1, (total - _HEAD.size - config) // 8)), "<u8")
    except OSError as error:
        raise refused(path.name, str(error.strerror or error)) from error
    found = [Member(number, a, b - a) for number, (a, b) in enumerate(_spans(path, table, _HEAD.size + config, total))]
    if not names:
        return found, ""
    try:
        pairs = _names(listed, len(found))
    except (FileRefused, ValueError, TypeError, LookupError) as error:
        return found, getattr(error, "why", "") or str(error)[:200]
    return [Member(m.number, m.start, m.size, *pair) for m, pair in zip(found, pairs)], ""


def piece(file: BinaryIO, name: str, start: int, size: int) -> bytes:
    """One face file's bytes. Raises FileRefused (too large for a face)."""
    if size > FACE_BYTES:
        raise refused(name, "it is too large for a face")
    file.seek(start)
    return file.read(size)


def entry(name: str, person: str, side: tuple[int, int], facts: dict[str, Any]) -> bytes:
    """One face's part of the list, ready to be joined with others. side: (width, height)."""
    width, height = side
    word = str(facts.get("face_type") or "full_face").lower()
    polygons = facts.get("seg_ie_polys")
    return body({
        "sample_type": Enumerated("samplelib.Sample", "SampleType", 1), "filename": name,
        "face_type": Enumerated("facelib.FaceType", "FaceType", FACE_TYPES[word]), "shape": (height, width, 3),
        "landmarks": facts["landmarks"] if isinstance(facts["landmarks"], list) else np.asarray(
            facts["landmarks"], np.float64).tolist(),
        "seg_ie_polys": polygons if isinstance(polygons, dict) else {"polys": [
            {"type": int(kind), "pts": np.array(points, np.float32)} for kind, points in polygons or ()]},
        "xseg_mask": None, "xseg_mask_compressed": facts.get("xseg_mask"),
        "eyebrows_expand_mod": float(facts.get("eyebrows_expand_mod", 1.0)),
        "source_filename": facts.get("source_filename"), "person_name": person or None,
    })


def write(file: BinaryIO, entries: Sequence[bytes], sizes: Sequence[int], data: Iterable[bytes]) -> None:
    """A whole pak; `data` are the face files' bytes in order, in pieces of any size. OSError when the disk refuses."""
    config = LIST_BEGINS + b"".join(entries) + LIST_ENDS
    begins = _HEAD.size + len(config) + 8 * (len(sizes) + 1)
    offsets = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))]).astype("<u8")
    offsets[-1] = begins + int(sum(sizes))  # the last one counts from the file's beginning (Q3)
    file.write(_HEAD.pack(1, len(config)) + config + offsets.tobytes())
    for block in data:
        file.write(block)


def refused(name: str, why: str) -> FileRefused:
    """The one sentence for a file of DeepFaceLab that is not sound."""
    return FileRefused(f"{name} is not a sound DeepFaceLab file.", why=why[:1].upper() + why[1:],
                       remedy="Leave it out, or save it again with DeepFaceLab.", where=name)


def _spans(path: Path, table: np.ndarray, at: int, total: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each file. The table ends where an offset is the file's size, or, relative like the others, the
    data's."""
    ends = np.flatnonzero((table == total) | (table == total - (at + 8 * (np.arange(len(table)) + 1))))
    if not len(ends):
        raise refused(path.name, "its table of offsets has no end")
    count = int(ends[0])
    begins, data = table[: count + 1].astype(np.int64), at + 8 * (count + 1)
    begins[count] = total - data
    if count and (begins[0] != 0 or (np.diff(begins) < 0).any()):
        raise refused(path.name, "its offsets are out of order")
    return zip((data + begins[:-1]).tolist(), (data + begins[1:]).tolist())


def _names(listed: bytes, count: int) -> list[tuple[str, str]]:
    entries = read_pickle(listed, opcode_limit=_OPCODES, keys=("filename", "person_name"))
    if not isinstance(entries, list) or len(entries) != count:
        raise ValueError("its list and its table of offsets differ in length")
    return [(last_part(str(one.get("filename") or "")), last_part(str(one.get("person_name") or "")))
            for one in entries]
