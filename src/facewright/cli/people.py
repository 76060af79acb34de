"""Commands about people and tracks: the group `faces people`, `faces smooth`, `faces gaps`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from facewright.cli import made, show
from facewright.cli.arguments import Background, Faceset, Footage, Person
from facewright.cli.bind import Shown, command, group
from facewright.cli.packing import carried
from facewright.faceset.settings import GapSettings, SmoothSettings

Name = Annotated[str, typer.Argument(metavar="NAME", help="A person, as `faces people FACESET` lists them.")]


class _ListsWhenBare(typer.core.TyperGroup):
    """`faces people FACESET` means `faces people list FACESET`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = not args or args[0].startswith("-") or args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["list", *args])


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    faces = group(app, "faces")
    command(faces, "smooth", SmoothSettings)(smooth)
    command(faces, "gaps", GapSettings)(gaps)
    people = typer.Typer(cls=_ListsWhenBare, no_args_is_help=True, rich_markup_mode=None,
                         pretty_exceptions_enable=False, add_completion=False)
    faces.add_typer(people, name="people", help="Who is who: list, name, merge, split, move out.")
    command(people, "list")(listed)
    command(people, "tracks")(tracks)
    command(people, "sheet")(sheet)
    command(people, "rename")(rename)
    command(people, "merge")(merge)
    command(people, "split")(split)
    command(people, "cut")(cut)
    command(people, "move-out")(move_out)
    command(people, "link")(link)


def listed(faceset: Faceset) -> Shown:
    """List everybody in a faceset.

    `faces people FACESET` says the same.
    A star: named, merged or split by a user, and left so by later extractions. Inside a shot a head is one track.
    """
    from facewright import api

    found = api.faces_people(faceset)
    return Shown(found, lambda: _people(found, faceset))


def _people(found: Mapping[str, Any], faceset: Path) -> None:
    rows = found["people"]
    show.table(
        [[(one["name"] or "(nobody)") + ("*" if one["settled"] else ""), f"{one['faces']:,}", f"{one['share']:.0%}",
          f"{one['tracks']:,}", _films(one["films"]), one["sample"]] for one in rows],
        ["person", "faces", "share", "tracks", "films", "a good face"])
    if faceset.is_file():  # packed: nobody in it can be named
        made.following(f"facewright faces people sheet {made.quoted(faceset)} PEOPLE.png")
    elif any(not one["name"] for one in rows):
        made.following(f"facewright faces people link {made.quoted(faceset)}")
    elif unnamed := [one["name"] for one in rows if not one["settled"]]:
        made.following(f"facewright faces people sheet {made.quoted(faceset)} PEOPLE.png",
                       f"facewright faces people rename {made.quoted(faceset)} {shlex.quote(unnamed[0])} NAME")


def _films(films: Mapping[str, int]) -> str:
    names = sorted(films, key=lambda name: -films[name])
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def tracks(faceset: Faceset, name: Name) -> Shown:
    """List the tracks of a person: film, shot, frames, faces.

    A track that shows somebody else: `faces people split`.
    """
    from facewright import api

    rows = api.faces_people_tracks(faceset, name)

    def text() -> None:
        show.table([[r["track"], r["film"], str(r["shot"]), f"{r['first_frame']}-{r['last_frame']}", f"{r['faces']:,}",
                     str(len(r["parts"]))] for r in rows], ["track", "film", "shot", "frames", "faces", "parts"])

    return Shown(rows, text)


def sheet(
    faceset: Faceset,
    out: Annotated[Path, typer.Argument(metavar="FILE.png", help="The picture to write; more pages lie beside it.")],
    person: Annotated[str, typer.Option(help="A row for each track of this person instead.")] = "",
    across: Annotated[int, typer.Option(min=1, max=24, help="Faces in a row.")] = 8,
) -> Shown:
    """Draw faces of everybody, spread over their tracks.

    A row for each; those with few faces share one.
    """
    from facewright import api

    pages = api.faces_people_sheet(faceset, out, person=person, across=across)
    return Shown({"pages": pages}, lambda: show.result("Drawn: " + ", ".join(show.name_of(page) for page in pages)))


def rename(
    faceset: Faceset, name: Name, new: Annotated[str, typer.Argument(metavar="NEW", help="The name from now on.")],
) -> Shown:
    """Give a person a name. Later extractions keep it."""
    from facewright import api

    done = api.faces_people_rename(faceset, name, new)
    return Shown(done, lambda: show.result(f"{name} is {new} now: {made.count(done['faces'], 'face')}."))


def merge(
    faceset: Faceset,
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME ...", help="Who is one; the first name stays.")],
) -> Shown:
    """Several people are one and the same.

    Heads in one picture are told apart by themselves (mirrors, split screens); merged by hand, they are all replaced.
    """
    from facewright import api

    done = api.faces_people_merge(faceset, names)
    return Shown(done, lambda: show.result(
        f"{', '.join(done['merged'])} went into {done['name']}: {made.count(done['faces'], 'face')}."))


def split(
    faceset: Faceset, name: Name,
    which: Annotated[
        list[str], typer.Argument(metavar="TRACK ...", help="Tracks (or parts of one) that show somebody else.")
    ],
    into: Annotated[str, typer.Option(metavar="NAME", help="Whose they are; left out: a new person.")] = "",
) -> Shown:
    """Say that tracks of a person show somebody else.

    Said once, it holds for the whole track and stays.
    """
    from facewright import api

    done = api.faces_people_split(faceset, name, which, into=into)
    return Shown(done, lambda: show.result(
        f"{made.count(done['faces'], 'face')} of {name} are {done['name']}'s now."))


