"""Commands about runs: the group `model`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from facewright.cli import exchange, made, runs, show
from facewright.cli.bind import Shown, command, group

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the model, or its name in the project.")]
AnyRun = Annotated[
    Path | None,
    typer.Argument(metavar="[RUN]", help="Folder of the model, or its name; left out: the project's trained last."),
]
Folder = Annotated[
    Path | None, typer.Argument(metavar="[FOLDER]", help="Folder that the models lie in; left out: the project's.")
]
InFolder = Annotated[Path | None, typer.Option("--in", metavar="FOLDER", help="Folder that the models lay in.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands, and those of cli.exchange."""
    model = group(app, "model", "Models: look, compare, keep, reset, copy, move in and out.")
    command(model, "list")(list_)
    command(model, "info")(info)
    command(model, "history")(history)
    command(model, "compare")(compare)
    command(model, "snapshot")(snapshot)
    command(model, "restore")(restore)
    command(model, "reset")(reset)
    command(model, "rename")(rename)
    command(model, "copy")(copy)
    command(model, "delete")(delete)
    trash = group(model, "trash", "Deleted models: they wait here until the trash is emptied.")
    command(trash, "list")(trash_list)
    command(trash, "restore")(trash_restore)
    command(trash, "empty")(trash_empty)
    command(model, "bundle")(bundle)
    command(model, "unbundle")(unbundle)
    for name, function in exchange.commands.items():
        command(model, name)(function)


def list_(folder: Folder = None) -> Shown:
    """The models of a folder, the one trained last on top."""
    from facewright import api

    rows = api.model_list(folder)
    return Shown(rows, lambda: runs.listed(rows))


def info(run: AnyRun = None) -> Shown:
    """Everything about one model: shape, settings, people and records, faces, saves, loss, speed."""
    from facewright import api

    known = api.model_info(run)
    return Shown(known, lambda: runs.known(known))


def history(
    run: AnyRun = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a face over the course of the training into this PNG file,"
                                  " from the previews that --preview-history kept.")
    ] = None,
    face: Annotated[int, typer.Option(help="Which face of the preview, 1 is the first.", min=1)] = 1,
) -> Shown:
    """What was done to a model and when: starts, settings, stages, saves, snapshots, resets; and its kept previews."""
    from facewright import api

    rows, seen = api.model_history(run), api.model_pictures(run, pictures, face=face)
    heads = ["time (UTC)", "iteration", "what", "about"]
    table = [[runs.when(r["at"]), "-" if r["iteration"] is None else f"{r['iteration']:,}", r["what"], r["text"]]
             for r in rows]

    def text() -> None:
        show.table(table, heads)
        if seen["pictures"]:
            show.result(f"{made.count(seen['pictures'], 'preview picture')} kept in {show.name_of(seen['folder'])}.")
        if pictures is not None:
            show.result(f"Face {face} over the course of the training: {pictures}")

    return Shown(rows, text)


def compare(
    models: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Models, two or more.")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw their losses into this PNG file.")] = None,
) -> Shown:
    """Models side by side: settings that differ, faces, machine, speed, loss; and their curves as a picture."""
    from facewright import api

    found = api.model_compare(models, plot)
    return Shown(found, lambda: runs.compared(found))


def snapshot(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called; for example `before gan`.")],
    save: Annotated[str, typer.Option(help="An earlier save to keep, as `model info` calls it.")] = "",
) -> Shown:
    """Keep the newest save for ever, under a name."""
    from facewright import api

    done = api.model_snapshot(run, name, save=save)

    def text() -> None:
        show.result(f"Kept iteration {done['iteration']:,} as {name}." + _WITHOUT[done["whole"]])
        made.following(f"facewright model restore {made.quoted(done['run'])} {shlex.quote(name)}")

    return Shown(done, text)


_WITHOUT = {True: "", False: " It has no optimiser's memory any more: the first iterations from it may be rough."}


def restore(
    run: Run, name: Annotated[str, typer.Argument(metavar="NAME", help="A snapshot, or a save by its number.")]
) -> Shown:
    """Go back to a snapshot. What is there now is kept as a snapshot first."""
    from facewright import api

    done = api.model_restore(run, name)

    def text() -> None:
        if not done["changed"]:
            show.result(f"Nothing to do: iteration {done['iteration']:,} is the current one.")
            return
        show.result(f"Back at iteration {done['iteration']:,}." + _WITHOUT[done["whole"]])
        show.result(f"  what was there (iteration {done['before']:,}) is kept as {done['kept_as']}")
        made.following(f"facewright model restore {made.quoted(done['run'])} {shlex.quote(done['kept_as'])}")

    return Shown(done, text)


def reset(
    run: Run,
    network: Annotated[
        str,
        typer.Argument(metavar="NETWORK", help="inter_AB, inter_B, inter, encoder, decoder, decoder_src ...; a word "
                       "such as inter means all parts that begin with it; all = start over."),
    ],
    seed: Annotated[int | None, typer.Option(help="Seed of its new start. [default the run's]", show_default=False)]
    = None,
    yes: Yes = False,
    as_json: bool = False,
) -> Shown:  # fmt: skip
    """Start one net within a model afresh; all others and the counters stay. `all` starts the whole model over.

    liae: inter_B for a new target, inter_AB for a new source person or when the swap looks like the target. df:
    decoder_src for a new source, decoder_dst for a new target. AMP: inter_src, inter_dst. The current save is kept as
    a snapshot first, so that it can be undone.
    """
    from facewright import api

    parts = "all" if network == "all" else ", ".join(api.model_parts(run, network))
    made.sure(f"Start {parts} of {show.name_of(run)} afresh? What is there is kept as a snapshot.", yes, as_json)
    done = api.model_reset(run, network, seed=seed)

    def text() -> None:
        show.result(f"{parts} of {show.name_of(done['run'])} starts afresh at iteration {done['iteration']:,}.")
        for note in done["notes"]:
            show.result(f"  {note}")
        show.result(f"  what was there is kept as {done['kept_as']}")
        made.following("facewright train ... (the same command goes on)",
                       f"facewright model restore {made.quoted(done['run'])} {shlex.quote(done['kept_as'])}")

    return Shown(done, text)


