"""Append-only records, each with a crc; a torn tail is cut off on opening.

Line = crc32 of the body as 8 hex digits, a space, one JSON object, newline. One writer at a time (the job's
lock sees to that); any number of readers.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from facewright.core.files import disk_error


class Journal:
    """`records` holds every whole record from opening on; `add` appends durably against kill -9."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records, good = scan(path)
        try:
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (kept open for the job's life)
            if self._file.tell() != good:
                self._file.truncate(good)
        except OSError as error:
            raise disk_error(error, path) from error

    def add(self, record: dict[str, Any], *, sync: bool = False) -> None:
        """One write() per record; `sync` also survives a power cut. A failed write is cut off again."""
        body = json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        line = b"%08x %s" % (zlib.crc32(body), body)
        start = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, "short write")
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(start)
            raise disk_error(error, self.path) from error
        self.records.append(record)

    def close(self) -> None:
        """Close the file; records stay readable."""
        self._file.close()


def scan(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Whole records from byte offset `start` on, and the offset after the last whole one."""
    records: list[dict[str, Any]] = []
    good = start
    if not path.exists():
        return records, good
    with open(path, "rb") as file:
        file.seek(start)
        for line in file:
            crc, _, body = line.partition(b" ")
            if not line.endswith(b"\n") or crc != b"%08x" % zlib.crc32(body):
                break
            records.append(json.loads(body))
            good += len(line)
    return records, good
