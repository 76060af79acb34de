"""Commands that watch and steer jobs from a second terminal."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from facewright.cli import show
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
    command(jobs, "set")(jobs_set)
    command(jobs, "run", hidden=True)(jobs_run)


def jobs_list() -> Shown:
    """Jobs of this project, or of this user outside projects, newest last."""
    from facewright import api

    rows = api.jobs_list()
    heads = ["id", "stage", "state", "progress", "output"]
    return Shown(rows, lambda: show.table([[r[h] for h in heads] for r in rows], heads))


def jobs_watch(id: Id, as_json: bool = False) -> Shown:
    """Follow a running job until it ends (Ctrl-C stops watching, not the job)."""
    from facewright import api

    last: dict[str, Any] = {}
    with show.Bar("watch", quiet=as_json) as bar:
        for event in api.jobs_watch(id):
            bar.event(event)
            last = event
    return Shown(last, lambda: show.result(f"{last.get('kind', 'nothing to watch')}"))


def _request(id: str, what: dict[str, Any], words: str) -> Shown:
    from facewright import api

    job = api.jobs_request(id, what)
    return Shown(job, lambda: show.result(f"{words} ({job['id']})"))


def jobs_stop(id: Id) -> Shown:
    """Ask a job to end after its current item, with a save; a second time: at once."""
    return _request(id, {"do": "stop"}, "Asked to stop after the item in hand")


def jobs_save(id: Id) -> Shown:
    """Ask a training to save now."""
    return _request(id, {"do": "save"}, "Asked to save")


def jobs_preview(id: Id) -> Shown:
    """Ask a training to draw its preview now; prints where the picture is."""
    from facewright import api

    job = api.jobs_request(id, {"do": "preview"})
    return Shown(job, lambda: show.result(job["preview"] or "This job draws no preview."))


def jobs_set(
    id: Id, pairs: Annotated[list[str], typer.Argument(metavar="key=value", help="Settings to change while it runs.")]
) -> Shown:
    """Change settings of a running training; applied between two iterations, written into its history."""
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
    return Shown(done, lambda: show.facts({k: v for k, v in done.items() if not isinstance(v, list | dict)}))


def jobs_run(id: Id) -> Shown:
    """Run a job that was created in the background."""
    from facewright import api

    done = api.jobs_resume(id, on_event=lambda event: None)
    return Shown(done)
