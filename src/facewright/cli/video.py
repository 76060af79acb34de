"""Commands about footage before faces are looked for: the group `video`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background
from facewright.cli.bind import Shown, command, group
from facewright.core.errors import FileRefused
from facewright.media.settings import CutSettings, DenoiseSettings, FramesSettings, GradeSettings, ShotSettings

Film = Annotated[Path, typer.Argument(metavar="FILM", help="A film.")]
Source = Annotated[Path, typer.Argument(metavar="INPUT", help="A film, or a folder of pictures.")]
Made = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="A new folder for pictures; or a new film, when it ends in .mkv, .mov or .mp4."),
]

_ROWS = 60


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    video = group(app, "video", "Films before their faces: facts, pieces, shots, frames, grading.")
    command(video, "info")(info)
    command(video, "cut", CutSettings)(cut)
    command(video, "scenes", ShotSettings)(scenes)
    command(video, "extract", FramesSettings)(extract)
    command(video, "denoise", DenoiseSettings)(denoise)
    command(video, "grade", GradeSettings)(grade)


def info(
    paths: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Films or folders of pictures.")],
) -> Shown:
    """What a film is: size, rate, length, colour, sound.

    And what is odd about it. Frames are counted and times read from the file itself; its header is not believed.
    """
    from facewright import api

    rows = api.video_info(paths)

    def text() -> None:
        for row in rows:
            _info(row)

    return Shown(rows if len(rows) > 1 else rows[0], text)


def _info(row: Mapping[str, Any]) -> None:
    colour, rate = row["colour"], f"{row['rate_hz']:g} frames a second"
    exact = f" ({row['rate']})" if "/" in row["rate"] else ""
    facts = {
        "file": show.name_of(row["file"]),
        "picture": f"{row['width_px']}x{row['height_px']}, {row['bit_depth']} bit, {row['codec']}",
        "frames": f"{row['frames']:,}, {show.seconds(row['duration_s'])} ({row['duration_s']:.3f} s)",
        "rate": f"varies, {rate} in the mean" if row["variable_rate"] else rate + exact,
        "colour": f"{colour['matrix']}, {colour['range']} range, primaries {colour['primaries']}, "
                  f"transfer {colour['transfer']}",
    }
    if row["kind"] == "stills" and row["time_base"] == "1/25":
        facts["rate"] = "pictures; 25 a second where a film is made of them"
    if row["rotation_deg"]:
        facts["turned"] = f"by {row['rotation_deg']} degrees when shown; the size is the upright one"
    if row["pixel_aspect"] != "1":
        facts["pixels"] = f"{row['pixel_aspect']} as wide as high"
    if row["timecode"]:
        facts["time code"] = row["timecode"]
    for track in row["audio"]:
        language = f", {track['language']}" if track["language"] else ""
        facts[f"sound {track['track']}"] = (
            f"{track['codec']}, {track['rate_hz']:,} Hz, {made.count(track['channels'], 'channel')}{language}"
        )
    if not row["audio"]:
        facts["sound"] = "none"
    show.facts(facts)
    for note in row["notes"]:
        show.result(f"note     {note}")


def cut(
    film: Film,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new film; several ranges: its name with -1, -2 ...")],
    ranges: Annotated[
        list[str],
        typer.Argument(metavar="A-B...", help="Ranges, as 62.5-70 or 00:01:02.500-00:01:10; without B to the end."),
    ],
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Never encode: begin at the key frame at or before A; a little more comes along."),
    ] = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Cut pieces out of a film, exact to the frame.

    A piece that begins with a key frame is taken over as it is, without loss; any other is encoded anew. What was
    really cut is said.
    """
    from facewright import api

    with show.Bar(f"cut {film.name}", quiet=as_json) as bar:
        rows = api.video_cut(film, out, ranges, settings=given or {}, copy=copy, on_event=bar.event)

    def text() -> None:
        for row in rows:
            how = "taken over as it is" if row["copied"] else "encoded anew"
            show.result(
                f"{show.name_of(row['out'])}: {row['start_s']:.3f} s to {row['end_s']:.3f} s, "
                f"frames {row['first']:,} to {row['stop'] - 1:,}, {how}"
                + ("" if row["exact"] else f"; asked for {row['asked_start_s']:.3f} s")
            )
            for note in row["notes"]:
                show.result(f"  note: {note}")

    return Shown(rows if len(rows) > 1 else rows[0], text)


