"""Labels of a whole faceset: taken in, given out, removed, brought back, made from masks; labelled faces copied out.

Every change keeps what it replaces first (undo.py), then writes the face files, 64 at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, Mismatch, NothingFound
from facewright.core.files import make_folder, write_atomic
from facewright.faces.face import Face, FaceType
from facewright.faceset import record
from facewright.faceset.exchange.polygons import checked
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import refuse_packed
from facewright.faceset.header import Header
from facewright.faceset.index import Row
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import Writer, refuse_place
from facewright.faceset.trash import take_out
from facewright.image.warp import resize
from facewright.masks import dfl, label, labelfile, undo
from facewright.masks.label import Polygon
from facewright.masks.labelfile import Labels, labels_of
from facewright.masks.maskers import no_masks
from facewright.masks.settings import TraceSettings

Progress = Callable[[int, int], None]
"""(done, total) faces."""

REPLACED = "replaced"
"""Undo folders of this kind hold what a restore itself replaced: imported by hand, never picked by a restore."""


def change(
    faceset: Faceset, changes: Iterable[tuple[Face, tuple[Polygon, ...]]], *operation: Any, kind: str = undo.LABELS
) -> int:
    """Give faces other labels; what they had is kept in an undo entry. Returns how many were changed. `operation` (what
    was asked, JSON-able): killed or failed on its way and asked again, it goes on in its entry. Raises Mismatch: more
    than a face may carry, and than the undo entry could give back."""
    changed = 0
    with Writer(faceset.path) as writer, undo.operation(faceset.path, kind, *operation) as entry:
        writer.sweep()
        begun = max((int(part.stem) for part in entry.glob(f"{'[0-9]' * 6}.json")), default=-1) + 1
        for number, batch in enumerate(_batches(changes), begun):
            different = [(face, _drawable(face, new)) for face, new in batch if not label.same(face.polygons, new)]
            if different:
                before = labelfile.to_bytes([labels_of(face) for face, _ in different], faceset.path.name)
                write_atomic(entry / f"{number:06d}.json", before)
                changed += writer.write_faces(_with_labels(faceset, different))
    if changed:
        faceset.index.refresh()
    return changed


def _drawable(face: Face, polygons: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
    try:
        checked(polygons)
    except ValueError as error:
        raise Mismatch(
            f"The labels of {face.face_id} are no drawing.", why=f"They hold {error}.",
            remedy="Give coarser ones: of masks, with a larger --node or --smallest.", where=face.face_id,
        ) from error
    return polygons


def export(folder: Path, file: Path, person: str = "") -> dict[str, Any]:
    """All labels of a faceset (or of one person) -> one label file. Raises NothingFound: no face has any."""
    faceset = Faceset.open(folder)
    found = [labels_of(faceset.face(row)) for row in faceset.rows_of(person) if row.labels]
    if not found:
        raise _no_labels(faceset)
    make_folder(file.parent)
    write_atomic(file, labelfile.to_bytes(found, folder.name))
    return {"file": str(file), "faces": len(found), "polygons": sum(len(one.polygons) for one in found)}


def remove(folder: Path, person: str = "") -> dict[str, Any]:
    """Take the labels away; masks stay. `restore` brings them back. Raises NothingFound: no face has any."""
    faceset = Faceset.open(folder)
    rows = [row for row in faceset.rows_of(person) if row.labels]
    if not rows:
        raise _no_labels(faceset)
    removed = change(faceset, ((record.read_face(folder / row.path), ()) for row in rows), "remove", person)
    return {"faceset": str(folder), "removed": removed}


def restore(folder: Path) -> dict[str, Any]:
    """Bring back the labels that the latest removal, import or tracing replaced; faces without any then lose theirs.

    Raises NothingFound when there are none to bring back.
    """
    faceset = Faceset.open(folder)
    kept = undo.newest(folder, undo.LABELS)
    here = {row.face_id: row.path for row in faceset.rows()}
    # An operation that went on after a kill, with its input changed, kept a face twice: first the user's labels, then
    # what it had written itself.
    before: dict[str, Path] = {}
    for part in sorted(kept.glob("*.json")):
        for one in labelfile.read(part):
            before.setdefault(one.face_id, part)
    missing = sum(face_id not in here for face_id in before)

    def wanted() -> Iterator[tuple[Face, tuple[Polygon, ...]]]:
        for part in sorted(kept.glob("*.json")):
            for one in labelfile.read(part):
                if one.face_id in here and before[one.face_id] == part:
                    face = record.read_face(folder / here[one.face_id])
                    yield face, one.in_picture_of(face)

    restored = change(faceset, wanted(), "restore", kept.name, kind=REPLACED)
    return {"faceset": str(folder), "restored": restored, "no longer here": missing, "from": str(undo.mark_used(kept))}


def take_in(folder: Path, place: Path, *, replace: bool = False) -> dict[str, Any]:
    """Labels from a label file, or from DeepFaceLab's faces (a JPEG, a folder of them, a pak).

    A face that has labels keeps its own unless `replace`. `refused`: [name, why] of what could not be read, and of
    faces here that cannot carry theirs; the others are done. Raises FileRefused: nothing there that could be read.
    """
    refuse_packed(folder)
    faceset = Faceset.open(folder)
    if not place.exists():
        raise FileRefused(f"There is no {place.name} to take labels from.", remedy="Check the path.", where=place)
    refused: list[list[str]] = []
    if place.is_file() and place.suffix.lower() == ".json":
        here = {row.face_id: row.path for row in faceset.rows()}
        found = labelfile.read(place)
        matched = [(here[one.face_id], one) for one in found if one.face_id in here]
        strangers = [one.face_id for one in found if one.face_id not in here]
    else:
        faces, refused, looked = _of_dfl(place)
        if not faces and refused and len(refused) == looked:
            raise FileRefused(f"Nothing in {place.name} could be read.", why=f"{refused[0][0]}: {refused[0][1]}",
                              remedy="Name a label file, or DeepFaceLab's folder of faces.", where=place)
        found = [face.labels for face in faces]
        matched, strangers = _matched(faceset, faces)
    new, kept, narrow = list[tuple[Face, tuple[Polygon, ...]]](), 0, 0
    for path, one in matched:
        try:
            face = record.read_face(folder / path)
            if face.polygons and not replace:
                kept += 1
                continue
            new.append((face, _drawable(face, one.in_picture_of(face))))
        except (FileRefused, Mismatch) as error:
            refused.append([path, error.why or error.what])
            continue
        narrow += FaceType(one.face_type).padding < face.face_type.padding if one.face_type in list(FaceType) else 0
    return {
        "faceset": str(folder), "found": len(found),
        "imported": change(faceset, new, "import", str(place.resolve()), replace), "kept": kept,
        "narrower": narrow, "not here": strangers, "refused": refused,
    }


def from_masks(
    folder: Path, settings: TraceSettings, *, replace: bool = False, person: str = "",
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Trace the stored masks into polygons. Faces that have labels keep them unless `replace`.

    Raises NothingFound: no face has a mask.
    """
    faceset = Faceset.open(folder)
    rows = [row for row in faceset.rows_of(person) if row.has_mask]
    if not rows:
        raise no_masks(folder)
    todo = [row for row in rows if replace or not row.labels]
    nodes, empty = 0, 0

    def wanted() -> Iterator[tuple[Face, tuple[Polygon, ...]]]:
        nonlocal nodes, empty
        for done, row in enumerate(todo):
            progress(done, len(todo))
            face = record.read_face(folder / row.path)
            polygons = trace(faceset.mask(face), face.side_px, settings)
            empty += not polygons
            nodes += sum(len(points) for _, points in polygons)
            if polygons:
                yield face, polygons

    changed = change(faceset, wanted(), "to-labels", settings.model_dump(mode="json"), replace, person)
    return {"faceset": str(folder), "labelled": changed, "kept": len(rows) - len(todo), "empty": empty, "nodes": nodes}


