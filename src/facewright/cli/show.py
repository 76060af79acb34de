"""What a person sees in the terminal: progress, tables, errors; and what a script sees: JSON, exit codes."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright import __version__
from facewright.core.errors import FacewrightError
from facewright.core.places import data_folder

EXIT_DONE, EXIT_EXPECTED, EXIT_BUG, EXIT_STOPPED = 0, 2, 70, 130


def say(text: str = "") -> None:
    """A line for a person, on stderr: stdout belongs to results."""
    print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """A line of the result, on stdout."""
    print(text, flush=True)


def document(data: Any) -> None:
    """The one JSON document of `--json`, on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str), flush=True)


def table(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> None:
    """A plain aligned table on stdout: readable by eye, by grep and by a screen reader."""
    text = [[str(c) for c in row] for row in [heads, *rows]]
    widths = [max(len(row[i]) for row in text) for i in range(len(heads))]
    for row in text:
        result("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def facts(pairs: Mapping[str, Any]) -> None:
    """`name  value` lines on stdout."""
    width = max((len(k) for k in pairs), default=0)
    for key, value in pairs.items():
        result(f"{key.ljust(width)}  {value}")


def error(problem: FacewrightError, *, as_json: bool) -> None:
    """Four lines on stderr, or four keys on stdout."""
    if as_json:
        document({"error": problem.as_dict()})
        return
    say(f"Error {problem.code}: {problem.what}")
    if problem.why:
        say(f"  why:   {problem.why}")
    say(f"  do:    {problem.remedy}")
    if problem.where is not None:
        say(f"  where: {problem.where}")


def crash(bug: BaseException, *, as_json: bool) -> None:
    """A bug: write a report that a user can send, say where it is."""
    report = "\n".join(
        [
            f"facewright {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"cores {os.cpu_count()}",
            f"command {' '.join(sys.argv)}",
            "",
            *traceback.format_exception(bug),
        ]
    )
    path = data_folder() / "crashes" / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report, encoding="utf-8")
    if as_json:
        document({"error": {"code": "bug", "what": repr(bug), "where": str(path)}})
    say(f"This is a bug in facewright: {type(bug).__name__}: {bug}")
    say(f"  do:    Send us {path} and the output of `facewright doctor --json`.")


def seconds(value: float | None) -> str:
    """1:02:03, 2:03, or -:-- when unknown."""
    if value is None or value != value or value < 0:
        return "-:--"
    whole = round(value)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


_SHOWN = ("loss_src", "loss_dst", "faces")
"""Facts of a progress event that fit on the line; the rest is in the job's files."""


class Bar:
    """A progress line on stderr: rewritten in place in a terminal, a line every 10 s elsewhere.

    Fed with the runner's events; silent for work that ends within 2 s.
    """

    def __init__(self, label: str, *, quiet: bool = False) -> None:
        self.label, self.quiet = label, quiet
        self._start = self._last = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._drawn = False

    def event(self, event: Mapping[str, Any]) -> None:
        """One event of the runner: kinds progress, note, done; others are ignored."""
        kind = event.get("kind")
        if kind == "progress":
            self._progress(event)
        elif kind == "note" and event.get("text"):
            self.line(str(event["text"]))

    def line(self, text: str) -> None:
        """A sentence above the bar."""
        if self.quiet:
            return
        self._wipe()
        say(text)

    def _progress(self, event: Mapping[str, Any]) -> None:
        now = time.monotonic()
        wait = 0.2 if self._terminal else 10.0
        if self.quiet or now - self._start < 2 or now - self._last < wait:
            return
        self._last = now
        done, total = float(event.get("done") or 0), event.get("total")
        share = min(1.0, done / total) if total else None
        bits = [self.label]
        if share is not None:
            filled = round(24 * share)
            bits.append(f"[{'#' * filled}{'.' * (24 - filled)}] {share:4.0%}")
        bits.append(f"{done:g}" + (f"/{float(total):g}" if total else "") + f" {event.get('unit', '')}".rstrip())
        if event.get("rate"):
            bits.append(f"{event['rate']:.3g}/s")
        bits.append(f"ETA {seconds(event.get('eta_s'))}")
        bits += [
            f"{k} {v:.3g}" for k, v in (event.get("facts") or {}).items() if k in _SHOWN and isinstance(v, int | float)
        ]
        if event.get("note"):
            bits.append(str(event["note"]))
        self._draw("  ".join(bits))

    def _draw(self, text: str) -> None:
        if self._terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            print("\r" + text[: width - 1].ljust(width - 1), end="", file=sys.stderr, flush=True)
            self._drawn = True
        else:
            say(text)

    def _wipe(self) -> None:
        if self._drawn:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            print("\r" + " " * (width - 1) + "\r", end="", file=sys.stderr, flush=True)
            self._drawn = False

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._wipe()


def name_of(path: Path | str) -> str:
    """A path as short as it can be shown: relative to the working folder where inside it."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
