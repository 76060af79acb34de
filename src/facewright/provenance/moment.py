"""Time stamps as the signed formats spell them: UTC, whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


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
