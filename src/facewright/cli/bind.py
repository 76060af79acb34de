"""A function of plain arguments becomes a command whose options come from settings classes.

The function gets what the user typed for those settings as `given` (a dict without the ones not typed) and
returns a Shown; this file prints it, as text or as the one JSON document.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

import typer

from facewright.cli import show
from facewright.core.settings import Settings, options, to_cli


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer: `data` for --json, `text` prints the same for a person; `status` is the exit code."""

    data: Any
    text: Callable[[], None] = field(default=lambda: None)
    status: int = 0


JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; logs go to stderr.")]


def command(
    app: typer.Typer, name: str, *classes: type[Settings], skip: tuple[str, ...] = (), hidden: bool = False
) -> Callable[[Callable[..., Shown]], Callable[..., None]]:
    """Register a function as command `name`, with one option per knob of `classes` (the first of a name wins)."""

    def wrap(function: Callable[..., Shown]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)
        own = [
            p.replace(annotation=hints[p.name])
            for p in inspect.signature(function).parameters.values()
            if p.name not in {"given", "as_json"}
        ]
        taken = {p.name for p in own} | set(skip)
        extra: list[inspect.Parameter] = []
        for cls in classes:
            knobs = to_cli(cls, skip=tuple(taken))
            taken |= {p.name for p in knobs}
            extra += knobs
        knob_names = [p.name for p in extra]
        wants = set(inspect.signature(function).parameters)

        @functools.wraps(function)
        def run(**values: Any) -> None:
            as_json = values.pop("json")
            given = {k: values.pop(k) for k in knob_names}
            if "given" in wants:
                values["given"] = {k: v for k, v in given.items() if v is not None}
            if "as_json" in wants:
                values["as_json"] = as_json
            shown = function(**values)
            if as_json:
                show.document(shown.data)
            else:
                shown.text()
            if shown.status:
                raise typer.Exit(shown.status)

        json = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JSON)
        own_keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*own_keyword, *extra, json]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(name, hidden=hidden)(run)
        return run

    return wrap


def split(given: dict[str, Any], cls: type[Settings]) -> dict[str, Any]:
    """The part of `given` that belongs to one settings class."""
    names = {o.name for o in options(cls)}
    return {k: v for k, v in given.items() if k in names}


def group(app: typer.Typer, name: str, help: str = "") -> typer.Typer:
    """A sub-command group that shows its help when called bare; the one of that name where several files fill it."""
    for known in app.registered_groups:
        if known.name == name and known.typer_instance is not None:
            return known.typer_instance
    child = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
    )
    app.add_typer(child, name=name, help=help)
    return child
