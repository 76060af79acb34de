"""Commands of the review queue, in the group `faces`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background, Faceset, Film, Flag, Footage, Person
from facewright.cli.bind import Shown, command, group
from facewright.faceset.settings import AgainSettings

Frames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FRAME ...]", help="Frame numbers (7), ranges (120-130), every so many (0-300/25); photos "
                   "by their names ('beach 2.jpg')."),
]

_ROWS = 40


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "review")(review)
    command(faces, "accept")(accept)
    command(faces, "skip")(skip)
    command(faces, "place")(place)
    command(faces, "again", AgainSettings)(again)
    command(faces, "undo")(undo)
    command(faces, "redo")(redo)
    command(faces, "sheet")(sheet)
    command(faces, "debug")(debug)


def review(
    faceset: Faceset,
    state: Annotated[
        str,
        typer.Option(metavar="STATE", help="no-face, doubtful, several, accepted, skipped, damaged; open (the first "
                     "two), unaccepted (frames without an accepted face) or all."),
    ] = "open",
    film: Film = "",
    person: Person = "",
    after: Annotated[int, typer.Option(metavar="FRAME", help="Only frames behind this one.")] = -1,
    number: Annotated[int, typer.Option("--number", "-n", min=0, help="At most so many frames; 0 = all.")] = 0,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw these frames on contact sheets.")
    ] = None,
    footage: Footage = None,
    as_json: bool = False,
) -> Shown:
    """List the frames that need a look, and why.

    Every frame has a state; --state says which are listed.

    The next doubtful frame behind frame 120: --state doubtful --after 120 -n 1. Sheets show the frames themselves where
    the film is at hand, else the crops.
    """
    from facewright import api

    with show.Bar("faces review", quiet=as_json) as bar:
        done = api.faces_review(faceset, state=state, film=film, person=person, after=after, limit=number, sheet=sheet,
                                footage=footage or (), on_event=bar.event)

    def text() -> None:
        from facewright.faceset.review.reasons import WORDS

        for name, counts in done["films"].items():
            words = ", ".join(f"{word.replace('_', ' ')} {n:,}" for word, n in counts.items())
            show.result(f"{name}: {made.count(sum(counts.values()), 'frame')}: {words}")
        runs = list(_runs(done["rows"]))
        several, photos = len(done["films"]) > 1, any(r["picture"] for r, _ in runs)
        if runs:
            show.table(
                [[*([r["film"]] if several else []), *([r["picture"] or "-"] if photos else []),
                  f"{r['frame']}-{last}" if last > r["frame"] else r["frame"],
                  "-" if r["time_s"] is None else f"{r['time_s']:.2f}", r["state"].replace("_", " "), len(r["faces"]),
                  ", ".join(WORDS.get(w, w) for w in r["reasons"])] for r, last in runs[:_ROWS]],
                [*(["film"] if several else []), *(["picture"] if photos else []), "frame", "seconds", "state", "faces",
                 "why"])
        if len(runs) > _ROWS:
            left = sum(last - r["frame"] + 1 for r, last in runs[_ROWS:])
            show.result(f"and {made.count(left, 'frame')} more (--json lists them)")
        _sheets(done)
        _next_of_review(done, faceset, film, sheet)
        if done["decisions_lost"]:
            show.result(f"{made.count(done['decisions_lost'], 'line')} of review.jsonl damaged and passed over")
        for name, why in done["refused"][:10]:
            show.result(f"  passed over: {name}: {why}")

    return Shown(done, text)


def _runs(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Frames that follow each other and are alike in all but their number: the first of them, and the last's number."""
    def like(row: Mapping[str, Any], at: int) -> tuple[Any, ...]:
        return row["film"], row["picture"], row["state"], row["reasons"], len(row["faces"]), row["frame"] - at

    for _, group_ in groupby(enumerate(rows), key=lambda pair: like(pair[1], pair[0])):
        alike = [row for _, row in group_]
        yield alike[0], alike[-1]["frame"]


