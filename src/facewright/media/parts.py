"""What pictures or films are made of which footage: sources with readable names, their frames, their places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import DiskRefused, FileRefused, NothingFound
from facewright.core.files import plain_name, refuse_occupied
from facewright.media.frame import Video
from facewright.media.moments import select
from facewright.media.reader import count_frames, frame_times, open_video
from facewright.media.sidecar import NAME, Sidecar, read_sidecar
from facewright.media.stills import SUFFIXES

OURS = ".facewright"
_NAME_BYTES = 90
"""Two such names and a number fit into what file systems take."""


@dataclass(frozen=True, slots=True)
class Part:
    """Frames of one film (or folder of stills) that become one folder of pictures, or one film.

    name: readable, begins every picture's name ("" keeps the names of stills). indices: ascending frame indices.
    place: the folder, or the film where is_film. made_by: digest of what was asked for.
    """

    video: Video
    name: str
    indices: np.ndarray
    place: Path
    made_by: str
    is_film: bool = False

    def file_of(self, index: int, suffix: str) -> str:
        """Name of the picture made of frame `index`."""
        if not self.video.moves or not self.name:
            was = Path(self.video.stills[index])
            twins = sum(Path(n).stem == was.stem for n in self.video.stills[max(0, index - 9) : index + 10]) > 1
            return "_".join(filter(None, [self.name, was.name if twins else was.stem])) + suffix
        return f"{self.name}_{index:07d}{suffix}"

    def sidecar(self) -> Sidecar | None:
        """What stands in its folder, if that is of this very task."""
        found = read_sidecar(self.place)
        return found if found is not None and found.made_by == self.made_by else None


def parts_of(
    inputs: Sequence[str], place: Callable[[str], Path], pick: Callable[[Video, int, int], np.ndarray],
    asked: Mapping[str, Any], spans: Sequence[Sequence[Any]] = (),
) -> list[Part]:  # fmt: skip
    """Open every input: one part each, or one per span (name, first, stop) of the only input.

    place: readable name -> folder or film. pick: which of the frames first .. stop - 1. An input given twice counts
    once; two films of one name are told apart by their folders' names. Raises FileRefused, NothingFound.
    """
    if not inputs:
        raise NothingFound("There is no film to look at.", remedy="Name films or folders of pictures.")
    found: list[Part] = []
    taken: set[str] = set()
    seen: set[str] = set()
    for text in inputs:
        path = Path(text)
        video = open_video(path)
        if video.sha256 in seen:
            continue
        seen.add(video.sha256)
        name = _free(path, video.sha256, taken)
        for label, first, stop in spans or [("", 0, count_frames(video))]:
            chosen = pick(video, first, stop)
            if len(chosen) == 0:
                raise NothingFound(
                    f"No frame of {path.name} lies between --start and --end.",
                    why=f"It has {count_frames(video)} frames.", remedy="Correct --start and --end.", where=path,
                )
            whole = f"{name}-{label}" if label else name
            found.append(Part(video, whole, chosen, place(whole), _digest(video, asked, label, first, stop)))
    return found


def picked(video: Video, first: int, stop: int, fps: float, start_s: float, end_s: float) -> np.ndarray:
    """Indices (M,) int64 of those frames of first .. stop - 1 that lie between two moments of the film, `fps` of each
    second (0: all). Photos have no clock: all."""
    if not video.moves:
        return np.arange(first, stop)
    times = (frame_times(video) - frame_times(video)[0]) * float(video.time_base)
    begin = float(times[first])  # select counts from the first time it is given
    return first + select(times[first:stop], fps, start_s - begin, end_s - begin)


def refuse_taken(part: Part, task: str) -> None:
    """Raises DiskRefused where something that is not this very task's lies at the part's place."""
    if part.is_film or part.sidecar() is not None:
        return
    if read_sidecar(part.place) is not None:
        raise DiskRefused(
            f"{part.place.name} is not an empty folder.", why="It holds pictures of another film or of other settings.",
            remedy=f"Name another folder for `{task}`; nothing is ever written over.", where=part.place,
        )
    refuse_occupied(part.place, "the pictures", {OURS}.__contains__)


def refuse_source(part: Part) -> None:
    """Raises FileRefused where the result would lie in the folder that is read."""
    inside = part.video.path.resolve()
    if inside == part.place.resolve() or (part.video.stills and inside in part.place.resolve().parents):
        raise FileRefused(
            f"{part.place.name} is what is read.", remedy="Name a new file or folder for the result.", where=part.place
        )


def _digest(video: Video, asked: Mapping[str, Any], *more: object) -> str:
    text = json.dumps([video.sha256, dict(asked), *more], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _free(path: Path, sha256: str, taken: set[str]) -> str:
    whole = path.resolve()
    stem = whole.name if whole.is_dir() or whole.suffix.lower() in SUFFIXES else whole.stem
    plain = [plain_name(text, fill="-", most_bytes=_NAME_BYTES) or "film" for text in (stem, whole.parent.name)]
    for name in (plain[0], f"{plain[0]} ({plain[1]})", f"{plain[0]} ({sha256[:8]})"):
        if name.casefold() not in taken and name != NAME:
            break
    taken.add(name.casefold())
    return name
