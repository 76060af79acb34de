"""Commands that make something: new, extract, train, merge, render, demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.arguments import Background
from facewright.cli.bind import Shown, command, group, split
from facewright.core.errors import SettingRefused
from facewright.faceset.settings import ExtractSettings
from facewright.merge.settings import MergeSettings
from facewright.models.settings import SHAPES
from facewright.render.settings import RenderSettings
from facewright.training.settings import TRAIN_SETTINGS

Person = Annotated[str, typer.Option(help="Name of the person whose faces count, where a faceset holds several.")]
Stage = Annotated[str, typer.Option(help="Stage of the recipe to begin with. [default the first, or where it was]")]
Plan = Annotated[
    bool,
    typer.Option("--plan", help="Only measure iterations on made-up faces: seconds, memory, largest batch, hours."),
]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "new")(new)
    command(app, "demo")(demo)
    command(app, "extract", ExtractSettings)(extract)
    train = group(app, "train", "Train a model on facesets.")
    for net in _NETS:
        command(train, net, TRAIN_SETTINGS[net], SHAPES[net])(trainer(net))
    command(app, "merge", MergeSettings)(merge)
    command(app, "render", RenderSettings)(render)


def new(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new project.")]) -> Shown:
    """Make a project folder, in which paths may be left out."""
    from facewright import api

    project = api.new(directory)
    return Shown(
        {"project": str(project.root), "name": project.name},
        lambda: show.result(
            f"Made the project {project.name} in {project.root}.\nNext: put films into footage/src and footage/dst, "
            "run `facewright extract` inside the folder, then record consent with `facewright consent new`."
        ),
    )


def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the result.")] = Path("demo"),
    minutes: Annotated[
        float, typer.Option(help="Wall-clock minutes for training. [0.2..600; default 9]", show_default=False)
    ] = 9.0,
    seed: Annotated[int, typer.Option(help="Seed of the training. [default 0]", show_default=False)] = 0,
    as_json: bool = False,
) -> Shown:
    """The whole road on two synthetic people from the package.

    Faces, training, merge, and a signed film with a picture of the result; asks nothing.
    """
    from facewright import api

    if not 0.2 <= minutes <= 600:
        raise SettingRefused("--minutes is out of range.", remedy="Allowed: 0.2..600; default 9.", where="--minutes")
    with show.Bar("demo", quiet=as_json) as bar:
        done = api.demo(out, minutes=minutes, seed=seed, on_event=bar.event)
    return Shown(done.as_dict(), lambda: _demo_text(done))


def _demo_text(done: Any) -> None:
    show.result(f"film     {show.name_of(done.film)}")
    show.result(f"picture  {show.name_of(done.picture)}")
    for line in done.notes:
        show.result(f"note     {line}")
    show.result("Next:    facewright verify " + show.name_of(done.film))
    show.result("         facewright new MYFILM    (your own footage, with a record of consent)")


def extract(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="INPUT... FACESET", help="Films or folders of pictures, and last the faceset to fill."),
    ] = None,
    person: Annotated[
        str,
        typer.Option(
            metavar="NAME|PICTURE|FACESET[:NAME]",
            help="Keep this person alone, others go to the trash: by a picture of them, another faceset, or a name "
            "that this faceset lists. A new name is written into every face (films of one person).",
        ),
    ] = "",
    consent: Annotated[str, typer.Option(help="Reference, id or name of the consent record of these faces.")] = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Find the faces of films or pictures; keep them as a faceset.

    A faceset is a folder of upright face pictures with landmarks, pose and origin inside. Inside a project,
    without paths: both sides of footage/ into facesets/. Run again, it does only what is missing.
    """
    from facewright import api

    jobs = api.extractions(paths or [])
    done = [
        _lasting(
            f"extract {target.name}",
            as_json,
            lambda on, i=inputs, t=target: api.extract(
                i, t, settings=given or {}, person=person, consent=consent, background=background, on_event=on
            ),
        )
        for inputs, target in jobs
    ]
    return Shown(done if len(done) > 1 else done[0], lambda: made.summaries(done))


