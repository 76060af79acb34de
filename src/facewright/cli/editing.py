"""Commands that give faces other pictures: in the group `faces`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background, Footage
from facewright.cli.bind import Shown, command, group
from facewright.faceset.editing.settings import (
    CollageSettings,
    EnhanceSettings,
    ReplaceSettings,
    ResizeSettings,
    RestoreSettings,
)

Faceset = Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset; it stays as it is.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new faceset.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "resize", ResizeSettings)(resize)
    command(faces, "enhance", EnhanceSettings)(enhance)
    command(faces, "roundtrip")(roundtrip)
    collage = group(faces, "collage", "Many faces on a few pages for other tools, and back.")
    command(collage, "out", CollageSettings)(collage_out)
    command(collage, "in", ReplaceSettings)(collage_in)
    metadata = group(faces, "metadata", "What face files carry beside pixels, kept and restored.")
    command(metadata, "save")(metadata_save)
    command(metadata, "restore", RestoreSettings)(metadata_restore)


def resize(
    faceset: Faceset,
    out: Out,
    footage: Footage = None,
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Make a new set at another size or of another face type.

    Cut anew from the frames where the films are at hand, so nothing is lost; else from the old pictures, which may
    neither grow nor show more than they hold unless --invent allows it. Labels and masks move along.
    """
    from facewright import api

    with show.Bar("faces resize", quiet=as_json) as bar:
        done = api.faces_resize(faceset, out, settings=given or {}, footage=footage or (), background=background,
                                on_event=bar.event)

    def more() -> None:
        show.result(f"  {done['from frames']:,} from their frames, {done['from crops']:,} from the old pictures")

    return _made(done, more)


def enhance(
    faceset: Faceset,
    out: Out,
    enhancer: Annotated[
        str, typer.Option("--with", metavar="NAME|FILE.onnx", help="What enhances: `detail` brings out what is there; "
                          "or a net of your own, RGB in 0..1.")
    ] = "detail",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Make a new set of enhanced faces.

    How far each drifted from whom it showed is said. Nets that restore faces invent detail: profiles, teeth, eyes and
    motion blur suffer first. Look before you train.
    """
    from facewright import api

    with show.Bar("faces enhance", quiet=as_json) as bar:
        done = api.faces_enhance(faceset, out, enhancer=enhancer, settings=given or {}, background=background,
                                 on_event=bar.event)

    return _made(done, lambda: _drift(done.get("identity")))


def roundtrip(
    faceset: Faceset,
    out: Out,
    command: Annotated[
        str, typer.Option(metavar="WORDS", help="The program's command line; {in} and {out} stand for the folders of "
                          "PNG pictures that it reads and writes.")
    ],
    as_json: bool = False,
) -> Shown:
    """Give all faces to a program and take them back.

    Names must stay; sizes may change. Pictures that come back cropped are refused, turned ones are turned back.
    """
    from facewright import api

    with show.Bar("faces roundtrip", quiet=as_json) as bar:
        done = api.faces_roundtrip(faceset, out, command, on_event=bar.event)

    def more() -> None:
        _missing(done)
        _drift(done["identity"])

    return _made(done, more)


def collage_out(
    faceset: Faceset,
    pages: Annotated[Path, typer.Argument(metavar="PAGES", help="New folder for the pages.")],
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Lay the faces out on large PNG pages.

    Work on the pages with any tool, scale them evenly if you like, keep names and collage.json; then `collage in`.
    """
    from facewright import api

    with show.Bar("faces collage", quiet=as_json) as bar:
        done = api.faces_collage_out(faceset, pages, settings=given or {}, on_event=bar.event)

    def text() -> None:
        show.result(f"{made.count(done['faces'], 'face')} on {made.count(done['pages'], 'page')} of "
                    f"{done['size_px'][0]} x {done['size_px'][1]} px in {show.name_of(pages)}")
        made.following(f"facewright faces collage in {made.quoted(pages)} {made.quoted(faceset)} OUT")

    return Shown(done, text)


def collage_in(
    pages: Annotated[Path, typer.Argument(metavar="PAGES", help="Folder of the pages, with collage.json.")],
    faceset: Faceset,
    out: Out,
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Cut worked-on pages back into a new set.

    At whatever size they came back.
    """
    from facewright import api

    with show.Bar("faces collage", quiet=as_json) as bar:
        done = api.faces_collage_in(pages, faceset, out, settings=given or {}, background=background,
                                    on_event=bar.event)
    return _made(done, lambda: _drift(done.get("identity")))


def metadata_save(
    faceset: Faceset,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, such as FACESET.meta.gz.")],
) -> Shown:
    """Keep what all face files carry in one file.

    Landmarks, labels, masks, origin: before an outside editor rewrites the pictures and drops what they carry.
    """
    from facewright import api

    done = api.faces_metadata_save(faceset, file)
    return Shown(done, lambda: show.result(f"The metadata of {made.count(done['faces'], 'face')} is in {done['file']}"))


def metadata_restore(
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="Folder that the editor wrote to.")],
    known: Annotated[
        Path, typer.Argument(metavar="FILE|FACESET", help="What `metadata save` wrote, or the set they came from.")
    ],
    out: Out,
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Make edited pictures a faceset again.

    Each is known by its name or, where that is lost, by what it shows. Sizes may differ; turned and mirrored pictures
    are turned back; cropped ones are refused.
    """
    from facewright import api

    with show.Bar("faces restore", quiet=as_json) as bar:
        done = api.faces_metadata_restore(pictures, known, out, settings=given or {}, background=background,
                                          on_event=bar.event)
    return _made(done, lambda: _missing(done))


def _made(done: Mapping[str, Any], more: Any = lambda: None) -> Shown:
    def text() -> None:
        if "watch with" in done:
            made.summary(done)
            return
        show.result(f"{made.count(done['faces'], 'face')} in {show.name_of(done['faceset'])}")
        more()
        for name, why in done["refused"][:10]:
            show.result(f"  passed over: {name}: {why}")
        if len(done["refused"]) > 10:
            show.result(f"  and {len(done['refused']) - 10:,} more (--json lists them)")
        if done["faces"]:
            made.following(made.look_at(done["faceset"]))

    return Shown(done, text, show.EXIT_EXPECTED if done.get("refused") else show.EXIT_DONE)


def _drift(identity: Any) -> None:
    if not isinstance(identity, Mapping):
        if identity:
            show.result(f"  identity: {identity}")
        return
    show.result(f"  identity: median cosine {identity['median']:.3f} to before, lowest 5 % "
                f"{identity['lowest 5 %']:.3f} ({identity['compared']:,} compared)")
    for name, cosine in identity["drifted"][:5]:
        show.result(f"  drifted: {name}: {cosine:.2f}; look whether it is still the same person")
    if len(identity["drifted"]) > 5:
        show.result(f"  and {len(identity['drifted']) - 5:,} more below {identity['limit']} (--json lists them)")


def _missing(done: Mapping[str, Any]) -> None:
    if done["not there"]:
        show.result(f"  {made.count(len(done['not there']), 'face')} did not come back (--json lists them)")
    if done["shown twice"]:
        show.result(f"  {made.count(done['shown twice'], 'picture')} of a face that another one shows as well: "
                    "counts once")
    turned = done["flags"].get("turned_back", 0)
    if turned:
        show.result(f"  {made.count(turned, 'picture')} turned back")
