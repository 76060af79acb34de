"""Run one step so that kill -9 costs at most the item in hand.

Order of a session: permit, plan, lock, replay the journal, do what is missing (commit, then the journal's line, then
the event), finish, ledger entry, `done`. Killed anywhere: the same command goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from facewright import __version__
from facewright.core.errors import DiskRefused, FacewrightError
from facewright.core.files import FolderLock, make_folder, write_atomic
from facewright.core.journal import Journal
from facewright.core.step import Item, Step, Stop, Work
from facewright.jobs.control import Requests, asked_so_far
from facewright.jobs.job import Job, job_root, unfinished
from facewright.jobs.progress import OnEvent, Progress
from facewright.jobs.signals import asked_by_signals

SYNC_S = 1.0
"""A power cut loses at most so much of the journal; kill -9 loses nothing of it."""
LEDGER_TYPES = {"train": "train.run", "merge": "merge.run", "render": "output.signed",
                "export_faces": "faces.exported", "pack": "faces.packed"}
"""Stages that leave an entry in the ledger. Looking for faces changes nothing, so it leaves none."""

_LOCK_TRIES, _LOCK_WAIT_S = 8, 0.1


class Gate(Protocol):
    """What the runner asks before, and tells after a job."""

    def allow(self, step: Step) -> Any:
        """A Permit (something with an `id`). Raises ConsentRefused."""
        ...

    def record(self, step: Step, job: Job, summary: Mapping[str, Any], state: str) -> None:
        """Note a job that is done or stopped. Idempotent: the same job and summary are noted once."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished job gave. items: all of them; fresh: those done in this session; result: the step's own."""

    job: Job
    items: int
    fresh: int
    seconds: float
    result: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "job": self.job.id, "stage": self.job.stage, "items": self.items, "fresh": self.fresh,
            "seconds": round(self.seconds, 3), "output": str(self.job.home), **self.result,
        }


class Stopped(Exception):
    """The job ended because somebody asked; what is done is kept. `summary.result` tells how far it came."""

    exit_status = 130

    def __init__(self, summary: Summary) -> None:
        super().__init__(f"Stopped; the same command goes on, or `facewright jobs resume {summary.job.id}`.")
        self.summary = summary


def prepare(step: Step, *, gate: Gate) -> Job:
    """Check a step and make its job (or find the one it continues) without running it: for jobs in the background.

    Raises FacewrightError, as run_job does before its first item.
    """
    permit = gate.allow(step)
    step.plan()
    return unfinished(step) or Job.create(step, permit=_permit_id(permit))


def run_job(
    step: Step, *, job: Job | None = None, gate: Gate, on_event: OnEvent = lambda event: None, stop: Stop | None = None
) -> Summary:
    """Run a step to its end, going on with an unfinished job of the same arguments, settings and inputs.

    stop: where this process asks the job to end, beside signals and other processes.
    Raises Stopped (asked to), FacewrightError (expected failure; nothing half-written), anything else is a bug (a
    crash report lies in the job's folder). Events: started, progress, item, note, done, failed, stopped.
    """
    began = time.monotonic()
    permit = gate.allow(step)
    if hasattr(step, "permit"):
        step.permit = permit  # type: ignore[attr-defined]
    plan = step.plan()
    with ExitStack() as stack:
        _hold(stack, _output_lock(step.home()), step.home().name)
        job = job or unfinished(step) or Job.create(step, permit=_permit_id(permit))
        asked = asked_so_far(job)
        _hold(stack, job.lock, job.id)
        stack.enter_context(_log_file(job))
        session = _Session(step, job, plan, asked, _permit_id(permit), on_event, stop or Stop())
        stack.callback(session.journal.close)
        try:
            return session.run(gate, began)
        except KeyboardInterrupt:
            raise session.stopped(gate, began) from None
        except Stopped:
            raise
        except FacewrightError as error:
            session.end("failed", error=error.as_dict())
            raise
        except Exception as error:
            session.end("failed", error=session.crash_report(error))
            raise


