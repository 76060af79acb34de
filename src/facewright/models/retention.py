"""Which checkpoints stay, which lose their optimiser state, which go. Pure arithmetic on their facts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

HOUR_S, DAY_S = 3600, 86400
_AUTOMATIC = re.compile(r"auto-\d{9}(-\d+)?")


@dataclass(frozen=True, slots=True)
class Keep:
    """newest: whole ones; hours: after them one per hour for so many hours that have one, then one per day;
    automatic: whole ones that were named automatically."""

    newest: int = 3
    hours: int = 24
    automatic: int = 24


@dataclass(frozen=True, slots=True)
class Facts:
    """What retention needs to know of a checkpoint. `serial` counts saves; `saved_at_s` is Unix time."""

    folder_name: str
    serial: int
    saved_at_s: float
    name: str = ""
    loss: float | None = None
    loss_key: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Folder names: `thin` lose their optimiser state, `drop` go altogether."""

    thin: tuple[str, ...]
    drop: tuple[str, ...]


def automatic_name(folder_name: str) -> str:
    """The name of a save that is kept because so many hours have passed."""
    return f"auto-{folder_name}"


def is_automatic(name: str) -> bool:
    """Whether a save's name was given by `automatic_name`: such a one is not kept for ever."""
    return _AUTOMATIC.fullmatch(name) is not None


def best_of(all_facts: Sequence[Facts]) -> Facts | None:
    """The lowest smoothed loss among those saved under the newest one's loss settings; the newer one of equals."""
    if not all_facts:
        return None
    key = max(all_facts, key=lambda f: f.serial).loss_key
    rated = [f for f in all_facts if f.loss is not None and f.loss_key == key]
    return min(rated, key=lambda f: (f.loss, -f.serial), default=None)


def plan(all_facts: Sequence[Facts], keep: Keep, *, current: str = "") -> Plan:
    """Whole: the newest, the current, the best, every one that somebody named, the newest automatic ones. Thin:
    hourly, then daily. Drop: the rest."""
    order = sorted(all_facts, key=lambda f: f.serial, reverse=True)
    best = best_of(order)
    whole = {f.folder_name for f in order[: max(1, keep.newest)]} | {current}
    automatic = [f.folder_name for f in order if is_automatic(f.name)]
    whole |= {f.folder_name for f in order if f.name} - set(automatic[keep.automatic :])
    whole |= {best.folder_name} if best else set()
    thin, drop = [], []
    hours: set[int] = set()
    days: set[int] = set()
    for facts in order:
        if facts.folder_name in whole:
            continue
        hour, day = int(facts.saved_at_s // HOUR_S), int(facts.saved_at_s // DAY_S)
        if hour not in hours and len(hours) < keep.hours:
            hours.add(hour)
            days.add(day)
            thin.append(facts.folder_name)
        elif hour not in hours and day not in days:
            days.add(day)
            thin.append(facts.folder_name)
        else:
            drop.append(facts.folder_name)
    return Plan(tuple(thin), tuple(drop))
