"""The files behind edits: what a placed face or a second extraction replaced, kept so that undo brings it back."""

from __future__ import annotations

from pathlib import Path

from facewright.faceset.decisions import Deed


def undo(faceset: Path, deed: Deed) -> None:
    """Bring the files of a deed back to what they were before it. Doing it twice does no harm."""


def redo(faceset: Path, deed: Deed) -> None:
    """Bring the files of a deed back to what it made of them. Doing it twice does no harm."""
