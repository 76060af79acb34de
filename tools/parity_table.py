"""What equals the original, measured: every golden file, what is compared, the largest difference, the limit.

    python -m tools.parity_table                 Markdown on the screen (a minute: it runs the tests that compare)
    python -m tools.parity_table --json OUT.json the same as data, every single comparison
    python -m tools.parity_table --write         into docs/explanation/parity.md, unless something failed

The comparisons are the tests' own (tests/parity.py); nothing is compared here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "models"
PAGE = ROOT / "docs" / "explanation" / "parity.md"
BEGIN, END = "<!-- measured: python -m tools.parity_table --write -->", "<!-- end of what was measured -->"
_NAMED_AT_MOST = 2


@dataclass
class Row:
    """One kind of comparison with one file. entries: which arrays or cases of the file; count: how many comparisons."""

    file: str
    what: str
    limit: float
    relative: bool
    difference: float = 0.0
    count: int = 0
    entries: set[str] = field(default_factory=set)

    def add(self, line: dict[str, Any]) -> None:
        """Take one comparison in."""
        self.difference = max(self.difference, line["difference"])
        self.count += 1
        self.entries.add(line["entry"])

    @property
    def verdict(self) -> str:
        """equal, within, or MISSED."""
        if not self.difference <= self.limit:
            return "MISSED"
        return "equal" if self.limit == 0 else "within"


class Listener:
    """A pytest plugin that keeps every comparison, and the names of tests that failed."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Run nothing that does not compare."""
        items[:] = [item for item in items if "parity" in getattr(item, "fixturenames", ())]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """After each phase of each test."""
        from tests.parity import NOTE

        if report.when == "call":
            self.lines += [value for name, value in report.user_properties if name == NOTE]
        if report.failed:
            self.failed.append(report.nodeid)


def comparing_files() -> list[Path]:
    """The test files that compare with the models' goldens."""
    files = sorted((ROOT / "tests").glob("*/test_*.py"))
    return [f for f in files if "parity." in f.read_text(encoding="utf-8")]


def measure() -> Listener:
    """Run those tests in this process."""
    import pytest

    listener = Listener()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main([*map(str, comparing_files()), "-q", "-p", "no:xdist"], plugins=[listener])
    return listener


def rows(lines: Iterable[dict[str, Any]]) -> list[Row]:
    """Comparisons of one kind, file and limit put together, in the order of the files, strictest limit first."""
    found: dict[tuple[Any, ...], Row] = {}
    for line in lines:
        key = (line["file"], line["what"], line["limit"], line["relative"])
        found.setdefault(key, Row(*key)).add(line)
    return sorted(found.values(), key=lambda r: (r.file, r.what, r.limit))


def stored(file: Path) -> list[str]:
    """The entries of a golden file: arrays, keys (train_steps: cases), or a folder's files."""
    if file.is_dir():
        return sorted(f.name for f in file.iterdir())
    if file.suffix == ".npz":
        import numpy as np

        return sorted(np.load(file, allow_pickle=False).files)
    content = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(content, list):
        return ["whole"]
    return sorted(content.get("cases", content))


def golden_files() -> list[Path]:
    """Everything in the goldens' folder but its README."""
    return sorted(f for f in GOLDEN.iterdir() if f.name != "README.md")


def number(value: float) -> str:
    """Two digits, 0 as 0."""
    return f"{value:.2g}" if value == 0 or value >= 0.01 else f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")


def markdown(table: list[Row]) -> str:
    """The table, and which entries no test reads."""
    lines = [
        "| golden file | what is compared | arrays, cases | largest difference | limit | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for file in golden_files():
        mine, names = [r for r in table if r.file == file.name], set(stored(file))
        read = set().union(*(r.entries for r in mine)) & names if mine else set()
        for i, row in enumerate(mine):
            few = len(row.entries) <= _NAMED_AT_MOST < len(names) and file.suffix == ".json"
            of = ", ".join(sorted(row.entries)) if few else f"{len(row.entries)}"
            head = f"`{file.name}`: {len(read)} of {len(names)}" if i == 0 else ""
            limit = "exact" if row.limit == 0 else number(row.limit) + (" relative" if row.relative else "")
            lines.append(f"| {head} | {row.what} | {of} | {number(row.difference)} | {limit} | {row.verdict} |")
        if not mine:
            lines.append(f"| `{file.name}`: 0 of {len(names)} | nothing | 0 | | | MISSED |")
    return "\n".join(lines)


def unread(table: list[Row]) -> dict[str, list[str]]:
    """File -> entries that no comparison names."""
    found = {}
    for file in golden_files():
        seen = {e for r in table if r.file == file.name for e in r.entries}
        if missing := [e for e in stored(file) if e not in seen]:
            found[file.name] = missing
    return found


def into_page(text: str) -> None:
    """Put the table between its two marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> int:
    """Command line; 1 when a difference exceeds its limit, a file is not compared or a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write every comparison to this file")
    parser.add_argument("--write", action="store_true", help="put the table into docs/explanation/parity.md")
    words = parser.parse_args()
    listener = measure()
    table = rows(listener.lines)
    text = markdown(table)
    if words.json:
        report = {"rows": [vars(r) | {"entries": sorted(r.entries), "verdict": r.verdict} for r in table],
                  "unread": unread(table), "failed": listener.failed}
        words.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    failed = bool(listener.failed) or "MISSED" in text
    if words.write and not failed:
        into_page(text)
    print(text)
    for file, entries in unread(table).items():
        print(f"not compared: {file}: {', '.join(entries)}", file=sys.stderr)
    for name in listener.failed:
        print(f"failed, so the page was not written: {name}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
