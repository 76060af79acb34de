"""A job is a folder: `job.json` written once, an append-only journal, a lock. Its state is derived, never stored.

Folders lie in PROJECT/jobs for an output inside a project, else in OUTPUT/.facewright/jobs. The places are
remembered in the user data folder, so that a job is found from anywhere.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import time
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facewright import __version__
from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.core.files import PART, FolderLock, disk_error, make_folder, read_file, write_atomic
from facewright.core.journal import scan
from facewright.core.places import data_folder
from facewright.core.step import Step
from facewright.core.ulid import new_ulid

State = Literal["running", "done", "failed", "stopped", "interrupted"]
FORMAT = "facewright.job/1"
PROJECT_FILE = "project.toml"
ENDS: tuple[State, ...] = ("done", "failed", "stopped")
"""Kinds of the journal record that ends a session."""

_KNOWN = "jobs.jsonl"
_NAME = re.compile(r"[0-9A-Z]{26}-[a-z_]+")
_LOCK_TRIES, _LOCK_WAIT_S = 100, 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """A job folder and the content of its job.json (id, stage, args, settings, inputs, seed, version, permit ...)."""

    folder: Path
    data: Mapping[str, Any]

    @classmethod
    def create(cls, step: Step, *, permit: str = "", seed: int | None = None) -> Job:
        """A new job for a step. Raises DiskRefused."""
        root = job_root(step.home())
        name = new_ulid()
        data = {
            "format": FORMAT, "id": name, "stage": step.stage, "home": str(step.home().resolve()), "args": step.args(),
            "settings": step.settings.model_dump(mode="json"), "inputs": step.inputs(), "key": key_of(step),
            "seed": seed, "version": __version__, "permit": permit, "created": _now(),
        }
        with _creating(root):
            folder = make_folder(root / f"{name}-{step.stage}")
            try:
                write_atomic(folder / "job.json", _text(data))
            except DiskRefused:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        _remember(root)
        return cls(folder, data)

    @classmethod
    def open(cls, folder: Path) -> Job:
        """The job in a folder. Raises FileRefused."""
        data = read_file(folder / "job.json", limit_bytes=64 << 20)
        try:
            record = json.loads(data)
            if record["format"] != FORMAT or not isinstance(record["args"], dict):
                raise ValueError(f"format {record['format']!r}")
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise FileRefused(
                f"The job in {folder.name} cannot be read.", why=str(error)[:200],
                remedy="Start the command again: finished work is found by the new job.", where=folder,
            ) from error
        return cls(folder, record)

    @classmethod
    def find(cls, text: str, place: Path | None = None) -> Job:
        """The job whose id begins or ends with `text`. Raises NothingFound (none), Mismatch (several)."""
        wanted = text.upper()
        found = [job for job in list_jobs(place, everywhere=True) if wanted and (
            job.id.startswith(wanted) or job.id.endswith(wanted))]
        exact = [job for job in found if job.id == wanted] or found
        if not exact:
            raise NothingFound(
                f"There is no job {text!r}.", remedy="List them with `facewright jobs list`.", where=text)
        if len(exact) > 1:
            raise Mismatch(
                f"{len(exact)} jobs are called {text!r}.", why=", ".join(job.id for job in exact[:5]),
                remedy="Give more characters of the id.", where=text,
            )
        return exact[0]

    @property
    def id(self) -> str:
        """26 characters that sort by time."""
        return str(self.data["id"])

    @property
    def stage(self) -> str:
        """extract, train ..."""
        return str(self.data["stage"])

    @property
    def home(self) -> Path:
        """The output folder."""
        return Path(str(self.data["home"]))

    @property
    def journal(self) -> Path:
        """Append-only records of what is done."""
        return self.folder / "journal.jsonl"

    @property
    def changes(self) -> Path:
        """Requests of other processes."""
        return self.folder / "changes.jsonl"

    @property
    def progress_file(self) -> Path:
        """The latest progress, replaced at most twice a second."""
        return self.folder / "progress.json"

    @property
    def preview(self) -> Path:
        """Where a step draws its live picture."""
        return self.folder / "preview.png"

    @property
    def lock(self) -> FolderLock:
        """A fresh handle on the lock that a running job holds."""
        return FolderLock(self.folder / "lock")

    def state(self) -> State:
        """running while a process holds the lock; else what the last record says; else interrupted (resumable)."""
        if self.lock.held_by_other():
            return "running"
        records, _ = scan(self.journal)
        last = records[-1]["kind"] if records else ""
        return last if last in ENDS else "interrupted"

    def progress(self) -> dict[str, Any]:
        """The latest progress (done, total, rate, eta_s, facts, note, at), {} when there is none yet."""
        try:
            found = json.loads(self.progress_file.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def as_dict(self) -> dict[str, Any]:
        """One row of `jobs list`, JSON-able."""
        state, latest = self.state(), self.progress()
        done, total = latest.get("done"), latest.get("total")
        words = "" if done is None else f"{done:g}" + (f" of {total:g}" if total else "")
        preview = str(self.preview) if self.preview.exists() else ""
        return {
            "id": self.id, "stage": self.stage, "state": state, "progress": words, "output": str(self.home),
            "folder": str(self.folder), "created": self.data.get("created", ""), "preview": preview,
        }


def job_root(home: Path) -> Path:
    """Where the jobs of an output lie: PROJECT/jobs, or OUTPUT/.facewright/jobs."""
    project = project_of(home)
    return project / "jobs" if project is not None else home.resolve() / ".facewright" / "jobs"


def project_of(place: Path) -> Path | None:
    """The nearest folder at or above `place` that holds a project.toml."""
    whole = place.resolve()
    return next((p for p in (whole, *whole.parents) if (p / PROJECT_FILE).is_file()), None)


def key_of(step: Step) -> str:
    """Digest of stage, arguments, settings and inputs: jobs of one key may continue each other."""
    facts = [step.stage, step.args(), step.settings.model_dump(mode="json"), step.inputs()]
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def unfinished(step: Step) -> Job | None:
    """The newest job on the same output with the same stage, arguments, settings and inputs that is not done."""
    root, home, key = job_root(step.home()), str(step.home().resolve()), key_of(step)
    for job in reversed(list(_jobs_in(root))):
        if job.data.get("key") == key and job.data.get("home") == home and job.stage == step.stage:
            return job if job.state() != "done" else None
    return None


def list_jobs(place: Path | None = None, *, everywhere: bool = False) -> list[Job]:
    """Jobs of the project at `place` (default: here); outside of projects every job of this user; oldest first.

    everywhere: every job in any case.
    """
    project = project_of(place or Path.cwd())
    roots = [project / "jobs"] if project is not None else []
    if everywhere or project is None:
        roots += _remembered()
    found = {job.id: job for root in dict.fromkeys(roots) for job in _jobs_in(root)}
    return [found[name] for name in sorted(found)]


def rebuild(job: Job, steps: Mapping[str, str]) -> Step:
    """The step of a job, in this process. `steps`: stage -> import string `package.module:Class`.

    Only classes of that table are imported, whatever job.json says. A class with settings of several kinds offers
    `from_job(args, settings)`. Raises Mismatch: unknown stage, inputs that have changed since.
    """
    if job.stage not in steps:
        raise Mismatch(f"This facewright has no stage {job.stage!r}.", remedy="Update facewright.", where=job.folder)
    module, _, name = steps[job.stage].partition(":")
    cls = getattr(importlib.import_module(module), name)
    if hasattr(cls, "from_job"):
        step: Step = cls.from_job(dict(job.data["args"]), dict(job.data["settings"]))
    else:
        from facewright.core.settings import check

        kind = typing.get_type_hints(cls)["settings"]
        step = cls(**job.data["args"], settings=check(kind, job.data["settings"]))
    if key_of(step) != job.data["key"]:
        raise Mismatch(
            f"The inputs of job {job.id} have changed since it was started.",
            why=_difference(job.data["inputs"], step.inputs()),
            remedy="Run the command itself again: that starts a new job on the same output.", where=job.folder,
        )
    return step


@contextmanager
def _creating(root: Path) -> Iterator[None]:
    """One process at a time makes a job here; so a folder without job.json is what a killed one left, and goes."""
    lock = FolderLock(make_folder(root / ".locks") / "new.lock")
    for _ in range(_LOCK_TRIES):
        if lock.acquire():
            break
        time.sleep(_LOCK_WAIT_S)
    else:
        raise DiskRefused(
            "Another facewright process is making a job here and does not end.", remedy="Run the same command again.",
            where=root,
        )
    try:
        for folder in root.iterdir():
            if _NAME.fullmatch(folder.name) and {p.name for p in folder.iterdir()} <= {"job.json" + PART}:
                shutil.rmtree(folder, ignore_errors=True)
        yield
    finally:
        lock.release()


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return f"Different: {', '.join(names)}." if names else "Its settings mean something else in this version."


def _jobs_in(root: Path) -> Iterator[Job]:
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if (folder / "job.json").is_file():
            try:
                yield Job.open(folder)
            except FileRefused:
                continue  # one damaged job must not hide the others


def _remember(root: Path) -> None:
    """Append a jobs folder to the user's list (once), so that a job is found from anywhere."""
    if root not in _remembered():
        _append(data_folder() / _KNOWN, {"root": str(root)})


def _remembered() -> list[Path]:
    try:
        lines = (data_folder() / _KNOWN).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Path(json.loads(line)["root"]))
        except (ValueError, TypeError, LookupError):
            continue  # a torn line of a killed process
    return [root for root in dict.fromkeys(found) if root.is_dir()]


def _append(path: Path, record: Mapping[str, Any]) -> None:
    """One line, one write: processes that append at the same time do not mix; a torn line stays alone."""
    handle = -1
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(handle, b"\n" + json.dumps(record, sort_keys=True).encode() + b"\n")
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        if handle >= 0:
            os.close(handle)


def _text(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
