"""The shots of what is looked at: found once per film and faceset, while faces are looked for already, and kept beside
the faces, so that no session, process or shard finds them again."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from facewright.core.errors import FacewrightError
from facewright.core.files import make_folder, read_file, write_atomic
from facewright.faceset.extraction.sources import Footage
from facewright.faceset.selection import stretches
from facewright.faceset.store import PRIVATE
from facewright.media.frame import Frame
from facewright.media.scenes import THRESHOLD, CutSearch, small_pictures

_FORMAT = "facewright.shots/1"
_LIMIT_BYTES = 16 << 20
_TOLD_EVERY, _ASKED_EVERY_S = 8, 0.25

Asked = Callable[[], bool]


def never() -> bool:
    """Nobody asks to stop."""
    return False


class Closed(Exception):
    """A signal to who waits for shots: nobody wants them any more."""


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

    def settled(self, frame_index: int) -> bool:
        """Whether every cut up to this frame is known: yes."""
        return True

    def until(self, frame_index: int, asked: Asked = never) -> Shots:
        """The shots, right up to this frame."""
        return self

    def all(self) -> Shots:
        """The shots of all that is looked at."""
        return self

    def close(self) -> None:
        """Nothing is under way."""

    def spans(self, stop: int) -> list[list[int]]:
        """[first frame, frame behind the last] of each shot; `stop`: behind the last frame looked at."""
        return [[a, b] for a, b in zip(self.starts, [*self.starts[1:], stop])]


class ShotSearch:
    """The shots of a film while a thread looks for them, from the first question on; kept when it is through."""

    def __init__(self, one: Footage, path: Path) -> None:
        self._one, self._path = one, path
        self._first, self._stop = _range(one)
        self._changed, self._closed = threading.Condition(), False
        self._starts, self._settled = [self._first], float(self._first)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def settled(self, frame_index: int) -> bool:
        """Whether every cut up to this frame is known. Raises what the search met."""
        with self._begun():
            if self._error is not None:
                raise self._error
            return self._settled > frame_index

    def until(self, frame_index: int, asked: Asked = never) -> Shots:
        """The shots, right up to this frame; waits for them, unless asked() to stop. Raises FileRefused, DiskRefused;
        Closed."""
        with self._begun():
            while not self._changed.wait_for(
                    lambda: self._closed or self._error is not None or self._settled > frame_index, _ASKED_EVERY_S):
                if asked():
                    raise Closed
            if self._error is not None:
                raise self._error
            if self._closed:
                raise Closed
            return Shots(self._starts)

    def all(self) -> Shots:
        """The shots of the whole film, kept."""
        shots = self.until(self._stop)
        self._join()
        if self._error is not None:
            raise self._error
        return shots

    def close(self) -> None:
        """End the search where it is; whoever waits meets Closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._join()

    def _begun(self) -> threading.Condition:
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name=f"cuts {self._one.name}", daemon=True)
                self._thread.start()
        return self._changed

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        try:
            search = CutSearch(THRESHOLD)
            for count, picture in enumerate(small_pictures(self._one.video, self._first, self._stop), 1):
                search.see(picture)
                if count % _TOLD_EVERY == 0:
                    self._tell(search)
                if self._closed:
                    break
            if not self._closed:
                search.end()
                _keep(self._path, self._one.sha256, self._tell(search))
        except BaseException as error:  # noqa: BLE001  (carried to whoever asks, raised there)
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _tell(self, search: CutSearch) -> list[int]:
        with self._changed:
            settled = search.settled
            self._settled = self._first + settled
            self._starts = [self._first, *(self._first + cut for cut in search.cuts() if cut < settled)]
            self._changed.notify_all()
            return self._starts


Found = Shots | ShotSearch


def shots_of(one: Footage, faceset: Path) -> Found:
    """The shots of a film's part that is looked at: read from the faceset's private folder, or sought from now on.

    A picture of a folder is a shot of its own.
    """
    first, stop = _range(one)
    if not one.video.moves:
        return Shots(list(range(first, stop)))
    path = faceset / PRIVATE / "shots" / f"{one.sha256[:16]}-{first}-{stop}.json"
    known = _read(path)
    return ShotSearch(one, path) if known is None else Shots(known)


def _range(one: Footage) -> tuple[int, int]:
    return one.chunks[0].start, one.chunks[-1].frames[-1] + 1


def _keep(path: Path, sha256: str, starts: list[int]) -> None:
    make_folder(path.parent)
    text = json.dumps({"format": _FORMAT, "sha256": sha256, "stretches": stretches(starts)})
    write_atomic(path, text.encode())


def _read(path: Path) -> list[int] | None:
    """What was kept, or None where nothing is, or nothing that can be read: then it is found again."""
    try:
        record = json.loads(read_file(path, limit_bytes=_LIMIT_BYTES))
        if record["format"] != _FORMAT:
            return None
        return [at for first, stop, step in record["stretches"] for at in range(first, stop, step)]
    except (FacewrightError, ValueError, TypeError, LookupError):
        return None
