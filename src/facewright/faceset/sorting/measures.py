"""Measures of all faces of a set as arrays; kept in the index, so that a second order or filter reads no picture.

What is missing is measured by threads (OpenCV lets go of the interpreter) and committed every 64 faces: stopped or
killed, the next call goes on from there. Memory holds one picture a thread and the values asked for.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import Files, read_head
from facewright.faceset.sorting.measure_formulas import MEASURES, Look, Measure

BATCH = 64
"""Faces that are committed together."""

Progress = Callable[[int, int], None]

_ASKED_AT_ONCE = 400
_PACKED_BYTES = 256
"""Values of more bytes are kept compressed (zlib): histograms and small pictures."""
_MOST_THREADS = 8


def measures(
    faceset: Faceset, names: Sequence[str], ids: Sequence[str] | None = None, *, threads: int = 0,
    progress: Progress = lambda done, total: None, refused: dict[str, str] | None = None,
) -> dict[str, np.ndarray]:
    """Name of `measure_formulas.MEASURES` -> (N, ...) array, in the faceset's order or that of `ids`.

    Each picture that any of the names needs is read once for all of them. A file that cannot be read gives NaN (whole
    numbers: 0) and, where asked, path -> why in `refused`. threads 0: one a core. progress(done, total) of the faces
    that are still to be measured. Raises NothingFound for an id that the set does not have.
    """
    wanted = [MEASURES[name] for name in dict.fromkeys(names)]
    paths = {row.face_id: row.path for row in faceset.rows()}
    ids = list(paths) if ids is None else list(ids)
    strangers = [face_id for face_id in ids if face_id not in paths]
    if strangers:
        raise NothingFound(
            f"There is no face {strangers[0]!r} in {faceset.path.name}.",
            remedy="List the faces with `facewright faces info`.", where=faceset.path,
        )
    places: dict[str, list[int]] = {}
    for at, face_id in enumerate(ids):
        places.setdefault(face_id, []).append(at)
    found = {m.name: _empty(m, len(ids)) for m in wanted}
    lacking = {face_id: [m for m in wanted] for face_id in places}
    for face_id, measure, value in _kept(faceset, list(places), wanted):
        found[measure.name][places[face_id]] = value
        lacking[face_id].remove(measure)
    todo = [(face_id, paths[face_id], missing) for face_id, missing in lacking.items() if missing]
    done = 0
    for batch in _measured(faceset.files, todo, threads or min(os.cpu_count() or 1, _MOST_THREADS)):
        fresh = []
        for face_id, path, values, why in batch:
            if why and refused is not None:
                refused[path] = why
            for measure, value in values:
                found[measure.name][places[face_id]] = value
                fresh.append((face_id, measure.key, _packed(value)))
        with faceset.index.connect() as db:
            db.executemany("INSERT OR REPLACE INTO measures VALUES (?, ?, ?)", fresh)
        done += len(batch)
        progress(done, len(todo))
    return found


def _empty(measure: Measure, count: int) -> np.ndarray:
    kind = np.dtype(measure.dtype)
    return np.full((count, *measure.shape), np.nan if kind.kind == "f" else 0, kind)


def _kept(
    faceset: Faceset, ids: Sequence[str], wanted: Sequence[Measure]
) -> Iterator[tuple[str, Measure, np.ndarray]]:
    """What the index has of them; one query a few hundred faces."""
    by_key = {m.key: m for m in wanted}
    with faceset.index.connect() as db:
        for at in range(0, len(ids), _ASKED_AT_ONCE):
            some = ids[at : at + _ASKED_AT_ONCE]
            sql = (f"SELECT face_id, name, value FROM measures WHERE face_id IN ({', '.join('?' * len(some))}) "
                   f"AND name IN ({', '.join('?' * len(by_key))})")
            for face_id, key, blob in db.execute(sql, [*some, *by_key]):
                value = _unpacked(blob, by_key[key])
                if value is not None:
                    yield face_id, by_key[key], value


def _packed(value: np.ndarray) -> bytes:
    data = value.tobytes()
    return zlib.compress(data, 1) if len(data) > _PACKED_BYTES else data


def _unpacked(blob: bytes, measure: Measure) -> np.ndarray | None:
    """The value, or None for one that cannot be: it is measured anew."""
    kind = np.dtype(measure.dtype)
    size = kind.itemsize * int(np.prod(measure.shape, dtype=int))
    try:
        data = zlib.decompress(blob) if size > _PACKED_BYTES else blob
    except zlib.error:
        return None
    return np.frombuffer(data, kind).reshape(measure.shape) if len(data) == size else None


_Todo = tuple[str, str, list[Measure]]
_Done = tuple[str, str, list[tuple[Measure, np.ndarray]], str]


def _measured(files: Files, todo: Sequence[_Todo], threads: int) -> Iterator[list[_Done]]:
    """Batches of results, in order."""
    if not todo:
        return
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(threads, thread_name_prefix="measure") as pool:
        for at in range(0, len(todo), BATCH):
            yield list(pool.map(lambda one: _measure(files, one), todo[at : at + BATCH]))


def _measure(files: Files, todo: _Todo) -> _Done:
    face_id, path, wanted = todo
    try:
        if any(m.picture for m in wanted):
            data, where = files.read(path), files.path / path
            look = Look(record.decode_face(data, where), record.decode_image(data, where), data)
        else:
            look = Look(read_head(files, path)[0], None)
        return face_id, path, [(m, np.asarray(m.of(look), m.dtype)) for m in wanted], ""
    except FileRefused as error:
        return face_id, path, [], error.why or error.what
    except (cv2.error, np.linalg.LinAlgError) as error:
        return face_id, path, [], f"Its landmarks or its picture cannot be measured ({str(error)[:120].strip()})."
