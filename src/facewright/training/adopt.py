"""A model that DeepFaceLab trained becomes a run that training goes on with; and a run's facts in its words.

Whose face such a model learned, nobody can see: the caller says it, and the run keeps it as it keeps what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import SettingRefused
from facewright.core.files import write_atomic
from facewright.core.settings import check
from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.models.dfl_files import CLASS_OF_NET
from facewright.models.dfl_read import ForeignModel, fill, fitting
from facewright.models.net import NETS, fresh
from facewright.models.opened import is_near
from facewright.models.run_folder import RunFolder
from facewright.models.shelf import making
from facewright.models.taken_over import keep_adversaries
from facewright.training import history
from facewright.training.curve import RECORD, read_losses
from facewright.training.runs import settings_of
from facewright.training.settings import TRAIN_SETTINGS, TrainSettings

BY = "import-dfl"
_LOSSES = "losses.bin"
_SAME = (
    "random_src_flip", "random_dst_flip", "batch_size", "masked_training", "eyes_mouth_prio", "uniform_yaw",
    "blur_out_mask", "random_warp", "random_hsv_power", "gan_power", "gan_patch_size", "gan_dims", "true_face_power",
    "face_style_power", "bg_style_power", "ct_mode", "clipgrad", "pretrain",
)
"""Options that are spelled alike here and there."""

_OTHERWISE = {"autobackup_hour": "autobackup_hours", "write_preview_history": "preview_history"}
_DROPOUT, _CYCLE = 0.3, "cycle"
_ON = (True, "y", "cpu")

_DEFAULTS: dict[str, dict[str, Any]] = {
    "saehd": {
        "autobackup_hour": 0, "write_preview_history": False, "target_iter": 0, "random_src_flip": False,
        "random_dst_flip": True, "batch_size": 4, "masked_training": True, "eyes_mouth_prio": False,
        "uniform_yaw": False, "blur_out_mask": False, "models_opt_on_gpu": True, "adabelief": True, "lr_dropout": "n",
        "random_warp": True, "random_hsv_power": 0.0, "gan_power": 0.0, "gan_patch_size": 16, "gan_dims": 16,
        "true_face_power": 0.0, "face_style_power": 0.0, "bg_style_power": 0.0, "ct_mode": "none", "clipgrad": False,
        "pretrain": False,
    },
    "amp": {
        "autobackup_hour": 0, "write_preview_history": False, "target_iter": 0, "random_src_flip": False,
        "random_dst_flip": True, "batch_size": 8, "uniform_yaw": False, "blur_out_mask": False, "lr_dropout": "n",
        "models_opt_on_gpu": True, "random_warp": True, "gan_power": 0.0, "gan_patch_size": 28, "gan_dims": 16,
        "ct_mode": "none", "clipgrad": False,
    },
    "quick96": {}, "xseg": {"batch_size": 4, "pretrain": False},
}
"""The original's options with its defaults; Quick96 asks nothing."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The run that was made, and sentences on what it lacks or left out."""

    folder: RunFolder
    iteration: int
    notes: tuple[str, ...]


def adopt(
    model: ForeignModel, run: Path, likenesses: Sequence[Mapping[str, Any]], enter: Callable[[], None] = lambda: None,
) -> Adopted:
    """Write a run, whole or not at all. likenesses: as run.json keeps them, whose face the model learned. enter: called
    when all is written aside, before the run appears.

    Raises FileRefused (RUN is there already), Mismatch (sizes that do not fit), DiskRefused.
    """
    is_near(model.net, model.settings, model.weights)
    net = fresh(NETS.load(model.net), model.settings)
    fill(net, model.weights)
    notes = list(model.notes)
    if model.missing:
        notes.append(f"No file for {', '.join(model.missing)}: it begins anew there.")
    state, misfits = fitting(net, model.optimiser) if model.optimiser is not None else (None, [])
    if misfits:
        notes.append(f"The optimiser's memory of {len(misfits)} weights does not fit and was left out.")
    settings, left = train_settings(model)
    if left:
        notes.append(f"Options that this facewright does not train with: {', '.join(left)}.")
    notes.append("Training goes on in facewright's way; --parity dfl goes on in DeepFaceLab's.")
    with making(run) as place:
        imported = {
            "by": BY, "name": model.name, "class": CLASS_OF_NET[model.net], "iteration": model.iteration,
            "options": dict(model.options), "missing": list(model.missing), "faces": "unknown",
            "adversaries": keep_adversaries(place, model.adversaries), "notes": notes,
        }
        extra = {"likenesses": [dict(one) for one in likenesses], "imported": imported}
        folder = RunFolder(place, model.net, model.settings, extra).note()
        kept: dict[str, Any] = {"train": settings.model_dump()} if settings is not None else {}
        checkpoint.save(
            place, model.iteration, net, state, net_name=model.net, settings=model.settings.model_dump(), extra=kept
        )
        write_atomic(place / _LOSSES, _loss_records(model).tobytes())
        given = settings.model_dump(mode="json") if settings is not None else {}
        history.note(folder.history, "start", iteration=model.iteration, given=given, settings=given, src="", dst="",
                     by=BY)
        history.note(folder.history, "end", iteration=model.iteration, by=BY)
        enter()
    return Adopted(RunFolder.open(run), model.iteration, tuple(notes))


