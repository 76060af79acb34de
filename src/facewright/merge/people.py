"""Whose faces a trained net learned: what it recorded of them, for the gate."""

from __future__ import annotations

from pathlib import Path

from facewright.core.errors import ConsentRefused
from facewright.core.step import Likeness
from facewright.merge.predict import is_dfm
from facewright.merge.result import likeness_from


def held(run: Path) -> object:
    """What a .dfm file's people and its net are both read from, once, while the caller keeps it; None of a RUN. Raises
    FileRefused."""
    if not is_dfm(run):
        return None
    from facewright.merge.dfm import held as held_file

    return held_file(run)


def people_of(run: Path) -> list[Likeness]:
    """Everybody whose face a RUN or a .dfm file learned, in the role that it learned them in.

    Raises ConsentRefused where the source is not among them: an empty list would let pictures of them pass unasked.
    """
    from facewright.merge.trained import run_record

    found = [likeness_from(entry) for entry in run_record(run).get("likenesses", [])]
    if any(one.role == "source_likeness" for one in found):
        return found
    if is_dfm(run):
        raise ConsentRefused(
            f"The file {run.name} does not say whose face it makes.",
            why="Without that, no record of consent can be asked.",
            remedy=f"Say it: `facewright model import-dfm {run} --record RECORD`.", where=run,
        )
    raise ConsentRefused(
        f"The run {run.name} does not say whose face it learned.",
        why="Without that, no record of consent can be asked.",
        remedy="Go on training it with `facewright train`, which notes the people, then try again.", where=run,
    )
