"""Read ahead: an iterator runs on its own thread, a bounded number of results before its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_POLL_S = 0.1


def ahead(source: Iterator[T], depth: int = 1) -> Generator[T, None, None]:
    """The same results in the same order; at most `depth` wait while one more is made.

    An exception of the source is raised here, behind the results before it. Closing this generator stops the
    thread and closes the source on that thread.
    """
    line: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    ended = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not ended.is_set():
            try:
                line.put((kind, value), timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            try:
                for value in source:
                    if not put("value", value):
                        return
            finally:
                close = getattr(source, "close", None)
                if close is not None:
                    close()
            put("end", None)
        except BaseException as error:  # noqa: BLE001  (carried to the consumer's thread, raised there)
            put("error", error)

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = line.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
            del value  # a chunk of frames must not live on while the next is awaited
    finally:
        ended.set()
        thread.join()

