"""Verbs about the order of a faceset's faces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, silent, telling


def faces_sort(
    faceset: Path, by: str, *, settings: Mapping[str, Any] | None = None, reverse: bool = False, rename: bool = False,
    person: str = "", sheet: Path | None = None, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Write an order of the faces into the faceset; `rename` also numbers the files, `sheet` draws it."""
    from facewright.core.settings import merge
    from facewright.faceset.sorting.settings import SortSettings
    from facewright.faceset.sorting.sort import sort

    return sort(
        faceset, by, merge(SortSettings, settings or {}), reverse=reverse, rename=rename, person=person,
        sheet_file=sheet,
        progress=telling(on_event),
    )


def faces_orders() -> list[dict[str, str]]:
    """Every order that faces can be sorted by: `name`, `help`."""
    from facewright.faceset.sorting.settings import ORDERS

    return [{"name": plug.name, "help": plug.help} for plug in ORDERS]


def faces_restore_names(faceset: Path) -> dict[str, Any]:
    """Take the numbers that sorting put before file names away again."""
    from facewright.faceset.sorting.sort import unnumbered

    return {"faceset": str(faceset), "renamed": unnumbered(faceset)}