def trace(mask: np.ndarray | None, side_px: int, settings: TraceSettings) -> tuple[Polygon, ...]:
    """A stored (m, m) mask -> polygons in the px of its picture of `side_px`."""
    if mask is None:
        return ()
    large = resize(mask, side_px, "area" if len(mask) > side_px else "linear")
    return label.traced(large, settings.node, settings.smallest / 100 * large.size)


def fetch(folder: Path, out: Path, person: str = "") -> dict[str, Any]:
    """Copy the faces that have labels, with all they carry, into a faceset of their own.

    A face that lies there already is renewed; its older file goes to that set's trash. Raises NothingFound (no
    labels), DiskRefused (OUT holds something else), Mismatch (faces of another type).
    """
    faceset = Faceset.open(folder)
    rows = [row for row in faceset.rows_of(person) if row.labels]
    if not rows:
        raise _no_labels(faceset)
    refuse_place(out, folder)
    head, copied, renewed = faceset.header, 0, 0
    with Writer(out) as writer:
        # What comes here is the user's: an operation that was killed here and is asked again must keep it as such.
        undo.end(out, undo.LABELS)
        there = writer.update_header(lambda stored: _shared(head, rows) if stored == Header() else stored)
        if there.face_type and there.face_type != rows[0].face_type:
            raise Mismatch(f"{out.name} holds {there.face_type} faces, not {rows[0].face_type}.",
                           remedy="Fetch into a new folder.", where=out)
        if (there.consent, there.person) != (head.consent, head.person):
            raise Mismatch(f"{out.name} says another record of consent or name for all its faces.", where=out,
                           why="These faces would come under it.",
                           remedy="Fetch into a new folder; `facewright faces merge` joins sets.")
        for row in rows:
            target, data = out / row.path, faceset.files.read(row.path)
            if target.exists() and target.read_bytes() == data:
                continue
            if target.exists():
                take_out(writer, [target], "replaced")
                renewed += 1
            write_atomic(make_folder(target.parent) / target.name, data)
            copied += 1
    return {"faceset": str(out), "labelled": len(rows), "copied": copied, "renewed": renewed}