class _Session:
    """One process's work on a job: from replaying the journal to its last record."""

    def __init__(
        self, step: Step, job: Job, plan: list[Item], asked: int, permit: str, on_event: OnEvent, stop: Stop
    ) -> None:
        self.step, self.job, self.plan, self.asked, self.on_event = step, job, plan, asked, on_event
        self.stop = stop
        self.journal = Journal(job.journal)
        self._guard, self._synced = threading.Lock(), float("-inf")
        self.records = self._replayed()
        self.fresh = 0
        self._write({"kind": "begin", "at": time.time(), "pid": os.getpid(), "permit": permit, "version": __version__})

    def run(self, gate: Gate, began: float) -> Summary:
        todo = [item for item in self.plan if item.id not in self.records]
        total, before = len(self.plan), len(self.plan) - len(todo)
        stop, progress = self.stop, Progress(self.job, self.on_event)
        with asked_by_signals(stop) as at_once, Requests(self.job, self.asked, stop, at_once) as requests:
            self._tell("started", stage=self.job.stage, folder=str(self.job.folder), output=str(self.job.home),
                       preview=str(self.job.preview), done=before, total=total, resumed=bool(self.records))
            work = Work(self.job.folder, stop, progress, requests.take, self.note)
            if todo:
                with closing(self.step.stream(todo, work)) as results:  # type: ignore[type-var]
                    for item, result in results:
                        self._commit(item, result)
                        if not progress.used:
                            progress.tell(before + self.fresh, total)
            if len(self.records) < total:
                raise self.stopped(gate, began)
            result = self.step.finish(self.records, work)
        gate.record(self.step, self.job, result, "done")
        summary = Summary(self.job, total, self.fresh, time.monotonic() - began, result)
        self.end("done", summary=result)
        return summary

    def stopped(self, gate: Gate, began: float) -> Stopped:
        """Record a stop; what was trained until then is real, so the ledger hears of it."""
        result = {"items_done": len(self.records), "items": len(self.plan)}
        gate.record(self.step, self.job, result, "stopped")
        self.end("stopped", **result)
        return Stopped(Summary(self.job, len(self.plan), self.fresh, time.monotonic() - began, result))

    def end(self, kind: str, **facts: Any) -> None:
        """The last record and event. A disk too full for the record must not hide the error that is on its way."""
        try:
            self._write({"kind": kind, "at": time.time(), **facts}, sync=True)
        except FacewrightError:
            logging.getLogger("facewright").warning("the end of job %s could not be recorded", self.job.id)
        self._tell(kind, **facts)

    def note(self, kind: str, **facts: Any) -> None:
        """Work.note: one journalled event that is not an item."""
        self._write({"kind": "note", "what": kind, "at": time.time(), **facts})
        self._tell("note", what=kind, **facts)

    def crash_report(self, error: BaseException) -> dict[str, str]:
        """Write what a bug report needs into the job's folder; returns the journal's account of it."""
        path = self.job.folder / f"crash-{time.strftime('%Y%m%dT%H%M%S')}.txt"
        lines = [f"facewright {__version__}, Python {sys.version}", platform.platform(), f"job {self.job.id}", "",
                 *traceback.format_exception(error)]
        try:
            write_atomic(path, "\n".join(lines).encode("utf-8", "replace"))
        except FacewrightError:
            logging.getLogger("facewright").warning("no crash report could be written to %s", path)
        return {"code": "bug", "what": f"{type(error).__name__}: {error}", "where": str(path)}

    def _commit(self, item: Item, result: Any) -> None:
        record = self.step.commit(item, result)
        self._write({"kind": "item", "id": item.id, "record": record})
        self.records[item.id] = record
        self.fresh += 1
        self._tell("item", id=item.id, record=record)

    def _replayed(self) -> dict[str, dict[str, Any]]:
        """Records of items that earlier sessions acknowledged and whose output is still there."""
        done = {r["id"]: r["record"] for r in self.journal.records if r["kind"] == "item"}
        intact = getattr(self.step, "intact", None)
        return {item.id: done[item.id] for item in self.plan
                if item.id in done and (intact is None or intact(item, done[item.id]))}

    def _write(self, record: dict[str, Any], *, sync: bool = False) -> None:
        with self._guard:
            now = time.monotonic()
            sync = sync or now - self._synced >= SYNC_S
            self.journal.add(record, sync=sync)
            self._synced = now if sync else self._synced

    def _tell(self, kind: str, **facts: Any) -> None:
        self.on_event({"kind": kind, "job": self.job.id, **facts})


