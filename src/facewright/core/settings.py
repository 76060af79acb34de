"""A setting is declared once; the command line, the studio's form and the docs derive from it.

A stage's settings are one frozen pydantic model whose fields are made by `knob`. Pydantic validates; this
file alone turns the model into Typer options, a form and a table.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facewright.core.errors import SettingRefused

Lock = Literal["never", "at_start", "after_start"]


class Settings(BaseModel):
    """Base of every stage's settings: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


S = TypeVar("S", bound=Settings)


def knob(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    unit: str = "",
    lock: Lock = "never",
    shown_when: str = "",
) -> Any:
    """Declare one setting. Choices come from a `Literal` annotation.

    `low`, `high` are inclusive and enforced. An integer `step` is enforced (value is a multiple of it), a
    float one only moves a slider. `lock`: "at_start" = a running job does not take it over, its next start
    does; "after_start" = cannot change once the run has begun.
    `shown_when`: another knob's name (or `name=value`) that makes this one matter; forms hide it otherwise.
    """
    extra: Any = {"step": step, "unit": unit, "lock": lock, "shown_when": shown_when}
    multiple = int(step) if isinstance(step, int) and not isinstance(step, bool) and step > 1 else None
    return Field(
        default=default, description=help, ge=low, le=high, multiple_of=multiple, json_schema_extra={"knob": extra}
    )


@dataclass(frozen=True, slots=True)
class Option:
    """One knob as data. `kind` is the Python type without None; `choices` is () where any value goes."""

    name: str
    kind: type
    default: Any
    help: str
    low: float | None
    high: float | None
    step: float | None
    unit: str
    lock: Lock
    shown_when: str
    choices: tuple[Any, ...]

    @property
    def flag(self) -> str:
        """The command line's spelling: `eyes_mouth_prio` -> `--eyes-mouth-prio`."""
        return "--" + self.name.replace("_", "-")

    @property
    def range_text(self) -> str:
        """`64..640 step 16 px`, `0 or more min`, `a | b | c`, or ''. A float's step is no limit, so it is not told."""
        if self.choices:
            return " | ".join(str(c) for c in self.choices)
        bits = []
        low, high = (None if x is None else self._figure(x) for x in (self.low, self.high))
        if low is not None or high is not None:
            bits.append(f"{low} or more" if high is None else f"up to {high}" if low is None else f"{low}..{high}")
        if self.kind is int and self.step not in (None, 1):
            bits.append(f"step {self.step:g}")
        if self.unit:
            bits.append(self.unit)
        return " ".join(bits)

    def _figure(self, value: float) -> str:
        return f"{int(value)}" if self.kind is int else f"{value:g}"


def options(cls: type[Settings]) -> list[Option]:
    """Every knob of a settings class, in declaration order. The only reader of the metadata."""
    found = []
    for name, field in cls.model_fields.items():
        extra = field.json_schema_extra or {}
        facts: dict[str, Any] = extra.get("knob", {}) if isinstance(extra, dict) else {}  # type: ignore[assignment]
        kind, choices = _kind(field.annotation)
        found.append(
            Option(
                name=name, kind=kind, default=field.get_default(call_default_factory=True),
                help=field.description or "", low=_bound(field.metadata, "ge"), high=_bound(field.metadata, "le"),
                step=facts.get("step"), unit=facts.get("unit", ""), lock=facts.get("lock", "never"),
                shown_when=facts.get("shown_when", ""), choices=choices,
            )
        )
    return found


def _kind(annotation: Any) -> tuple[type, tuple[Any, ...]]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        # A number or a word (`--resolution auto`): typed as text, made the one or the other by the class's validator.
        words = len(inner) > 1 and any(get_origin(a) is Literal for a in inner)
        return (str, ()) if words else _kind(inner[0])
    if origin is Literal:
        choices = get_args(annotation)
        return type(choices[0]), choices
    return (annotation if isinstance(annotation, type) else str), ()


def _bound(metadata: list[Any], name: str) -> float | None:
    return next((getattr(m, name) for m in metadata if hasattr(m, name)), None)


def check(cls: type[S], values: Mapping[str, Any], *, started: S | None = None) -> S:
    """Values -> validated settings; `started` are the settings that a run began with.

    Raises SettingRefused: unknown name, wrong type, out of range, wrong step, or a locked value changed.
    """
    try:
        result = cls(**values)
    except ValidationError as error:
        raise _refusal(cls, error) from None
    if started is not None:
        for option in options(cls):
            before, now = getattr(started, option.name), getattr(result, option.name)
            if option.lock == "after_start" and before != now:
                raise SettingRefused(
                    f"{option.flag} is locked: this run was started with {before} and cannot become {now}.",
                    why="The shape of the net depends on it.",
                    remedy="Leave the option out to go on, or give a new RUN name to start afresh.",
                    where=option.flag,
                )
    return result