def _next_of_review(done: Mapping[str, Any], faceset: Path, film: str, sheet: Path | None) -> None:
    """What one does with frames that wait."""
    waiting = {row["state"]: row["film"] for row in reversed(done["rows"])}
    hints = []
    if not sheet and waiting.keys() & {"doubtful", "several", "no_face"}:
        hints = [("review", " --sheet LOOK.png", film)]
    for state in ("doubtful", "several"):
        if state in waiting:
            hints.append(("accept", f" --all-{state}", film))
    if "no_face" in waiting:
        one = film or (waiting["no_face"] if len(done["films"]) > 1 else "")  # a second look is at one film
        hints.append(("again", " --state no-face --orientations all", one))
    made.following(*(f"facewright faces {verb} {made.quoted(faceset)}{made.options({}, film=which)}{rest}"
                     for verb, rest, which in hints))


def accept(
    faceset: Faceset,
    frames: Frames = None,
    film: Film = "",
    all_doubtful: Annotated[bool, typer.Option("--all-doubtful", help="Every doubtful frame.")] = False,
    all_several: Annotated[bool, typer.Option("--all-several", help="Every frame with several faces.")] = False,
) -> Shown:
    """Say that the faces of these frames are right as they are.

    It holds through later extractions; only a face that comes new to a frame opens it again. Faces that `faces gaps`
    proposed come into use (they were parked). `faces undo` takes it back.
    """
    from facewright import api

    done = api.faces_accept(faceset, frames or [], film=film, all_doubtful=all_doubtful, all_several=all_several)

    def text() -> None:
        show.result(f"Accepted: {made.count(done['frames'], 'frame')} with {made.count(done['faces'], 'face')}.")
        if done["unparked"]:
            show.result(f"  {made.count(done['unparked'], 'face')} put in between neighbours parked no more.")
        if done["without_face"]:
            show.result(f"  {made.count(len(done['without_face']), 'frame')} without a face left as they are.")

    return Shown(done, text)


def skip(
    faceset: Faceset,
    frames: Frames = None,
    film: Film = "",
    all_no_face: Annotated[bool, typer.Option("--all-no-face", help="Every frame without a face.")] = False,
) -> Shown:
    """Ask about these frames no more.

    Faces that they have stay and are used as ever. `faces undo` takes it back.
    """
    from facewright import api

    done = api.faces_skip(faceset, frames or [], film=film, all_no_face=all_no_face)
    return Shown(done, lambda: show.result(f"Skipped: {made.count(done['frames'], 'frame')}."))


def place(
    faceset: Faceset,
    frame: Annotated[int, typer.Argument(metavar="FRAME", min=0, help="Number of the frame.")],
    points: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="68 points in iBUG order, 5 (eyes, nose, mouth corners) or 3 (eyes, "
                     "mouth), in frame pixels."),
    ] = None,
    rect: Annotated[
        str | None, typer.Option(metavar="X0,Y0,X1,Y1", help="Let the landmark net look in this rectangle.")
    ] = None,
    face: Annotated[
        str, typer.Option(metavar="FACE", help="Move the points of this face, by its id, instead of adding one.")
    ] = "",
    film: Film = "",
    footage: Footage = None,
    person: Annotated[str, typer.Option(help="Whose face it is; left out: that of the track it continues.")] = "",
    looks: Annotated[
        int, typer.Option(min=1, max=12, help="How often the net looks again until the points settle; 1 = quick.")
    ] = 4,
    force: Annotated[
        bool, typer.Option("--force", help="Where the net sees no face, fill the rectangle with a neutral head.")
    ] = False,
) -> Shown:
    """Put a face into a frame by hand, or correct one.

    For example `faces place FACESET 57 --rect 210,80,330,240`: the landmark net looks there. Points may lie on a face
    that is no human's (its mask must then be drawn). No later extraction changes such a face; `faces undo` takes it
    back. A new face needs the film; one that is there keeps its crop without.
    """
    from facewright import api

    done = api.faces_place(faceset, frame, points=points, rect=rect, face=face, film=film, footage=footage or (),
                           person=person, looks=looks, force=force)

    def text() -> None:
        word = "Placed" if done["added"] else "Moved"
        show.result(f"{word}: {done['face_id']} in frame {done['frame']} of {done['film']} "
                    f"(yaw {done['yaw_deg']:z.0f}, pitch {done['pitch_deg']:z.0f}, "
                    f"roll {done['roll_deg']:z.0f} degrees).")
        if not done["crop_cut"]:
            show.result("  Its film is not at hand: the crop stays as it was (--footage PATH cuts it anew).")

    return Shown(done, text)


