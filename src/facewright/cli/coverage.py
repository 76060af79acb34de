"""Commands that look at what sets show and where it comes from: in the group `faces`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import show
from facewright.cli.arguments import Faceset
from facewright.cli.bind import Shown, command, group
from facewright.cli.packing import carried


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "coverage")(coverage)
    command(faces, "by-origin")(by_origin)
    command(faces, "compile")(compile_set)


def coverage(
    source: Annotated[
        Path | None, typer.Argument(metavar="[SRC]", help="The source's faceset; left out: both of the project.")
    ] = None,
    target: Annotated[Path | None, typer.Argument(metavar="[DST]", help="The target's, to compare.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="FILE.png", help="Draw it: heat maps, bars, advice.")
    ] = None,
    src_person: Annotated[str, typer.Option(help="Only this person's faces of the source.")] = "",
    dst_person: Annotated[str, typer.Option(help="Only this person's faces of the target.")] = "",
    as_json: bool = False,
) -> Shown:
    """What the source shows, and lacks of the target.

    Poses, expressions, light, and the shapes of the heads. Poses beyond the source's by more than 5 degrees come out
    wrong however long one trains. Poses that the target does not have are no concern. The source's parked faces do
    not count.
    """
    from facewright import api
    from facewright.project import here_or_refuse

    if source is None:
        source, target = (*here_or_refuse("SRC").facesets(), None)[:2]
    with show.Bar("coverage", quiet=as_json) as bar:
        done = api.faces_coverage(source, target, source_person=src_person, target_person=dst_person,
                                  map_file=map_file, on_event=bar.event)

    def text() -> None:
        _sets([one for one in (done["source"], done["target"]) if one is not None])
        if done["compared"]:
            _lacking(done["compared"])
        for one in done["advice"]:
            show.result(f"{one['kind']}: {one['text']}")
        if map_file:
            show.result(f"map: {show.name_of(map_file)}")

    return Shown(done, text)


def _sets(sets: Sequence[Mapping[str, Any]]) -> None:
    def row(word: str, of: Any) -> list[str]:
        return [word, *(str(of(one)) for one in sets)]

    def shares(key: str) -> Any:
        return lambda one: ", ".join(
            f"{word.removeprefix(key + ' ').removeprefix('lit ')} {100 * n / one['faces']:.0f} %"
            for word, n in one[key].items())

    def gaze(one: Mapping[str, Any]) -> str:
        known = sum(one["gaze"].values())
        words = (f"{word.removeprefix('eyes ')} {100 * n / known:.0f} %" for word, n in one["gaze"].items() if known)
        return ", ".join(words) + (f" (of {known:,} that tell)" if 0 < known < one["faces"] else "") or "not known"

    def span(key: str) -> Any:
        return lambda one: f"{round(one[key][0])} to {round(one[key][1])}"

    def head(one: Mapping[str, Any]) -> str:
        known = [f"{word} {v:.2f}" for word, v in one["proportions"].items() if v is not None]
        return ", ".join(known) or "not seen from ahead"

    show.table([
        row("faces", lambda one: f"{one['faces']:,}" + (f" (and {one['parked']:,} parked)" if one["parked"] else "")),
        row("turn, degrees", span("yaw_deg")), row("nod, degrees", span("pitch_deg")),
        row("mouth", shares("mouth")), row("eyes", shares("eyes")), row("eyes look", gaze), row("lit", shares("light")),
        row("crop in its frame", lambda one: f"{one['size_px']['0.1']:.0f} to {one['size_px']['0.9']:.0f} px"),
        row("blurry, covered, badly exposed",
            lambda one: ", ".join(f"{one[word]:,}" for word in ("blurry", "obstructed", "bad_exposure"))),
        row("head, in distances of the eyes", head),
    ], ["", *(one["name"] for one in sets)])


def _lacking(compared: Mapping[str, Any]) -> None:
    rows = [[f"{one['yaw_deg'][0]} to {one['yaw_deg'][1]}", f"{one['pitch_deg'][0]} to {one['pitch_deg'][1]}",
             f"{one['faces']:,} of {one['of']:,}"] for one in compared["poses"][:12]]
    if rows:
        show.result("Poses of the target that the source hardly shows:")
        show.table(rows, ["turn", "nod", "faces beyond reach"])
    if len(compared["poses"]) > 12:
        show.result(f"and {len(compared['poses']) - 12} more (--json lists them)")


def by_origin(faceset: Faceset) -> Shown:
    """List the films, folders and shots that faces come from.

    `faces compile` makes a new set of some of them.
    """
    from facewright import api

    rows = api.faces_by_origin(faceset)

    def text() -> None:
        show.table([[r["film"], r["shot"], f"{r['faces']:,}", f"{r['first_frame']} to {r['last_frame']}",
                     f"{r['sharpness']:.0f}", f"{r['parked']:,}",
                     ", ".join(f"{name or 'nobody named'} ({n:,})" for name, n in r["people"].items())] for r in rows],
                   ["film", "shot", "faces", "frames", "sharpness", "parked", "people"])

    return Shown(rows, text)


def compile_set(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new set; faces are added where it is there.")],
    facesets: Annotated[list[Path], typer.Argument(metavar="FACESET ...", help="Sets to choose from.")],
    film: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only faces of this film (its name, or the beginning of "
                                       "its digest); repeatable.")
    ] = None,
    person: Annotated[str, typer.Option(help="Only faces of this person.")] = "",
    flag: Annotated[
        list[str] | None, typer.Option(metavar="WORD", help="Only faces that carry this flag (`faces info` counts "
                                       "them); repeatable.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="NAME=LOW..HIGH", help="Only faces in this range: yaw_deg=-30..30, "
                                       "shot=2; repeatable.")
    ] = None,
    as_json: bool = False,
) -> Shown:
    """Make a set of chosen faces of others.

    By film, person, flag, pose, size.
    Faces are copied with all they carry; each keeps its record of consent. Options of one kind add up, different kinds
    must all hold.
    """
    from facewright import api

    with show.Bar("compile", quiet=as_json) as bar:
        done = api.faces_compile(out, facesets, films=film or (), person=person, flags=flag or (), where=where or (),
                                 on_event=bar.event)
    return Shown(done, lambda: carried(done), show.EXIT_EXPECTED if done["refused"] else show.EXIT_DONE)
