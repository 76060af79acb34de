"""A process of its own for extraction: `python -m facewright.faceset.extraction.worker`, by `crew`."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from facewright.core.errors import FacewrightError
from facewright.faceset import header
from facewright.faceset.extraction import wire
from facewright.faceset.extraction.crew import Order, told_error
from facewright.faceset.extraction.looking import ChunkResult, Finder, Looking
from facewright.faceset.extraction.shots import Found, Shots
from facewright.faceset.extraction.sources import open_footage
from facewright.faceset.selection import Chunk


class _Inbox:
    """What is asked of this process. A thread reads it, so that its maker's death ends it at once."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe, self._orders, self._stop = pipe, queue.SimpleQueue[dict[str, Any]](), threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def get(self) -> dict[str, Any]:
        return self._orders.get()

    def asked(self) -> bool:
        """Whether to end after the chunk in hand."""
        return self._stop.is_set()

    def _read(self) -> None:
        while (message := wire.receive(self._pipe)) is not None:
            if "stop" in message[0]:
                self._stop.set()
            else:
                self._orders.put(message[0])
        os._exit(0)  # nobody is left who would want a result


def main() -> int:
    """Do what the process that started this one asks, until it says that it is enough."""
    for name in ("SIGINT", "SIGHUP"):  # meant for the one that started this; it says when to end
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing but messages goes to the other end
    message = wire.receive(sys.stdin.buffer)
    if message is None:
        return 0
    inbox = _Inbox(sys.stdin.buffer)
    inbox.start()
    try:
        _work(Order.from_json(message[0]), inbox, out)
    except FacewrightError as error:
        wire.send(out, {"error": told_error(error)})
    except Exception:  # noqa: BLE001  (told to the process that runs the job: its crash report is the one that is kept)
        wire.send(out, {"bug": traceback.format_exc()})
    return 0


def opened(order: Order) -> tuple[Looking, Finder, dict[tuple[str, int], Chunk]]:
    """What a worker needs: films, nets, and its chunks by digest and first frame. Raises FacewrightError."""
    import cv2

    cv2.setNumThreads(1)
    footage = open_footage(list(order.digests), order.settings, header.load(Path(order.args["faceset"])), order.digests)
    shots: dict[str, Found] = {digest: Shots(starts) for digest, starts in order.shots.items()}
    looking = Looking(footage, order.settings, order.side_px, shots, order.args["person"], order.args["consent"])
    chunks = {(chunk.source_sha256, chunk.start): chunk for one in footage for chunk in one.chunks}
    module, _, name = order.finder.partition(":")
    return looking, getattr(importlib.import_module(module), name)(order.settings.detection()), chunks


def _work(order: Order, inbox: _Inbox, out: BinaryIO) -> None:
    looking, finder, chunks = opened(order)
    wire.send(out, {"idle": True})
    while "chunks" in (asked := inbox.get()):
        todo = [chunks[digest, start] for digest, start in asked["chunks"]]
        looking.shots |= {digest: Shots(starts) for digest, starts in asked["shots"].items() if starts}
        for result in looking.results(todo, finder, inbox.asked):
            _tell(out, result)
        wire.send(out, {"idle": True})


def _tell(out: BinaryIO, result: ChunkResult) -> None:
    blobs = [data for _, data, _ in result.files] + [data for _, data in result.debug]
    wire.send(out, {"record": result.record, "files": [name for name, _, _ in result.files],
                    "debug": [index for index, _ in result.debug]}, blobs)


if __name__ == "__main__":
    sys.exit(main())
