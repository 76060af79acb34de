"""Verbs about people and tracks of a faceset: who is who, steadier landmarks, gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.api.review import films_at_hand
from facewright.api.steering import OnEvent, perform, silent
from facewright.core.settings import merge as layered
from facewright.project import stored_settings


def faces_people(faceset: Path) -> dict[str, Any]:
    """Everybody in a faceset: name, faces, tracks, films, share, the path of a good face."""
    from facewright.faceset.people.persons import listed

    return listed(faceset)


def faces_people_tracks(faceset: Path, name: str) -> list[dict[str, Any]]:
    """The tracks of one person: a head over one shot each. Raises NothingFound."""
    from facewright.faceset.people.persons import tracks_of

    return tracks_of(faceset, name)


def faces_people_sheet(faceset: Path, out: Path, *, person: str = "", across: int = 8) -> list[str]:
    """A row of faces for everybody, or for each track of one `person`, as PNG. Returns the pages."""
    from facewright.faceset.people.sheet import people_sheet

    return [str(page) for page in people_sheet(faceset, out, person, across)]


def faces_people_link(faceset: Path) -> dict[str, Any]:
    """Find tracks and people anew; what a user settled stays. Returns what `faces_people` does."""
    from facewright.faceset.people.persons import tell_apart

    return tell_apart(faceset)


def faces_people_rename(faceset: Path, old: str, new: str) -> dict[str, Any]:
    """Give a person another name. Raises NothingFound, Mismatch."""
    from facewright.faceset.people.persons import rename

    return rename(faceset, old, new)


def faces_people_merge(faceset: Path, names: Sequence[str]) -> dict[str, Any]:
    """Several people are one, called as the first. Raises NothingFound, Mismatch."""
    from facewright.faceset.people.persons import merge

    return merge(faceset, names)


def faces_people_split(faceset: Path, name: str, tracks: Sequence[str], *, into: str = "") -> dict[str, Any]:
    """Some tracks of a person are somebody else's. Raises NothingFound, Mismatch."""
    from facewright.faceset.people.persons import split

    return split(faceset, name, tracks, into)


def faces_people_cut(faceset: Path, track: str, frame: int) -> dict[str, Any]:
    """A track goes over to another head at this frame: two tracks from there on. Raises NothingFound, Mismatch."""
    from facewright.faceset.people.persons import cut

    return cut(faceset, track, frame)


def faces_people_move_out(faceset: Path, name: str, out: Path, *, on_event: OnEvent = silent) -> dict[str, Any]:
    """One person's faces ("": nobody's) into a faceset of their own; here they lie in the trash then."""
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.moving.copying import CopyStep
    from facewright.faceset.settings import ChoiceSettings

    faces = Faceset.open(faceset)
    called = faces.namer()
    only = None if name else [[row.face_id for row in faces.rows() if not called(row)]]
    step = CopyStep([str(faceset)], str(out), ChoiceSettings(person=name), move=True, only=only)
    return perform(step, background=False, on_event=on_event)


def faces_smooth(
    faceset: Path, *, settings: Mapping[str, Any], person: str = "", background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Steady the landmarks over time; raw and edited ones stay, strength 0 takes it back."""
    from facewright.faceset.review.smoothing import SmoothStep
    from facewright.faceset.settings import SmoothSettings

    values = layered(SmoothSettings, stored_settings(faceset, "smooth"), settings)
    return perform(SmoothStep(str(faceset), values, person), background=background, on_event=on_event)


def faces_gaps(
    faceset: Path, *, settings: Mapping[str, Any], person: str = "", footage: Sequence[Path] = (),
    dry_run: bool = False, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Propose faces for the frames of a track that have none; dry_run: only list the gaps.

    footage: where films lie now, beside the places that extraction knew. Raises Mismatch (none of the set's).
    """
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.review.gaps import GapStep, find
    from facewright.faceset.settings import GapSettings

    values = layered(GapSettings, settings)
    if dry_run:
        gaps = find(Faceset.open(faceset), values.up_to, person)
        return {"faceset": str(faceset), "gaps": len(gaps), "frames": sum(len(gap.frames) for gap in gaps),
                "rows": [gap.as_dict() for gap in gaps]}
    places = films_at_hand(faceset, footage).places()
    return perform(GapStep(str(faceset), values, person, places), background=False, on_event=on_event)


def faces_gaps_remove(faceset: Path, *, person: str = "") -> dict[str, Any]:
    """Move the faces that `faces_gaps` proposed to the trash. Raises NothingFound."""
    from facewright.faceset.review.gaps import remove

    taken = remove(faceset, person)
    return {"faceset": str(faceset), "removed": len(taken.paths), "trash": taken.name}
