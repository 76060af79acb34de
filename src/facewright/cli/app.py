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
    except FacewrightError as problem:
        show.error(problem, as_json=as_json)
        sys.exit(problem.exit_status)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as misuse:
        misuse.show()
        sys.exit(show.EXIT_EXPECTED)
    except (KeyboardInterrupt, click.exceptions.Abort):
        show.say("Stopped.")
        sys.exit(show.EXIT_STOPPED)
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(show.EXIT_DONE)
    except Exception as bug:  # noqa: BLE001  (the outermost door: everything else is a bug, and is reported)
        show.crash(bug, as_json=as_json)
        sys.exit(show.EXIT_BUG)
