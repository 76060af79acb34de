"""Steering a job from another process: requests go in, events come out; both are files in the job's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from facewright.core.errors import Mismatch, SettingRefused
from facewright.core.files import disk_error
from facewright.core.journal import scan
from facewright.core.step import Stop
from facewright.jobs.job import ENDS, Job

DOINGS = ("stop", "save", "preview", "next")
POLL_S = 0.25
START_S = 30.0


def request(job: Job, wish: Mapping[str, Any]) -> None:
    """Ask a running job: {"do": "stop" | "save" | "preview" | "next"} or {"set": {name: value}}.

    Raises SettingRefused (another wish), Mismatch (the job is not running), DiskRefused.
    """
    known = wish.get("do") in DOINGS or isinstance(wish.get("set"), dict)
    if not known or len(wish) != 1:
        raise SettingRefused(
            "A job understands stop, save, preview, next and set.", remedy="For example: facewright jobs stop ID.",
            where=job.id,
        )
    state = job.state()
    if state != "running":
        raise Mismatch(
            f"Job {job.id} is not running: it is {state}.",
            remedy="Start the same command again with what shall be otherwise." if state == "done"
            else f"Go on with `facewright jobs resume {job.id}`.",
            where=job.folder,
        )
    body = json.dumps(wish, sort_keys=True).encode()
    try:
        # Binary on Windows too: a "\r" that the system puts before each newline would spoil the checksum.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        handle = os.open(job.changes, flags, 0o644)
        try:
            # A newline first: a line that a killed client tore cannot swallow this one.
            os.write(handle, b"\n%08x %s\n" % (zlib.crc32(body), body))
        finally:
            os.close(handle)
    except OSError as error:
        raise disk_error(error, job.changes) from error


def read_requests(job: Job, start: int) -> tuple[list[dict[str, Any]], int]:
    """Whole requests from byte offset `start` on, and the offset behind them; damaged lines are passed over."""
    try:
        with job.changes.open("rb") as file:
            file.seek(start)
            data = file.read()
    except OSError:
        return [], start
    end = data.rfind(b"\n") + 1
    found = []
    for line in data[:end].split(b"\n"):
        crc, _, body = line.partition(b" ")
        if body and crc == b"%08x" % zlib.crc32(body):
            found.append(json.loads(body))
    return found, start + end


def asked_so_far(job: Job) -> int:
    """Bytes of requests that earlier sessions got; what they did not act on is over.

    Asked before the job's lock is taken: from then on others see the job running, and what they ask must be heard.
    """
    return job.changes.stat().st_size if job.changes.exists() else 0


def watch(job: Job, *, poll_s: float = 0.5) -> Iterator[dict[str, Any]]:
    """Events of a job as another process sees them: journal records with their byte `offset`, and progress.

    Begins with what is already there and ends when the job has ended (or is found interrupted).
    """
    offset, latest = 0, {}
    while True:
        running = job.state() == "running"  # asked first, so that the last records are not missed
        records, offset = scan(job.journal, offset)
        for record in records:
            yield {**record, "job": job.id, "offset": offset}
        progress = job.progress()
        if progress and progress != latest:
            latest = progress
            yield {"kind": "progress", "job": job.id, **progress}
        if not running:
            if not records or records[-1]["kind"] not in ENDS:
                state = job.state()
                if state == "running":
                    continue
                yield {"kind": state, "job": job.id, "offset": offset}
            return
        time.sleep(poll_s)


def spawn(job: Job) -> int:
    """Run a job in a process of its own that outlives this terminal; returns its process id.

    Comes back when the job can be watched and steered: it runs, or has ended already (a slow machine: after
    START_S in any case).
    """
    apart: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        apart = {"creationflags": 0x00000008 | 0x00000200}  # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
    with (job.folder / "output.txt").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "facewright", "jobs", "run", job.id], stdin=subprocess.DEVNULL, stdout=out,
            stderr=out, **apart,
        )
    until = time.monotonic() + START_S
    while process.poll() is None and job.state() != "running" and time.monotonic() < until:
        time.sleep(POLL_S / 5)
    return process.pid


class Requests:
    """The running side: a thread that looks for requests; stop is acted on here, the rest waits for the step."""

    def __init__(self, job: Job, start: int, stop: Stop, at_once: Callable[[], None]) -> None:
        """start: byte offset that asked_so_far gave before the job's lock was taken."""
        self._job, self._offset, self._stop, self._at_once = job, start, stop, at_once
        self._guard, self._ended = threading.Lock(), threading.Event()
        self._waiting: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def take(self) -> list[dict[str, Any]]:
        """Requests since the last call, stop excepted."""
        self._look()
        with self._guard:
            taken, self._waiting = self._waiting, []
        return taken

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        with self._guard:
            found, self._offset = read_requests(self._job, self._offset)
            for wish in found:
                if wish.get("do") == "stop":
                    self._stop.ask()
                    if self._stop.at_once:
                        self._at_once()
                else:
                    self._waiting.append(wish)
