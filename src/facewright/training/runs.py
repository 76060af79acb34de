"""What is known of a run, read from its files: a row of the list, everything about one, its history as rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FacewrightError
from facewright.models import checkpoint
from facewright.models.advice import Learned, learned
from facewright.models.checkpoint import Checkpoint
from facewright.models.run_folder import RunFolder
from facewright.models.settings import SHAPES
from facewright.models.shelf import bytes_of
from facewright.training import history
from facewright.training.curve import LOSSES, read_losses
from facewright.training.settings import TRAIN_SETTINGS

TAIL = 200
"""Iterations whose mean is "the loss" of a run."""
FACTS = ("device", "threads", "precision", "batch", "parameters", "torch")
"""What training notes of the machine, in the order it is shown."""


def row_of(run: Path) -> dict[str, Any]:
    """A row of the list, JSON-able; of a run that cannot be read only its name and what is `damaged`."""
    try:
        folder = RunFolder.open(run)
        current = _newest(run)
        losses = smoothed(run)
        return {
            "name": run.resolve().name, "path": str(run), "net": folder.net, "shape": shape_text(folder),
            "iteration": current.iteration if current else 0, "loss_src": losses[0], "loss_dst": losses[1],
            "last_trained": last_trained(run, current), "bytes": bytes_of(run), "learned": _learned(folder, current),
            "damaged": "",
        }
    except FacewrightError as error:
        return {
            "name": run.resolve().name, "path": str(run), "net": "", "shape": "", "iteration": 0, "loss_src": None,
            "loss_dst": None, "last_trained": "", "bytes": bytes_of(run), "learned": "", "damaged": error.what,
        }


def info(run: Path) -> dict[str, Any]:
    """Everything about one run, JSON-able. Raises FileRefused."""
    folder, current = RunFolder.open(run), _newest(run)
    events = history.events(folder.history)
    settings = settings_of(current, events)
    defaults = TRAIN_SETTINGS[folder.net]().model_dump() if folder.net in TRAIN_SETTINGS else {}
    shape = shape_of(folder)
    return {
        **row_of(run), "shape": shape, "settings": settings,
        "changed": {k: v for k, v in settings.items() if k not in defaults or defaults[k] != v},
        "people": folder.extra.get("likenesses", []), "data": folder.extra.get("data", {}),
        "imported": folder.extra.get("imported"), "recipe": recipe_text(current),
        "saves": [_save(c, current) for c in checkpoint.list_all(run)],
        "minutes": _minutes(current), "s_per_iteration": pace(run),
        "machine": {k: current.extra[k] for k in FACTS if k in current.extra} if current else {},
        "bytes_of_caches": bytes_of(run) - bytes_of(run, {".cache"}), "history": rows(run)[-5:],
    }


def rows(run: Path) -> list[dict[str, Any]]:
    """The journal and the saves that are still there, oldest first: at, iteration, what, text."""
    events, before = history.events(run / "history.jsonl"), {}
    found = []
    for event in events:
        kind, now = str(event.get("kind")), dict(event.get("settings") or {})
        text = _started(event, before) if kind == "start" else _TEXTS.get(kind, _plainly)(event)
        before = now if kind == "start" else before
        found.append({"at": str(event.get("at", "")), "iteration": event.get("iteration"), "what": kind, "text": text})
    for save in checkpoint.list_all(run):
        name = f"kept as {save.facts.name}; " if save.facts.name else ""
        loss = f"loss {save.facts.loss:.4f}" if save.facts.loss is not None else "loss not known"
        found.append({"at": _stamp(save.facts.saved_at_s), "iteration": save.iteration, "what": "save",
                      "text": f"{name}{loss}; {save.folder.name}"})
    return sorted(found, key=lambda row: str(row["at"]))


def shape_of(folder: RunFolder) -> dict[str, Any]:
    """The shape, fixed values of a net that asks nothing included."""
    fixed = {n: getattr(SHAPES[folder.net], n) for n in ("archi", "resolution", "face_type", "ae_dims", "e_dims",
             "d_dims", "d_mask_dims") if n not in SHAPES[folder.net].model_fields and hasattr(SHAPES[folder.net], n)}
    return fixed | folder.shape.model_dump()


def shape_text(folder: RunFolder) -> str:
    """`liae-ud 128 full_face`: kind, side in px, face type."""
    shape = shape_of(folder)
    return " ".join(str(shape[n]) for n in ("archi", "resolution", "face_type") if n in shape)


def settings_of(current: Checkpoint | None, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The training settings of the newest save, else those it was started with."""
    if current is not None and current.extra.get("train"):
        return dict(current.extra["train"])
    starts = [e for e in events if e.get("kind") == "start"]
    return dict(starts[-1].get("settings") or {}) if starts else {}


