"""RUN/history.jsonl: what was done to a run and when, one JSON object per line, for people and for the curve."""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.core.files import disk_error

HISTORY = "history.jsonl"
"""The file's name within a run."""
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


def note(path: Path, kind: str, **facts: Any) -> None:
    """Append one event with its time (UTC). A torn last line of a killed run is closed first."""
    record = {"at": time.strftime(_STAMP, time.gmtime()), "kind": kind, **facts}
    line = json.dumps(record, sort_keys=True, default=str).encode() + b"\n"
    try:
        with open(path, "ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
    except OSError as error:
        raise disk_error(error, path) from error


def events(path: Path, kind: str = "") -> list[dict[str, Any]]:
    """Whole events in order, of one kind or all; torn lines are passed over."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the tail of a killed write
        if isinstance(record, dict) and (not kind or record.get("kind") == kind):
            found.append(record)
    return found


def of_this_training(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those since the run's iterations count from 0: what was before a pretraining was left, or before `model reset RUN
    all`, is of another training."""
    anew = [i for i, e in enumerate(events) if e.get("kind") == "pretrained"
            or (e.get("kind") == "reset" and e.get("parts") == ["all"])]
    return list(events[anew[-1] + 1 :] if anew else events)


def began_s(path: Path) -> float | None:
    """Unix time of the first event, None without one."""
    for event in events(path):
        try:
            return float(calendar.timegm(time.strptime(str(event.get("at")), _STAMP)))
        except ValueError:
            continue
    return None


def stored_settings(path: Path) -> dict[str, Any]:
    """The settings that the run in history file `path` was last started with, {} before its first start."""
    starts = events(path, "start")
    return dict(starts[-1].get("given", {})) if starts else {}


def stored_plan(path: Path) -> dict[str, Any]:
    """The stages of the recipe that the run was last started with, as JSON; {} without a recipe of stages."""
    starts = events(path, "start")
    plan = starts[-1].get("plan") if starts else None
    return dict(plan) if isinstance(plan, dict) else {}


def marks(events: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """What the loss curve shows of a run's past, (iteration, words): the user's changes, stages, resets, plateaus."""
    texts: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "setting": lambda e: f"{e['name']} {e['now']}" if e.get("by") == "user" else "",
        "stage": lambda e: e.get("stage", ""), "reset": lambda e: f"reset {' '.join(e.get('parts') or ())}",
        "plateau": lambda e: "flat", "grown": lambda e: "full size",
        "collapse": lambda e: " ".join(["back", *(f"{k} {v}" for k, v in (e.get("safer") or {}).items())]),
    }
    found: list[tuple[int, str]] = []
    for event in events:
        kind, at = str(event.get("kind")), int(event.get("iteration") or 0)
        if kind in ("restore", "collapse"):
            found = [mark for mark in found if mark[0] <= at]
        if kind in texts:
            found.append((at, str(texts[kind](event))))
    return [mark for mark in dict.fromkeys(found) if mark[1]]
