"""Steps run without a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facewright.core.step import Item, Step, Work


def run(
    step: Step, records: dict[str, Any] | None = None, *, only: Callable[[Item], bool] | None = None,
    stop_after: int = -1, work: Work | None = None,
) -> dict[str, Any]:
    """Every item that `records` lacks, then the end: its summary. only: those that it picks, and no end; stop_after: so
    many of them, and no end."""
    records, work = {} if records is None else records, work or Work()
    items = step.plan()
    intact = getattr(step, "intact", lambda item, record: True)
    todo = [item for item in items if item.id not in records or not intact(item, records[item.id])]
    for number, (item, result) in enumerate(step.stream(list(filter(only, todo)) if only else todo, work), 1):
        records[item.id] = step.commit(item, result)
        if number == stop_after:
            work.stop.ask()
    if work.stop.asked or only:
        return {}
    return step.finish({item.id: records[item.id] for item in items}, work)