def cut(
    faceset: Faceset,
    track: Annotated[str, typer.Argument(metavar="TRACK", help="As `faces people tracks` lists it.")],
    frame: Annotated[int, typer.Argument(metavar="FRAME", help="The first frame that shows the other head.")],
) -> Shown:
    """A track went over from one head to another: make it two. `split` then says whose the second is."""
    from facewright import api

    done = api.faces_people_cut(faceset, track, frame)

    def text() -> None:
        show.result(f"{made.count(done['faces'], 'face')} from frame {frame} on are the track {done['new']} now.")
        made.following(f"facewright faces people split {made.quoted(faceset)} NAME {done['new']}")

    return Shown(done, text)


def move_out(
    faceset: Faceset, name: Name,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Their faceset: a new folder, or one to add to.")],
    as_json: bool = False,
) -> Shown:
    """Give a person a faceset of their own. Here their faces lie in the trash then and can come back."""
    from facewright import api

    with show.Bar("move out", quiet=as_json) as bar:
        done = api.faces_people_move_out(faceset, name, out, on_event=bar.event)
    return Shown(done, lambda: carried(done), show.EXIT_EXPECTED if done["refused"] else show.EXIT_DONE)


def link(faceset: Faceset) -> Shown:
    """Find tracks and people anew.

    After an import, or when faces came back from the trash.
    What was named, merged or split by hand stays as it is.
    """
    from facewright import api

    found = api.faces_people_link(faceset)
    return Shown(found, lambda: _people(found, faceset))


def smooth(
    faceset: Faceset,
    person: Person = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Steady the landmarks of films over time.

    The new face does not tremble then, and nothing lags. Within a shot, by the frames before and after. Blinks and
    speech keep their height; single wrong points are left out; points set by hand stay and count as true. Measured
    points are kept: --strength 0 brings them back.
    """
    from facewright import api

    with show.Bar(f"smooth {faceset.name}", quiet=as_json) as bar:
        done = api.faces_smooth(faceset, settings=given or {}, person=person, background=background,
                                on_event=bar.event)
    return Shown(done, lambda: _smoothed(done), show.EXIT_EXPECTED if done.get("refused") else show.EXIT_DONE)


def _smoothed(done: Mapping[str, Any]) -> None:
    if "watch with" in done:
        made.summary(done)
        return
    show.result(f"{made.count(done['smoothed'], 'face')} of {done['faces']:,} in {show.name_of(done['faceset'])} have "
                f"smoothed points (strength {done['strength']:g}): {done['changed']:,} changed.")
    if done["strength"] and done["faces"] and not done["smoothed"]:
        show.result("  Nothing to steady: photos, or frames too far apart. It takes every frame of a film: extract "
                    "without --fps.")
    elif done["jitter_before"] is not None:
        wrong = f"; wrong points left out in {made.count(done['rejected'], 'face')}" if done["rejected"] else ""
        show.result(f"  {made.count(done['tracks'], 'track')}; trembling {done['jitter_before']:.2f} -> "
                    f"{done['jitter_after']:.2f} % of the distance of the eyes{wrong}")
    for path, why in done["refused"][:10]:
        show.result(f"  passed over: {path}: {why}")
    if done["smoothed"]:
        made.following(f"facewright faces gaps {made.quoted(done['faceset'])} --dry-run",
                       f"{made.look_at(done['faceset'])} --landmarks")


def gaps(
    faceset: Faceset,
    person: Annotated[str, typer.Option(help="Only the tracks of this person.")] = "",
    footage: Footage = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the gaps.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take all proposed faces out, into the trash.")] = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Propose faces where a head was missed inside a shot.

    So that the old face never shows through. Landmarks go from the frames before to those behind; the picture is cut
    from the film. Such faces are flagged "interpolated": `faces review` asks about them, merging replaces them,
    training leaves them out (parked) until they are accepted.
    """
    from facewright import api

    if remove:
        gone = api.faces_gaps_remove(faceset, person=person)
        return Shown(gone, lambda: show.result(
            f"{made.count(gone['removed'], 'proposed face')} taken out of {show.name_of(faceset)}."))
    with show.Bar(f"gaps {faceset.name}", quiet=as_json) as bar:
        done = api.faces_gaps(faceset, settings=given or {}, person=person, footage=footage or (),
                              dry_run=dry_run, on_event=bar.event)
    return Shown(done, lambda: _gaps(done, faceset))


def _gaps(done: Mapping[str, Any], faceset: Path) -> None:
    if "rows" in done and not done["rows"]:
        show.result(f"No gaps in the tracks of {show.name_of(faceset)} that may be filled (--up-to: the longest).")
        return
    if "rows" in done:
        show.table([[r["film"], f"{r['first_frame']}-{r['last_frame']}", str(r["frames"]), r["track"]]
                    for r in done["rows"]], ["film", "frames", "missing", "track"])
        return
    own = (f", {done['borrowed']:,} with a neighbour's picture (say where the film lies: --footage)"
           if done["borrowed"] else "")
    show.result(f"{made.count(done['proposed'], 'face')} proposed in {made.count(done['gaps'], 'gap')}{own}.")
    if done["proposed"]:
        made.following(f"facewright faces review {made.quoted(faceset)} --state doubtful --sheet GAPS.png")
