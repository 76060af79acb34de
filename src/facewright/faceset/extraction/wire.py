"""Messages between extraction and its worker processes: one JSON object and the bytes that it announces.

Four bytes (length of the JSON, big-endian), the JSON, then the blobs whose lengths stand in its list "blobs". Both ends
are processes of one user on one machine, the one started by the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">I")


def send(pipe: BinaryIO, facts: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one message. OSError when the other end has gone."""
    head = json.dumps({**facts, "blobs": [len(blob) for blob in blobs]}).encode("utf-8", "surrogatepass")
    pipe.write(_LENGTH.pack(len(head)) + head)
    for blob in blobs:
        pipe.write(blob)
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next message, or None when the other end has gone (in the middle of one: that one is lost)."""
    head = _exactly(pipe, _LENGTH.size)
    text = _exactly(pipe, _LENGTH.unpack(head)[0]) if head is not None else None
    if text is None:
        return None
    facts = json.loads(text.decode("utf-8", "surrogatepass"))
    blobs = []
    for length in facts.pop("blobs"):
        blob = _exactly(pipe, length)
        if blob is None:
            return None
        blobs.append(blob)
    return facts, blobs


def _exactly(pipe: BinaryIO, count: int) -> bytes | None:
    data = pipe.read(count) if count else b""
    return data if len(data) == count else None
