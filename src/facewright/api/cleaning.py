"""Verbs that clean facesets: park, tag, the trash; nothing is deleted but by emptying the trash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform, silent, telling
from facewright.core.settings import merge as layered
from facewright.project import find as find_project
from facewright.project import stored_settings


def faces_park(
    faceset: Path, faces: Sequence[str] = (), *, flags: Sequence[str] = (), person: str = ""
) -> dict[str, Any]:
    """Training leaves these faces out, merging uses them as ever. faces: ids or file names; flags: all that have one.

    Raises SettingRefused (neither is given), NothingFound.
    """
    from facewright.faceset.tags import PARKED

    return _marked(faceset, faces, flags, person, add=(PARKED,))


def faces_unpark(
    faceset: Path, faces: Sequence[str] = (), *, flags: Sequence[str] = (), person: str = ""
) -> dict[str, Any]:
    """Training sees these faces again; without names and flags all of them. Raises NothingFound."""
    from facewright.faceset.tags import PARKED

    return _marked(faceset, faces, flags or (() if faces else (PARKED,)), person, remove=(PARKED,))


def faces_tag(
    faceset: Path, word: str, faces: Sequence[str] = (), *, flags: Sequence[str] = (), person: str = "",
    remove: bool = False,
) -> dict[str, Any]:
    """Give a category of cleaning to faces, or take it away. Raises SettingRefused (no such word), NothingFound."""
    from facewright.core.errors import SettingRefused
    from facewright.faceset.tags import TAGS

    name = word.replace("-", "_")
    if name not in TAGS:
        raise SettingRefused(f"There is no tag {word!r}.", remedy=f"The tags are: {', '.join(TAGS)}.", where="WORD")
    words = (name,)
    return _marked(faceset, faces, flags, person, **({"remove": words} if remove else {"add": words}))


def faces_clean(
    faceset: Path, *, settings: Mapping[str, Any], person: str = "", apply: bool = False, tag: bool = False,
    park: bool = False, sheets: Path | None = None, background: bool = False, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """What is wrong with which faces, and what would become of them; `apply` carries it out, `tag` only notes it.

    park: nothing is moved, what is found is parked. sheets: a folder for a contact sheet of each category. An `apply`
    that was killed goes on with what it had decided. Raises NothingFound (no faces), SettingRefused (both).
    """
    from facewright.core.errors import SettingRefused
    from facewright.faceset.cleaning.clean import MOVE, draw, find
    from facewright.faceset.cleaning.settings import CleanSettings
    from facewright.faceset.cleaning.step import APPLY, TAG, CleanStep, key_of, pending, write_plan
    from facewright.faceset.faceset import Faceset

    if apply and tag:
        raise SettingRefused("Faces are either moved or tagged.", remedy="Give --apply or --tag.", where="--tag")
    chosen = layered(CleanSettings, stored_settings(faceset, "clean"), settings)
    how = APPLY if apply else TAG if tag else ""
    key = key_of(chosen, person, park, how)
    plan = pending(faceset, key) if how else ""
    report: dict[str, Any] = {}
    if not plan:
        faces = Faceset.open(faceset)
        found = find(faces, chosen, person, park=park, progress=telling(on_event))
        report = {"faceset": str(faceset), "applied": False, **found.as_dict()}
        if found.counts(MOVE) and not park and _is_target(faceset):
            report["notes"].append("This is the film that gets the new face: frames whose face is moved away keep the "
                                   "old one. --park leaves faces where they are and out of training alone.")
        if sheets is not None:
            report["sheets"] = draw(faces, found, sheets)
        plan = write_plan(faceset, found, list(faces.rows_of(person)), key, how) if how else ""
    if not plan:
        return report
    done = perform(CleanStep(str(faceset), plan, chosen), background=background, on_event=on_event)
    return report | done | {"applied": how == APPLY}


def faces_coverage(
    source: Path, target: Path | None = None, *, source_person: str = "", target_person: str = "",
    map_file: Path | None = None, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """What the source shows (its parked faces aside) and, of what the target shows, lacks; with advice.

    map_file: a PNG of it. Raises NothingFound, FileRefused.
    """
    from facewright.core.files import make_folder, write_atomic
    from facewright.faceset.cleaning.advice import advise
    from facewright.faceset.cleaning.coverage import compare, facts, portrait
    from facewright.faceset.cleaning.coverage_map import draw
    from facewright.faceset.faceset import Faceset

    ours = portrait(Faceset.open(source), source_person, parked=False, progress=telling(on_event))
    found: dict[str, Any] = {"source": facts(ours), "target": None, "compared": None}
    if target is not None:
        theirs = portrait(Faceset.open(target), target_person, progress=telling(on_event))
        found |= {"target": facts(theirs), "compared": compare(ours, theirs)}
    found["advice"] = advise(found["source"], found["compared"], found["target"])
    if map_file is not None:
        make_folder(map_file.parent)
        write_atomic(map_file, draw(found["source"], found["target"], found["compared"], found["advice"]))
        found["map"] = str(map_file)
    return found


def faces_by_origin(faceset: Path) -> list[dict[str, Any]]:
    """Where a set's faces come from: one row a film or folder (and shot), in order."""
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.moving.origins import origins

    return origins(Faceset.open(faceset))


