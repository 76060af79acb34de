"""The frames that imported faces say they are of: a film or folder of pictures that is at hand, or a name alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from facewright.core.errors import Mismatch
from facewright.faces.face import SourceRef
from facewright.faceset.header import Source
from facewright.image.warp import resize, warp
from facewright.media.frame import Video
from facewright.media.reader import count_frames, frame_times, open_video
from facewright.media.reader import frames as read_frames
from facewright.media.stills import upright_from_stored

_NUMBER = re.compile(r"(\d{1,11})$")
_LOOKED_AT, _SIDE_PX, _ALIKE = 5, 64, 0.8


@dataclass(frozen=True)
class Frames:
    """Where frame names lead. film None: nowhere; then `name` and `sha256` are made up, and `numbers` order them.
    told: what a set of ours said of the film, where its faces come back."""

    name: str
    sha256: str
    numbers: dict[str, int]
    film: Video | None = None
    told: Source | None = None

    @classmethod
    def of(cls, path: Path) -> Frames:
        """A film or a folder of pictures. Raises FileRefused, NothingFound."""
        video = open_video(path)
        return cls(path.resolve().name, video.sha256, {}, video)

    def place(self, frame_name: str) -> SourceRef | None:
        """The frame of that name; None where the film has none. Films count from 1 over there."""
        if self.film is None:
            return SourceRef(f"{self.name}/{frame_name}", self.sha256, self.numbers[frame_name],
                             self.numbers[frame_name], Fraction(1))
        index = self._index(self.film, frame_name)
        if index is None or not 0 <= index < self._count:
            return None
        name = f"{self.name}/{self.film.stills[index]}" if self.film.stills else self.name
        return SourceRef(name, self.sha256, index, int(self._pts[index]), self.film.time_base)

    def upright(self, index: int) -> np.ndarray | None:
        """3x3: upright frame, as it is read here, from the picture as DeepFaceLab reads it, which does not look at what
        a camera noted about the way up (EXIF). None: the same. Raises FileRefused."""
        if self.film is None or not self.film.stills:
            return None
        folder = self.film.path if self.film.path.is_dir() else self.film.path.parent
        turn = upright_from_stored(folder / self.film.stills[index])
        return None if np.array_equal(turn, np.eye(3)) else turn

    def source(self, settings: dict[str, object], done: bool, facts: dict[str, object]) -> Source:
        """What faceset.json says about it."""
        if self.told is not None:
            return replace(self.told, settings=settings, done=done, facts=facts)
        if self.film is None:
            return Source(self.name, self.sha256, settings=settings, done=done, facts=facts)
        film = self.film
        return Source(self.name, self.sha256, str(film.rate), film.size_px, self._count, settings, done, facts)

    def confirm(self, faces: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> None:
        """Compare a few faces, (frame index, face_from_frame, (S, S) uint8 grey), with what the film shows there.

        Raises Mismatch when most look different: another film, or frames that were taken at another rate.
        """
        if self.film is None or not faces:
            return
        picked = [faces[at] for at in np.unique(np.linspace(0, len(faces) - 1, _LOOKED_AT).round().astype(int))]
        found = sorted(self._likeness(*one) for one in picked)
        if found[len(found) // 2] < _ALIKE:
            raise Mismatch(
                f"{self.name} does not show these faces in the frames that they name.",
                why=f"Of {len(found)} compared the middle one is {found[len(found) // 2]:.2f} alike; 1 = same.",
                remedy="Give the film or the folder of frames that they were taken from; of a film whose frames were "
                "taken at another rate, give that folder.", where=self.film.path,
            )

    def _likeness(self, index: int, matrix: np.ndarray, grey: np.ndarray) -> float:
        """Correlation of the stored picture with the frame's, both at 64 px, where the frame reaches."""
        assert self.film is not None
        frame = next(iter(read_frames(self.film, index, index + 1)), None)
        if frame is None:
            return 0.0
        image = frame.image if frame.image.dtype == np.uint8 else (frame.image >> 8).astype(np.uint8)
        shrink = np.diag([_SIDE_PX / len(grey), _SIDE_PX / len(grey), 1.0])
        theirs = warp(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), shrink @ matrix, _SIDE_PX, "auto").astype(np.float64)
        inside = warp(np.ones(image.shape[:2], np.uint8), shrink @ matrix, _SIDE_PX, "auto").ravel() > 0
        ours = resize(grey, _SIDE_PX, "area").astype(np.float64).ravel()[inside]
        theirs = theirs.reshape(-1)[inside]
        if len(ours) < 16 or ours.std() < 1 or theirs.std() < 1:
            return 0.0
        return float(np.corrcoef(ours, theirs)[0, 1])

    def _index(self, film: Video, frame_name: str) -> int | None:
        if film.stills:
            return self._by_name.get(frame_name, self._by_name.get(Path(frame_name).stem))
        match = _NUMBER.search(Path(frame_name).stem)
        return int(match[1]) - 1 if match else None

    @cached_property
    def _by_name(self) -> dict[str, int]:
        assert self.film is not None
        stems = {Path(name).stem: at for at, name in reversed(list(enumerate(self.film.stills)))}
        return stems | {name: at for at, name in enumerate(self.film.stills)}

    @cached_property
    def _count(self) -> int:
        assert self.film is not None
        return count_frames(self.film)

    @cached_property
    def _pts(self) -> np.ndarray:
        assert self.film is not None
        return frame_times(self.film)
