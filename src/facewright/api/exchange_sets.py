"""Verbs that bring faces of other programs here and hand ours out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform, silent
from facewright.api.trust import reference_at, standing
from facewright.core.settings import check


def faces_import(
    src: Path, dst: Path, *, footage: Path | None = None, settings: Mapping[str, Any] | None = None, person: str = "",
    consent: str = "", background: bool = False, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """DeepFaceLab's faces (a folder, a faceset.pak, a meta.dat) or faceswap's alignments (.fsa) -> the faceset DST.

    footage: the film or folder of pictures that the faces were cut from; needed for alignments, and for merging.
    `record`: the consent record that covers the set, None where there is none.
    """
    from facewright.faceset.exchange.alignments import SUFFIX
    from facewright.faceset.exchange.alignments_import import AlignmentsStep
    from facewright.faceset.exchange.dfl_import import ImportStep
    from facewright.faceset.settings import FacesImportSettings

    if consent:
        consent = reference_at(dst, consent)
    chosen = check(FacesImportSettings, dict(settings or {}))
    make = AlignmentsStep if src.suffix.lower() == SUFFIX else ImportStep
    step = make(str(src), str(dst), chosen, str(footage) if footage is not None else "", person, consent)
    done = perform(step, background=background, on_event=on_event)
    return done if background else done | {"record": standing(dst)}


def faces_export(
    faceset: Path, out: Path, *, settings: Mapping[str, Any] | None = None, person: str = "", background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """A faceset -> files that DeepFaceLab opens, in the new or empty folder OUT. Records of consent go along."""
    from facewright.faceset.exchange.dfl_export import ExportStep
    from facewright.faceset.settings import FacesExportSettings

    step = ExportStep(str(faceset), str(out), check(FacesExportSettings, dict(settings or {})), person)
    return perform(step, background=background, on_event=on_event)
