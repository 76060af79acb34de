"""Step: a masker over a faceset, in batches of 64 faces; also takes masks away, which is the masker `none`.

A batch's earlier masks are kept first, then its files are written together: killed anywhere, every file is whole, the
batch is done again, and what was kept stays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import FileRefused, Mismatch, NothingFound
from facewright.core.farm import scattered
from facewright.core.files import read_file
from facewright.core.step import Item, Likeness, Work
from facewright.core.ulid import new_ulid
from facewright.faces.face import Face
from facewright.faceset import record
from facewright.faceset.ahead import ahead
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import refuse_packed
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import Writer
from facewright.masks import label, undo
from facewright.masks.doubt import measure, reasons
from facewright.masks.maskers import Masker, masker
from facewright.masks.settings import MASKERS, CheckSettings, MaskSettings

NONE = "none"
"""The masker that takes masks away."""
DRAWN = "labels"
"""mask_by of a mask that was drawn from labels."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Loaded:
    """One face file as it was read; image None where no masker looks at it."""

    path: Path
    face: Face
    image: np.ndarray | None
    mask: np.ndarray | None


@dataclass(slots=True)
class Result:
    """One batch, before it is on disk. masks: one per face, (m, m) uint8 or None; by: what made each."""

    loaded: list[Loaded] = field(default_factory=list)
    masks: list[np.ndarray | None] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    kept: int = 0
    doubtful: list[tuple[str, list[str]]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


class ApplyStep:
    """Give every face of a faceset (or of one `person` in it) the mask that `masker` makes: a name, a trained XSeg run,
    or its .onnx file."""

    stage = "apply_masks"
    settings: MaskSettings

    def __init__(
        self, faceset: str, masker: str, settings: MaskSettings | None = None, person: str = "",
    ) -> None:
        self.folder = Path(faceset).resolve()
        self.name = str(Path(masker).resolve()) if Path(masker).exists() and not _is_name(masker) else masker
        self.settings, self.person = settings or MaskSettings(), person
        self._undo_name = ""
        self._writer = Writer(self.folder)

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "masker": self.name, "person": self.person}

    def likenesses(self) -> list[Likeness]:
        """None: no picture of a person is changed."""
        return []

    def inputs(self) -> dict[str, str]:
        """Which faces, and what exactly makes the masks."""
        digest = hashlib.sha256("\n".join(face_id for _, face_id in self.faces).encode("utf-8", "surrogatepass"))
        return {"faces": digest.hexdigest(), "masker": self.maker}

    @cached_property
    def masker(self) -> Masker | None:
        """What makes the masks, None where they are taken away. Raises what opening it raises."""
        return None if self.name == NONE else masker(self.name, self.settings)

    @property
    def maker(self) -> str:
        """What exactly makes the masks: the masker's identity, or `none`."""
        return NONE if self.masker is None else self.masker.identity

    @cached_property
    def faces(self) -> list[tuple[str, str]]:
        """(path in the faceset, face id) of the chosen faces, in its order. Raises FileRefused, NothingFound."""
        faceset = Faceset.open(self.folder)
        found = [(row.path, row.face_id) for row in faceset.rows_of(self.person)]
        if not found:
            who = f" of {self.person}" if self.person else ""
            raise NothingFound(
                f"There are no faces{who} in {self.folder.name}.",
                remedy="`facewright faces info` lists what it holds; `facewright extract` fills it.", where=self.folder,
            )
        return found

    def plan(self) -> list[Item]:
        """One item per 64 faces. Raises FacewrightError."""
        refuse_packed(self.folder)
        batches = [self.faces[at : at + BATCH_FACES] for at in range(0, len(self.faces), BATCH_FACES)]
        _ = self.masker
        return [Item(f"{number:06d}", batch) for number, batch in enumerate(batches)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether a batch that was done still has its masks: they may have been brought back or taken away since."""
        if record["kept"]:
            return True
        wanted = {"" if self.masker is None else self.masker.identity} | ({DRAWN} if self.settings.drawn else set())
        passed = {path for path, _ in record["refused"]}
        return all(self._mask_by.get(path, "") in wanted for path, _ in item.payload if path not in passed)

    @cached_property
    def _mask_by(self) -> dict[str, str]:
        return {row.path: row.mask_by if row.has_mask else "" for row in Faceset.open(self.folder).rows()}

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order; a thread reads and decodes ahead."""
        cv2.setNumThreads(1)
        self._undo_name = undo.name_for(self.folder, work.job)
        done = len(self.faces) - sum(len(item.payload) for item in todo)
        with self._writer as writer, closing(ahead(self._read(todo))) as pieces:
            writer.sweep()
            if self.settings.cluster:
                yield from self._spread(todo, work, done)
                return
            result = Result()
            for item, piece, ends in pieces:
                if work.stop.at_once:
                    return
                self._look(piece, result)
                done += len(piece.loaded) + len(piece.refused)
                work.progress(done, len(self.faces), doubtful=len(result.doubtful))
                if ends:
                    yield item, result
                    result = Result()
                    if work.stop.asked:
                        return

    def batch(self, paths: list[tuple[str, str]]) -> Result:
        """One batch from beginning to end, in this thread. Raises FacewrightError."""
        result = Result()
        for _, piece, _ in self._read([Item("", paths)]):
            self._look(piece, result)
        return result

    def _spread(self, todo: list[Item], work: Work, done: int) -> Iterator[tuple[Item, Result]]:
        """Results from the workers of a cluster, as they come."""
        settings = self.settings.model_copy(update={"cluster": ""}).model_dump(mode="json")
        facts = json.dumps([self.args(), settings], sort_keys=True)
        pieces = [(facts, self.maker, item.payload) for item in todo]
        for position, result in scattered(self.settings.cluster, masked, pieces, work.stop):
            done += len(todo[position].payload)
            work.progress(done, len(self.faces))
            yield todo[position], result

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Keep the batch's earlier masks, then write its files together."""
        before = [undo.Before(one.face.face_id, one.mask, one.face.mask_by) for one in result.loaded]
        if before:
            undo.save_masks(undo.folder_of(self.folder, self._undo_name, undo.MASKS), item.id, before)
        with self._writer as writer:
            changed = writer.write_faces(
                (one.path, dataclasses.replace(one.face, mask_by=by), mask)
                for one, mask, by in zip(result.loaded, result.masks, result.by))
        return {
            "faces": len(result.loaded) + result.kept, "changed": changed, "kept": result.kept,
            "replaced": sum(b.mask is not None for b in before), "doubtful": result.doubtful, "refused": result.refused,
        }

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Count, and bring the index in step. refused: [path, why] of files that cannot be read, whoever they show."""
        refused = Faceset.open(self.folder).damaged()
        refused.update((path, why) for r in records.values() for path, why in r["refused"])
        doubts = Counter(word for r in records.values() for _, words in r["doubtful"] for word in words)
        total = {name: sum(r[name] for r in records.values()) for name in ("faces", "changed", "kept", "replaced")}
        return {
            "faceset": str(self.folder), "masker": self.maker, **total,
            "doubtful": sum(len(r["doubtful"]) for r in records.values()), "doubts": dict(doubts),
            "refused": [list(pair) for pair in refused.items()],
        }

    def _read(self, todo: list[Item]) -> Generator[tuple[Item, Result, bool], None, None]:
        """Faces of each item, a few at a time (pictures are large); the last piece of an item says so."""
        for item in todo:
            for at in range(0, len(item.payload), _AT_ONCE):
                piece = Result()
                for path, _ in item.payload[at : at + _AT_ONCE]:
                    try:
                        self._load(self.folder / path, piece)
                    except FileRefused as error:  # one damaged file must not keep the others from their masks
                        piece.refused.append((path, error.why or error.what))
                yield item, piece, at + _AT_ONCE >= len(item.payload)

    def _load(self, path: Path, piece: Result) -> None:
        data = read_file(path, limit_bytes=record.MAX_FILE_BYTES)
        face, mask = record.decode_face(data, path), record.decode_mask(data, path)
        if self.settings.only_new and mask is not None and self.masker is not None:
            piece.kept += 1
            return
        image = None if self.masker is None else record.decode_image(data, path)
        piece.loaded.append(Loaded(path, face, image, mask))

    def _look(self, piece: Result, result: Result) -> None:
        """Make the masks of a piece and add it to its batch; pictures are let go."""
        result.kept += piece.kept
        result.refused += piece.refused
        made, by = self._masks(piece.loaded)
        for one, mask, name in zip(piece.loaded, made, by):
            result.loaded.append(dataclasses.replace(one, image=None))
            result.by.append(name)
            result.masks.append(None if mask is None else np.rint(mask * 255).astype(np.uint8))
            words = [] if mask is None else reasons(measure(mask, one.face), CheckSettings())
            if words:
                result.doubtful.append((one.face.face_id, words))

    def _masks(self, loaded: list[Loaded]) -> tuple[list[np.ndarray | None], list[str]]:
        side, pictures = self.settings.side, [one.image for one in loaded if one.image is not None]
        if self.masker is None:
            return [None] * len(loaded), [""] * len(loaded)
        made: list[np.ndarray | None] = list(self.masker.many(pictures, [one.face for one in loaded], side))
        by = [self.masker.identity] * len(loaded)
        for at, one in enumerate(loaded):
            if self.settings.drawn and one.face.polygons:
                made[at], by[at] = label.drawn(one.face.polygons, side, one.face.side_px), DRAWN
        if self.settings.hard:
            made = [None if m is None else (m >= 0.5).astype(np.float32) for m in made]
        return made, by


def masked(piece: tuple[str, str, list[tuple[str, str]]]) -> Result:
    """One batch, on a worker of a cluster. Raises FacewrightError."""
    facts, identity, paths = piece
    step = _opened(facts)
    if step.maker != identity:
        raise Mismatch(
            "A worker of the cluster has another masker.", why=f"{step.maker} there, {identity} here.",
            remedy="The run or file must lie on a disk that all machines share.", where=step.name,
        )
    return step.batch(paths)


@lru_cache(maxsize=1)
def _opened(facts: str) -> ApplyStep:
    args, settings = json.loads(facts)
    cv2.setNumThreads(1)
    return ApplyStep(**args, settings=MaskSettings(**settings))


def _is_name(word: str) -> bool:
    return word == NONE or word in MASKERS.names()


def restore_masks(folder: Path) -> dict[str, Any]:
    """Bring back the masks that the latest apply or remove replaced (faces without one then have none again).

    Those that are there now are kept in an entry of their own, which no restore picks. Raises NothingFound when there
    is nothing to bring back. Killed on its way, the same command goes on.
    """
    faceset = Faceset.open(folder)
    kept = undo.newest(folder, undo.MASKS)
    replaced = undo.folder_of(folder, new_ulid(), undo.REPLACED_MASKS)
    paths = {row.face_id: folder / row.path for row in faceset.rows()}
    restored = gone = 0
    with Writer(folder) as writer:
        stored = undo.read_masks(kept)
        for number in count():
            batch = list(islice(stored, BATCH_FACES))
            if not batch:
                break
            here = [(paths[one.face_id], one) for one in batch if one.face_id in paths]  # others have left the set
            faces = [record.read_face(path) for path, _ in here]
            now = [undo.Before(f.face_id, record.read_mask(path), f.mask_by) for f, (path, _) in zip(faces, here)]
            undo.save_masks(replaced, f"{number:06d}", now)
            writer.write_faces((path, dataclasses.replace(face, mask_by=one.mask_by), one.mask)
                               for face, (path, one) in zip(faces, here))
            restored, gone = restored + len(here), gone + len(batch) - len(here)
        used = undo.mark_used(kept)
    faceset.index.refresh()
    return {"faceset": str(folder), "restored": restored, "no longer here": gone, "from": str(used)}