def without_pretraining(model: ForeignModel) -> ForeignModel:
    """The model as it leaves pretraining: inters and count of iterations begin anew, encoder, decoders and all of the
    optimisers' memory stay. Whom the inters knew, they have forgotten."""
    gone = tuple(dict.fromkeys(n.partition(".")[0] for n in model.weights if n.startswith("inter")))
    return replace(
        model, weights={n: w for n, w in model.weights.items() if not n.startswith("inter")}, iteration=0,
        losses=np.zeros((0, 2)), options={**model.options, "pretrain": False},
        notes=(*model.notes, f"It left pretraining: {', '.join(gone)} and the count of iterations begin anew."),
    )


def train_settings(model: ForeignModel) -> tuple[TrainSettings | None, list[str]]:
    """Settings that go on as the original would, and the options that none of ours means; None for a net that is not
    trained here."""
    cls = TRAIN_SETTINGS.get(model.net)
    if cls is None:
        return None, []
    options, left = model.options, []
    wishes: list[tuple[str, dict[str, Any]]] = [
        (key, {_OTHERWISE.get(key, key): options[key]}) for key in (*_SAME, *_OTHERWISE) if key in options
    ]
    if model.net in ("saehd", "amp"):
        wishes.append(("adabelief", {"optimiser": _optimiser(model)}))
        if options.get("lr_dropout") in _ON:
            wishes.append(("lr_dropout", {"lr_dropout": _DROPOUT, "lr_schedule": _CYCLE}))
        if options.get("models_opt_on_gpu") is False:
            wishes.append(("models_opt_on_gpu", {"optimiser_device": "cpu"}))
    target = options.get("target_iter", 0)
    if isinstance(target, int) and target > model.iteration:
        wishes.append(("target_iter", {"iterations": target}))
    values: dict[str, Any] = {}
    for key, wish in wishes:
        try:
            if not wish.keys() <= cls.model_fields.keys():
                raise SettingRefused(key, remedy="")
            check(cls, values | wish)
            values |= wish
        except SettingRefused:
            # Only what makes a difference is worth a word.
            if options.get(key) != _DEFAULTS[model.net].get(key):
                left.append(key)
    return check(cls, values), left


def _optimiser(model: ForeignModel) -> str:
    """What the memory belongs to, else what the option says; models from before the option had RMSprop's memory."""
    if model.optimiser is not None:
        return model.optimiser.kind.lower()
    return "adabelief" if model.options.get("adabelief", True) else "rmsprop"


def _loss_records(model: ForeignModel) -> np.ndarray:
    rows = np.empty(len(model.losses), RECORD)
    rows["iteration"] = np.arange(model.iteration - len(rows), model.iteration) + 1
    rows["src"], rows["dst"] = model.losses[:, 0], model.losses[:, 1]
    return rows


def original_words(folder: RunFolder, saved: Checkpoint) -> tuple[dict[str, Any], np.ndarray]:
    """(options, losses (n, 2)) of a run at a save as DeepFaceLab keeps them. Those of an imported run that was not
    trained since come back as they were."""
    rows = read_losses(folder.path / _LOSSES)
    rows = rows[rows["iteration"] <= saved.iteration]  # a killed training had learned more than it saved
    losses = np.stack([rows["src"], rows["dst"]], axis=1).astype(np.float64)
    known = dict(folder.extra.get("imported", {}).get("options", {}))
    options = known or dict(_DEFAULTS[folder.net])
    starts = [event for event in history.events(folder.history, "start") if event.get("by") != BY]
    if starts:
        options |= _in_its_words(folder.net, settings_of(saved, starts))
        if options.get("gan_patch_size") == 0:  # ours for an eighth of the face, which is no value there
            options["gan_patch_size"] = max(3, int(getattr(folder.shape, "resolution", 0)) // 8)
    return options, losses


def _in_its_words(net: str, given: Mapping[str, Any]) -> dict[str, Any]:
    theirs = _DEFAULTS[net]
    ours = {key: given[_OTHERWISE.get(key, key)] for key in theirs if _OTHERWISE.get(key, key) in given}
    ours.pop("lr_dropout", None)
    if "pretrain" in theirs:
        ours["pretrain"] = bool(given.get("pretrain"))  # theirs says whether, ours on what
    if not ours.get("batch_size"):
        ours.pop("batch_size", None)
    if "adabelief" in theirs and given.get("optimiser") in ("adabelief", "rmsprop"):
        ours["adabelief"] = given["optimiser"] == "adabelief"
    if "lr_dropout" in theirs:
        ours["lr_dropout"] = "y" if given.get("lr_dropout", 1) < 1 else "n"
    if "models_opt_on_gpu" in theirs:
        ours["models_opt_on_gpu"] = given.get("optimiser_device") != "cpu"
    if "target_iter" in theirs:
        ours["target_iter"] = given.get("iterations", 0)
    return ours