def faces_compile(
    out: Path, facesets: Sequence[Path], *, films: Sequence[str] = (), person: str = "", flags: Sequence[str] = (),
    where: Sequence[str] = (), on_event: OnEvent = silent,
) -> dict[str, Any]:
    """A new set of chosen faces of others, copied with all they carry; each keeps its consent.

    films: names of films and folders, or beginnings of digests; where: `yaw_deg=-30..30`, `shot=2`.
    Raises NothingFound, SettingRefused (no such column), what copying raises.
    """
    from facewright.faceset.moving.origins import Choice, compiling

    step = compiling(out, facesets, Choice.of(films, person, flags, where))
    return perform(step, background=False, on_event=on_event)


def faces_trash_list(faceset: Path, name: str = "") -> list[dict[str, Any]]:
    """What was taken out of a faceset and can come back, oldest first; `name`: that operation. Raises NothingFound."""
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.trash import find, held

    Faceset.open(faceset, refresh=False)
    found = find(faceset, name) if name else held(faceset)
    return [asdict(one) | {"faces": len(one.paths)} for one in found]


def faces_trash_restore(faceset: Path, name: str = "", *, faces: Sequence[str] = ()) -> dict[str, Any]:
    """Undo the latest operation, or the one called `name`; of it these faces alone. Raises NothingFound, Mismatch."""
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.trash import bring_back, find, held

    Faceset.open(faceset, refresh=False)
    names = [one.name for one in find(faceset, name)]
    back = bring_back(faceset, name or names[0].partition("-")[0], faces)
    left = sum(len(one.paths) for one in held(faceset) if one.name in names)
    return {"faceset": str(faceset), "from": names, "restored": len(back), "left": left, "paths": back}


def faces_trash_empty(faceset: Path, name: str = "") -> dict[str, Any]:
    """Delete for good what lies in the trash, or one operation of it. Raises NothingFound."""
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.trash import empty

    Faceset.open(faceset, refresh=False)
    gone = empty(faceset, name)
    return {"faceset": str(faceset), "deleted": [one.name for one in gone], "faces": sum(len(o.paths) for o in gone),
            "bytes": sum(one.bytes for one in gone)}


def _marked(
    faceset: Path, faces: Sequence[str], flags: Sequence[str], person: str, *, add: Sequence[str] = (),
    remove: Sequence[str] = (),
) -> dict[str, Any]:
    from facewright.core.errors import SettingRefused
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.tags import chosen, mark

    if not faces and not flags:
        raise SettingRefused(
            "Which faces are meant?", remedy="Name them by their file names, or by a flag with --flag.", where=faceset)
    found = Faceset.open(faceset)
    rows = chosen(found, faces, flags, person)
    return {"faceset": str(faceset), "faces": len(rows), "changed": mark(found, rows, add=add, remove=remove)}


def _is_target(faceset: Path) -> bool:
    project = find_project(faceset)
    return project is not None and faceset.resolve() == project.faceset("dst").resolve()
