"""One line of JSON per finished arm, appended durably; several processes may write one file."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from facewright.core.files import FolderLock

Record = dict[str, Any]


def append(path: Path, record: Record) -> None:
    """Add a line and see it on the disk; a torn line of a killed writer is closed first."""
    lock = FolderLock(path.with_suffix(".lock"))
    while not lock.acquire():
        time.sleep(0.05)
    try:
        with open(path, "ab+") as file:
            line = json.dumps(record, sort_keys=True).encode() + b"\n"
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    finally:
        lock.release()


def read(path: Path) -> list[Record]:
    """Whole records; of an arm that was done twice the later one."""
    found: dict[tuple[Any, ...], Record] = {}
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
            found[key(record)] = record
        except (ValueError, KeyError, TypeError):
            continue  # the tail of a killed write
    return list(found.values())


def key(record: Record) -> tuple[Any, ...]:
    """What makes two records the same measurement."""
    return record["pair"], float(record["minutes"]), record["arm"]
