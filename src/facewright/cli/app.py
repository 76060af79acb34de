"""The command line: groups put together, errors turned into words and exit codes.

0 done, 2 expected failure, 130 stopped, 70 bug.
"""

from __future__ import annotations

import logging
import os
import sys

import click
import typer

from facewright import __version__
from facewright.cli import jobs, look, show, trust, work
from facewright.core.errors import FacewrightError

app = typer.Typer(
    name="facewright",
    help="Replace a face in film with another, trained on the two people, with consent and provenance built in.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _room in (work, look, trust, jobs):
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
    if isinstance(end, click.exceptions.Exit):
        return end.exit_code
    if isinstance(end, click.ClickException):
        end.show()
        return show.EXIT_EXPECTED
    if (
        isinstance(end, KeyboardInterrupt | click.exceptions.Abort)
        or getattr(end, "exit_status", 0) == show.EXIT_STOPPED
    ):
        show.say(str(end) or "Stopped.")
        return show.EXIT_STOPPED
    if isinstance(end, BrokenPipeError):
        # The reader (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return show.EXIT_DONE
    show.crash(end, as_json=as_json)
    return show.EXIT_BUG
