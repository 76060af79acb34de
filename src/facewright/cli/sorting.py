"""Commands that put faces in order: of the group `faces`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Faceset, Person
from facewright.cli.bind import Shown, command, group
from facewright.faceset.sorting.settings import SortSettings


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "sort", SortSettings)(sort)
    command(faces, "orders")(orders)
    command(faces, "restore-names")(restore_names)


def sort(
    faceset: Faceset,
    by: Annotated[str, typer.Option(metavar="ORDER", help="How; `facewright faces orders` lists them.")] = "hist",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    rename: Annotated[
        bool, typer.Option("--rename", help="Also number the files; `faces restore-names` takes that back.")
    ] = False,
    person: Person = "",
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw faces from all over the order.")
    ] = None,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Put the faces in an order: a list with scores.

    It lies in FACESET/orders; no face is moved or taken out (--rename: files are numbered). What was measured is kept:
    a second order of the same faces takes seconds.
    """
    from facewright import api

    with show.Bar(f"sort {faceset.name}", quiet=as_json) as bar:
        done = api.faces_sort(faceset, by, settings=given or {}, reverse=reverse, rename=rename, person=person,
                              sheet=sheet, on_event=bar.event)
    return Shown(done, lambda: _sorted(done), show.EXIT_EXPECTED if done["refused"] else show.EXIT_DONE)


def _sorted(done: Mapping[str, Any]) -> None:
    from facewright.faceset.sorting.sort import readable

    way = " (reversed)" if done["reverse"] else ""
    place = f": {show.name_of(done['file'])}" if done["file"] else ""
    whose = f"{made.count(done['faces'], 'face')} of {show.name_of(done['faceset'])}"
    show.result(f"{whose} by {done['order']}{way}{place}")
    span = (done["scores"].get("0", 0.0), done["scores"].get("1", 0.0))
    if done["scores"]:
        show.result(f"  score: {done['score']}" + (f"; {done['direction']}" if done["direction"] else ""))
        ends = {"0": "lowest", "1": "highest"}
        show.table([["  score up to", *(readable(value, *span) for value in done["scores"].values())]],
                   ["  share of the faces", *(ends.get(q, f"{float(q):.0%}") for q in done["scores"])])
    if done["groups"]:
        sizes = [f"{name or 'nobody named'} {n:,}" for name, n in done["groups"][:8]]
        more = f" and {len(done['groups']) - 8:,} more" if len(done["groups"]) > 8 else ""
        show.result(f"  groups: {', '.join(sizes)}{more}")
    if done["rest"]:
        show.result(f"  the last {done['rest']:,} are set aside by this order")
    for word in ("first", "last"):
        one = done[word][0 if word == "first" else -1]
        score = readable(one["score"], *span)
        show.result(f"  {word}: {one['path']}" + (f"  ({score})" if score else ""))
    if done["renamed"]:
        show.result(f"  {made.count(done['renamed'], 'file')} numbered; "
                    f"`facewright faces restore-names {made.quoted(done['faceset'])}` takes that back.")
    for path in done.get("sheet", []):
        show.result(f"  sheet: {show.name_of(path)}")
    for name, why in done["refused"][:10]:
        show.result(f"  passed over: {name}: {why}")
    if len(done["refused"]) > 10:
        show.result(f"  and {len(done['refused']) - 10:,} more (--json lists them)")


def orders() -> Shown:
    """The orders that faces can be sorted by."""
    from facewright import api

    rows = api.faces_orders()
    return Shown(rows, lambda: show.table([[row["name"], row["help"]] for row in rows], ["order", "meaning"]))


def restore_names(faceset: Faceset) -> Shown:
    """Take back the numbers of `faces sort --rename`."""
    from facewright import api

    done = api.faces_restore_names(faceset)
    return Shown(done, lambda: show.result(f"{made.count(done['renamed'], 'file')} of "
                                           f"{show.name_of(done['faceset'])} have their names back."))
