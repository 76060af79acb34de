"""Commands about masks and labels: the group `mask`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background, Faceset, Person
from facewright.cli.bind import Shown, command, group
from facewright.masks.settings import CheckSettings, ExportSettings, MaskSettings, SuggestSettings, TraceSettings

Replace = Annotated[bool, typer.Option("--replace", help="Also where a face has labels already; those can come back.")]
Number = Annotated[
    int | None,
    typer.Option("--number", "-n", help="How many faces to name [1..2000; default 50]", show_default=False),
]

_ROWS = 40
_WORDS = {
    "missing": "no mask", "empty": "nothing in it", "holes": "holes", "pieces": "loose pieces", "blur": "a soft edge",
    "small": "much smaller than the face", "large": "nearly all of the picture", "jump": "jumps against its track",
}


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    mask = group(app, "mask", "Masks of faces, and the labels that teach them.")
    command(mask, "apply", MaskSettings)(apply)
    command(mask, "remove")(remove)
    command(mask, "restore")(restore)
    command(mask, "check", CheckSettings)(check)
    command(mask, "suggest", SuggestSettings)(suggest)
    command(mask, "to-labels", TraceSettings)(to_labels)
    command(mask, "fetch")(fetch)
    command(mask, "export", ExportSettings)(export)
    labels = group(mask, "labels", "Drawn labels: polygons that include or exclude.")
    command(labels, "import")(labels_import)
    command(labels, "export")(labels_export)
    command(labels, "remove")(labels_remove)
    command(labels, "restore")(labels_restore)


def apply(
    masker: Annotated[
        str,
        typer.Option(
            "--with", metavar="RUN|FILE.onnx|generic|hull|mesh",
            help="A trained XSeg run or its export, the net that comes along, or the outline of landmarks.",
        ),
    ],
    facesets: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FACESET ...]", help="Facesets; left out inside a project: both of it."),
    ] = None,
    person: Person = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Give every face a mask; pictures stay as they are.

    generic: any face, without hands and things before it; look at its masks. hull: jaw to brows, enough for full_face
    and narrower. mesh: chin to forehead. A trained XSeg run: what it learned from labels. Earlier masks come back
    with `mask restore`. Stopped or killed, the same command goes on.
    """
    from facewright import api
    from facewright.project import here_or_refuse

    folders = facesets or here_or_refuse("FACESET").facesets()
    done = []
    for folder in folders:
        with show.Bar(f"mask {folder.name}", quiet=as_json) as bar:
            done.append(api.mask_apply(folder, masker, settings=given or {}, person=person, background=background,
                                       on_event=bar.event))

    def text() -> None:
        for one in done:
            _applied(one)

    return Shown(done if len(done) > 1 else done[0], text, _status(*done))


def _applied(done: Mapping[str, Any]) -> None:
    if "watch with" in done:
        made.summary(done)
        return
    show.result(f"{made.count(done['faces'], 'face')} of {show.name_of(done['faceset'])} masked with {done['masker']}: "
                f"{done['changed']:,} changed" + (f", {done['kept']:,} left as they were" if done["kept"] else ""))
    if done["replaced"]:
        show.result(f"  {made.count(done['replaced'], 'earlier mask')} replaced; `facewright mask restore` brings "
                    "them back.")
    _refused(done["refused"])
    if done["doubtful"]:
        words = ", ".join(f"{_WORDS.get(word, word)} {n:,}" for word, n in done["doubts"].items())
        show.result(f"  {done['doubtful']:,} of them are doubtful ({words})")
        made.following(f"facewright mask check {made.quoted(done['faceset'])} --sheet SHEET.png")


def _status(*done: Mapping[str, Any]) -> int:
    """The exit code of what went on past files that could not be read."""
    return show.EXIT_EXPECTED if any(one.get("refused") for one in done) else show.EXIT_DONE