def recipe_text(current: Checkpoint | None) -> str:
    """`rtm, stage straight`: which recipe the newest save follows and how far; "" without one."""
    place = dict(current.extra.get("place") or {}) if current is not None else {}
    return f"{place.get('recipe')}, stage {place.get('stage')}" if place else ""


def smoothed(run: Path) -> tuple[float | None, float | None]:
    """Mean source and target loss of the last TAIL iterations; None before the first."""
    tail = read_losses(run / LOSSES)[-TAIL:]
    means = [float(np.mean(tail[name])) if len(tail) else float("nan") for name in ("src", "dst")]
    return tuple(round(m, 5) if np.isfinite(m) else None for m in means)  # type: ignore[return-value]


def pace(run: Path) -> float | None:
    """Seconds an iteration, over the two newest saves that lie apart; of one save alone since the beginning."""
    points = seconds_at(run)
    if len(points) < 2 or points[-1][0] <= points[-2][0]:
        return None
    (i0, s0), (i1, s1) = points[-2:]
    return round((s1 - s0) / (i1 - i0), 4) if s1 > s0 else None


def seconds_at(run: Path) -> list[tuple[int, float]]:
    """(iteration, seconds of training until then) at the beginning and at each save up to the current one; rising."""
    current = _newest(run)
    if current is None:
        return [(0, 0.0)]
    points = {0: 0.0}
    for save in checkpoint.list_all(run):
        if save.iteration <= current.iteration and "used_s" in save.extra:
            points[save.iteration] = float(save.extra["used_s"])
    if "used_s" in current.extra:
        points[current.iteration] = float(current.extra["used_s"])
    found = [(0, 0.0)]
    for iteration, used in sorted(points.items())[1:]:
        if used >= found[-1][1]:
            found.append((iteration, used))
    return found


def last_trained(run: Path, current: Checkpoint | None) -> str:
    """When the run last learned something (UTC, ISO), "" when it never did."""
    ends = [str(e.get("at", "")) for e in history.events(run / "history.jsonl") if e.get("kind") in ("stop", "end")]
    return max([*ends, _stamp(current.facts.saved_at_s) if current and not ends else ""])


def _newest(run: Path) -> Checkpoint | None:
    """The current save, its files unread: quick, and enough for what is shown."""
    found = checkpoint.list_all(run)
    path = run / "model" / "CURRENT"
    name = path.read_text("ascii", "replace").strip() if path.is_file() else ""
    return next((c for c in found if c.folder.name == name), found[-1] if found else None)


def learned_so_far(run: Path) -> Learned:
    """Whether a run is new, pretrained, trained, or both (G227). Raises FileRefused."""
    return _learned(RunFolder.open(run), _newest(run))


def _learned(folder: RunFolder, current: Checkpoint | None) -> Learned:
    starts = history.events(folder.history, "start")
    return learned(starts, current.iteration if current else 0, folder.extra.get("imported"))


def _save(save: Checkpoint, current: Checkpoint | None) -> dict[str, Any]:
    return {
        "save": save.folder.name, "iteration": save.iteration, "name": save.facts.name, "loss": save.facts.loss,
        "at": _stamp(save.facts.saved_at_s), "whole": save.resumable,
        "current": current is not None and save.folder == current.folder,
        "bytes": sum(f.stat().st_size for f in save.folder.iterdir() if f.is_file()),
    }


def _minutes(current: Checkpoint | None) -> float | None:
    used = current.extra.get("used_s") if current else None
    return round(float(used) / 60, 2) if used is not None else None


def _started(event: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    now = dict(event.get("settings") or {})
    changed = [f"{k} {v}" for k, v in now.items() if before and before.get(k) != v]
    machine = ", ".join(str(event[k]) for k in ("device", "precision") if k in event)
    batch = f", batch {event['batch']}" if "batch" in event else ""
    by = f" by {event['by']}" if event.get("by") else ""
    return f"{machine}{batch}{by}".strip(", ") + (f"; {', '.join(changed)}" if changed else "")


def _plainly(event: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in event.items() if k not in ("at", "kind", "iteration"))


_TEXTS = {
    "setting": lambda e: f"{e.get('name')} = {e.get('now')} (was {e.get('before')}), by {e.get('by')}",
    "reset": lambda e: f"{', '.join(e.get('parts') or ())} from seed {e.get('seed')}" + (
        f"; before it: {e['kept_as']}" if e.get("kept_as") else f", by the {e['by']}" if e.get("by") else ""),
    "collapse": lambda e: f"at iteration {e.get('noticed'):,} {e.get('text')}; {e.get('why')}",
    "stage": lambda e: str(e.get("text")), "plateau": lambda e: str(e.get("text")),
    "snapshot": lambda e: str(e.get("name")),
    "restore": lambda e: f"back to {e.get('name') or e.get('save')}; before it: {e.get('kept_as')}",
}


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