def _shared(head: Header, rows: list[Row]) -> Header:
    """The header of the copy: who and what, for the films that are in it."""
    films = {row.source_sha256 for row in rows}
    return dataclasses.replace(
        head, face_type=rows[0].face_type, side_px=rows[0].side_px,
        sources=tuple(dataclasses.replace(s, done=False) for s in head.sources if s.sha256 in films))


def _with_labels(
    faceset: Faceset, batch: list[tuple[Face, tuple[Polygon, ...]]]
) -> Iterator[tuple[Path, Face, np.ndarray | None]]:
    for face, polygons in batch:
        path = faceset.file(face)
        yield path, dataclasses.replace(face, polygons=tuple(label.in_order(polygons))), record.read_mask(path)


def _batches(changes: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for one in changes:
        batch.append(one)
        if len(batch) == BATCH_FACES:
            yield batch
            batch = []
    if batch:
        yield batch


def _of_dfl(place: Path) -> tuple[list[dfl.DflFace], list[list[str]], int]:
    """Labelled faces, [name, why] of files that were refused, and how many files there are."""
    faces, refused, looked = list[dfl.DflFace](), list[list[str]](), 0
    for name, read in dfl.faces_in(place):
        looked += 1
        try:
            face = dfl.face_of(name, read())
        except FileRefused as error:
            refused.append([name, error.why or error.what])
            continue
        if face is not None:
            faces.append(face)
    return faces, refused, looked


def _matched(faceset: Faceset, faces: list[dfl.DflFace]) -> tuple[list[tuple[str, Labels]], list[str]]:
    """(path, labels) of faces that are in the set: of the same frame, with their landmarks in the same place."""
    wanted: dict[str, list[dfl.DflFace]] = {}
    for face in faces:
        wanted.setdefault(dfl.frame_key(face.source_filename), []).append(face)
    found: dict[str, list[str]] = {face.name: [] for face in faces}
    for row in faceset.rows():
        face = record.read_face(faceset.path / row.path)
        folder, _, picture = face.source.file.rpartition("/")
        # Frames of a film are numbered from 1 over there; pictures of a folder keep their names.
        key = dfl.frame_key(picture) if folder else str(face.source.frame_index + 1)
        for theirs in wanted.get(key, ()):
            if dfl.matches(theirs, face.points):
                found[theirs.name].append(row.path)
    matched: dict[str, Labels] = {}
    for theirs in faces:
        if len(found[theirs.name]) == 1:
            matched.setdefault(found[theirs.name][0], theirs.labels)
    return list(matched.items()), [name for name, paths in found.items() if len(paths) != 1]


def _no_labels(faceset: Faceset) -> NothingFound:
    return NothingFound(
        f"No face in {faceset.path.name} has labels.",
        remedy="Import some with `facewright mask labels import`, or trace masks with `facewright mask to-labels`.",
        where=faceset.path,
    )
