"""Runs side by side: what differs in settings, data, machine, speed and loss (X027)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facewright.models.run_folder import RunFolder
from facewright.training import runs
from facewright.training.curve import LOSSES, both, read_losses
from facewright.training.lesson import loss_key
from facewright.training.settings import TRAIN_SETTINGS

_FACTS = ("net", "iteration", "minutes", "loss_src", "loss_dst", "s_per_iteration", "recipe", "learned", "last_trained")


def compare(places: Sequence[Path]) -> dict[str, Any]:
    """Two or more runs -> JSON-able: `runs` (names), `facts`, `shape`, `settings`, `data`, `machine` (name -> one value
    a run; of shape, settings and machine only what differs), `snapshots`, `comparable` (are the losses of one kind)."""
    infos = [runs.info(place) for place in places]
    keys = {_loss_key(one) for one in infos}
    return {
        "runs": _names(places), "facts": {name: [one[name] for one in infos] for name in _FACTS},
        "shape": differing([one["shape"] for one in infos]),
        "settings": differing([one["settings"] for one in infos]),
        "data": {
            f"{side} {fact}": [dict(one["data"].get(side) or {}).get(fact) for one in infos]
            for side in ("src", "dst") for fact in ("faces", "person", "digest")
        },
        "machine": differing([one["machine"] for one in infos]),
        "snapshots": [[s["name"] for s in one["saves"] if s["name"]] for one in infos],
        "comparable": len(keys) == 1 and len({one["net"] for one in infos}) == 1,
    }


def differing(values: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Name -> one value each (None where it has none), of the names whose values are not all the same."""
    names = dict.fromkeys(name for one in values for name in one)
    table = {name: [one.get(name) for one in values] for name in names}
    return {name: row for name, row in table.items() if any(v != row[0] for v in row)}


def course(run: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(iterations, seconds of training, source + target loss) of a run, (n,) each, float64.

    Seconds are known at saves; between them they run evenly, after the last one at the last pace.
    """
    rows = read_losses(run / LOSSES)
    rows = rows[np.isfinite(both(rows))]
    at = rows["iteration"].astype(np.float64)
    points = np.array(runs.seconds_at(run), np.float64)
    seconds = np.interp(at, points[:, 0], points[:, 1])
    if len(points) > 1:
        (i0, s0), (i1, s1) = points[-2:]
        seconds = np.where(at > i1, s1 + (at - i1) * (s1 - s0) / max(i1 - i0, 1), seconds)
    return at, seconds, both(rows)


def _loss_key(one: dict[str, Any]) -> str:
    """Which settings decide how large this run's losses are; "" where they are not known."""
    cls = TRAIN_SETTINGS.get(one["net"])
    known = {k: v for k, v in one["settings"].items() if cls is not None and k in cls.model_fields}
    return loss_key(cls.model_construct(**known)) + str(one["shape"].get("resolution")) if cls and known else ""


def _names(places: Sequence[Path]) -> list[str]:
    """Folder names; with their parents where two are called the same."""
    names = [RunFolder.open(place).path.resolve().name for place in places]
    return [n if names.count(n) == 1 else f"{p.resolve().parent.name}/{n}" for n, p in zip(names, places)]