def _refused(rows: list[Any]) -> None:
    for name, why in rows[:10]:
        show.result(f"  passed over: {name}: {why}")
    if len(rows) > 10:
        show.result(f"  and {len(rows) - 10:,} more (--json lists them)")


def remove(faceset: Faceset, person: Person = "", as_json: bool = False) -> Shown:
    """Take the stored masks away; drawn labels stay.

    Training and merging then use the landmarks' outline. `mask restore` brings the masks back.
    """
    from facewright import api

    with show.Bar("mask remove", quiet=as_json) as bar:
        done = api.mask_remove(faceset, person=person, on_event=bar.event)

    def text() -> None:
        show.result(f"{made.count(done['replaced'], 'mask')} taken out of {show.name_of(faceset)}; labels stay.")
        made.following(f"facewright mask restore {made.quoted(faceset)}")

    return Shown(done, text)


def restore(faceset: Faceset) -> Shown:
    """Bring back the masks that the latest `apply` or `remove` replaced.

    Faces that had none before it have none again. Once more: the ones before those.
    """
    from facewright import api

    done = api.mask_restore(faceset)
    return Shown(done, lambda: show.result(f"Brought back: {made.count(done['restored'], 'face')} as before."))


def check(
    faceset: Faceset,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw the worst 60 on a contact sheet.")
    ] = None,
    person: Person = "",
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """List doubtful masks, worst first.

    Holes, loose pieces, soft edges, masks too small for the face, none at all, and jumps against the frames around.
    Label those (or their like) and train on, or leave the faces out.
    """
    from facewright import api

    with show.Bar("mask check", quiet=as_json) as bar:
        done = api.mask_check(faceset, settings=given or {}, sheet=sheet, person=person, on_event=bar.event)

    def text() -> None:
        by = ", ".join(f"{name or 'not noted'} {n:,}" for name, n in done["made_by"].items())
        show.result(f"{done['doubtful']:,} of {made.count(done['faces'], 'face')} are doubtful; made by: {by}")
        rows = done["rows"][:_ROWS]
        if rows:
            show.table([[r["face_id"], r["origin"], ", ".join(_WORDS.get(w, w) for w in r["reasons"]),
                         f"{100 * r['of_hull']:.0f} %" if "of_hull" in r else "-",
                         f"{r['edge_px']:.1f}" if "edge_px" in r else "-"] for r in rows],
                       ["face", "of", "why", "area of outline", "edge px"])
        if len(done["rows"]) > _ROWS:
            show.result(f"and {len(done['rows']) - _ROWS:,} more (--json lists them)")
        if "sheet" in done:
            show.result(f"sheet: {show.name_of(done['sheet'])}")
        _refused(done["refused"])

    return Shown(done, text, _status(done))


