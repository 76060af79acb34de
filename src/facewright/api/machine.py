"""Verbs about this machine: doctor, pretrained nets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.core.errors import FacewrightError
from facewright.doctor import Report, examine

OnEvent = Callable[[Mapping[str, Any]], None]


def doctor() -> Report:
    """Every check of this machine, with remedies."""
    return examine(Path.cwd())


def weights_list() -> list[dict[str, Any]]:
    """Every pretrained net as plain data; `path` is "" where it is not here."""
    from facewright.core.weights import WEIGHTS, available

    return [
        {
            "name": w.name,
            "used_for": w.used_for,
            "file": w.file,
            "bytes": w.bytes,
            "sha256": w.sha256,
            "licence": w.licence,
            "licence_note": w.licence_note,
            "training_data": w.training_data,
            "reservations": w.reservations,
            "path": str(available(w.name) or ""),
        }
        for w in WEIGHTS.values()
    ]


def weights_fetch(names: Sequence[str], *, on_event: OnEvent) -> tuple[list[dict[str, Any]], list[FacewrightError]]:
    """Bring the named nets (none: all) to this machine. One that cannot be had does not stop the others."""
    from facewright.core.fetch import fetch
    from facewright.core.weights import WEIGHTS, weight

    fetched, failures = [], []
    for net in [weight(name) for name in names] or list(WEIGHTS.values()):

        def tell(done: int, total: int, name: str = net.name) -> None:
            on_event({"kind": "progress", "done": done, "total": total, "unit": "bytes", "note": name})

        try:
            fetched.append({"name": net.name, "path": str(fetch(net.name, tell))})
        except FacewrightError as failure:
            failures.append(failure)
    return fetched, failures


def weights_verify() -> list[dict[str, Any]]:
    """Of every net: state ok | absent | damaged | off (identity nets switched off), and its place."""
    from facewright.core.weights import available, verify

    return [
        {"name": name, "state": state, "path": str(available(name) or "") if state == "ok" else ""}
        for name, state in verify().items()
    ]
