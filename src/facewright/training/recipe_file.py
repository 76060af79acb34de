"""A recipe from a YAML file. The file may come from anywhere: it is data, small, flat, and every key is known."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from facewright.core.errors import FileRefused
from facewright.core.files import read_file
from facewright.training.plateau import LIMIT
from facewright.training.settings import TRAIN_SETTINGS
from facewright.training.stages import Plan, Recipe, Stage

LIMIT_BYTES = 64 << 10
_DEEPEST, _MOST_STAGES, _LONGEST = 6, 64, 400
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_KEYS = ("help", "nets", "shape", "settings", "stages")
_RANGES: dict[str, tuple[float, float]] = {
    "iterations": (1, 1e9), "hours": (1e-4, 1e5), "total_hours": (1e-4, 1e5), "share": (0.001, 1.0),
    "plateau": (0.001, 0.5), "reset_every": (100, 1e9), "hold": (1, 1e9),
}


def read(path: Path) -> Recipe:
    """The recipe in a file. Raises FileRefused, naming file, stage and key: no YAML, too large, unknown keys, values
    of the wrong kind. What the settings mean is checked when the net is known."""
    try:
        text = read_file(path, limit_bytes=LIMIT_BYTES).decode("utf-8")
        _is_flat(text)
        # Pure: YAML 1.2, where `no` is a word; and errors are Python's, whatever the file holds.
        data = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError) as error:
        raise _no(path, f"{_place_of(error)}it is not readable as YAML", why=_short(_problem_of(error))) from error
    _mapping(path, "the file", data, _KEYS)
    if not isinstance(data.get("help"), str):
        raise _no(path, "it has no `help`", remedy="Say in one sentence what it is for.")
    stages = data.get("stages", [])
    if not isinstance(stages, list) or len(stages) > _MOST_STAGES:
        raise _no(path, f"`stages` is not a list of up to {_MOST_STAGES} stages")
    found = tuple(_stage(path, number, one) for number, one in enumerate(stages, 1))
    _in_order(path, found)
    return Recipe(
        path.stem, data["help"][:_LONGEST], str(path), _nets(path, data.get("nets", [])),
        _values(path, "shape", data.get("shape", {})), _values(path, "settings", data.get("settings", {})), found,
    )


def plan_of(data: Mapping[str, Any], where: Path) -> Plan:
    """A plan from its JSON form ({} = none), kept in `where`: a run may come from anywhere too. Raises FileRefused."""
    stages, mine = data.get("stages", []), data.get("mine", [])
    words = {name: data.get(name, "") for name in ("recipe", "begin", "where")}
    if not isinstance(stages, list) or not isinstance(mine, list) or len(stages) > _MOST_STAGES or not all(
        isinstance(word, str) for word in (*mine, *words.values())
    ):
        raise _no(where, "the stages kept there are damaged", remedy="Name a recipe: --recipe NAME.")
    found = tuple(_stage(where, number, one) for number, one in enumerate(stages, 1))
    _in_order(where, found)
    return Plan(stages=found, mine=tuple(mine), **words)


def _is_flat(text: str) -> None:
    """Refuse what could unfold: references, and nesting without end."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, AliasEvent):
            raise ValueError("references (*name) are not allowed")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")


def _stage(path: Path, number: int, data: Any) -> Stage:
    name = str(data.get("name")) if isinstance(data, Mapping) else ""
    place = f"stage {number}" + (f" ({name})" if _NAME.fullmatch(name) else "")
    plain = {f.name: f.default for f in fields(Stage)}
    _mapping(path, place, data, plain)
    values = {_key(k): v for k, v in data.items()}
    if not _NAME.fullmatch(name):
        raise _no(path, f"{place} has no usable `name`", remedy="Use up to 31 letters a-z, digits and dashes.")
    if values.get("plateau") is True:
        values["plateau"] = LIMIT
    for key, value in values.items():
        if key == "settings":
            values[key] = _values(path, place, value)
        elif key in _RANGES:
            values[key] = _number(path, place, key, value)
        elif not isinstance(value, bool if key == "snapshot" else str) or len(str(value)) > _LONGEST:
            kind = "true or false" if key == "snapshot" else f"text of up to {_LONGEST} letters"
            raise _no(path, f"{place}: `{key}` is not {kind}")
    return Stage(**values)


def _number(path: Path, place: str, key: str, value: Any) -> float:
    low, high = _RANGES[key]
    whole = key in ("iterations", "reset_every", "hold")
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not right or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise _no(path, f"{place}: `{key}` is not {kind} in {low:g}..{high:g}")
    return value


def _in_order(path: Path, stages: tuple[Stage, ...]) -> None:
    """What one stage asks of the others."""
    seen = [stage.name for stage in stages]
    for number, stage in enumerate(stages, 1):
        place = f"stage {number} ({stage.name})"
        if seen.count(stage.name) > 1:
            raise _no(path, f"{place}: another stage has this name")
        if not stage.ends and number < len(stages):
            raise _no(path, f"{place} has no end, so the stages after it would never begin",
                      remedy="Give it iterations, hours, total_hours, share or plateau.")
        if stage.reset_every and not stage.reset:
            raise _no(path, f"{place}: `reset_every` without `reset`", remedy="Say which net: reset: inter_AB.")
        if number == 1 and (stage.hold or stage.stop):
            raise _no(path, f"{place}: the first stage waits for nothing", remedy="Leave out `hold` and `stop` here.")


def _nets(path: Path, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(net, str) and net in TRAIN_SETTINGS for net in value):
        raise _no(path, "`nets` is not a list of nets", remedy=f"There are: {', '.join(TRAIN_SETTINGS)}.")
    return tuple(value)


def _values(path: Path, place: str, data: Any) -> dict[str, Any]:
    """Settings: name -> a single value."""
    if not isinstance(data, Mapping):
        raise _no(path, f"{place}: `settings` is not a list of name: value")
    for key, value in data.items():
        if not isinstance(key, str) or not isinstance(value, str | int | float | bool) or len(str(value)) > _LONGEST:
            raise _no(path, f"{place}: `{_short(key)}` has no single value")
    return {_key(key): value for key, value in data.items()}


def _mapping(path: Path, place: str, data: Any, keys: Collection[str]) -> None:
    if not isinstance(data, Mapping):
        raise _no(path, f"{place} is not a list of key: value")
    unknown = [key for key in data if not isinstance(key, str) or _key(key) not in keys]
    if unknown:
        raise _no(path, f"{place} has a key {_short(unknown[0])!r}, which is not known",
                  remedy=f"Keys: {', '.join(keys)}. Options of the training stand under `settings`.")


def _key(text: str) -> str:
    """Options may be spelled as on the command line."""
    return text.replace("-", "_")


def _place_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"in line {mark.line + 1} " if mark is not None else ""


def _problem_of(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error)


def _short(value: object) -> str:
    return " ".join(str(value).split())[:200]


def _no(path: Path, what: str, *, why: str = "", remedy: str = "Correct the file.") -> FileRefused:
    return FileRefused(f"{path.name} is no recipe: {what}.", why=why, remedy=remedy, where=path)
