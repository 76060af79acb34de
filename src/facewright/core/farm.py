"""Work spread over the machines of a dask cluster (the extra `cluster`): pieces go out, results come in, and whoever
asked writes them. A machine that dies costs the pieces it held; another one does them again.

A cluster runs what it is sent: whoever can reach its scheduler can run programs on its workers. It belongs into a
network of one's own. Workers see the same paths as the machine that asks (a shared disk), and have the same facewright.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from facewright import __version__
from facewright.core.errors import FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.files import read_file
from facewright.core.step import Stop

_AHEAD = 3
"""Pieces a worker has before it, so that it need not wait; more would lie in memory as results."""
_PATIENCE_S = 30.0
_POLL_S = 0.5


def scattered(
    address: str, work: Callable[[Any], Any], pieces: Sequence[Any], stop: Stop, *, patience_s: float = _PATIENCE_S
) -> Generator[tuple[int, Any], None, None]:
    """(position, work(piece)) in the order in which they are ready; `work` is a function of a module, `pieces` plain.

    Asked to stop, no more pieces go out, and those that are being worked on still come in (asked twice: they do not).
    Raises SettingRefused (dask is not installed, nobody answers at `address`), NothingFound (no worker), Mismatch
    (workers of another version), FileRefused (a piece ended its worker three times), what `work` raises.
    """
    with ExitStack() as stack:
        client = stack.enter_context(_client(address, patience_s))
        count = _checked_workers(client, patience_s)
        waiting, left, ready = {}, list(enumerate(pieces))[::-1], threading.Event()

        def give() -> None:
            while left and len(waiting) < _AHEAD * count and not stop.asked:
                position, piece = left.pop()
                future = client.submit(work, piece, pure=False)
                future.add_done_callback(lambda _: ready.set())
                waiting[future.key] = position, future

        give()
        while waiting:
            if stop.at_once:
                client.cancel([future for _, future in waiting.values()], force=True)
                return
            for key in [key for key, (_, future) in waiting.items() if future.done()]:
                position, future = waiting.pop(key)
                result = _result(future, address)
                future.release()
                yield position, result
            give()
            if waiting:
                ready.wait(_POLL_S)  # no longer: somebody may ask to stop
                ready.clear()


def _client(address: str, patience_s: float) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingRefused(
            "Work cannot be spread over a cluster here: dask is not installed.", why=str(error),
            remedy="Install it with the extra: pip install 'facewright[cluster]'.", where=address,
        ) from error
    try:
        if not address.endswith(".json"):
            return Client(address, timeout=patience_s, set_as_default=False)
        # Asked for a file that is not there, the client would wait for it for ever.
        read_file(Path(address), limit_bytes=1 << 20)
        return Client(scheduler_file=address, timeout=patience_s, set_as_default=False)
    except (OSError, ValueError, TimeoutError, FileRefused) as error:
        raise SettingRefused(
            f"No cluster answers at {address}.", why=str(error)[:200],
            remedy="Start one: `dask scheduler`, and `dask worker tcp://HOST:8786` on each machine.", where=address,
        ) from error


def _checked_workers(client: Any, patience_s: float) -> int:
    """How many workers there are. Raises NothingFound, Mismatch."""
    try:
        client.wait_for_workers(1, timeout=patience_s)
    except TimeoutError as error:
        raise NothingFound(
            "The cluster has no worker.", why=str(error)[:200],
            remedy="Start some: `dask worker tcp://HOST:8786` on each machine.", where=client.scheduler.address,
        ) from error
    versions = client.run(_version)
    other = {place: version for place, version in versions.items() if version != __version__}
    if other:
        place, version = next(iter(other.items()))
        raise Mismatch(
            f"A worker of the cluster has facewright {version}, this machine {__version__}.",
            why="Results must not depend on who made them.", remedy="Install the same version everywhere.", where=place,
        )
    return len(versions)


def _version() -> str:
    return __version__


def _result(future: Any, address: str) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise FileRefused(
            "A piece of the work ended its worker again and again.", why=str(error)[:200],
            remedy="Look into the workers' logs; memory may be short there.", where=address,
        ) from error
