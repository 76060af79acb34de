"""Step: films and folders of pictures -> a faceset. One item is a chunk of 32 selected frames.

Detection, orientation memory and tracks start afresh with each chunk, so that resumed, divided and undisturbed runs
end with the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import NothingFound
from facewright.core.step import Item, Likeness, Work
from facewright.faces.settings import DetectSettings
from facewright.faceset import header
from facewright.faceset.ahead import ahead
from facewright.faceset.extraction import spread
from facewright.faceset.extraction.crew import Crew, Order, worker_count
from facewright.faceset.extraction.looking import ChunkResult, Finder, Looking, measured_side
from facewright.faceset.extraction.one_person import keep_one, vector_of, wanted
from facewright.faceset.extraction.shots import shots_of
from facewright.faceset.extraction.sources import ExtractArguments, Footage, check_header, open_footage
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.index import Index
from facewright.faceset.neighbours import without_placed
from facewright.faceset.people import people
from facewright.faceset.selection import Chunk, stretches
from facewright.faceset.settings import OBSTRUCTIONS, ExtractSettings
from facewright.faceset.store import DEBUG, Writer, chunk_folder, refuse_place


class ExtractStep:
    """Find, align, cut and keep every face of `inputs` (films, folders of pictures) in the folder `faceset`.

    person: a name that is kept in every face; or who alone stays (one_person.wanted). consent: kept in every face as
    plain data. make_finder: another finder than faces.find (tests).
    """

    stage = "extract"
    settings: ExtractSettings

    def __init__(
        self, inputs: list[str], faceset: str, settings: ExtractSettings | None = None, person: str = "",
        consent: str = "", make_finder: Callable[[DetectSettings], Finder] | None = None,
    ) -> None:
        self.films = [str(Path(text).resolve()) for text in inputs]
        self.folder = Path(faceset).resolve()
        self.settings = settings or ExtractSettings()
        self.kept = wanted(person, self.folder)
        self.person, self.consent = "" if self.kept else person, consent
        self._make_finder = make_finder or house_finder
        self._writer = Writer(self.folder)
        self._side_px = self.settings.side_px

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        person = self.kept.text if self.kept else self.person
        return {"inputs": self.films, "faceset": str(self.folder), "person": person, "consent": self.consent}

    def likenesses(self) -> list[Likeness]:
        """None: looking needs no permit, the faces carry their consent on to the steps that do."""
        return []

    def inputs(self) -> dict[str, str]:
        """Name -> SHA-256 of each film."""
        return {one.name: one.sha256 for one in self.footage}

    @cached_property
    def footage(self) -> list[Footage]:
        """The opened inputs. Raises FileRefused, NothingFound, Mismatch."""
        stored = header.load(self.folder)
        found = open_footage(self.films, self.settings, stored)
        check_header(stored, found, ExtractArguments(self.folder, self.settings, self.person, self.consent))
        return found

    def plan(self) -> list[Item]:
        """One item per chunk of each film that the faceset does not hold yet. Raises FacewrightError."""
        refuse_place(self.folder)
        if self.settings.obstructions != "none":
            OBSTRUCTIONS.plug(self.settings.obstructions)
        stored = header.load(self.folder) or Header()
        done = {source.sha256 for source in stored.sources if source.done}
        if self.kept and any(one.sha256 not in done for one in self.footage):
            _ = self._likeness
        return [Item(chunk.id, chunk) for one in self.footage if one.sha256 not in done for chunk in one.chunks]

    @cached_property
    def _likeness(self) -> np.ndarray:
        """The identity vector of who alone stays. Raises WeightsMissing, NothingFound, Mismatch, FileRefused."""
        assert self.kept is not None
        return vector_of(self.kept)

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run committed for an item is still on disk."""
        chunk = item.payload
        return record["faces"] == 0 or chunk_folder(self.folder, chunk.source_sha256, chunk.start).is_dir()

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, ChunkResult]]:
        """Results as they come: in order from this process, in any order from several."""
        cv2.setNumThreads(1)  # the nets own the cores; OpenCV's own threads cost more than they bring
        items, chunks = {item.id: item for item in todo}, [item.payload for item in todo]
        total, seen, faces = sum(len(chunk.frames) for chunk in chunks), 0, 0
        with ExitStack() as stack:
            stack.enter_context(self._writer).sweep()
            count = worker_count(self.settings.workers, len(chunks))
            alone = count == 1 or bool(self.settings.cluster)
            finder = self._make_finder(self.settings.detection()) if alone else None
            looking = self._looking(finder)
            asked = lambda: work.stop.asked  # noqa: E731
            if finder is not None and self.settings.cluster:
                results = spread.results(
                    self.settings.cluster, self._order(looking, whole_shots=True), finder.nets, chunks, work.stop)
            elif finder is not None:
                # The nets look at the next chunk while this thread waits for the disk.
                results = ahead(looking.results(chunks, finder, asked))
            else:
                results = Crew(self._order(looking), count, looking.shots, work.note).results(chunks, work.stop)
            stack.enter_context(closing(results))
            for search in looking.shots.values():
                stack.callback(search.close)  # before the results end: they may wait for it
            for result in results:
                if work.stop.at_once:
                    return
                seen, faces = seen + len(result.chunk.frames), faces + result.record["faces"]
                work.progress(seen, total, faces=faces)
                yield items[result.chunk.id], result
            if not work.stop.asked:
                for sha256 in looking.shots.keys() & {chunk.source_sha256 for chunk in chunks}:
                    looking.shots[sha256].all()  # finish reads what this keeps

    def commit(self, item: Item, result: ChunkResult) -> dict[str, Any]:
        """Put one chunk's files in place together; returns what finish needs to know of it."""
        with self._writer as writer:
            files = without_placed(self.folder, result.chunk.source_sha256, result.files)
            result.record["faces"] = len(files)
            source = self._source_of(result.chunk)
            if files:
                writer.update_header(lambda stored: self._begun(stored, source))
                debug = [(f"{index:07d}.jpg", data) for index, data in result.debug]
                writer.add_chunk(result.chunk.source_sha256, result.chunk.start, debug, DEBUG)
            folder = chunk_folder(self.folder, result.chunk.source_sha256, result.chunk.start)
            fresh = not folder.exists()  # else its faces may have been changed, or taken out, since a run was killed
            writer.add_folder(folder, [(name, data) for name, data, _ in files])
            if fresh:
                place = folder.relative_to(self.folder).as_posix()
                Index(self.folder).add((f"{place}/{name}", face, False) for name, _, face in files)
        return result.record

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Link people over chunks, complete faceset.json, build the index. Raises NothingFound: no face at all."""
        notes = {one.sha256: self._facts(one, records) for one in self.footage}
        stored = header.load(self.folder) or Header()
        known = {source.sha256: source for source in stored.sources if source.done and source.sha256 in notes}
        if not known and not sum(facts["faces"] for facts in notes.values()):
            raise self._nothing(notes)
        with self._writer as writer:
            writer.sweep()
            faceset = Faceset.open(self.folder)
            linked, facts = people.Linked(stored.people, stored.tracks), dict[str, Any]()
            if len(known) < len(notes):
                linked = people.link(faceset)
                if self.kept:
                    linked, facts = keep_one(writer, linked, self.kept, self._likeness, notes.keys() - known.keys())
            # One write: killed before it, the film is not done yet; after it, its people are known.
            head = writer.update_header(lambda before: linked.into(self._ended(before, notes)))
        return {
            "faceset": str(self.folder), "faces": len(faceset), "side_px": head.side_px,
            "sides_px": faceset.info().sides_px, "face_type": head.face_type,
            "people": [person.name for person in linked.people],
            "films": {one.name: (known[one.sha256].facts if one.sha256 in known else notes[one.sha256])
                      for one in self.footage},
            "already_there": [one.name for one in self.footage if one.sha256 in known], "person": facts,
        }

    def _looking(self, finder: Finder | None) -> Looking:
        """What every chunk needs to know: the side of the crops, the shots of the films."""
        shots = {one.sha256: shots_of(one, self.folder) for one in self.footage if self.settings.shots}
        self._side_px = self._side(finder)
        return Looking(self.footage, self.settings, self._side_px, shots, self.person, self.consent)

    def _side(self, finder: Finder | None) -> int:
        """The crops' side: as set, as the faceset has it, or estimated; 0: each face has its own."""
        if self.settings.native or self.settings.side_px:
            return self.settings.side_px
        stored = header.load(self.folder)
        if stored is not None and stored.side_px:
            return stored.side_px
        return measured_side(self.footage, self.settings, finder or self._make_finder(self.settings.detection()))

    def _facts(self, one: Footage, records: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """What the user is told of a film: counts, and every frame without a face with its reason."""
        mine = [records[chunk.id] for chunk in one.chunks if chunk.id in records]
        missed = [pair for record in mine for pair in record["no_face"]]
        reasons: dict[str, int] = {}
        for _, why in missed:
            reasons[why] = reasons.get(why, 0) + 1
        again = [sum(column) for column in zip(*(record.get("second_look", (0, 0, 0)) for record in mine))] or [0] * 3
        facts = {
            "frames": sum(record["frames"] for record in mine), "faces": sum(record["faces"] for record in mine),
            "left_out": sum(record["left_out"] for record in mine), "frames_without_face": len(missed),
            "reasons": reasons, "no_face": [list(pair) for pair in missed],
            "damaged": [list(pair) for record in mine for pair in record["damaged"]],
            "looked": stretches([index for chunk in one.chunks for index in chunk.frames]),
            "second_look": dict(zip(("frames", "found", "by_other_detector"), again)),
        }
        if self.settings.shots and one.video.moves and mine:
            facts["shots"] = shots_of(one, self.folder).all().spans(one.chunks[-1].frames[-1] + 1)
        return facts

    def _begun(self, stored: Header, one: Footage) -> Header:
        fresh = stored.begun(
            one.source(self.settings, False, {}), face_type=str(self.settings.face_type), side_px=self._side_px,
            consent=self.consent, person=self.person)
        return fresh if fresh.side_px == self._side_px or fresh == stored else dataclasses.replace(fresh, side_px=0)

    def _ended(self, stored: Header, notes: Mapping[str, dict[str, Any]]) -> Header:
        """Sources in the order of the inputs behind those that were there before, whatever order chunks came in."""
        ours = {one.sha256 for one in self.footage}
        done = [source for source in stored.sources if source.done]
        others = [source for source in stored.sources if not source.done and source.sha256 not in ours]
        known = {source.sha256 for source in done}
        new = [one.source(self.settings, True, notes[one.sha256]) for one in self.footage if one.sha256 not in known]
        return dataclasses.replace(stored, sources=(*done, *others, *new))

    def _nothing(self, notes: Mapping[str, dict[str, Any]]) -> NothingFound:
        looked = sum(facts["frames"] for facts in notes.values())
        damaged = sum(len(facts["damaged"]) for facts in notes.values())
        why = f"{looked} frames were looked at" + (f", {damaged} of them cannot be decoded." if damaged else ".")
        return NothingFound(
            f"No face was found in {', '.join(one.name for one in self.footage)}.", why=why,
            remedy="Check that the film shows faces; for very small or turned ones try `--detector yunet`, "
            "`--detect-side 1280` or `--orientations all`.", where=self.folder,
        )

    def _source_of(self, chunk: Chunk) -> Footage:
        return next(one for one in self.footage if one.sha256 == chunk.source_sha256)

    def _order(self, looking: Looking, *, whole_shots: bool = False) -> Order:
        """What another process needs to know to do chunks of this step; a crew hears of shots with its chunks."""
        make = self._make_finder
        return Order(self.args() | {"person": self.person}, self.settings, looking.side_px,
                     {k: s.all().starts for k, s in looking.shots.items() if whole_shots},
                     {str(one.video.path): one.sha256 for one in self.footage},
                     f"{make.__module__}:{make.__qualname__}")


def house_finder(settings: DetectSettings) -> Finder:
    """The house's own. Raises SettingRefused, WeightsMissing."""
    from facewright.faces.find import FaceFinder

    return FaceFinder(settings)
