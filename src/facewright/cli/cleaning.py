"""Commands that clean facesets: in the group `faces`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facewright.cli import made, show
from facewright.cli.bind import Shown, command, group

Faceset = Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset.")]
Faces = Annotated[
    list[str] | None, typer.Argument(metavar="[FACE ...]", help="Faces by their file names.", show_default=False)
]
Flag = Annotated[list[str] | None, typer.Option("--flag", metavar="WORD", help="All faces with this flag.")]
Person = Annotated[str, typer.Option(help="Only the faces of this person, where the faceset shows several.")]
Operation = Annotated[
    str, typer.Argument(metavar="[NAME]", help="Name of an operation in the trash, or its ULID's end.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "park")(park)
    command(faces, "unpark")(unpark)
    command(faces, "tag")(tag)
    trash = group(faces, "trash", "What was taken out of a faceset: it waits here and can come back.")
    command(trash, "list")(trash_list)
    command(trash, "restore")(trash_restore)
    command(trash, "empty")(trash_empty)


def park(faceset: Faceset, faces: Faces = None, flag: Flag = None, person: Person = "") -> Shown:
    """Leave faces out of training without taking them away.

    For target faces that a hand or a thing covers: masks and merging use them as ever. `unpark` undoes it.
    """
    from facewright import api

    done = api.faces_park(faceset, faces or (), flags=flag or (), person=person)

    def text() -> None:
        show.result(f"{made.count(done['faces'], 'face')} of {show.name_of(faceset)} parked ({done['changed']:,} now); "
                    "they stay where they are.")
        made.following(f"facewright faces unpark {made.quoted(faceset)}")

    return Shown(done, text)


def unpark(faceset: Faceset, faces: Faces = None, flag: Flag = None, person: Person = "") -> Shown:
    """Let training see parked faces again; without names and flags all of them."""
    from facewright import api

    done = api.faces_unpark(faceset, faces or (), flags=flag or (), person=person)
    text = f"{made.count(done['changed'], 'face')} of {show.name_of(faceset)} unparked."
    return Shown(done, lambda: show.result(text))


def tag(
    faceset: Faceset,
    word: Annotated[str, typer.Argument(
        metavar="WORD", help="good, misaligned, obstructed, blurry, other-person, cut-off, bad-exposure, or keep.")],
    faces: Faces = None,
    flag: Flag = None,
    person: Person = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away.")] = False,
) -> Shown:
    """Note by hand what faces are.

    `faces clean` leaves alone what is tagged good or keep (a rare pose, worth more than its faults).
    """
    from facewright import api

    done = api.faces_tag(faceset, word, faces or (), flags=flag or (), person=person, remove=remove)
    how = "no longer tagged" if remove else "tagged"
    text = f"{made.count(done['faces'], 'face')} {how} {word} ({done['changed']:,} now)."
    return Shown(done, lambda: show.result(text))


def trash_list(faceset: Faceset, name: Operation = "") -> Shown:
    """What was taken out, oldest first; the last is undone first."""
    from facewright import api

    rows = api.faces_trash_list(faceset, name)

    def text() -> None:
        if not rows:
            show.result("The trash is empty.")
            return
        show.table([[r["why"], f"{r['faces']:,}", f"{r['bytes'] / 1e6:.1f}", r["when"][:19], r["name"]] for r in rows],
                   ["why", "faces", "MB", "when (UTC)", "name"])

    return Shown(rows, text)


def trash_restore(
    faceset: Faceset,
    name: Operation = "",
    face: Annotated[list[str] | None, typer.Option("--face", metavar="FACE", help="Only this face of it.")] = None,
) -> Shown:
    """Bring back what was taken out last, or by the operation named."""
    from facewright import api

    done = api.faces_trash_restore(faceset, name, faces=face or ())

    def text() -> None:
        left = f"; {done['left']:,} stay in the trash" if done["left"] else ""
        show.result(f"{made.count(done['restored'], 'face')} are back in {show.name_of(faceset)}{left}.")

    return Shown(done, text)


def trash_empty(
    faceset: Faceset,
    name: Operation = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: bool = False,
) -> Shown:
    """Delete for good what lies in the trash, or one operation of it. The only command that deletes faces."""
    from facewright import api

    there = api.faces_trash_list(faceset, name)
    if there:
        faces, size = sum(r["faces"] for r in there), sum(r["bytes"] for r in there) / 1e6
        made.sure(f"Delete {made.count(faces, 'face')} ({size:.1f} MB) for good?", yes, as_json)
    done = api.faces_trash_empty(faceset, name)
    text = f"{made.count(done['faces'], 'face')} deleted for good." if done["deleted"] else "The trash was empty."
    return Shown(done, lambda: show.result(text))
