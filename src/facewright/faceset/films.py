"""Films of a faceset that are at hand: found by their content among places that may hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from math import gcd
from pathlib import Path
from typing import Any, cast

from facewright.core.errors import FacewrightError, FileRefused, Mismatch, NothingFound
from facewright.faceset.faceset import Faceset
from facewright.media.frame import Frame, Video
from facewright.media.reader import frames as read_frames
from facewright.media.reader import open_video

_NEAR = 12
"""Frames that lie nearer are read through rather than sought."""


class Films:
    """Opens films when they are asked for; each place is read (and its digest taken) once.

    places: files or folders of pictures that may be films of the set; those of the same name are tried first.
    given: those that the user named, opened at once. Raises FileRefused, Mismatch (none of the set's films).
    """

    def __init__(self, faceset: Faceset, places: Iterable[Path] = (), given: Iterable[Path] = ()) -> None:
        self._names, given = faceset.footage(), list(map(Path, given))
        self._left = [Path(place) for place in dict.fromkeys(places) if Path(place) not in given]
        self._open = {video.sha256: video for video in map(open_video, given)}
        for sha256, video in self._open.items():
            if sha256 not in self._names:
                raise Mismatch(
                    f"{video.path.name} is no film of {faceset.path.name}.", where=video.path,
                    why="Its content is another's, whatever its name.",
                    remedy=f"Films of the faceset: {', '.join(self._names.values()) or 'none'}.")

    def places(self) -> list[str]:
        """Where those of the set's films lie that are at hand."""
        found = (self.find(sha256) for sha256 in self._names)
        return [str(video.path) for video in found if video is not None]

    def find(self, sha256: str) -> Video | None:
        """The film of that content, or None."""
        name = self._names.get(sha256, "")
        for place in sorted(self._left, key=lambda p: p.name != name):
            if sha256 in self._open:
                break
            self._left.remove(place)
            try:
                video = open_video(place)
            except FacewrightError:  # moved, deleted or damaged since: then it is not at hand
                continue
            self._open[video.sha256] = video
        return self._open.get(sha256)

    def need(self, sha256: str) -> Video:
        """The film of that content. Raises NothingFound: it is not at hand; FileRefused."""
        video = self.find(sha256)
        if video is None:
            name = self._names.get(sha256, sha256[:8])
            raise NothingFound(
                f"The film {name} is not at hand.", why="A faceset remembers films by content, not where they lie.",
                remedy=f"Say where it lies: --footage /path/to/{name}", where=name)
        return video


    def walk(self, wanted: Iterable[tuple[str, int]]) -> Iterator[Frame | None]:
        """The frame of each (film, index), None where it is not at hand or damaged. Fast where indices ascend."""
        for sha256, group in groupby(wanted, key=lambda pair: pair[0]):
            indices = [index for _, index in group]
            video = self.find(sha256)
            if video is None:
                yield from (None for _ in indices)
                continue
            reading = frames_at(video, indices)
            held = next(reading, None)
            for index in indices:
                if held is not None and held.index == index:
                    yield held
                    held = next(reading, None)
                else:
                    yield None


def frames_at(video: Video, indices: Sequence[int]) -> Iterator[Frame]:
    """Those of the frames that can be read, in order: near ones in one go, so that a film is decoded once."""
    start = 0
    for end in range(1, len(indices) + 1):
        if end < len(indices) and 0 < indices[end] - indices[end - 1] <= _NEAR:
            continue
        run, damage = indices[start:end], dict[int, str]()
        step = gcd(*(index - run[0] for index in run)) or 1
        reading = read_frames(video, run[0], run[-1] + 1, step=step, on_damage=damage.__setitem__)
        with closing(cast(Any, reading)):
            wanted = set(run)
            for frame in reading:
                if frame.index in wanted and frame.index not in damage:
                    yield frame
        start = end


def frame_of(video: Video, index: int) -> Frame | None:
    """One frame of a film, or None when it is damaged or beyond the end."""
    return next(frames_at(video, [index]), None)


def need_frame(video: Video, index: int) -> Frame:
    """The same. Raises FileRefused."""
    frame = frame_of(video, index)
    if frame is None:
        raise FileRefused(
            f"Frame {index} of {video.path.name} cannot be read.", where=video.path,
            remedy="Choose another frame, or another copy of the film.")
    return frame
