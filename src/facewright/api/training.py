"""The verb `train`: what was asked, what the run was begun with and its recipe become one Step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewright.api.steering import OnEvent, perform
from facewright.core.errors import SettingRefused
from facewright.core.settings import merge as layered
from facewright.core.step import Stop
from facewright.project import here_or_refuse, run_place, stored_settings

if TYPE_CHECKING:
    from facewright.training.settings import TrainSettings
    from facewright.training.stages import Plan, Recipe


def train(
    net: str,
    run: Path | None,
    src: Path | None,
    dst: Path | None,
    *,
    settings: Mapping[str, Any],
    shape: Mapping[str, Any] | None = None,
    recipe: str = "",
    stage: str = "",
    src_person: str = "",
    dst_person: str = "",
    background: bool = False,
    on_event: OnEvent = lambda event: None,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Two facesets -> a run. Layers: default < recipe < project.toml < stored in the RUN < argument.

    A recipe of stages is kept in the run and followed until another one is named; put onto a run that was begun without
    it, it is an argument itself. stage: the stage to begin with. Started by torchrun, all processes but the first only
    learn, what the first one says, and return {}.
    """
    if _follows(background):
        return {}
    from facewright.training.recipes import recipe as recipe_called
    from facewright.training.stages import Recipe
    from facewright.training.swap_step import step_of

    if settings.get("pretrain"):
        settings = {**settings, "pretrain": str(Path(settings["pretrain"]).absolute())}
    run, src, dst = _places(net, run, src, dst, many=bool(settings.get("pretrain")))
    named = recipe_called(recipe) if recipe else Recipe("", "")
    named.serves(net)
    begun = _begun(net, run)
    chosen = named if recipe else begun.recipe()
    goes_on = bool(begun.plan.stages) and chosen.name == begun.plan.recipe
    anew = chosen if recipe and not goes_on else None
    if anew is not None and begun.settings:
        on_event({"kind": "note", "what": "warning", "text": _onto(run, anew, begun.plan)})
    plan = chosen.plan({*settings, *(begun.plan.mine if goes_on else ())}, stage)
    step = step_of(net)(
        str(run),
        str(src or ""),
        str(dst or ""),
        net,
        _values(net, run, begun, chosen, settings, anew=anew is not None),
        shape={**({} if begun.settings else chosen.shape), **(shape or {})},
        src_person=src_person,
        dst_person=dst_person,
        recipe=plan.as_json(),
        said=sorted(settings),
    )
    return perform(step, background=background, on_event=on_event, stop=stop)


def _follows(background: bool) -> bool:
    """Whether this is a process of torchrun's that only learns what the first one says: it has, when this returns.
    Raises SettingRefused."""
    if int(os.environ.get("WORLD_SIZE", 1)) <= 1:
        return False
    if background:
        raise SettingRefused(
            "--background does not go with torchrun.", why="The job would outlive the processes that learn for it.",
            remedy="Leave it out; or use --gpus N without torchrun.", where="--background",
        )  # fmt: skip
    if os.environ.get("RANK", "0") == "0":
        return False
    from facewright.training.follower import follow

    follow()
    return True


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a run was started with the last time: settings, and the recipe that it follows; both empty for a new one."""

    settings: Mapping[str, Any]
    plan: Plan

    def recipe(self) -> Recipe:
        """The recipe that it follows, as far as it is kept."""
        from facewright.training.stages import Recipe

        return Recipe(self.plan.recipe, "", self.plan.where, stages=self.plan.stages)


def _begun(net: str, run: Path) -> _Begun:
    """Raises Mismatch (the run of another net), FileRefused (damaged)."""
    from facewright.models.run_folder import RunFolder, is_run
    from facewright.training import history
    from facewright.training.recipe_file import plan_of

    if is_run(run):
        RunFolder.open(run, net)  # refuses the run of another net, before its settings are taken for ours
    place = run / history.HISTORY
    stored = _of_net(net, history.stored_settings(place))
    stored.pop("pretrain", None)  # each time anew: without it pretraining is left
    return _Begun(stored, plan_of(history.stored_plan(place), place))


def _values(
    net: str, run: Path, begun: _Begun, chosen: Recipe, settings: Mapping[str, Any], *, anew: bool
) -> TrainSettings:
    """The layers of settings as one; anew: the recipe was named, and is put onto the run as an argument is."""
    from facewright.training.original import with_parity
    from facewright.training.settings import settings_class

    project = _of_net(net, stored_settings(run, "train"))
    start = chosen.start() if not begun.settings or (anew and chosen.stages) else {}
    layers = [project, begun.settings, start] if begun.settings else [start, project]
    return layered(settings_class(net), *(with_parity(net, layer) for layer in (*layers, settings)))


def _of_net(net: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that this net's training has."""
    from facewright.training.settings import settings_class

    return {name: value for name, value in values.items() if name in settings_class(net).model_fields}


def _onto(run: Path, chosen: Recipe, kept: Plan) -> str:
    """What naming a recipe means for a run that was begun before without it."""
    left = f" The recipe {kept.recipe} is followed no longer." if kept.stages else ""
    if not chosen.stages:
        return (
            f"{run.name} was begun before: it goes on with its own settings, and --recipe {chosen.name} changes none."
            + left
        )
    return f"The recipe {chosen.name} begins on {run.name} as it is; the shape of its net stays.{left}"


def _places(
    net: str, run: Path | None, src: Path | None, dst: Path | None, many: bool
) -> tuple[Path, Path | None, Path | None]:
    if many and (src or dst) is not None:
        raise SettingRefused(
            "--pretrain takes the place of both people.", remedy="Leave out --src and --dst.", where="--pretrain"
        )
    run = run_place(run) if run is not None else None
    if many:
        return run or here_or_refuse("RUN").run(net), None, None
    if run is not None and src is not None and dst is not None:
        return run, src, dst
    missing = "RUN" if run is None else "--src" if src is None else "--dst"
    if net == "xseg" and run is not None and (src or dst) is not None:
        return run, src, dst  # labels of one side alone will do
    project = here_or_refuse(missing)
    return run or project.run(net), src or project.faces("src"), dst or project.faces("dst")
