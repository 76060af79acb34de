"""Ctrl-C, a closed terminal, a shutdown: the first ends after the item in hand with a save, the second at once."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from facewright.core.step import Stop

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""SIGHUP is POSIX's, SIGBREAK Windows'."""
_ECHO_S = 2.0
"""torchrun passes on what the terminal has sent to all its processes already: within so long that is one wish."""


@contextmanager
def asked_by_signals(stop: Stop) -> Iterator[Callable[[], None]]:
    """Turn signals into requests to `stop` while inside; a second one raises KeyboardInterrupt.

    Gives a function that raises it from any thread. Outside of the main thread (Python allows no handlers there)
    nothing is installed and the function does nothing. A signal that is ignored (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    echoes, last_s = "TORCHELASTIC_RUN_ID" in os.environ, float("-inf")

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last_s
        before_s, last_s = last_s, time.monotonic()
        if echoes and last_s - before_s < _ECHO_S:
            return
        stop.ask()
        if stop.at_once:
            raise KeyboardInterrupt

    before = {}
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield _interrupt_main
    finally:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)


def _interrupt_main() -> None:
    """A real signal where there is one: it also wakes the main thread from a sleep or a read."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