_NETS = {
    "saehd": "The adjustable net: DF or LIAE kind, 64 to 640 px.",
    "amp": "One decoder for both people: how much of the source shows is chosen when merging (--morph).",
    "quick96": "The small fixed net: 96 px, nothing to choose.",
    "xseg": "A net that draws masks, from labelled faces of one or both facesets.",
}
"""Net -> the first line of its training command's help."""


_RECIPES = {
    "saehd": "quick (minutes), hour, one-day, standard, rtm ...",
    "amp": "standard.",
    "quick96": "original alone.",
    "xseg": "masks (an hour or two of one's own labels).",
}
_SIDES = {"xseg": ("A faceset with labelled or masked faces; one of the two will do.", "Another one.")}


def trainer(net: str) -> Callable[..., Shown]:
    """The command that trains `net`."""

    def train(
        run: Annotated[
            Path | None, typer.Argument(metavar="RUN", help="Folder of the model, or its name in the project.")
        ] = None,
        src: Path | None = None,
        dst: Path | None = None,
        src_person: Person = "",
        dst_person: Person = "",
        recipe: str = "",
        stage: Stage = "",
        plan: Plan = False,
        background: Background = False,
        as_json: bool = False,
        given: dict[str, Any] | None = None,
    ) -> Shown:
        from facewright import api

        shape = split(given or {}, SHAPES[net])
        settings = {k: v for k, v in (given or {}).items() if k not in shape}
        if plan:
            told = api.train_plan(net, run, settings=settings, shape=shape, recipe=recipe)
            return Shown(told, lambda: made.outlook(told))
        done = _lasting(
            "train",
            as_json,
            lambda on: api.train(
                net,
                run,
                src,
                dst,
                settings=settings,
                shape=shape,
                recipe=recipe,
                stage=stage,
                src_person=src_person,
                dst_person=dst_person,
                background=background,
                on_event=on,
            ),
        )
        if not done:
            raise typer.Exit  # a process that learned beside the first one, which speaks
        return Shown(done, lambda: made.summary(done))

    train.__doc__ = f"""{_NETS[net]}

    Trains until --iterations or --minutes are reached, else until you stop it (Ctrl-C saves). The same
    command goes on. Inside a project the paths may be left out: runs/{net}, facesets/src, facesets/dst.
    """
    suited = f"Values and stages for a purpose (`facewright recipes list`): {_RECIPES[net]} [default original]"
    sides = _SIDES.get(net, ("Faces of the person put in.", "Faces of the person replaced."))
    told = {name: typer.Option(metavar="FACESET", help=text) for name, text in zip(("src", "dst"), sides)}
    # A string of the signature could not name what differs from net to net.
    train.__annotations__ |= {name: Annotated[Path | None, option] for name, option in told.items()}
    train.__annotations__["recipe"] = Annotated[str, typer.Option(metavar="NAME|FILE.yaml", help=suited)]
    return train


def merge(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="INPUT FACESET RUN OUT", help="The film, its faceset, the model, the output folder."),
    ] = None,
    person: Person = "",
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Put the model's faces into the frames of a film.

    Frames without a face of that person pass unchanged and are counted. Inside a project the paths may be
    left out: the film in footage/dst and the run trained last.
    """
    from facewright import api

    places = api.merge_places(paths or [])
    done = _lasting(
        "merge",
        as_json,
        lambda on: api.merge(*places, settings=given or {}, person=person, background=background, on_event=on),
    )
    return Shown(done, lambda: made.summary(done))


def render(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="OUT VIDEO", help="The merge's folder, and the film to write.")
    ] = None,
    audio_from: Annotated[Path | None, typer.Option(metavar="INPUT", help="Film whose sound is taken.")] = None,
    background: Background = False,
    as_json: bool = False,
    given: dict[str, Any] | None = None,
) -> Shown:
    """Make the film: sound, content check, signature.

    Inside a project the paths may be left out: films/NAME.mp4 with the sound of the film in footage/dst.
    """
    from facewright import api

    merged, video, sound = api.render_places(paths or [], audio_from)
    done = _lasting(
        "render",
        as_json,
        lambda on: api.render(
            merged, video, audio_from=sound, settings=given or {}, background=background, on_event=on
        ),
    )
    return Shown(done, lambda: made.summary(done))


def _lasting(label: str, as_json: bool, work: Any) -> dict[str, Any]:
    with show.Bar(label, quiet=as_json) as bar:
        return work(bar.event)
