"""What a merge left behind, read back: `merge.json` and the composites of its chunks, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.core.files import read_file, safe_join, write_atomic
from facewright.core.step import Likeness
from facewright.faceset.faceset import Faceset
from facewright.media.writer import read_chunk
from facewright.merge.composite import Composite

NAME = "merge.json"
FORMAT = "facewright.merge/1"
CHUNKS, PREDICTIONS = "chunks", "predictions"


def chunk_name(start: int) -> str:
    """`0000048.mkv`: the chunk that begins with frame 48."""
    return f"{start:07d}.mkv"


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """A finished merge. `record` is the content of merge.json."""

    path: Path
    record: dict[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Merged:
        """Read OUT/merge.json. Raises NothingFound (not merged, or not to the end) and FileRefused (damaged)."""
        folder = Path(path)
        if not (folder / NAME).is_file():
            begun = (folder / CHUNKS).is_dir()
            raise NothingFound(
                f"{folder.name or folder} holds {'an unfinished merge' if begun else 'no merge'}.",
                remedy="Run `facewright merge` again: it goes on where it stopped." if begun
                else "Give the OUT folder of `facewright merge`.",
                where=folder,
            )
        try:
            record = json.loads(read_file(folder / NAME))
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']!r}, this facewright reads {FORMAT!r}")
            return cls(folder, record)
        except (ValueError, KeyError, TypeError) as error:
            raise FileRefused(
                f"{NAME} of {folder.name} cannot be read.", why=str(error)[:200],
                remedy="Run the merge again.", where=folder / NAME,
            ) from error

    def __len__(self) -> int:
        return int(self.record["frames"])

    @property
    def time_base(self) -> Fraction:
        """Unit of the composites' pts."""
        return Fraction(self.record["video"]["time_base"])

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the pictures."""
        width, height = self.record["size_px"]
        return int(width), int(height)

    @property
    def video_path(self) -> Path:
        """The film that was merged, where it lay then."""
        return Path(self.record["video"]["path"])

    @property
    def video_sha256(self) -> str:
        """Its digest: check it before taking sound or tags from there."""
        return str(self.record["video"]["sha256"])

    def composites(self, start: int = 0, stop: int | None = None, *, masks: bool = True) -> Iterator[Composite]:
        """Frames start <= i < stop in order; alpha is the stored 8-bit mask / 255 (zeros without `masks`).

        Raises FileRefused when a chunk is missing or damaged.
        """
        last = len(self) if stop is None else min(stop, len(self))
        base = self.time_base
        for chunk in self.record["chunks"]:
            if chunk["stop"] <= start or chunk["start"] >= last:
                continue
            file = safe_join(self.path / CHUNKS, chunk["file"])
            alphas = read_chunk(file, "mask") if masks else None
            for index, (pts, image) in enumerate(read_chunk(file, "image"), chunk["start"]):
                mask = next(alphas)[1] if alphas is not None else np.zeros(image.shape[:2], np.uint8)
                if start <= index < last:
                    yield Composite(index, pts, base, image, mask.astype(np.float32) / np.float32(255))

    def likenesses(self) -> list[Likeness]:
        """Whose faces are in the film, for the permit of what comes next."""
        return [likeness_from(entry) for entry in self.record["likenesses"]]


def save_record(folder: Path, record: dict[str, Any]) -> None:
    """Write merge.json atomically: its presence says that every chunk is there. Raises DiskRefused."""
    text = json.dumps({"format": FORMAT, **record}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomic(folder / NAME, text.encode())


def likeness_record(likeness: Likeness) -> dict[str, Any]:
    """JSON-able form without the vectors. The place is absolute: found from any folder, else nobody could check it."""
    return {
        "role": likeness.role, "consent": likeness.consent, "person": likeness.person,
        "where": str(likeness.where.absolute()), "footage_sha256": list(likeness.footage_sha256),
    }


def likeness_from(entry: dict[str, Any], face_ids: list[str] | None = None) -> Likeness:
    """The reverse; identity vectors come from the faceset it names, while that is there: of these faces, or of all
    that belong to its person and come from its films."""
    where, person, films = Path(entry["where"]), str(entry["person"]), tuple(map(str, entry["footage_sha256"]))

    def vectors() -> tuple[np.ndarray, str] | None:
        try:
            faceset = Faceset.open(where)
        except FileRefused:
            return None  # moved or deleted: the binding stays unverified, and the film says so
        found = faceset.vectors(_faces_of(faceset, person, films) if face_ids is None else face_ids, limit=200)
        return None if found is None else (found.matrix, found.net_sha256)

    return Likeness(str(entry["role"]), str(entry["consent"]), person, where, films, vectors)


def _faces_of(faceset: Faceset, person: str, films: tuple[str, ...]) -> list[str]:
    """The other people of a set must not be compared with this one's record: they would be taken for strangers."""
    return [row.face_id for row in faceset.rows_of(person) if not films or row.source_sha256 in films]
