"""What a faceset holds, counted in its index: the answer of `facewright faces info`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewright.faceset.header import Header
from facewright.faceset.index import Index

YAW_STEP_DEG, PITCH_STEP_DEG = 15, 15
YAW_EDGES_DEG = tuple(range(-90, 91, YAW_STEP_DEG))
PITCH_EDGES_DEG = tuple(range(-45, 46, PITCH_STEP_DEG))
_SOUND = "trouble = '' AND doubled = 0"


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """One film's share: faces, frames that have one, and what extraction noted about it."""

    file: str
    sha256: str
    faces: int
    frames_with_face: int
    first_frame: int
    last_frame: int
    done: bool
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FacesetInfo:
    """Counts of a faceset. Maps go from a value to the number of faces (or frames, for faces_per_frame).

    coverage[p][y]: faces with pitch in [pitch_edges[p], pitch_edges[p + 1]) and yaw likewise, in degrees; what lies
    beyond the outer edges counts in the outer cells. sharpness: quantiles "0", "0.1", "0.5", "0.9", "1".
    damaged: (path, reason) of files that were passed over.
    """

    path: str
    count: int
    bytes: int
    face_types: dict[str, int]
    sides_px: dict[int, int]
    sources: tuple[SourceInfo, ...]
    frames: int
    faces_per_frame: dict[int, int]
    yaw_edges_deg: tuple[int, ...]
    pitch_edges_deg: tuple[int, ...]
    coverage: tuple[tuple[int, ...], ...]
    sharpness: dict[str, float]
    labels: int
    masks: int
    persons: dict[str, int]
    consent: str
    consents: dict[str, int]
    flags: dict[str, int]
    damaged: tuple[tuple[str, str], ...]
    doubled: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form (keys of maps become text in JSON)."""
        return dataclasses.asdict(self)


def collect(path: Path, index: Index, header: Header) -> FacesetInfo:
    """Count everything with a handful of queries; memory does not grow with the number of faces."""
    count, size, labels, masks = index.select(
        f"SELECT count(*), ifnull(sum(bytes), 0), ifnull(sum(labels > 0), 0), ifnull(sum(has_mask), 0) "
        f"FROM faces WHERE {_SOUND}")[0]
    per_frame = index.select(
        f"SELECT n, count(*) FROM (SELECT count(*) AS n FROM faces WHERE {_SOUND} "
        "GROUP BY source_sha256, frame_index) GROUP BY n ORDER BY n")
    return FacesetInfo(
        path=str(path), count=count, bytes=size, face_types=_counts(index, "face_type"),
        sides_px=_counts(index, "side_px"), sources=_sources(index, header),
        frames=sum(frames for _, frames in per_frame), faces_per_frame=dict(per_frame), yaw_edges_deg=YAW_EDGES_DEG,
        pitch_edges_deg=PITCH_EDGES_DEG, coverage=_coverage(index), sharpness=_quantiles(index, "sharpness", count),
        labels=labels, masks=masks, persons=_persons(index, header), consent=header.consent,
        consents={k: n for k, n in _counts(index, "consent").items() if k}, flags=_flags(index),
        damaged=tuple(index.select("SELECT path, trouble FROM faces WHERE trouble <> '' ORDER BY path LIMIT 100")),
        doubled=index.select("SELECT count(*) FROM faces WHERE doubled = 1")[0][0],
    )


def _counts(index: Index, column: str) -> dict[Any, int]:
    sql = f"SELECT {column}, count(*) FROM faces WHERE {_SOUND} GROUP BY {column} ORDER BY count(*) DESC, {column}"
    return dict(index.select(sql))


def _flags(index: Index) -> dict[str, int]:
    found: dict[str, int] = {}
    for words, number in _counts(index, "flags").items():
        for word in words.split():
            found[word] = found.get(word, 0) + number
    return dict(sorted(found.items()))


def _persons(index: Index, header: Header) -> dict[str, int]:
    by_track = {track: person.name for person in header.people for track in person.tracks}
    found: dict[str, int] = {}
    sql = f"SELECT person, track, count(*) FROM faces WHERE {_SOUND} GROUP BY person, track ORDER BY person, track"
    for person, track, number in index.select(sql):
        name = person or header.person or by_track.get(track, "")
        found[name] = found.get(name, 0) + number
    return found


def _coverage(index: Index) -> tuple[tuple[int, ...], ...]:
    grid = [[0] * (len(YAW_EDGES_DEG) - 1) for _ in PITCH_EDGES_DEG[1:]]
    # CAST rounds toward zero, so shift into the positive first.
    sql = (f"SELECT CAST((yaw_deg + 360) / {YAW_STEP_DEG} AS INTEGER), CAST((pitch_deg + 360) / {PITCH_STEP_DEG} AS "
           f"INTEGER), count(*) FROM faces WHERE {_SOUND} GROUP BY 1, 2")
    for yaw, pitch, number in index.select(sql):
        column = yaw - (360 + YAW_EDGES_DEG[0]) // YAW_STEP_DEG
        row = pitch - (360 + PITCH_EDGES_DEG[0]) // PITCH_STEP_DEG
        grid[min(max(row, 0), len(grid) - 1)][min(max(column, 0), len(grid[0]) - 1)] += number
    return tuple(tuple(row) for row in grid)


def _quantiles(index: Index, column: str, count: int) -> dict[str, float]:
    found = {}
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        if count:
            sql = f"SELECT {column} FROM faces WHERE {_SOUND} ORDER BY {column} LIMIT 1 OFFSET ?"
            found[f"{share:g}"] = float(index.select(sql, (round(share * (count - 1)),))[0][0])
    return found


def _sources(index: Index, header: Header) -> tuple[SourceInfo, ...]:
    sql = (f"SELECT source_sha256, source_file, count(*), count(DISTINCT frame_index), min(frame_index), "
           f"max(frame_index) FROM faces WHERE {_SOUND} GROUP BY source_sha256, source_file")
    found = {row[0]: row for row in index.select(sql)}
    for source in header.sources:
        found.setdefault(source.sha256, (source.sha256, source.file, 0, 0, 0, 0))
    infos = []
    for digest, file, faces, frames, first, last in found.values():
        noted = header.source(digest)
        infos.append(SourceInfo(file, digest, faces, frames, first, last, noted.done if noted else True,
                                noted.facts if noted else {}))
    return tuple(sorted(infos, key=lambda info: (info.file, info.sha256)))
