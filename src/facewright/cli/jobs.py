"""Commands that watch and steer jobs from a second terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, seen, show
from facewright.cli.bind import Shown, command, group
from facewright.core.errors import SettingRefused

Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id, or its first or last characters.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    jobs = group(app, "jobs", "List, watch, stop, resume and steer jobs.")
    command(jobs, "list")(jobs_list)
    command(jobs, "watch")(jobs_watch)
    command(jobs, "stop")(jobs_stop)
    command(jobs, "resume")(jobs_resume)
    command(jobs, "save")(jobs_save)
    command(jobs, "preview")(jobs_preview)
    command(jobs, "next")(jobs_next)
    command(jobs, "set")(jobs_set)
    command(jobs, "run", hidden=True)(jobs_run)


def jobs_list() -> Shown:
    """Jobs of this project (outside of one: all of yours), newest last."""
    from facewright import api

    rows = api.jobs_list()
    return Shown(rows, lambda: seen.jobs(rows))


def jobs_watch(id: Id, as_json: bool = False) -> Shown:
    """Follow a job until it ends; Ctrl-C stops watching, not the job."""
    from facewright import api

    last: dict[str, Any] = {}
    with show.Bar("watch", quiet=as_json) as bar:
        try:
            for event in api.jobs_watch(id):
                bar.event(event)
                # The latest progress may be read after the end: it is not how the job ended.
                last = event if event["kind"] != "progress" or not last else last
        except KeyboardInterrupt:
            return Shown(last, lambda: show.say("Stopped watching; the job goes on."), show.EXIT_STOPPED)
    return Shown(last, lambda: _ended(id, last))


def _ended(id: str, last: dict[str, Any]) -> None:
    """How the watched job ended."""
    kind = last.get("kind", "")
    if kind == "failed":
        error = last.get("error") or {}
        show.result(f"The job failed: {error.get('what', '')}")
        show.result(f"  do:    {error.get('remedy') or 'Send us ' + str(error.get('where', 'its folder'))}")
    elif kind == "done":
        show.result("The job is done.")
    elif kind:
        show.result(f"The job is {kind}.")
        made.following(f"facewright jobs resume {id}")
    else:
        show.result("There is nothing to watch.")


def _request(id: str, what: dict[str, Any], words: str) -> Shown:
    from facewright import api

    job = api.jobs_request(id, what)
    return Shown(job, lambda: show.result(f"{words} ({job['id']})"))


def jobs_stop(id: Id) -> Shown:
    """Ask a job to end with a save; asked twice, it ends at once.

    It finishes the part in hand first. The second request drops that part; what was saved stays.
    """
    return _request(id, {"do": "stop"}, "Asked to stop: it finishes the part in hand, saves and ends")


def jobs_save(id: Id) -> Shown:
    """Ask a training to save now."""
    return _request(id, {"do": "save"}, "Asked to save")


def jobs_preview(id: Id) -> Shown:
    """Ask a training to draw its preview now; prints its path."""
    from facewright import api

    job = api.jobs_request(id, {"do": "preview"})
    text = f"Asked for a preview: {show.name_of(Path(job['folder']) / 'preview.png')}"
    return Shown(job, lambda: show.result(text if job["stage"] == "train" else "Only trainings draw a preview."))


def jobs_next(id: Id) -> Shown:
    """Ask a training to begin its recipe's next stage now, also one that waits for it."""
    return _request(id, {"do": "next"}, "Asked for the recipe's next stage")


def jobs_set(
    id: Id, pairs: Annotated[list[str], typer.Argument(metavar="key=value", help="Settings to change while it runs.")]
) -> Shown:
    """Change settings of a running training.

    Applied between two iterations and written into the run's history. What can be set: the options of
    `facewright train`, those apart that are read at the start (batch-size, device, precision, threads ...).
    """
    from facewright import api

    changes = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SettingRefused(f"{pair!r} is not of the form key=value.", remedy="For example: lr=0.0001", where=pair)
        changes[key.strip().replace("-", "_")] = value.strip()
    job = api.jobs_set(id, changes)
    return Shown(job, lambda: show.result(f"Asked to set {', '.join(pairs)} ({job['id']})"))


def jobs_resume(id: Id, as_json: bool = False) -> Shown:
    """Go on with an interrupted or stopped job."""
    from facewright import api

    with show.Bar("resume", quiet=as_json) as bar:
        done = api.jobs_resume(id, on_event=bar.event)
    return Shown(done, lambda: made.summary(done))


def jobs_run(id: Id) -> Shown:
    """Run a job that was created in the background."""
    from facewright import api

    done = api.jobs_resume(id, on_event=lambda event: None)
    return Shown(done)
