"""Verbs about masks and labels: make, take away, bring back, look at, give out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform, silent, telling
from facewright.core.settings import merge as layered
from facewright.project import run_place, stored_settings


def mask_apply(
    faceset: Path, masker: str, *, settings: Mapping[str, Any], person: str = "", background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Masks for every face: `hull`, `mesh`, a trained XSeg run or its .onnx file. Earlier ones can be brought back."""
    from facewright.masks.apply import ApplyStep
    from facewright.masks.settings import MASKERS, MaskSettings

    place = run_place(Path(masker))
    masker = str(place) if masker not in MASKERS.names() and place.exists() else masker
    values = layered(MaskSettings, stored_settings(faceset, "apply_masks"), settings)
    step = ApplyStep(str(faceset), masker, values, person)
    return perform(step, background=background, on_event=on_event)


def mask_remove(faceset: Path, *, person: str = "", on_event: OnEvent = silent) -> dict[str, Any]:
    """Take the stored masks away; labels stay. `mask_restore` brings them back."""
    from facewright.masks.apply import NONE, ApplyStep

    return perform(ApplyStep(str(faceset), NONE, person=person), background=False, on_event=on_event)


def mask_restore(faceset: Path) -> dict[str, Any]:
    """Bring back the masks that the latest apply or remove replaced. Raises NothingFound."""
    from facewright.masks.apply import restore_masks

    return restore_masks(faceset)


def mask_fetch(faceset: Path, out: Path, *, person: str = "") -> dict[str, Any]:
    """Copy the faces that have labels into a faceset of their own, for sharing."""
    from facewright.masks.labels import fetch

    return fetch(faceset, out, person)


def mask_labels_import(faceset: Path, place: Path, *, replace: bool = False) -> dict[str, Any]:
    """Labels out of a label file, or DeepFaceLab's faces, for the same faces here."""
    from facewright.masks.labels import take_in

    return take_in(faceset, place, replace=replace)


def mask_labels_export(faceset: Path, file: Path, *, person: str = "") -> dict[str, Any]:
    """All labels as one JSON document."""
    from facewright.masks.labels import export

    return export(faceset, file, person)


def mask_labels_remove(faceset: Path, *, person: str = "") -> dict[str, Any]:
    """Take the labels away; masks stay. `mask_labels_restore` brings them back."""
    from facewright.masks.labels import remove

    return remove(faceset, person)


def mask_labels_restore(faceset: Path) -> dict[str, Any]:
    """Bring back the labels that the latest removal, import or tracing replaced. Raises NothingFound."""
    from facewright.masks.labels import restore

    return restore(faceset)


def mask_to_labels(
    faceset: Path, *, settings: Mapping[str, Any], replace: bool = False, person: str = "", on_event: OnEvent = silent
) -> dict[str, Any]:
    """Stored masks -> polygons."""
    from facewright.masks.labels import from_masks
    from facewright.masks.settings import TraceSettings

    chosen = layered(TraceSettings, settings)
    return from_masks(faceset, chosen, replace=replace, person=person, progress=telling(on_event))


def mask_suggest(
    faceset: Path, *, settings: Mapping[str, Any], person: str = "", on_event: OnEvent = silent
) -> dict[str, Any]:
    """Which faces to label next, and why each."""
    from facewright.masks.settings import SuggestSettings
    from facewright.masks.suggest import suggest

    return suggest(faceset, layered(SuggestSettings, settings), person=person, progress=telling(on_event))


def mask_export(
    faceset: Path, out: Path, *, settings: Mapping[str, Any], person: str = "", on_event: OnEvent = silent
) -> dict[str, Any]:
    """Masks as PNG pictures, one per face."""
    from facewright.masks.export import export
    from facewright.masks.settings import ExportSettings

    return export(faceset, out, layered(ExportSettings, settings), person=person, progress=telling(on_event))


def mask_check(
    faceset: Path, *, settings: Mapping[str, Any], sheet: Path | None = None, person: str = "",
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Doubtful masks, worst first; `sheet`: a PNG to draw them on."""
    from facewright.masks.check import doubtful
    from facewright.masks.settings import CheckSettings

    chosen = layered(CheckSettings, settings)
    return doubtful(faceset, chosen, person=person, sheet_file=sheet, progress=telling(on_event))
