"""Step: Video + Faceset + Net -> composites in chunks. Decode, net, compositing and encoding overlap."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2

from facewright.core.errors import Mismatch
from facewright.core.files import make_folder
from facewright.core.step import Item, Likeness, Work
from facewright.faceset.faceset import Faceset
from facewright.media.frame import Video
from facewright.media.reader import count_frames, open_video
from facewright.merge import result
from facewright.merge.cast import Cast, cast
from facewright.merge.line import Line
from facewright.merge.people import held, people_of
from facewright.merge.predict import NULL, Swapper, predictor
from facewright.merge.settings import MergeSettings
from facewright.merge.summary import summarise

CHUNK_FRAMES = 48


@dataclass
class MergeStep:
    """Put a run's faces into a film. `run` may be `null[:RESOLUTION[:FACE_TYPE]]`: everything but the swap."""

    input: str
    faceset: str
    run: str
    out: str
    settings: MergeSettings = field(default_factory=MergeSettings)
    person: str = ""
    _held: object = field(default=None, init=False, repr=False, compare=False)
    """What the gate's question read of a DFM file, until the net is open; gone with the step where it is refused."""

    stage = "merge"

    def home(self) -> Path:
        """OUT."""
        return Path(self.out)

    def args(self) -> dict[str, Any]:
        """The constructor's arguments without settings; paths absolute, so that a job resumes from any folder."""
        paths = {"input": self.input, "faceset": self.faceset, "out": self.out}
        run = self.run if self.is_null else str(Path(self.run).absolute())
        return {**{n: str(Path(p).absolute()) for n, p in paths.items()}, "run": run, "person": self.person}

    @cached_property
    def video(self) -> Video:
        """The film. Raises FileRefused, NothingFound."""
        return open_video(Path(self.input))

    @cached_property
    def cast(self) -> Cast:
        """Whose faces are replaced. Raises FileRefused, NothingFound, Mismatch."""
        return cast(Faceset.open(self.faceset), self.video.sha256, self.video.path.name, self.person)

    @cached_property
    def swapper(self) -> Swapper:
        """The net, loaded once per process."""
        net = predictor(self.run, self.settings)
        self._held = None
        return net

    @property
    def is_null(self) -> bool:
        """Whether nothing is swapped at all (checks and benchmarks)."""
        return self.run.partition(":")[0] == NULL

    def likenesses(self) -> list[Likeness]:
        """The source as the run recorded it, and the person who is replaced. Raises ConsentRefused (none recorded)."""
        return list(self._people)

    @cached_property
    def _people(self) -> list[Likeness]:
        """Asked once: merge.json names those whom the gate saw."""
        who = self.cast
        ids = who.face_ids()
        target = [
            result.likeness_from(
                {"role": "target_performer", "consent": consent, "person": who.person,
                 "where": str(who.faceset.path), "footage_sha256": [self.video.sha256]}, ids)
            for consent in who.consents()
        ]
        return [*self._sources(), *target]

    def _sources(self) -> list[Likeness]:
        """The film's own people stand for the target; of the net's, the source alone is seen in it."""
        if self.is_null:
            return []
        if "swapper" not in self.__dict__:
            self._held = held(Path(self.run))
        return [one for one in people_of(Path(self.run)) if one.role == "source_likeness"]

    def inputs(self) -> dict[str, str]:
        """Digests of film, faces and weights."""
        return {"video": self.video.sha256, "faces": self.cast.digest(), "run": self.swapper.identity}

    def plan(self) -> list[Item]:
        """Chunks of 48 frames. Raises early what would fail late."""
        out = self.home()
        for name, path in (("faceset", self.faceset), ("run", self.run), ("film", self.input)):
            if not self.is_null and out.resolve() == Path(path).resolve():
                raise Mismatch(
                    f"OUT is the {name} itself.", remedy="Give a folder of its own for the merged frames.", where=out
                )
        _ = self.cast, self.swapper
        total = count_frames(self.video)
        starts = range(0, total, CHUNK_FRAMES)
        return [Item(f"{i:07d}", {"start": i, "stop": min(i + CHUNK_FRAMES, total)}) for i in starts]

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Any]]:
        """Chunks in order, each already durable under its final name; the encoder works one chunk behind."""
        if not todo:
            return
        out = self.home()
        make_folder(out / result.CHUNKS)
        if (out / result.NAME).exists():
            # An older merge.json would vouch for chunks that are about to change.
            os.replace(out / result.NAME, out / "merge.previous.json")
        threads_before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            with Line(self.video, self.cast, self.swapper, out, self.settings, work) as line:
                yield from line.run(todo)
        finally:
            cv2.setNumThreads(threads_before)

    def commit(self, item: Item, result: Any) -> dict[str, Any]:
        """The chunk is on the disk already; its counts go into the journal."""
        return dict(result)

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether the chunk of an acknowledged item is still there as it was written."""
        file = self.home() / result.CHUNKS / result.chunk_name(item.payload["start"])
        return file.is_file() and file.stat().st_size == record["bytes"]

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Write OUT/merge.json last; returns counts, the reasons for unchanged frames, and warnings."""
        chunks = sorted(records.values(), key=lambda r: r["start"])
        summary = summarise(chunks)
        for warning in summary["warnings"]:
            work.note("warning", text=warning)
        video = self.video
        result.save_record(self.home(), {
            "frames": summary["frames"],
            "size_px": self._size_px(),
            "video": {
                "path": str(video.path.resolve()), "file": video.path.name, "sha256": video.sha256,
                "size_px": list(video.size_px), "rate": str(video.rate), "time_base": str(video.time_base),
                "bit_depth": video.bit_depth,
            },
            "faceset": str(Path(self.faceset).resolve()), "person": self.cast.person,
            "run": {"name": self.run if self.is_null else Path(self.run).name, "identity": self.swapper.identity,
                    "iteration": self.swapper.iteration, "face_type": str(self.swapper.face_type),
                    "resolution": self.swapper.resolution},
            "settings": self.settings.model_dump(),
            "counts": summary,
            "chunks": [{"file": result.chunk_name(c["start"]), "start": c["start"], "stop": c["stop"]} for c in chunks],
            "likenesses": [result.likeness_record(one) for one in self.likenesses()],
        })
        return {**summary, "out": str(self.home())}

    def _size_px(self) -> list[int]:
        side = self.swapper.resolution
        return [side, side] if self.settings.mode == "raw-predict" else list(self.video.size_px)
