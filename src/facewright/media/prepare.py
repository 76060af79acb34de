"""What the steps share that make pictures or a film of footage.

One item is 32 frames, fewer when they are large. Pictures of an item are written aside, synced and renamed together;
a film is kept as lossless pieces and put together at the end. Killed anywhere, the same command goes on; what somebody
else put at the place is never written over.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import numpy as np

from facewright.core.errors import DiskRefused, FacewrightError, FileRefused
from facewright.core.files import disk_error, make_folder, read_file, replace_files, sha256_of, write_all, write_atomic
from facewright.core.step import Item, Likeness, Work
from facewright.media import sidecar
from facewright.media.frame import Frame, Video
from facewright.media.moments import later
from facewright.media.parts import OURS, Part, parts_of, refuse_source, refuse_taken
from facewright.media.reader import count_frames, frame_times, frames
from facewright.media.settings import FILM_SUFFIXES, INTERMEDIATES, MadeSettings, PictureSettings
from facewright.media.stills import encode_still
from facewright.media.writer import FilmWriter, read_chunk, write_chunk

ITEM_FRAMES = 32
_ITEM_BYTES = 128 << 20
_LEAST_FRAMES = 4
_ENCODERS = 2
_MADE = "made.json"

S = TypeVar("S", bound=PictureSettings)
Treat = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one part that are made together."""

    part: int
    indices: tuple[int, ...]


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
                self._refuse_film(part)
            done = part.sidecar() if not part.is_film else None
            if (done is not None and done.done) or (part.is_film and self._made(part) is not None):
                continue
            size = _together(part.video)
            for at in range(0, len(part.indices), size):
                batch = Batch(number, tuple(part.indices[at : at + size].tolist()))
                items.append(Item(f"{part.made_by[:12]}:{batch.indices[0]:07d}", batch))
        return items

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier session made of an item is still on disk."""
        part = self.parts[item.payload.part]
        if record["piece"]:
            return (self._pieces / record["piece"]).is_file() or self._made(part) is not None
        return all((part.place / name).is_file() for name, _, _ in record["files"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order: frames are read by the reader's thread, treated here, encoded by two more."""
        total = sum(len(item.payload.indices) for item in todo)
        done = 0
        with ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode") as pool:
            held: tuple[Item, Result] | None = None
            for run in _runs(todo, self.parts):
                with closing(self._treated(run, work)) as treated:
                    for item, images, damaged in treated:
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
            name = f"{item.payload.indices[0]:07d}.mkv"
            _renamed([(result.piece, self._pieces / name)])
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
    def _pieces(self) -> Path:
        return self.home() / "pieces"

    @property
    def _suffix(self) -> str:
        return f".{self.settings.picture}"

    def _treated(
        self, run: list[Item], work: Work
    ) -> Generator[tuple[Item, list[Frame], list[tuple[int, str]]], None, None]:
        """Batches that follow each other, read in one pass of the film with the neighbours that they depend on."""
        part = self.parts[run[0].payload.part]
        treat, around = self.treat()
        wanted = [index for item in run for index in item.payload.indices]
        step = math.gcd(*(b - a for a, b in pairwise(wanted))) or 1
        first = max(0, wanted[0] - around) if step == 1 else wanted[0]
        stop = min(count_frames(part.video), wanted[-1] + 1 + around)
        damage: dict[int, str] = {}
        read = cast(Generator[Frame, None, None],
                    frames(part.video, first, stop, step=step, on_damage=damage.__setitem__))
        passing: list[Frame] = []

        def images() -> Iterator[np.ndarray]:
            for frame in read:
                passing.append(dataclasses.replace(frame, image=_NO_IMAGE))
                yield frame.image

        with closing(read):
            rest = iter(run)
            item, got = next(rest), list[Frame]()
            for image in treat(images()):
                frame = passing.pop(0)
                while frame.index > item.payload.indices[-1]:
                    yield item, *_without_damage(item, got, damage, part)
                    following = next(rest, None)
                    if following is None:
                        return
                    item, got = following, []
                if frame.index in item.payload.indices:
                    got.append(dataclasses.replace(frame, image=image))
            for last in (item, *rest):
                yield last, *_without_damage(last, got, damage, part)
                got = []

    def _encoded(
        self, batch: Batch, images: list[Frame], damaged: list[tuple[int, str]], pool: ThreadPoolExecutor
    ) -> Result:
        part = self.parts[batch.part]
        if part.is_film:
            make_folder(self._pieces)
            if not images:
                raise FileRefused(
                    f"None of {len(damaged)} pictures in a row of {part.video.path.name} can be read.",
                    why=damaged[0][1], remedy="Remove or replace them.", where=part.video.path,
                )
            piece, pts = self._pieces / f"new-{batch.indices[0]:07d}.mkv", [frame.pts for frame in images]
            _same_size(part, images)
            write_chunk(piece, (frame.image for frame in images), None, pts, part.video.time_base)
            return Result(piece=piece, pts=pts, damaged=damaged)
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
        made = self._made(part)
        if made is None:
            made = self._put_together(part, mine, work)
        shutil.rmtree(self._pieces, ignore_errors=True)  # our own pieces; the film holds them
        return {"frames": made["frames"], "notes": made["notes"], "already_there": not mine}

    def _put_together(self, part: Part, mine: list[dict[str, Any]], work: Work) -> dict[str, Any]:
        pieces = sorted(record["piece"] for record in mine)
        aside = self.home() / ("film" + part.place.suffix.lower())
        video, pts = part.video, frame_times(part.video)
        shift = int(pts[part.indices[0]]) if part.indices[0] > 0 else 0
        count, total = 0, len(part.indices)
        whole = len(part.indices) == count_frames(video)
        with self._writer(part, aside, None if whole else _span(part, pts)) as writer:
            for name in pieces:
                for at, image in read_chunk(self._pieces / name):
                    writer.write(image, at - shift)
                    count += 1
                work.progress(count, total, "encode")
        made = {"made_by": part.made_by, "sha256": sha256_of(aside), "frames": count, "notes": writer.notes}
        write_atomic(self.home() / _MADE, json.dumps(made).encode())
        self._refuse_film(part)
        make_folder(part.place.parent)
        _renamed([(aside, part.place)])
        return made

    def _writer(self, part: Part, path: Path, span_s: tuple[Fraction, Fraction] | None) -> FilmWriter:
        settings = cast(MadeSettings, self.settings)  # only steps with these make films
        codec = INTERMEDIATES[part.place.suffix.lower()] if settings.codec == "auto" else settings.codec
        like = dataclasses.replace(part.video, timecode=later(part.video.timecode, int(part.indices[0])))
        return FilmWriter(path, like, encoder=codec, crf=settings.crf, audio_from=part.video, audio_span_s=span_s)

    def _made(self, part: Part) -> dict[str, Any] | None:
        """What this very task made of a part, None where it is not there (any more)."""
        try:
            told = json.loads(read_file(self.home() / _MADE, limit_bytes=1 << 20))
            ours = told["made_by"] == part.made_by
        except (FacewrightError, ValueError, TypeError, KeyError):
            return None
        return told if ours and part.place.is_file() and sha256_of(part.place) == told["sha256"] else None

    def _refuse_film(self, part: Part) -> None:
        self._writer(part, self.home() / ("film" + part.place.suffix.lower()), None)
        if part.place.exists() and self._made(part) is None:
            raise DiskRefused(
                f"{part.place.name} is there already.", why="It is not what this very command makes.",
                remedy="Name a new file; nothing is ever written over.", where=part.place,
            )


