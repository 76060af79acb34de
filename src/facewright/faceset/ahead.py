"""Read ahead: an iterator runs on its own thread, a bounded number of results before its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def ahead(source: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """The same results in the same order; at most `depth` of them are made or wait while the consumer works on one.

    An exception of the source is raised here, behind the results before it. Closing this generator stops the
    thread and closes the source on that thread.
    """
    line: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    room, ended = threading.Semaphore(depth), threading.Event()

    def work() -> None:
        try:
            try:
                # Room is asked for before the next result is made: results are large.
                while room.acquire() and not ended.is_set():
                    value = next(source, _END)
                    if value is _END:
                        break
                    line.put(("value", value))
                    del value
            finally:
                close = getattr(source, "close", None)
                if close is not None:
                    close()
            line.put(("end", None))
        except BaseException as error:  # noqa: BLE001  (carried to the consumer's thread, raised there)
            line.put(("error", error))

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = line.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            room.release()
            yield value
            del value  # a chunk of frames must not live on while the next is awaited
    finally:
        ended.set()
        room.release()
        thread.join()