def again(
    faceset: Faceset,
    frames: Frames = None,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="All frames of a state instead: no-face, doubtful, unaccepted ...")
    ] = "",
    film: Film = "",
    footage: Footage = None,
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Look again at chosen frames, with other settings.

    What is not given is as in the extraction: `faces again FACESET 57 120-130 --orientations all`. Faces placed or
    moved by hand stay. Where nothing is found, what was there stays. Replaced faces lie in the trash; `faces undo`
    takes the whole look back. Stopped or killed, the same command goes on.
    """
    from facewright import api

    with show.Bar(f"again {faceset.name}", quiet=as_json) as bar:
        done = api.faces_again(faceset, frames or [], settings=given or {}, state=state, film=film,
                               footage=footage or (), background=background, on_event=bar.event)

    def text() -> None:
        if "watch with" in done:
            made.summary(done)
            return
        looked = f"{made.count(done['frames'], 'frame')} of {done['film']}"
        show.result(f"{made.count(done['new'], 'new face')} in {looked}; {done['replaced']:,} replaced, "
                    f"{done['unchanged']:,} as before, {done['by_hand']:,} by hand.")
        if done["without_face"]:
            show.result(f"  {made.count(len(done['without_face']), 'frame')} still without a face.")

    return Shown(done, text)


def undo(faceset: Faceset) -> Shown:
    """Take back the latest accept, skip, place or again.

    With its files; what was undone can be done again (`faces redo`).
    """
    from facewright import api

    done = api.faces_undo(faceset)
    return Shown(done, lambda: show.result(
        f"Undone: {done['undo']} of {made.count(done['frames'], 'frame')}; {done['left']:,} more can be undone."))


def redo(faceset: Faceset) -> Shown:
    """Do again what `faces undo` took back last."""
    from facewright import api

    done = api.faces_redo(faceset)
    return Shown(done, lambda: show.result(
        f"Done again: {done['redo']} of {made.count(done['frames'], 'frame')}; {done['left']:,} more can be."))


def sheet(
    faceset: Faceset,
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="The first page; OUT-2.png and so on follow.")],
    order: Annotated[
        str, typer.Option(metavar="ORDER", help="As sorted before (`faces sort`); left out: by film and frame.")
    ] = "",
    person: Person = "",
    flag: Flag = "",
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Draw landmarks, mask edges and the way up.")] = False,
    number: Annotated[
        int, typer.Option("--number", "-n", min=0, help="At most so many, spread evenly over the set; 0 = all.")
    ] = 0,
    side: Annotated[int, typer.Option(min=48, max=512, help="Width of a face on the sheet, px.")] = 160,
    as_json: bool = False,
) -> Shown:
    """Draw the aligned faces on contact sheets."""
    from facewright import api

    with show.Bar("faces sheet", quiet=as_json) as bar:
        done = api.faces_sheet(faceset, out, order=order, person=person, flag=flag, landmarks=landmarks,
                               limit=number, side_px=side, on_event=bar.event)

    def text() -> None:
        show.result(made.count(done["faces"], "face"))
        _sheets(done)

    return Shown(done, text)


def debug(
    faceset: Faceset,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the pictures, outside of the faceset.")],
    person: Person = "",
    flag: Flag = "",
    frames: Annotated[bool, typer.Option("--frames", help="Whole frames, where the film is at hand.")] = False,
    film: Film = "",
    footage: Footage = None,
    as_json: bool = False,
) -> Shown:
    """Write pictures of faces with what is known drawn in.

    Landmarks, mask edge, and an arrow toward the top of the head. They go into a folder of their own: nothing in the
    faceset changes, and nothing there can be taken for a face.
    """
    from facewright import api

    with show.Bar("faces debug", quiet=as_json) as bar:
        done = api.faces_debug(faceset, out, person=person, flag=flag, frames=frames, film=film,
                               footage=footage or (), on_event=bar.event)

    def text() -> None:
        show.result(f"{made.count(done['written'], 'picture')} in {show.name_of(out)}")
        for name, why in done["refused"][:10]:
            show.result(f"  passed over: {name}: {why}")

    return Shown(done, text)


def _sheets(done: Mapping[str, Any]) -> None:
    for path in (done.get("sheets") or [])[:3]:
        show.result(f"sheet: {show.name_of(path)}")
    if len(done.get("sheets") or []) > 3:
        show.result(f"and {len(done['sheets']) - 3} more pages beside it")
