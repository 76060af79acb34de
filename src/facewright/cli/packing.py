"""Commands that carry facesets about: pack, unpack, check, copy, move, merge (group `faces`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background, Faceset
from facewright.cli.bind import Shown, command, group
from facewright.faceset.settings import ChoiceSettings, PackSettings, UnpackSettings

Either = Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset, or a packed one.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="A faceset, or a new or empty folder.")]

_ROWS = 10


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "pack", PackSettings)(pack)
    command(faces, "unpack", UnpackSettings)(unpack)
    command(faces, "check")(check)
    command(faces, "copy", ChoiceSettings)(copy)
    command(faces, "move", ChoiceSettings)(move)
    command(faces, "merge", ChoiceSettings)(merge)


def pack(
    faceset: Faceset,
    file: Annotated[Path, typer.Argument(metavar="FILE.faces", help="The file to make.")],
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Put a faceset into one file; nothing is taken out of it.

    A plain zip with a checksum for every face. Train and merge read it as it is. Masks, labels, decisions and orders
    are in it; vectors that identify a person never. Killed, the same command goes on.
    """
    from facewright import api

    with show.Bar("faces pack", quiet=as_json) as bar:
        done = api.faces_pack(faceset, file, settings=given or {}, background=background, on_event=bar.event)

    def text() -> None:
        if _begun(done):
            return
        held = "was there already" if done["already there"] else "is made"
        show.result(f"{show.name_of(file)} {held}: {made.count(done['faces'], 'face')}, {done['bytes'] / 1e6:,.1f} MB")
        _listed("left out, it is damaged", done["left out"])
        made.following(f"facewright faces check {made.quoted(file)}")

    return Shown(done, text, _status(done, "left out"))


def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE.faces", help="A packed faceset.")],
    out: Out,
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Make a folder of a packed faceset again; the file stays.

    Every face is checked against its checksum. A damaged file gives up all that is whole with --salvage.
    """
    from facewright import api

    with show.Bar("faces unpack", quiet=as_json) as bar:
        done = api.faces_unpack(file, out, settings=given or {}, background=background, on_event=bar.event)

    def text() -> None:
        if not _begun(done):
            show.result(f"{made.count(done['faces'], 'face')} in {show.name_of(out)}.")
            _listed("lost", done["damaged"])
            made.following(f"facewright faces info {made.quoted(out)}")

    return Shown(done, text, _status(done, "damaged"))


def check(faceset: Either, as_json: bool = False) -> Shown:
    """Is every face whole? Reads them all to their end.

    Exit code 2 when one is not. A packed faceset is compared with its checksums.
    """
    from facewright import api

    with show.Bar("faces check", quiet=as_json) as bar:
        done = api.faces_check(faceset, on_event=bar.event)

    def text() -> None:
        number = len(done["damaged"])
        show.result(f"{made.count(done['looked_at'], 'file')} of {show.name_of(faceset)} looked at: "
                    + (f"{number:,} damaged" if number else "all whole"))
        _listed("damaged", done["damaged"])

    return Shown(done, text, _status(done, "damaged"))


def copy(
    faceset: Either, out: Out, background: Background = False, as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Copy chosen faces (or all) into another faceset.

    Files go byte for byte, with masks, labels and consent. A face that OUT has already is there once: the one that was
    edited or labelled stays, else the larger.
    """
    from facewright import api

    with show.Bar("faces copy", quiet=as_json) as bar:
        done = api.faces_copy(faceset, out, settings=given or {}, background=background, on_event=bar.event)
    return Shown(done, lambda: carried(done), _status(done, "refused"))


def move(
    faceset: Faceset, out: Out, background: Background = False, as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Move chosen faces (or all) into another faceset.

    Copied, compared, and only then put into FACESET's trash, from which they can be brought back.
    """
    from facewright import api

    with show.Bar("faces move", quiet=as_json) as bar:
        done = api.faces_move(faceset, out, settings=given or {}, background=background, on_event=bar.event)
    return Shown(done, lambda: carried(done), _status(done, "refused"))


def merge(
    out: Out,
    facesets: Annotated[list[Path], typer.Argument(metavar="FACESET ...", help="Facesets, folders or packed.")],
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Put several facesets into one; they stay as they are.

    Each face keeps its own record of consent and its name.
    """
    from facewright import api

    with show.Bar("faces merge", quiet=as_json) as bar:
        done = api.faces_merge(out, facesets, settings=given or {}, background=background, on_event=bar.event)
    return Shown(done, lambda: carried(done), _status(done, "refused"))


def carried(done: Mapping[str, Any]) -> None:
    """What became of faces that were copied or moved, however they were chosen."""
    if _begun(done):
        return
    word = "moved" if done["moved"] else "copied"
    show.result(f"{made.count(done['copied'], 'face')} {word} into {show.name_of(done['faceset'])}, which holds "
                f"{done['faces']:,} now; {done['already there']:,} were there already.")
    for one in done["sets"] if len(done["sets"]) > 1 else ():
        show.result(f"  {show.name_of(one['faceset'])}: {made.count(one['chosen'], 'face')}, {one['new']:,} copied now")
    if done["moved"]:
        show.result(f"  {made.count(done['moved'], 'original')} in the trash of {show.name_of(done['from'][0])}.")
    if done["replaced"]:
        show.result(f"  {len(done['replaced']):,} gave way to a better copy and are in its trash.")
    if done["kept"]:
        show.result(f"  {len(done['kept']):,} were left: the same face is there, no worse (--json lists them).")
    if len(done["face_types"]) > 1:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in done["face_types"].items())
        show.result(f"  It holds several face types now ({kinds}): a net is trained on one.")
    for note in done["notes"]:
        show.result(f"  {note}")
    _listed("passed over", done["refused"])
    back = [f"facewright faces trash restore {made.quoted(done['from'][0])}"] if done["moved"] else []
    several = len(done["from"]) > 1
    made.following(f"facewright faces {'people' if several else 'info'} {made.quoted(done['faceset'])}", *back)


def _begun(done: Mapping[str, Any]) -> bool:
    if "watch with" in done:
        made.summary(done)
        return True
    return False


def _status(done: Mapping[str, Any], key: str) -> int:
    return show.EXIT_EXPECTED if done.get(key) else show.EXIT_DONE


def _listed(what: str, rows: list[Any]) -> None:
    for name, why in rows[:_ROWS]:
        show.result(f"  {what}: {name}: {why}")
    if len(rows) > _ROWS:
        show.result(f"  and {len(rows) - _ROWS:,} more (--json lists them)")
