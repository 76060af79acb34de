"""ULIDs: ids of jobs, records and permits that sort by time (github.com/ulid/spec)."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SPELLING = re.compile(rf"[0-7][{_CROCKFORD}]{{25}}")


def new_ulid(moment: datetime | None = None) -> str:
    """26 characters: 48 bits of milliseconds of the aware `moment` (now), 80 random bits."""
    moment = moment or datetime.now(UTC)
    number = int(moment.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(text: object) -> bool:
    """Whether `text` is a ULID in its canonical upper-case spelling."""
    return isinstance(text, str) and _SPELLING.fullmatch(text) is not None