def rename(run: Run, name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")]) -> Shown:
    """Give a model another name."""
    from facewright import api

    done = api.model_rename(run, name)

    def text() -> None:
        show.result(f"{show.name_of(done['before'])} is now {show.name_of(done['run'])}.")
        _jobs_left(done["waiting"])

    return Shown(done, text)


def copy(
    run: Run, new: Annotated[Path, typer.Argument(metavar="NEW", help="Name beside it, or a path, for the copy.")]
) -> Shown:
    """Copy a model: weights, snapshots, history; to try something, or to begin another from it."""
    from facewright import api

    done = api.model_copy(run, new)
    return Shown(done, lambda: show.result(f"Copied {show.name_of(done['of'])} to {show.name_of(done['run'])}."))


def delete(run: Run) -> Shown:
    """Move a model into the trash."""
    from facewright import api

    done = api.model_delete(run)
    name = Path(done["run"]).resolve().name

    def text() -> None:
        show.result(f"Moved {show.name_of(done['run'])} into the trash ({done['bytes'] / 1e6:.1f} MB).")
        _jobs_left(done["waiting"])
        where = "" if made.in_project(done["run"]) else f" --in {made.quoted(Path(done['run']).resolve().parent)}"
        made.following(f"facewright model trash restore {shlex.quote(name)}{where}",
                       f"facewright model trash empty{where}")

    return Shown(done, text)


def _jobs_left(ids: Sequence[str]) -> None:
    if ids:
        show.result(f"  {made.count(len(ids), 'stopped job')} ({', '.join(i[-6:] for i in ids)}) knew it by its old "
                    "place: do not resume, start with the new name.")


def trash_list(folder: Folder = None) -> Shown:
    """Deleted models, oldest first."""
    from facewright import api

    rows = api.model_trash_list(folder)

    def text() -> None:
        if not rows:
            show.result("The trash is empty.")
            return
        show.table([[r["name"], r["deleted"], f"{r['bytes'] / 1e6:.1f}", r["id"]] for r in rows],
                   ["name", "deleted", "MB", "id"])

    return Shown(rows, text)


def trash_restore(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name, or its id in the trash.")],
    folder: InFolder = None,
    new_name: Annotated[str, typer.Option("--as", metavar="NAME", help="Another name for it.")] = "",
) -> Shown:
    """Take a model out of the trash; of several of one name the one deleted last."""
    from facewright import api

    done = api.model_trash_restore(name, folder=folder, new_name=new_name)
    return Shown(done, lambda: show.result(f"{show.name_of(done['run'])} is back."))


def trash_empty(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this one; left out: all.")] = "",
    folder: InFolder = None,
    yes: Yes = False,
    as_json: bool = False,
) -> Shown:
    """Delete for good what lies in the trash."""
    from facewright import api

    there = [r for r in api.model_trash_list(folder) if name in ("", r["name"], r["id"])]
    if there:
        size = sum(r["bytes"] for r in there) / 1e6
        made.sure(f"Delete {made.count(len(there), 'model')} ({size:.1f} MB) for good?", yes, as_json)
    done = api.model_trash_empty(name, folder=folder)
    said = ", ".join(done["deleted"])
    return Shown(done, lambda: show.result(f"Deleted for good: {said}." if said else "The trash was empty."))


def bundle(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, for example model.zip.")],
    every_save: Annotated[
        bool, typer.Option("--every-save", help="Also saves that are neither the current one nor snapshots.")
    ] = False,
) -> Shown:
    """Put a model into one file: weights, snapshots, settings, history; to move or to keep it.

    Caches, jobs, previews and records of consent stay outside; the records are named in it.
    """
    from facewright import api

    done = api.model_bundle(run, file, every_save=every_save)

    def text() -> None:
        show.result(f"Wrote {show.name_of(done['file'])} ({done['bytes'] / 1e6:.1f} MB, {done['parts']} parts).")
        if done["records"]:
            many = made.count(len(done["records"]), "record")
            show.result(f"  it names {many} of consent, which must be kept where it is used")
        made.following(f"facewright model unbundle {made.quoted(done['file'])} RUN")

    return Shown(done, text)


def unbundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `model bundle` wrote.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the new model, or its name in the project.")],
) -> Shown:
    """Make a model from a bundle. Everything in it is checked before the model appears."""
    from facewright import api

    done = api.model_unbundle(file, run)

    def text() -> None:
        show.result(f"{show.name_of(done['run'])}: {done['net']} {done['shape']}, {done['learned']}, iteration "
                    f"{done['iteration']:,}.")
        for reference in done["missing"]:
            show.result(f"  the record {reference[:19]}... is not kept here: merging and training need it")

    return Shown(done, text)
