"""The command line: groups put together, errors turned into words and exit codes.

0 done, 2 expected failure, 130 stopped, 70 bug.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click
import typer
import typer.core

from facewright import __version__
from facewright.cli import (
    cleaning,
    coverage,
    editing,
    exchange_sets,
    jobs,
    look,
    masks,
    models,
    packing,
    people,
    recipes,
    review,
    show,
    sorting,
    trust,
    video,
    work,
)
from facewright.core.errors import FacewrightError, SettingRefused

# Newer releases of Typer carry their own copy of click, whose errors are not those of the package `click`.
_CLICK = (click.ClickException, *(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"))
_EXITS = (click.exceptions.Exit, typer.Exit)
_ABORTS = (KeyboardInterrupt, click.exceptions.Abort, typer.Abort)

_ROAD = (
    "new", "demo", "video", "extract", "faces", "mask", "consent", "train", "recipes", "model", "merge", "render",
    "verify",
)
"""What --help lists first, in the order of the work."""


class _InOrder(typer.core.TyperGroup):
    """The commands in the order of the work, then those that watch and look."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return [name for name in _ROAD if name in names] + [name for name in names if name not in _ROAD]


app = typer.Typer(
    name="facewright",
    cls=_InOrder,
    help="Replace a face in film with another, trained on the two people, with consent and provenance built in.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _room in (
    work, video, recipes, models, look, review, sorting, people, cleaning, coverage, packing,
    editing, exchange_sets, masks, trust, jobs,
):  # fmt: skip
    _room.register(app)


def _version(value: bool) -> None:
    if value:
        show.result(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("FACEWRIGHT_LOG", "WARNING"), format="%(message)s")


def main(words: list[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    words = sys.argv[1:] if words is None else words
    # Two threads of a net that wait for each other by spinning for long burn a busy machine's time (measured: nine
    # tenths of it at load 8); read by the OpenMP library when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    as_json = "--json" in words
    try:
        status = app(args=words, prog_name="facewright", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else show.EXIT_DONE)
    except BaseException as end:  # noqa: BLE001  (the outermost door: words and an exit code for everything)
        sys.exit(_farewell(end, as_json=as_json))


def _farewell(end: BaseException, *, as_json: bool) -> int:
    """Say how a command ended; returns the exit code."""
    if isinstance(end, FacewrightError):
        show.error(end, as_json=as_json)
        return end.exit_status
    if isinstance(end, SystemExit):
        return end.code if isinstance(end.code, int) else show.EXIT_DONE
    if isinstance(end, _EXITS):
        return int(getattr(end, "exit_code", show.EXIT_DONE))
    if isinstance(end, _CLICK):
        return _misspelt(end, as_json=as_json)
    if isinstance(end, _ABORTS) or getattr(end, "exit_status", 0) == show.EXIT_STOPPED:
        return _stopped(end, as_json=as_json)
    if isinstance(end, BrokenPipeError):
        # The reader (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return show.EXIT_DONE
    show.crash(end, as_json=as_json)
    return show.EXIT_BUG


def _misspelt(end: BaseException, *, as_json: bool) -> int:
    """A command line that cannot be understood, in the house's four lines; a group called bare shows its help."""
    context = getattr(end, "ctx", None)
    path = context.command_path if context is not None else "facewright"
    if type(end).__name__ == "NoArgsIsHelpError" and context is not None and not as_json:
        show.say(context.get_help())
        return show.EXIT_EXPECTED
    what = "A command is missing." if type(end).__name__ == "NoArgsIsHelpError" else _sentence(end)
    show.error(SettingRefused(what, remedy=f"Read `{path} --help`.", where=path), as_json=as_json)
    return show.EXIT_EXPECTED


def _sentence(end: BaseException) -> str:
    words = getattr(end, "format_message", lambda: str(end))()
    text = " ".join(str(words).split())
    return text if text.endswith((".", "?", "!")) else text + "."


def _stopped(end: BaseException, *, as_json: bool) -> int:
    """Somebody asked to stop: said to people on stderr, to programs as the one document."""
    words = str(end) or "Stopped."
    if as_json:
        summary = getattr(end, "summary", None)
        show.document({"stopped": summary.as_dict() if summary is not None else {}})
    show.say(words)
    return show.EXIT_STOPPED
