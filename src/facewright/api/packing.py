"""Verbs that carry facesets about: one file and back, copies, moves, merges, and whether all of it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform, silent, telling


def faces_pack(
    faceset: Path, file: Path, *, settings: Mapping[str, Any], background: bool = False, on_event: OnEvent = silent
) -> dict[str, Any]:
    """A faceset as one file that can be trained from. Nothing is taken out of the faceset."""
    from facewright.core.settings import check
    from facewright.faceset.moving.pack import PackStep
    from facewright.faceset.settings import PackSettings

    step = PackStep(str(faceset), str(file), check(PackSettings, settings))
    return perform(step, background=background, on_event=on_event)


def faces_unpack(
    file: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False, on_event: OnEvent = silent
) -> dict[str, Any]:
    """A packed faceset as a folder again. `damaged`: [path, why] of what could not be saved."""
    from facewright.core.settings import check
    from facewright.faceset.moving.unpack import UnpackStep
    from facewright.faceset.settings import UnpackSettings

    step = UnpackStep(str(file), str(out), check(UnpackSettings, settings))
    return perform(step, background=background, on_event=on_event)


def faces_check(faceset: Path, *, on_event: OnEvent = silent) -> dict[str, Any]:
    """Read every face of a faceset, a folder or packed, to its end. `damaged`: [path, why]."""
    from facewright.faceset.moving.integrity import check

    return check(faceset, telling(on_event))


def faces_copy(
    faceset: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False, on_event: OnEvent = silent
) -> dict[str, Any]:
    """Chosen faces into another faceset, which is made where it is not there."""
    return _carry([faceset], out, settings, False, background, on_event)


def faces_move(
    faceset: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False, on_event: OnEvent = silent
) -> dict[str, Any]:
    """The same, and the originals go to their faceset's trash."""
    return _carry([faceset], out, settings, True, background, on_event)


def faces_merge(
    out: Path, facesets: Sequence[Path], *, settings: Mapping[str, Any], background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Several facesets into one; they stay as they are."""
    return _carry(facesets, out, settings, False, background, on_event)


def _carry(
    facesets: Sequence[Path], out: Path, settings: Mapping[str, Any], move: bool, background: bool, on_event: OnEvent
) -> dict[str, Any]:
    from facewright.core.settings import check
    from facewright.faceset.moving.copying import CopyStep
    from facewright.faceset.settings import ChoiceSettings

    step = CopyStep(list(map(str, facesets)), str(out), check(ChoiceSettings, settings), move)
    return perform(step, background=background, on_event=on_event)
