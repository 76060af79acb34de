"""Time stamps and ids as the signed formats spell them: UTC, whole seconds; ULIDs."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(rf"[0-7][{_CROCKFORD}]{{25}}")


def utc_now() -> datetime:
    """This machine's clock, aware, in UTC. The room's only look at it."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """`YYYY-MM-DDThh:mm:ssZ`; fractions of a second are cut off. `moment` must be aware."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text: str) -> datetime | None:
    """The aware moment that `text` spells, or None when it does not spell one exactly."""
    if not isinstance(text, str) or not _STAMP.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def new_ulid(moment: datetime) -> str:
    """26 characters: 48 bits of milliseconds, 80 random bits; sorts by time."""
    number = int(moment.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(text: object) -> bool:
    """Whether `text` is a ULID in its canonical upper-case spelling."""
    return isinstance(text, str) and _ULID.fullmatch(text) is not None