_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)


def _together(video: Video) -> int:
    """How many frames make an item: two items are held at once, and frames may be large."""
    each = video.size_px[0] * video.size_px[1] * (3 if video.bit_depth <= 8 else 6)
    return max(_LEAST_FRAMES, min(ITEM_FRAMES, _ITEM_BYTES // each))


def _runs(todo: list[Item], parts: list[Part]) -> Iterator[list[Item]]:
    """Items that follow each other in their film, so that each run is read in one go."""
    group: list[Item] = []
    for item in todo:
        if group:
            before, now = group[-1].payload, item.payload
            indices = parts[now.part].indices
            follows = now.part == before.part and np.searchsorted(indices, now.indices[0]) == 1 + np.searchsorted(
                indices, before.indices[-1])
            if not follows:
                yield group
                group = []
        group.append(item)
    if group:
        yield group


def _without_damage(
    item: Item, got: list[Frame], damage: dict[int, str], part: Part
) -> tuple[list[Frame], list[tuple[int, str]]]:
    """A picture that could not be decoded is left out of a folder; a film keeps the repeated one, to keep its times."""
    kept = got if part.is_film else [frame for frame in got if frame.index not in damage]
    there = {frame.index for frame in kept}
    hurt = [index for index in item.payload.indices if index in damage or index not in there]
    return kept, [(index, damage.get(index, "It cannot be read.")) for index in hurt]


def _same_size(part: Part, images: list[Frame]) -> None:
    width, height = part.video.size_px
    deep = np.dtype(np.uint8 if part.video.bit_depth <= 8 else np.uint16)
    for frame in images:
        if frame.image.shape[:2] != (height, width) or frame.image.dtype != deep:
            name = part.video.stills[frame.index] if part.video.stills else f"Frame {frame.index}"
            raise FileRefused(
                f"{name} is not of the size of the others.",
                why=f"{frame.image.shape[1]}x{frame.image.shape[0]} instead of {width}x{height}, or of another depth.",
                remedy="Name a folder as output: pictures of several sizes make no film.", where=part.video.path,
            )


def _span(part: Part, pts: np.ndarray) -> tuple[Fraction, Fraction]:
    """Seconds of the film that the part's frames cover."""
    base, first, after = part.video.time_base, int(part.indices[0]), int(part.indices[-1]) + 1
    end = int(pts[after]) * base if after < len(pts) else int(pts[-1]) * base + 1 / part.video.rate
    return int(pts[first]) * base if first else Fraction(0), end


def _renamed(pairs: list[tuple[Path, Path]]) -> None:
    try:
        replace_files(pairs)
    except OSError as error:
        raise disk_error(error, pairs[0][1]) from error
