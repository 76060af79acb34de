"""What the steps share that make pictures or a film of footage.

One item is 32 frames, fewer when they are large. Pictures of an item are written aside, synced and renamed together;
a film is kept as lossless pieces and put together at the end. Killed anywhere, the same command goes on; what somebody
else put at the place is never written over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np

from facewright.core.files import make_folder, write_all
from facewright.core.step import Item, Likeness, Work
from facewright.media import sidecar
from facewright.media.batches import Batch, Treat, batches_of, runs_of, treated
from facewright.media.frame import Frame, Video
from facewright.media.parts import OURS, Part, parts_of, refuse_source, refuse_taken
from facewright.media.pieced_film import PiecedFilm
from facewright.media.settings import FILM_SUFFIXES, MadeSettings, PictureSettings
from facewright.media.stills import encode_still

_ENCODERS = 2

S = TypeVar("S", bound=PictureSettings)


@dataclass(slots=True)
class Result:
    """One batch before it counts: encoded pictures, or a piece of film already on disk under a name of its own."""

    pictures: list[tuple[str, int, int, Future[bytes]]] = field(default_factory=list)
    piece: Path | None = None
    pts: list[int] = field(default_factory=list)
    damaged: list[tuple[int, str]] = field(default_factory=list)


class PrepareStep(Generic[S]):
    """A step without what it does. `inputs`: films, folders of pictures; `out`: a folder, or the film to be made."""

    stage = ""
    verb = ""
    settings: S

    def __init__(self, inputs: Sequence[str], out: str, settings: S, spans: Sequence[Sequence[Any]] = ()) -> None:
        self.films = [str(Path(text).resolve()) for text in inputs]
        self.out = Path(out).resolve()
        self.settings = settings
        self.spans = [list(span) for span in spans]

    def home(self) -> Path:
        """The folder of pictures; beside a film: a hidden folder that holds its pieces meanwhile."""
        return self.out.parent / OURS / self.out.name if self.makes_film else self.out

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"inputs": self.films, "out": str(self.out)}

    def pick(self, video: Video, first: int, stop: int) -> np.ndarray:
        """Which of the frames first .. stop - 1 are used: ascending indices."""
        raise NotImplementedError

    def treat(self) -> tuple[Treat, int]:
        """How pictures are changed, and on how many neighbours on each side a result depends."""
        raise NotImplementedError

    def check(self, part: Part) -> None:
        """Raises SettingRefused where the settings do not suit the footage."""

    def place(self, name: str) -> Path:
        """Where what is made of the film of that name goes."""
        return self.out

    def likenesses(self) -> list[Likeness]:
        """None: footage is prepared, nobody's face is put anywhere."""
        return []

    def inputs(self) -> dict[str, str]:
        """Name -> SHA-256 of each film."""
        return {part.name or part.video.path.name: part.video.sha256 for part in self.parts}

    @cached_property
    def parts(self) -> list[Part]:
        """What is made of what. Raises FileRefused, NothingFound."""
        asked = {"stage": self.stage, **self.settings.model_dump(mode="json")}
        found = parts_of(self.films, self.place, self.pick, asked, self.spans)
        return [dataclasses.replace(part, is_film=self.makes_film) for part in found]

    def plan(self) -> list[Item]:
        """Batches of every part that is not done yet. Raises FacewrightError."""
        items = []
        for number, part in enumerate(self.parts):
            refuse_source(part)
            refuse_taken(part, f"facewright video {self.verb}")
            self.check(part)
            if part.is_film:
                self._film.refuse(part)
                done = self._film.made(part) is not None
            else:
                done = (there := part.sidecar()) is not None and there.done
            if not done:
                batches = batches_of(part, number)
                items += [Item(f"{part.made_by[:12]}:{batch.indices[0]:07d}", batch) for batch in batches]
        return items

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier session made of an item is still on disk."""
        part = self.parts[item.payload.part]
        if record["piece"]:
            return (self._film.pieces / record["piece"]).is_file() or self._film.made(part) is not None
        return all((part.place / name).is_file() for name, _, _ in record["files"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order: frames are read by the reader's thread, treated here, encoded by two more."""
        total = sum(len(item.payload.indices) for item in todo)
        done = 0
        with ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode") as pool:
            held: tuple[Item, Result] | None = None
            for run in runs_of(todo, self.parts):
                with closing(treated(run, self.parts[run[0].payload.part], *self.treat())) as read:
                    for item, images, damaged in read:
                        result = self._encoded(item.payload, images, damaged, pool)
                        done += len(item.payload.indices)
                        work.progress(done, total)
                        if held is not None:
                            yield held
                        held = item, result
                        if work.stop.at_once:
                            return
                        if work.stop.asked:
                            yield held
                            return
            if held is not None:
                yield held

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Give the pictures, or the piece, their names."""
        part = self.parts[item.payload.part]
        record: dict[str, Any] = {"part": item.payload.part, "files": [], "piece": "", "damaged": result.damaged}
        if result.piece is not None:
            name = self._film.keep_piece(result.piece, item.payload.indices[0])
            return record | {"piece": name, "pts": result.pts}
        if part.sidecar() is None:
            make_folder(part.place)
            sidecar.begun(part.made_by, part.video.path.name, part.video).write(part.place)
        write_all((part.place / name, data.result()) for name, _, _, data in result.pictures)
        return record | {"files": [[name, index, pts] for name, index, pts, _ in result.pictures]}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Complete each folder's frames.json; put a film together."""
        told, total = list[dict[str, Any]](), 0
        for number, part in enumerate(self.parts):
            mine = [record for record in records.values() if record["part"] == number]
            facts = self._film_made(part, mine, work) if part.is_film else self._folder_made(part, mine)
            total += facts["frames"]
            damaged = sorted((index, why) for record in mine for index, why in record["damaged"])
            told.append({"input": str(part.video.path), "name": part.name, "out": str(part.place), **facts,
                         "damaged": [list(pair) for pair in damaged]})
        return {"out": str(self.out), "frames": total, "parts": told}

    @property
    def makes_film(self) -> bool:
        """Whether `out` is a film, else a folder."""
        return self.out.suffix.lower() in FILM_SUFFIXES

    @property
    def _film(self) -> PiecedFilm:
        return PiecedFilm(self.home(), cast(MadeSettings, self.settings))  # only steps with these make films

    @property
    def _suffix(self) -> str:
        return f".{self.settings.picture}"

    def _encoded(
        self, batch: Batch, images: list[Frame], damaged: list[tuple[int, str]], pool: ThreadPoolExecutor
    ) -> Result:
        part = self.parts[batch.part]
        if part.is_film:
            piece = self._film.write_piece(part, batch.indices[0], images, damaged)
            return Result(piece=piece, pts=[frame.pts for frame in images], damaged=damaged)
        suffix, quality = self._suffix, self.settings.jpeg_quality
        return Result(damaged=damaged, pictures=[
            (part.file_of(one.index, suffix), one.index, one.pts, pool.submit(encode_still, one.image, suffix, quality))
            for one in images
        ])

    def _folder_made(self, part: Part, mine: list[dict[str, Any]]) -> dict[str, Any]:
        there = part.sidecar()
        if there is None or not there.done:
            found = [(str(name), int(index), int(pts)) for record in mine for name, index, pts in record["files"]]
            start = there or sidecar.begun(part.made_by, part.video.path.name, part.video)
            there = dataclasses.replace(start, done=True, frames=tuple(sorted(found, key=lambda one: one[1])))
            there.write(make_folder(part.place))
        return {"frames": len(there.frames), "already_there": not mine}

    def _film_made(self, part: Part, mine: list[dict[str, Any]], work: Work) -> dict[str, Any]:
        made = self._film.complete(part, [record["piece"] for record in mine], work.progress)
        return {"frames": made["frames"], "notes": made["notes"], "already_there": not mine}
