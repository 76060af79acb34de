"""Verbs that make something: new, extract, merge, render, demo. Each builds a Step and hands it to jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform
from facewright.api.training import train
from facewright.api.trust import new_project_entry, standing
from facewright.core.errors import FileRefused
from facewright.core.settings import merge as layered
from facewright.project import Project, here_or_refuse, run_place, stored_settings
from facewright.project import new as new_folder


def new(directory: Path) -> Project:
    """Make a project folder and begin its ledger."""
    project = new_folder(directory)
    new_project_entry(project)
    return project


def extractions(paths: Sequence[Path]) -> list[tuple[list[Path], Path]]:
    """(inputs, faceset) pairs: as given, or both sides of the project when nothing is given."""
    if len(paths) == 1:
        raise FileRefused(
            "FACESET is missing.",
            why="The last path is the faceset to fill.",
            remedy="facewright extract INPUT... FACESET",
            where=paths[0],
        )
    if paths:
        if paths[-1].is_file():
            raise FileRefused(
                f"{paths[-1].name} is a file, not a folder for faces.",
                why="The last path is the faceset to fill.",
                remedy="facewright extract INPUT... FACESET",
                where=paths[-1],
            )
        return [(list(paths[:-1]), paths[-1])]
    project = here_or_refuse("INPUT")
    return [(project.footage(side), project.faceset(side)) for side in ("src", "dst")]


def extract(
    inputs: Sequence[Path],
    faceset: Path,
    *,
    settings: Mapping[str, Any],
    person: str = "",
    consent: str = "",
    background: bool = False,
    on_event: OnEvent = lambda event: None,
) -> dict[str, Any]:
    """Faces of films and picture folders -> a faceset."""
    from facewright.faceset.extraction.extract import ExtractStep
    from facewright.faceset.settings import ExtractSettings

    if consent:
        from facewright.api.trust import reference_at

        consent = reference_at(faceset, consent)
    values = layered(ExtractSettings, stored_settings(faceset, "extract"), settings)
    step = ExtractStep([str(p) for p in inputs], str(faceset), values, person=person, consent=consent)
    done = perform(step, background=background, on_event=on_event)
    return done if background else done | {"record": standing(faceset)}


def recipes_list() -> list[dict[str, Any]]:
    """The shipped recipes: name, nets, stages, help."""
    from facewright.training.recipes import names, recipe

    found = [recipe(name) for name in names()]
    return [{"name": r.name, "nets": list(r.nets), "stages": len(r.stages), "help": r.help} for r in found]


def recipes_show(name: str) -> dict[str, Any]:
    """A recipe, shipped or from a file NAME.yaml: shape, settings, stages; checked for each of its nets.

    Raises SettingRefused, FileRefused.
    """
    from facewright.training.recipes import checked, text_of

    found = checked(name)
    return {
        "name": found.name, "help": found.help, "nets": list(found.nets), "shape": dict(found.shape),
        "settings": dict(found.settings), "stages": [s.as_json() | {"ends": s.end_text, "does": s.deeds}
                                                     for s in found.stages],
        "yaml": text_of(name),
    }  # fmt: skip


def _all_given(command: str, paths: Sequence[Path]) -> bool:
    """Whether every path of `command` (its name and its paths' names) is given; False when none is, for a project's
    own. Raises FileRefused: some are."""
    name, *wanted = command.split()
    if paths and len(paths) != len(wanted):
        raise FileRefused(
            f"{name} needs {len(wanted)} paths.",
            why=f"{len(paths)} {'was' if len(paths) == 1 else 'were'} given.",
            remedy=f"facewright {command}, or none of them inside a project.",
            where=paths[-1],
        )
    return bool(paths)


def merge_places(paths: Sequence[Path]) -> tuple[Path, Path, Path, Path]:
    """INPUT FACESET RUN OUT as given, or the project's. Raises FileRefused: some but not all are given."""
    if _all_given("merge INPUT FACESET RUN OUT", paths):
        return paths[0], paths[1], run_place(paths[2]), paths[3]
    project = here_or_refuse("INPUT")
    film = project.footage("dst")[0]
    return film, project.faces("dst"), project.latest_run(), project.merged(film)


def merge(
    source: Path,
    faceset: Path,
    run: Path,
    out: Path,
    *,
    settings: Mapping[str, Any],
    person: str = "",
    background: bool = False,
    on_event: OnEvent = lambda event: None,
) -> dict[str, Any]:
    """Film + its faceset + run -> composed frames in OUT."""
    from facewright.merge.run import MergeStep
    from facewright.merge.settings import MergeSettings

    values = layered(MergeSettings, stored_settings(out, "merge"), settings)
    step = MergeStep(str(source), str(faceset), str(run), str(out), values, person=person)
    done = perform(step, background=background, on_event=on_event)
    return done if background else done | {"input": str(source), "faceset": str(faceset), "run": str(run)}


def render_places(paths: Sequence[Path], audio_from: Path | None) -> tuple[Path, Path, Path | None]:
    """OUT VIDEO and the film whose sound is taken, as given or the project's."""
    if _all_given("render OUT VIDEO", paths):
        return paths[0], paths[1], audio_from
    project = here_or_refuse("OUT")
    film = project.footage("dst")[0]
    merged = project.merged(film)
    return merged, project.film(merged), audio_from or film


def render(
    merged: Path,
    video: Path,
    *,
    audio_from: Path | None,
    settings: Mapping[str, Any],
    background: bool = False,
    on_event: OnEvent = lambda event: None,
) -> dict[str, Any]:
    """Composed frames -> a screened, signed film with sound."""
    from facewright.render.film import RenderStep
    from facewright.render.settings import RenderSettings

    values = layered(RenderSettings, stored_settings(video, "render"), settings)
    step = RenderStep(str(merged), str(video), str(audio_from or ""), values)
    return perform(step, background=background, on_event=on_event)


def demo(out: Path, *, minutes: float = 9.0, seed: int = 0, on_event: OnEvent = lambda event: None) -> Any:
    """The shipped footage through the whole road; returns demo.DemoMade."""
    import time

    from facewright import demo as plan

    clips, seconds, notes = plan.footage(), {}, []
    src, dst, run, merged = (out / n for n in ("faces-source", "faces-target", "model", "merged"))
    film, choice = out / "result.mp4", plan.train_settings(minutes, seed)

    def timed(name: str, verb: Any, *words: Any, **named: Any) -> dict[str, Any]:
        begun = time.monotonic()
        on_event({"kind": "note", "text": plan.words(name, choice)})
        done = verb(*words, on_event=on_event, **named)
        seconds[name] = round(time.monotonic() - begun, 1)
        return done

    timed("faces of the source", extract, [clips.source], src, settings=plan.extract_settings())
    timed("faces of the target", extract, [clips.target], dst, settings=plan.extract_settings())
    recipe = choice.pop("recipe")
    timed("training", train, "saehd", run, src, dst, settings=choice, recipe=recipe)
    timed("merge", merge, clips.target, dst, run, merged, settings={})
    done = timed("film", render, merged, film, audio_from=clips.target, settings={})
    notes += [str(n) for n in done.get("notes", [])]
    if "PREVIEW" in done.get("marks", []):
        notes.append(
            "PREVIEW is burnt into the film: the net of the content check is not on this machine "
            "(`facewright weights fetch nsfwjs`)."
        )
    picture = plan.make_picture(clips, dst, src, merged, out / "result.png")
    return plan.DemoMade(film, picture, src, dst, run, tuple(notes), seconds)