def scenes(
    film: Film,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the middle of each scene here.")] = None,
    export: Annotated[
        str, typer.Option(metavar="3,5-7", help="Give out the frames of these scenes (or: all) into --out.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where --export makes a folder for each scene.")
    ] = None,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Where one shot ends and the next begins.

    Hard cuts and fades through black are found; pans and flashes are left whole. Exported frames are named after the
    film and the scene.
    """
    from facewright import api

    with show.Bar(f"scenes of {film.name}", quiet=as_json) as bar:
        found = api.video_scenes(film, settings=given or {}, sheet=sheet, export=export, out=out, on_event=bar.event)

    def text() -> None:
        rows = [
            [s["scene"], s["start"], s["end"], f"{s['frames']:,}", f"{s['first_frame']:,}"] for s in found["scenes"]
        ]
        show.table(rows[:_ROWS], ["scene", "from", "to", "frames", "first frame"])
        if len(rows) > _ROWS:
            show.result(f"and {len(rows) - _ROWS:,} more (--json lists them)")
        for page in found.get("sheet", []):
            show.result(f"sheet  {show.name_of(page)}")
        if "export" in found:
            _prepared(found["export"])

    return Shown(found, text)


def extract(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT... OUT", help="Films, and last the folder that gets a folder for each."),
    ],
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Give out frames of films as pictures.

    Each film gets a folder of its own: OUT/NAME/NAME_0000012.png is frame 12 of the film NAME. A frames.json beside
    them keeps their times: facewright reads such a folder like the film. Stopped or killed, the same command goes
    on.
    """
    from facewright import api

    if len(paths) < 2:
        raise FileRefused(
            "OUT is missing.", why="The last path is the folder for the pictures.",
            remedy="facewright video extract INPUT... OUT", where=paths[0],
        )
    with show.Bar("frames", quiet=as_json) as bar:
        done = api.video_extract(paths[:-1], paths[-1], settings=given or {}, background=background, on_event=bar.event)
    return Shown(done, lambda: _prepared(done))


def denoise(
    source: Source, out: Made, background: Background = False, as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Take noise out of footage, so that landmarks are calmer.

    Too much makes skin look like wax: compare a frame before and after. Stopped or killed, the same command goes on.
    """
    from facewright import api

    with show.Bar(f"denoise {source.name}", quiet=as_json) as bar:
        done = api.video_denoise(source, out, settings=given or {}, background=background, on_event=bar.event)
    return Shown(done, lambda: _prepared(done))


def grade(
    source: Source, out: Made, background: Background = False, as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Change light and colour of footage.

    Before faces are looked for: brightness, contrast, gamma, saturation. The input stays; go on with OUT in its place.
    """
    from facewright import api

    with show.Bar(f"grade {source.name}", quiet=as_json) as bar:
        done = api.video_grade(source, out, settings=given or {}, background=background, on_event=bar.event)
    return Shown(done, lambda: _prepared(done))


def _prepared(done: Mapping[str, Any]) -> None:
    if "watch with" in done:
        made.summary(done)
        return
    for part in done["parts"]:
        there = " (there already)" if part["already_there"] else ""
        show.result(f"{made.count(part['frames'], 'frame')} in {show.name_of(part['out'])}{there}")
        if part["damaged"]:
            show.result(f"  {made.count(len(part['damaged']), 'frame')} could not be read (--json lists them)")
        for note in part.get("notes", []):
            show.result(f"  note: {note}")
    folders = [part["out"] for part in done["parts"]]
    if len(folders) <= 3:
        made.following("facewright extract " + " ".join(made.quoted(one) for one in folders) + " FACESET")
