"""Commands that clean facesets: in the group `faces`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background, Faceset, Person
from facewright.cli.bind import Shown, command, group
from facewright.faceset.cleaning.settings import CleanSettings

Faces = Annotated[
    list[str] | None, typer.Argument(metavar="[FACE ...]", help="Faces by their file names.", show_default=False)
]
Flag = Annotated[list[str] | None, typer.Option("--flag", metavar="WORD", help="All faces with this flag.")]
Operation = Annotated[
    str, typer.Argument(metavar="[NAME]", help="An operation by its name in the trash, or by the end of its number.")
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "clean", CleanSettings)(clean)
    command(faces, "park")(park)
    command(faces, "unpark")(unpark)
    command(faces, "tag")(tag)
    trash = group(faces, "trash", "What was taken out: it waits, and can come back.")
    command(trash, "list")(trash_list)
    command(trash, "restore")(trash_restore)
    command(trash, "empty")(trash_empty)


def clean(
    faceset: Faceset,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it: move faces into the trash, park obstructed ones.")
    ] = False,
    tag: Annotated[bool, typer.Option("--tag", help="Move nothing, write what was found into the faces.")] = False,
    park: Annotated[
        bool, typer.Option("--park", help="Park in place of moving: for the film that gets the new face.")
    ] = False,
    sheets: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw a contact sheet of each category, to look before.")
    ] = None,
    person: Person = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Find bad faces, and say why; --apply takes them out.

    Blurry, badly exposed, cut off, misaligned ones, other people, no faces at all; near-duplicates and the best N when
    asked. Everything goes to the trash, a folder a category (`faces trash restore` undoes it). Obstructed faces are
    parked, never moved. Faces tagged good or keep, and the best of a rare pose, stay.
    """
    from facewright import api

    with show.Bar("clean", quiet=as_json) as bar:
        done = api.faces_clean(faceset, settings=given or {}, person=person, apply=apply, tag=tag, park=park,
                               sheets=sheets, background=background, on_event=bar.event)

    def text() -> None:
        if "watch with" in done:
            made.summary(done)
            return
        if "rows" in done:
            _found(done)
        if "moved" in done:
            _cleaned(faceset, done)
        elif not any(done[deed] for deed in ("move", "park", "stay")):
            show.result("Nothing is wrong with them.")
        elif not apply and not tag:
            same = f"facewright faces clean {made.quoted(faceset)}{made.options(given or {}, person=person, park=park)}"
            made.following(*([] if sheets else [f"{same} --sheets SHEETS"]), f"{same} --apply")

    return Shown(done, text, show.EXIT_EXPECTED if done.get("refused") else show.EXIT_DONE)


def _found(done: Mapping[str, Any]) -> None:
    show.result(f"{made.count(done['faces'], 'face')} looked at in {show.name_of(done['faceset'])}.")
    words = list(dict.fromkeys([*done["move"], *done["park"], *done["stay"]]))
    if words:
        first = {word: next(row for row in done["rows"] if row["category"] == word) for word in words}
        show.table([[word.replace("_", " "), *(f"{done[deed].get(word, 0):,}" for deed in ("move", "park", "stay")),
                     first[word]["why"].partition("; ")[0]] for word in words],
                   ["category", "to the trash", "to park", "stays", "for example"])
    for note in done["notes"]:
        show.result(f"  {note}")
    for path, why in done["refused"][:10]:
        show.result(f"  passed over: {path}: {why}")
    for word, files in done.get("sheets", {}).items():
        show.result(f"  sheet of {word.replace('_', ' ')}: {', '.join(show.name_of(file) for file in files)}")


def _cleaned(faceset: Path, done: Mapping[str, Any]) -> None:
    moved, parked, tagged = (sum(done[name].values()) for name in ("moved", "parked", "tagged"))
    what = [f"{made.count(moved, 'face')} moved into the trash" if moved else "",
            f"{made.count(parked, 'face')} parked" if parked else "",
            f"{made.count(tagged, 'face')} tagged" if tagged else ""]
    show.result(f"{', '.join(filter(None, what)) or 'Nothing to do'}; {done['left']:,} are in {show.name_of(faceset)}.")
    if moved:
        made.following(f"facewright faces trash restore {made.quoted(faceset)}")


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
    """Let training see parked faces again.

    Without names and flags all of them.
    """
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
    face: Annotated[
        list[str] | None, typer.Option("--face", metavar="FACE", help="Only this face of it; repeatable.")
    ] = None,
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
