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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report, encoding="utf-8")
    except OSError:  # a disk that takes no report must not hide the bug
        say(report)
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


_UNITS = {
    "frames": "frame", "denoise": "frame", "grade": "frame",
    "extract": "frame", "again": "frame", "smooth": "face", "apply_masks": "face", "train": "iteration",
    "fill_gaps": "gap",
    "merge": "frame", "render": "frame",
}
_PLAIN_NOTES = ("training", "encode", "")


class Bar:
    """A progress line on stderr: rewritten in place in a terminal, a line every 10 s elsewhere.

    Fed with the runner's events; the line is silent for work that ends within 2 s. With `quiet` only warnings are said.
    """

    def __init__(self, label: str, *, quiet: bool = False) -> None:
        self.label, self.quiet = label, quiet
        self._start = self._last = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._drawn = False
        self._unit = ""

    def event(self, event: Mapping[str, Any]) -> None:
        """One event of the runner: kinds started, progress, note; others are ignored."""
        kind = event.get("kind")
        if kind == "progress":
            self._progress(event)
        elif kind == "started":
            self._unit = _UNITS.get(str(event.get("stage")), "")
            if event.get("resumed") and event.get("done"):
                self.line(f"Going on: {event['done']} of {event['total']} parts were done before.")
        elif kind == "note":
            text, urgent = note_text(event)
            self.line(text, urgent=urgent)

    def line(self, text: str, *, urgent: bool = False) -> None:
        """A sentence above the bar."""
        if not text or (self.quiet and not urgent):
            return
        self._wipe()
        say(text)

    def _progress(self, event: Mapping[str, Any]) -> None:
        if self._unit == "iteration" and not event.get("note"):
            return  # the runner's own count: a training is one item
        now = time.monotonic()
        wait = 0.2 if self._terminal else 10.0
        if self.quiet or now - self._start < 2 or now - self._last < wait:
            return
        self._last = now
        self._draw("  ".join([self.label, *progress_bits(event, self._unit)]))

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


def progress_bits(event: Mapping[str, Any], unit: str) -> list[str]:
    """What a progress event says, in the order of the line: bar, place, pace, time left, losses."""
    done, total, facts = float(event.get("done") or 0), event.get("total"), event.get("facts") or {}
    note = str(event.get("note") or "")
    unit = "face" if note.startswith("preparing") else str(event.get("unit") or unit)
    bits = []
    if total:
        share = min(1.0, done / total)
        filled = round(24 * share)
        bits.append(f"[{'#' * filled}{'.' * (24 - filled)}] {share:4.0%}")
    if unit == "bytes":
        bits.append(f"{done / 1e6:.1f}" + (f" of {total / 1e6:.1f}" if total else "") + " MB")
    else:
        bits.append(f"{unit} {done:,.0f}".strip() + (f" of {float(total):,.0f}" if total else ""))
        rate = event.get("rate")
        if rate:
            bits.append(f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each")
    left = facts.get("eta_s", event.get("eta_s"))
    if left is not None or total:
        bits.append(f"ETA {seconds(left)}")
    if facts.get("loss_src") is not None:
        bits.append(losses(facts["loss_src"], facts.get("loss_dst")))
    if facts.get("faces") is not None:
        bits.append(f"{facts['faces']:,.0f} faces")
    if note not in _PLAIN_NOTES:
        bits.append(note)
    return bits


def losses(src: float, dst: float | None) -> str:
    """The losses of both people, or the one of a mask net."""
    return f"loss {src:.3g}" if dst is None else f"loss source {src:.3g} target {dst:.3g}"


def note_text(event: Mapping[str, Any]) -> tuple[str, bool]:
    """A job's note as sentences, "" for those that only clients need; and whether it must be seen in any case."""
    what, at = event.get("what"), event.get("iteration")
    if what == "warning":
        return f"Warning: {event.get('text')}", True
    if what == "refused":
        return f"Refused: {event.get('text')}", True
    if what == "setting":
        return f"From iteration {at:,} on: {event['name']} = {event['now']} (was {event['before']}).", False
    if what == "save":
        return f"Saved at iteration {at:,}.", False
    if what == "start":
        return _start_text(event), False
    return str(event.get("text") or ""), False


def _start_text(event: Mapping[str, Any]) -> str:
    many = event.get("threads")
    threads = f" with {many} thread{'' if many == 1 else 's'}" if event.get("device") == "cpu" else ""
    weights = float(event.get("parameters") or 0) / 1e6
    return (
        f"Training from iteration {event.get('iteration', 0):,} on {event.get('device')}{threads}, "
        f"{event.get('precision')}, batch {event.get('batch')}, {weights:.1f} million weights.\n"
        f"Preview, renewed while it trains: {event.get('preview')}\n"
        "Ctrl-C stops with a save and the same command goes on; `facewright jobs` in a second terminal steers it."
    )