class Unfit(ValueError):
    """What a validator raises where it knows the way out: in the user's words, with remedy and option."""

    def __init__(self, what: str, remedy: str, where: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy, self.where = what, remedy, where


def _refusal(cls: type[Settings], error: ValidationError) -> SettingRefused:
    first: Any = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    known = {o.name: o for o in options(cls)}
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Unfit):
        if name in known:
            what = f"{known[name].flag} cannot be {first.get('input')!r}."
            return SettingRefused(what, why=cause.what, remedy=cause.remedy, where=known[name].flag)
        return SettingRefused(cause.what, remedy=cause.remedy, where=cause.where or None)
    if name not in known:
        if not name:
            return SettingRefused(str(first["msg"]).removeprefix("Value error, "), remedy="Correct the settings.")
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {known[near[0]].flag}?" if near else "Run the command with --help for the list."
        return SettingRefused(f"There is no setting {name!r}.", remedy=hint, where=name)
    option = known[name]
    allowed = f"Allowed: {option.range_text}" if option.range_text else f"Give {_KINDS.get(option.kind, 'a value')}"
    return SettingRefused(
        f"{option.flag} cannot be {first.get('input')!r}.", why=_in_words(first),
        remedy=f"{allowed}; default {_plain(option.default) or 'none'}.", where=option.flag,
    )


_KINDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "on or off", str: "a text"}


def _in_words(found: Any) -> str:
    """One of pydantic's findings as a sentence; "" where the remedy says it all."""
    kind, facts = str(found["type"]), found.get("ctx", {})
    limits = {"less_than_equal": ("at most", "le"), "greater_than_equal": ("at least", "ge"),
              "multiple_of": ("a multiple of", "multiple_of")}
    if kind in limits:
        words, key = limits[kind]
        return f"It must be {words} {facts[key]:g}."
    if kind == "literal_error":
        return ""
    for start, words in (("int", "a whole number"), ("float", "a number"), ("bool", "on or off"), ("string", "a text")):
        if kind.startswith(start):
            return f"It must be {words}."
    return str(found["msg"]).removeprefix("Value error, ") + "."


def merge(cls: type[S], *layers: Mapping[str, Any], started: S | None = None) -> S:
    """Later layers win (default < recipe < project < stored in the run < argument); None means not given."""
    values: dict[str, Any] = {}
    for layer in layers:
        values.update({k: v for k, v in layer.items() if v is not None})
    return check(cls, values, started=started)


def parse(cls: type[Settings], name: str, text: str) -> Any:
    """A typed value from `key=value` text (`jobs set`). Raises SettingRefused for unknown names."""
    known = {o.name: o for o in options(cls)}
    key = name.replace("-", "_")
    if key not in known:
        check(cls, {key: text})
    kind = known[key].kind
    if kind is bool:
        word = text.strip().lower()
        return word in {"1", "true", "yes", "y", "on"} if word in _BOOLS else text
    return text


_BOOLS = {"1", "true", "yes", "y", "on", "0", "false", "no", "n", "off"}


def to_cli(cls: type[Settings], *, skip: tuple[str, ...] = (), panel: str | None = None) -> list[inspect.Parameter]:
    """Knobs -> keyword parameters that Typer understands; None = not given, so that layers can be merged."""
    import typer

    found = []
    for option in options(cls):
        if option.name in skip:
            continue
        default = "" if option.default in ("", None) else f"default {_plain(option.default)}"
        notes = "; ".join(n for n in (option.range_text, default) if n)
        text = f"{option.help} [{notes}]" if notes else option.help
        flags = [f"{option.flag}/--no-{option.flag[2:]}"] if option.kind is bool else [option.flag]
        # Ranges are enforced by `check`, so that every door refuses in the same words.
        annotation = Annotated[
            option.kind | None,  # type: ignore[valid-type]
            typer.Option(*flags, help=text, show_default=False, rich_help_panel=panel),
        ]
        found.append(
            inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    return found


def to_form(cls: type[Settings]) -> list[dict[str, Any]]:
    """Knobs -> what the studio draws: one JSON-able dict each."""
    return [
        {"name": o.name, "kind": o.kind.__name__, "value": o.default, "help": o.help, "low": o.low, "high": o.high,
         "step": o.step, "unit": o.unit, "lock": o.lock, "shown_when": o.shown_when, "choices": list(o.choices)}
        for o in options(cls)
    ]


LOCKS: Mapping[Lock, str] = {"never": "", "at_start": "read at the start", "after_start": "fixed for a run"}
"""How the reference says when a setting may change."""


def to_markdown(cls: type[Settings]) -> str:
    """Knobs -> a Markdown table for the generated reference."""
    rows = ["| option | default | range | lock | meaning |", "|---|---|---|---|---|"]
    for o in options(cls):
        lock = LOCKS[o.lock]
        span = o.range_text.replace("|", "\\|")
        meaning = o.help.replace("|", "\\|")
        rows.append(f"| `{o.flag}` | {_plain(o.default)} | {span} | {lock} | {meaning} |")
    return "\n".join(rows)


def _plain(value: Any) -> str:
    return {"True": "on", "False": "off", "None": "-"}.get(str(value), str(value))
