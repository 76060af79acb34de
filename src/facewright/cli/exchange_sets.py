"""Commands that exchange faces with other programs: in the group `faces`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background, Person
from facewright.cli.bind import Shown, command, group
from facewright.faceset.settings import FacesExportSettings, FacesImportSettings

_COUNTS = {
    "facts from meta.dat": "took their data from meta.dat",
    "resized since its data were saved": "were resized since then; their data follow",
    "debug pictures left out": "debug pictures were left out",
    "no_frame": "do not say where in their frame they lie: they train, but cannot be merged",
    "points_disagree": "have points in the picture and in the frame that do not fit each other: look at them",
    "came back": "came back from an export of ours, with all that it held",
}


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "import", FacesImportSettings)(take_in)
    command(faces, "export", FacesExportSettings)(hand_out)


def take_in(
    src: Annotated[
        Path, typer.Argument(metavar="SRC", help="DeepFaceLab's folder, faceset.pak or meta.dat; faceswap's .fsa file.")
    ],
    dst: Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of the faceset to fill.")],
    footage: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The film or the folder of frames that the faces were cut from."),
    ] = None,
    person: Annotated[str, typer.Option(help="Name of the person, where the files name none.")] = "",
    consent: Annotated[str, typer.Option(help="Reference, id or name of the consent record of these faces.")] = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Take faces of DeepFaceLab or faceswap in.

    Pictures stay byte for byte, with landmarks, labels, masks and names; nothing in their files is ever run. With
    --footage the faces know their film: merging needs that. A meta.dat beside pictures serves those that lost their
    data; named itself, it counts for all.
    """
    from facewright import api

    with show.Bar(f"import {src.name}", quiet=as_json) as bar:
        done = api.faces_import(src, dst, footage=footage, settings=given or {}, person=person, consent=consent,
                                background=background, on_event=bar.event)

    def text() -> None:
        if "watch with" in done:
            made.summary(done)
            return
        show.result(f"{made.count(done['imported'], 'face')} taken in; {show.name_of(done['faceset'])} holds "
                    f"{done['faces']:,} ({done['face_type']}, {done['side_px']} px).")
        for name in done["already_there"]:
            show.result(f"  {name} was there already.")
        if done["people"]:
            show.result(f"  people: {', '.join(done['people'])}")
        for word, number in done["counts"].items():
            show.result(f"  {number:,} {_COUNTS.get(word, word)}")
        for sentence in done["notes"]:
            show.result(f"  {sentence}")
        if not done["linked"] and done["imported"] > done["counts"].get("came back", 0):
            show.result("  Their film is not known: to merge them, import with --footage.")
        _refused(done["refused"])
        made.following(*made.onward(done), f"facewright faces people link {made.quoted(dst)}")

    return Shown(done, text, _status(done))


def hand_out(
    faceset: Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder, such as data_src/aligned.")],
    person: Person = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Write faces as DeepFaceLab keeps them.

    JPEGs stay byte for byte; what was imported from there goes back as it was, unless it was changed here. A file
    facewright-faces.jsonl says whose consent the faces are under; with it they come back whole.
    """
    from facewright import api

    with show.Bar(f"export {faceset.name}", quiet=as_json) as bar:
        done = api.faces_export(faceset, out, settings=given or {}, person=person, background=background,
                                on_event=bar.event)

    def text() -> None:
        if "watch with" in done:
            made.summary(done)
            return
        place = f"{show.name_of(done['out'])}/{done['pak']}" if done["pak"] else show.name_of(done["out"])
        show.result(f"{made.count(done['exported'], 'face')} in {place}")
        if done["coded_anew"]:
            show.result(f"  {done['coded_anew']:,} pictures were coded once more, at quality 100: DeepFaceLab reads "
                        "neither PNG faces nor JPEGs of that make.")
        if done["smaller_masks"]:
            show.result(f"  {done['smaller_masks']:,} masks were made smaller: a file there holds 65,533 bytes.")
        _refused(done["refused"])

    return Shown(done, text, _status(done))


def _status(done: Mapping[str, Any]) -> int:
    """The exit code of what went on past files that could not be read."""
    return show.EXIT_EXPECTED if done.get("refused") else show.EXIT_DONE


def _refused(rows: list[Any]) -> None:
    for name, why in rows[:10]:
        show.result(f"  passed over: {name}: {why}")
    if len(rows) > 10:
        show.result(f"  and {len(rows) - 10:,} more (--json lists them)")
