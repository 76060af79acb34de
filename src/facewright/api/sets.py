"""Verbs about facesets that only look, or forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facewright.api.trust import records_of, standing


def faces_info(faceset: Path) -> dict[str, Any]:
    """Counts, coverage, quality, persons and consent, JSON-able. Raises FileRefused, NothingFound (empty).

    `record`: the consent record that covers these faces (a row of consent_list), None where there is none.
    `records`: those that single faces name, by reference.
    """
    from facewright.core.errors import NothingFound
    from facewright.faceset.faceset import Faceset

    faces = Faceset.open(faceset)
    if len(faces) == 0:
        raise NothingFound(
            f"The faceset {faceset.name} is empty.",
            remedy="Run `facewright extract INPUT FACESET` first.",
            where=faceset,
        )
    info = faces.info().as_dict()
    return info | {"record": standing(faceset), "records": records_of(faceset, info["consents"])}


def faces_forget_identity(faceset: Path) -> dict[str, Any]:
    """Erase the identity vectors of a faceset."""
    from facewright.faceset.faceset import Faceset

    return {"faceset": str(faceset), "vectors erased": Faceset.open(faceset).forget_identity()}
