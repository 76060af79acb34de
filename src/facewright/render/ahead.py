"""Read ahead on a thread, so that decoding merged frames and encoding the film overlap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from facewright.media.decode import Closed, Lane

T = TypeVar("T")
DEPTH = 4


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def ahead(start: Callable[[], Iterator[T]], depth: int = DEPTH) -> Generator[T, None, None]:
    """The items of `start()`, made on a thread at most `depth` ahead. Closing the result ends the thread."""
    lane = Lane(depth)
    thread = threading.Thread(target=_work, args=(lane, start), name="read ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := lane.get(), _End):
            yield item  # type: ignore[misc]
        if item.error is not None:
            raise item.error
    finally:
        lane.close()
        thread.join()


def _work(lane: Lane, start: Callable[[], Iterator[T]]) -> None:
    error: BaseException | None = None
    try:
        with closing(start()) as items:  # type: ignore[type-var]
            for item in items:
                lane.put(item)
    except Closed:
        return
    except BaseException as raised:  # noqa: BLE001  (raised again in the reader's thread)
        error = raised
    try:
        lane.put(_End(error))
    except Closed:
        return
