"""Tell the world outside: a command of the user's, a web address of the user's. A failure never stops a training.

Both come from the environment of the user who trains, never from a run, a project or a job: those travel, and what
travels must neither start programs on another machine nor carry somebody's secret address away.
FACEWRIGHT_NOTIFY_COMMAND: a program with its arguments, started without a shell, with the facts in its environment.
FACEWRIGHT_NOTIFY_WEBHOOK: an https address that gets the facts as JSON by POST; FACEWRIGHT_OFFLINE keeps it quiet.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import IO, Any, Literal
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from facewright.core.at_hand import offline

COMMAND, WEBHOOK = "FACEWRIGHT_NOTIFY_COMMAND", "FACEWRIGHT_NOTIFY_WEBHOOK"
COMMAND_S, WEBHOOK_S = 60.0, 10.0
_READ_BYTES = 1 << 10

Event = Literal["plateau", "stage", "waiting", "collapse", "end", "stopped"]
"""plateau: the loss is flat; stage: one of the recipe began; waiting: the next one waits for a go-ahead or for a new
start; collapse: the net fell apart and is back at its last good save; end: the training came to its end; stopped: it
could not go on (a collapse, a full disk ...)."""


@dataclass(frozen=True, slots=True)
class Notice:
    """All that leaves the machine."""

    event: Event
    run: str
    iteration: int
    loss_src: float | None
    loss_dst: float | None
    stage: str = ""


class Messenger:
    """Sends notices from a thread of its own, in order; `failures` holds what went wrong since it was last taken."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self.command, self.webhook = environment.get(COMMAND, ""), environment.get(WEBHOOK, "")
        self._queue: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        self._failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def send(self, notice: Notice) -> None:
        """Returns at once."""
        if not self.command and not self.webhook:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
            self._thread.start()
        self._queue.put(notice)

    def failures(self) -> list[str]:
        """Sentences about what could not be told, each once."""
        found = []
        while not self._failures.empty():
            found.append(self._failures.get())
        return found

    def close(self) -> None:
        """Wait until all is told, as long as command and address may take."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(COMMAND_S + WEBHOOK_S)

    def _run(self) -> None:
        while (notice := self._queue.get()) is not None:
            for way, tell in (("command", run_command), ("webhook", post)):
                target = self.command if way == "command" else self.webhook
                if not target:
                    continue
                try:
                    tell(target, notice)
                except (OSError, ValueError, HTTPException, subprocess.SubprocessError) as error:
                    name = COMMAND if way == "command" else WEBHOOK
                    self._failures.put(f"The {way} of {name} was not told of {notice.event}: {_why(error)}.")


def run_command(command: str, notice: Notice) -> None:
    """Run a program with FACEWRIGHT_EVENT, _RUN, _ITERATION, _STAGE, _LOSS_SRC, _LOSS_DST in its environment.

    Raises ValueError (unbalanced quotes, a status that is not 0), OSError, SubprocessError (took longer than 60 s).
    """
    facts = {f"FACEWRIGHT_{k.upper()}": "" if v is None else str(v) for k, v in asdict(notice).items()}
    words = shlex.split(command, posix=os.name != "nt")
    if not words:
        raise ValueError("it is empty")
    quiet = subprocess.DEVNULL
    status = subprocess.run(
        words, env={**os.environ, **facts}, stdin=quiet, stdout=quiet, stderr=quiet, timeout=COMMAND_S, check=False
    ).returncode
    if status:
        raise ValueError(f"it ended with status {status}")


class _NoRedirect(HTTPRedirectHandler):
    """Where the facts go was said by the user, not by a server."""

    def redirect_request(self, *asked: Any) -> None:  # type: ignore[override]
        """None: the redirecting answer is an error."""


def _open(request: Request) -> IO[bytes]:
    return build_opener(_NoRedirect).open(request, timeout=WEBHOOK_S)


def post(address: str, notice: Notice) -> None:
    """POST a notice as JSON. Raises ValueError (no https address, offline), OSError, HTTPException."""
    if offline():
        raise ValueError("FACEWRIGHT_OFFLINE forbids the network")
    if not address.startswith("https://"):
        raise ValueError("it is no https address")
    body = json.dumps(asdict(notice)).encode()
    request = Request(address, body, {"Content-Type": "application/json", "User-Agent": "facewright"}, method="POST")
    with _open(request) as answer:
        answer.read(_READ_BYTES)


def _why(error: Exception) -> str:
    """The reason without the address, which may be a secret."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {COMMAND_S:g} s"
    if isinstance(error, FileNotFoundError):
        return "there is no such program"
    if isinstance(error, HTTPError):
        return f"the server answered {error.code}"
    if isinstance(error, URLError):
        error = error.reason if isinstance(error.reason, OSError) else error
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if type(error) is ValueError else type(error).__name__
