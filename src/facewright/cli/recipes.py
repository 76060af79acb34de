"""Commands about recipes: which there are, and what each stage of one does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from facewright.cli import show
from facewright.cli.bind import Shown, command, group

Name = Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe, or a file of your own, NAME.yaml.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    recipes = group(app, "recipes", "Stages of training as data: what `train --recipe` follows.")
    command(recipes, "list")(recipes_list)
    command(recipes, "show")(recipes_show)


def recipes_list() -> Shown:
    """The shipped recipes."""
    from facewright import api

    rows = api.recipes_list()
    cells = [[r["name"], ", ".join(r["nets"]) or "all", str(r["stages"] or "-"), r["help"]] for r in rows]
    return Shown(rows, lambda: show.table(cells, ["name", "nets", "stages", "what for"]))


def recipes_show(
    name: Name,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the file: the beginning of one of your own.")] = False,
) -> Shown:
    """A recipe's stages before a training follows them: what each changes, does, and when it ends.

    A file of your own is checked as training would: unknown keys, ranges, what a net cannot do.
    """
    from facewright import api

    found = api.recipes_show(name)
    return Shown(found, lambda: show.result(found["yaml"].rstrip()) if yaml else _shown(found))


def _shown(recipe: Mapping[str, Any]) -> None:
    nets = " and ".join(recipe["nets"]) or "every net"
    show.result(f"{recipe['name']}: {recipe['help']} (for {nets})")
    for title in ("shape", "settings"):
        if recipe[title]:
            show.result(f"{title}: {_values(recipe[title])}")
    for number, stage in enumerate(recipe["stages"], 1):
        show.result(f"\n{number}. {stage['name']}: ends {stage['ends']}")
        lines = [stage.get("why", ""), _values(stage.get("settings", {})), "; ".join(stage["does"])]
        for line in filter(None, lines):
            show.result(f"   {line}")


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