def suggest(
    faceset: Faceset,
    number: Number = None,
    person: Person = "",
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Name the faces to label next, the most useful first.

    Doubtful masks come first, then faces that differ most in turn, light and look from all that are labelled or
    named before. 50 to 200 labels of a set are usual.
    """
    from facewright import api

    settings = {**(given or {}), **({} if number is None else {"number": number})}
    with show.Bar("mask suggest", quiet=as_json) as bar:
        done = api.mask_suggest(faceset, settings=settings, person=person, on_event=bar.event)

    def text() -> None:
        show.result(f"{made.count(done['labelled'], 'face')} labelled so far, {done['looked_at']:,} looked at.")
        show.table([[r["face_id"], r["origin"], f"{r['yaw_deg']:z.0f}", f"{r['pitch_deg']:z.0f}", r["why"]]
                    for r in done["rows"]], ["face", "of", "yaw", "pitch", "why"])

    return Shown(done, text)


def to_labels(
    faceset: Faceset,
    replace: Replace = False,
    person: Person = "",
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Trace the stored masks into polygons that can be edited.

    Faces that have labels keep them unless --replace. `mask labels restore` undoes it.
    """
    from facewright import api

    with show.Bar("mask to-labels", quiet=as_json) as bar:
        done = api.mask_to_labels(faceset, settings=given or {}, replace=replace, person=person, on_event=bar.event)
    text = (f"{made.count(done['labelled'], 'face')} labelled from their masks ({done['nodes']:,} nodes); "
            f"{done['kept']:,} had labels and keep them, {done['empty']:,} masks were empty.")
    return Shown(done, lambda: show.result(text))


def fetch(
    faceset: Faceset,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the copies: a faceset of its own.")],
    person: Person = "",
) -> Shown:
    """Copy the faces that have labels, with all they carry, for sharing.

    Their consent goes with them. Nothing is taken out of FACESET.
    """
    from facewright import api

    done = api.mask_fetch(faceset, out, person=person)
    text = f"{made.count(done['labelled'], 'labelled face')} in {show.name_of(out)} ({done['copied']:,} copied now)."
    return Shown(done, lambda: show.result(text))


def export(
    faceset: Faceset,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder for the pictures.")],
    person: Person = "",
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Write masks as grey PNG pictures named by face: 0 out, 255 in.

    A face without a stored mask gets what its labels draw.
    """
    from facewright import api

    with show.Bar("mask export", quiet=as_json) as bar:
        done = api.mask_export(faceset, out, settings=given or {}, person=person, on_event=bar.event)
    text = (f"{made.count(done['written'], 'picture')} in {show.name_of(out)} ({done['from labels']:,} drawn from "
            f"labels; {made.count(done['without'], 'face')} had neither).")
    return Shown(done, lambda: show.result(text))


def labels_import(
    faceset: Faceset,
    place: Annotated[
        Path, typer.Argument(metavar="FILE", help="A label file (.json), or DeepFaceLab's folder, pak or .jpg.")
    ],
    replace: Replace = False,
) -> Shown:
    """Take labels in for the same faces here.

    A label file names faces by id; DeepFaceLab's are found by frame and landmarks. Other sizes and face types are
    mapped through the frame. Pickles are read by an allow-list alone. `mask labels restore` undoes it.
    """
    from facewright import api

    done = api.mask_labels_import(faceset, place, replace=replace)

    def text() -> None:
        show.result(f"{done['imported']:,} of {made.count(done['found'], 'labelled face')} taken in; "
                    f"{done['kept']:,} had labels and keep them, {len(done['not here']):,} are not in this set.")
        if done["narrower"]:
            show.result(f"  {done['narrower']:,} were drawn on narrower pictures: they end where those ended.")
        _refused(done["refused"])

    return Shown(done, text, _status(done))


def labels_export(
    faceset: Faceset,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="The label file to write.")],
    person: Person = "",
) -> Shown:
    """Write all labels as one JSON file, without pictures."""
    from facewright import api

    done = api.mask_labels_export(faceset, file, person=person)
    text = f"{made.count(done['polygons'], 'polygon')} of {made.count(done['faces'], 'face')} in {show.name_of(file)}"
    return Shown(done, lambda: show.result(text))


def labels_remove(faceset: Faceset, person: Person = "") -> Shown:
    """Take the drawn labels away; stored masks stay.

    `mask labels restore` brings them back.
    """
    from facewright import api

    done = api.mask_labels_remove(faceset, person=person)

    def text() -> None:
        show.result(f"Labels of {made.count(done['removed'], 'face')} taken away; masks stay.")
        made.following(f"facewright mask labels restore {made.quoted(faceset)}")

    return Shown(done, text)


def labels_restore(faceset: Faceset) -> Shown:
    """Bring back the labels that the latest removal, import or tracing replaced.

    Once more: the ones before those. What a restore covers is kept under .facewright/undo as a label file.
    """
    from facewright import api

    done = api.mask_labels_restore(faceset)
    text = f"Brought back: labels of {made.count(done['restored'], 'face')} as before."
    return Shown(done, lambda: show.result(text))