class HouseGate:
    """The real gate: asks for records of consent in folder `records`, writes to the ledger file `ledger`."""

    def __init__(self, records: Path, ledger: Path, project: str) -> None:
        self.records, self.ledger, self.project = records, ledger, project

    def allow(self, step: Step) -> Any:
        """Ask provenance.permit. Raises ConsentRefused."""
        from facewright.provenance.moment import utc_now
        from facewright.provenance.permit import FREE_STAGES, LEAVING_STAGES, allow
        from facewright.provenance.store import ConsentStore

        asked = step.stage not in FREE_STAGES or step.stage in LEAVING_STAGES
        faces = step.likenesses() if asked else []
        return allow(step.stage, faces, store=ConsentStore(self.records), now=utc_now(), project=self.project,
                     ledger=self._ledger())

    def record(self, step: Step, job: Job, summary: Mapping[str, Any], state: str) -> None:
        """One ledger entry for a job and state, unless the same is there already or the step wrote its own."""
        kind = LEDGER_TYPES.get(step.stage)
        if kind is None or "ledger" in summary or (state == "stopped" and kind != "train.run"):
            return
        body = {
            "job": job.id, "stage": step.stage, "state": state, "version": __version__,
            "inputs": [[name, digest] for name, digest in sorted(job.data["inputs"].items())],
            "settings_sha256": _digest(job.data["settings"]), "result": _plain(summary),
        }
        if "consents" in summary:  # whose records faces left with; a stage that asks nobody has no grants
            body["records"] = list(summary["consents"])
        permit = getattr(step, "permit", None)
        if hasattr(permit, "as_dict"):
            body["permit"] = _without_moment(permit.as_dict())
        ledger = self._ledger()
        if not ledger.find(lambda entry: entry.type == kind and dict(entry.body) == body):
            ledger.append(kind, body)

    def _ledger(self) -> Any:
        from facewright.provenance.ledger import Ledger

        return Ledger(self.ledger, project=self.project)


def _without_moment(permit: Mapping[str, Any]) -> dict[str, Any]:
    """A permit is asked anew by each session of a job; the entry must be the same one."""
    return {key: value for key, value in permit.items() if key not in ("permit", "created")}


def _plain(summary: Mapping[str, Any]) -> dict[str, str]:
    """The summary's single values as text: canonical JSON knows no floats, and an entry stays small."""
    return {key: str(value) for key, value in summary.items()
            if key.isascii() and isinstance(value, str | int | float | bool) and len(str(value)) <= 300}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _permit_id(permit: Any) -> str:
    return str(getattr(permit, "id", permit or ""))


def _output_lock(home: Path) -> FolderLock:
    """One job at a time on one output, whatever its stage."""
    name = hashlib.sha256(str(home.resolve()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return FolderLock(make_folder(job_root(home) / ".locks") / f"{name}.lock")


@contextmanager
def holding(home: Path) -> Iterator[None]:
    """No job can begin on the output `home` meanwhile. Raises DiskRefused when one is at work on it."""
    with ExitStack() as stack:
        _hold(stack, _output_lock(home), home.name)
        yield


def _hold(stack: ExitStack, lock: FolderLock, name: str) -> None:
    """Take a lock; whoever only looks at it (`jobs list`) holds it for a moment, so try a few times."""
    for _ in range(_LOCK_TRIES):
        if lock.acquire():
            stack.callback(lock.release)
            return
        time.sleep(_LOCK_WAIT_S)
    raise DiskRefused(
        f"Another facewright process is at work on {name}.",
        remedy="Wait for it, or stop it: `facewright jobs list`, then `facewright jobs stop ID`.",
        where=lock.path.parent,
    )


@contextmanager
def _log_file(job: Job) -> Iterator[None]:
    handler = logging.FileHandler(job.folder / "log.txt", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("facewright")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
