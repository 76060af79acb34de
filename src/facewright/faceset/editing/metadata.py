"""The metadata of a set in one file: what an outside editor would throw away, kept to be given back.

A gzip of JSON lines: the set's header, then a line for each face with its path, its face as in a face file, its mask
(PNG) and its print, by which its picture is known again. docs/formats.md.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facewright.core.errors import FacewrightError, FileRefused, NothingFound
from facewright.core.files import make_folder, part_file
from facewright.faces.face import Face
from facewright.faceset import facejson, record
from facewright.faceset import header as header_file
from facewright.faceset.editing.fingerprints import PRINT_PX, print_of
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.sorting.measures import measures

FORMAT = "facewright.metadata/1"
_LINE_BYTES = 8 << 20
_MOST_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Known:
    """One face as it was: path in its set, mask (m, m) uint8 or None, print (64, 64) uint8."""

    path: str
    face: Face
    mask: np.ndarray | None
    print: np.ndarray


def save(folder: Path, file: Path) -> int:
    """Write the metadata of a whole set; returns the number of faces. Raises NothingFound, DiskRefused."""
    faceset = Faceset.open(folder)
    count = 0
    make_folder(file.parent)
    with part_file(file) as part, gzip.open(part, "wb", compresslevel=6) as out:
        head = {"format": FORMAT, "faces": len(faceset), "header": dataclasses.asdict(faceset.header)}
        out.write(_line(head))
        for one in known_of(faceset):
            out.write(_line({
                "path": one.path, "face": json.loads(facejson.to_json(one.face)), "print": _packed(one.print),
                "mask": None if one.mask is None else _png(one.mask),
            }))
            count += 1
        if not count:
            raise NothingFound(f"The faceset {folder.name} is empty.", remedy="There is nothing to keep.", where=folder)
    return count


def load(place: Path) -> tuple[Header, Iterator[Known]]:
    """Header and faces of a saved file, or of a faceset itself. The faces are read one by one: a fault in the middle of
    the file is raised there. Raises FileRefused."""
    if place.is_dir():
        faceset = Faceset.open(place)
        return faceset.header, known_of(faceset)
    lines = _lines(place)
    head = next(lines, {})
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise _refused(place, f"It does not say {FORMAT}.")
    try:
        header = header_file.from_record(head["header"])
        count = int(head["faces"])
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _refused(place, f"Its first line is damaged: {error}") from error
    return header, _known(place, lines, count)


def known_of(faceset: Faceset) -> Iterator[Known]:
    """The faces of a set with their masks and prints; damaged ones are passed over."""
    rows = list(faceset.rows())
    for at in range(0, len(rows), 256):
        some = rows[at : at + 256]
        small = measures(faceset, ["small"], [row.face_id for row in some])["small"]
        for row, picture in zip(some, small):
            try:
                face, _, mask = faceset.load(row)
                yield Known(row.path, face, mask, print_of(picture))
            except FileRefused:
                continue


def _known(place: Path, lines: Iterator[object], count: int) -> Iterator[Known]:
    seen = 0
    for line in lines:
        try:
            if not isinstance(line, dict):
                raise TypeError("not the words of a face")
            face = facejson.from_json(json.dumps(line["face"]).encode("utf-8", "surrogatepass"), place)
            coded = line["mask"]
            mask = None if coded is None else record.decode_mask_png(base64.b64decode(coded, validate=True), place)
            yield Known(str(line["path"]), face, mask, _unpacked(line["print"]))
        except (ValueError, TypeError, LookupError, RecursionError, zlib.error) as error:
            raise _refused(place, f"Line {seen + 2} is damaged: {error}") from error
        seen += 1
    if seen != count:
        raise _refused(place, f"It is cut short: {seen} of {count} faces.")


def _lines(place: Path) -> Iterator[object]:
    read = 0
    try:
        with gzip.open(place, "rb") as file:
            while line := file.readline(_LINE_BYTES + 1):
                read += len(line)
                if len(line) > _LINE_BYTES or read > _MOST_BYTES:
                    raise _refused(place, "It is larger than any set's metadata.")
                yield json.loads(line)
    except FacewrightError:
        raise
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise _refused(place, str(error)[:200]) from error


def _line(words: Mapping[str, object]) -> bytes:
    text = json.dumps(words, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def _packed(picture: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(picture.tobytes(), 6)).decode("ascii")


def _unpacked(text: str) -> np.ndarray:
    wanted = PRINT_PX * PRINT_PX
    data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), wanted + 1)
    if len(data) != wanted:
        raise ValueError("a print of another size")
    return np.frombuffer(data, np.uint8).reshape(PRINT_PX, PRINT_PX)


def _png(mask: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()).decode("ascii")


def _refused(place: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{place.name} holds no metadata that can be read.", why=why,
        remedy="Name a file that `facewright faces metadata save` wrote, or the faceset that the faces came from.",
        where=place,
    )
