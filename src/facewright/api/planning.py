"""What a training will take, before it is begun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewright.core.settings import check
from facewright.core.settings import merge as layered
from facewright.project import run_place, stored_settings


def train_plan(
    net: str, run: Path | None = None, *, settings: Mapping[str, Any], shape: Mapping[str, Any] | None = None,
    recipe: str = "",
) -> dict[str, Any]:
    """Learn a few iterations of made-up faces in a process of their own: seconds, memory, the largest batch that fits,
    hours. Nothing is kept. Layers as of `train`; a RUN that is there has its own shape and settings.

    Raises SettingRefused, TrainingRefused (not even one face fits).
    """
    from facewright.models.run_folder import RunFolder, is_run
    from facewright.models.settings import SHAPES
    from facewright.training import history
    from facewright.training.original import with_parity
    from facewright.training.planner import look_ahead
    from facewright.training.recipes import recipe as recipe_called
    from facewright.training.settings import settings_class, suits

    run = run_place(run) if run is not None else None
    chosen = recipe_called(recipe) if recipe else None
    if chosen is not None:
        chosen.serves(net)
    cls, begun = settings_class(net), run is not None and is_run(run)
    stored = history.stored_settings(run / history.HISTORY) if run is not None and begun else {}
    project = stored_settings(run if run is not None else Path.cwd(), "train")
    layers = (chosen.start() if chosen else {}, project, stored)
    known = [{k: v for k, v in layer.items() if k in cls.model_fields} for layer in layers]
    values = layered(cls, *(with_parity(net, layer) for layer in (*known, settings)))
    if run is not None and begun:
        form = RunFolder.open(run, net).shape_with(shape or {})
    else:
        form = check(SHAPES[net], {**(chosen.shape if chosen is not None else {}), **(shape or {})})
    suits(values, form)  # type: ignore[arg-type]
    found = look_ahead(net, form.model_dump(), values)
    ends = [values.iterations] if values.iterations else [10_000, 100_000, 500_000]
    told = found.as_dict(*ends) | {"net": net, "shape": form.model_dump(mode="json")}
    return told | ({"iterations": int(values.minutes * 60 / found.seconds)} if values.minutes else {})
