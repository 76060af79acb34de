"""The shots of what is looked at: found once per film and faceset, kept beside the faces, so that no session, process
or shard finds them again."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from facewright.core.errors import FacewrightError
from facewright.core.files import make_folder, read_file, write_atomic
from facewright.faceset.selection import stretches
from facewright.faceset.sources import Footage
from facewright.faceset.store import PRIVATE
from facewright.media.frame import Frame
from facewright.media.reader import frames
from facewright.media.scenes import SIDE_PX, THRESHOLD, find_cuts, small_size

_FORMAT = "facewright.shots/1"
_LIMIT_BYTES = 16 << 20


class Shots:
    """Numbers of frames in which shots begin. Shots count from 0 within what was looked at of the film."""

    def __init__(self, starts: list[int]) -> None:
        """starts: ascending; the first is that of the first frame looked at. [] = the film is not divided."""
        self.starts = starts

    def shot(self, frame_index: int) -> int:
        """Number of the shot of a frame, 0 where the film is not divided."""
        return max(bisect_right(self.starts, frame_index) - 1, 0)

    def breaks(self, taken: list[Frame]) -> list[int]:
        """Positions in a run of frames at which another shot begins than that of the frame before."""
        shots = [self.shot(frame.index) for frame in taken]
        return [at for at in range(1, len(shots)) if shots[at] != shots[at - 1]]

    def spans(self, stop: int) -> list[list[int]]:
        """[first frame, frame behind the last] of each shot; `stop`: behind the last frame looked at."""
        return [[a, b] for a, b in zip(self.starts, [*self.starts[1:], stop])]


def shots_of(one: Footage, faceset: Path, told: Callable[[int, int], None] = lambda done, total: None) -> Shots:
    """The shots of a film's part that is looked at: read from the faceset's private folder, else found and kept there.

    told(frames done, frames). A picture of a folder is a shot of its own. Raises FileRefused, DiskRefused.
    """
    first, stop = one.chunks[0].start, one.chunks[-1].frames[-1] + 1
    if not one.video.moves:
        return Shots(list(range(first, stop)))
    path = faceset / PRIVATE / "shots" / f"{one.sha256[:16]}-{first}-{stop}.json"
    known = _read(path)
    if known is None:
        cuts = find_cuts(_pictures(one, first, stop, told), THRESHOLD)
        known = [first, *(first + cut for cut in cuts)]
        make_folder(path.parent)
        text = json.dumps({"format": _FORMAT, "sha256": one.sha256, "stretches": stretches(known)})
        write_atomic(path, text.encode())
    return Shots(known)


def _read(path: Path) -> list[int] | None:
    """What was kept, or None where nothing is, or nothing that can be read: then it is found again."""
    try:
        record = json.loads(read_file(path, limit_bytes=_LIMIT_BYTES))
        if record["format"] != _FORMAT:
            return None
        return [at for first, stop, step in record["stretches"] for at in range(first, stop, step)]
    except (FacewrightError, ValueError, TypeError, LookupError):
        return None


def _pictures(one: Footage, first: int, stop: int, told: Callable[[int, int], None]) -> Iterator[np.ndarray]:
    for frame in frames(one.video, first, stop, size_px=small_size(one.video.size_px, SIDE_PX)):
        yield frame.image if frame.image.dtype == np.uint8 else (frame.image >> 8).astype(np.uint8)
        told(frame.index + 1 - first, stop - first)
