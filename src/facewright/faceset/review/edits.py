"""The files behind edits: what a placed face or a second look replaced, kept so that undo brings it back.

Facts of a deed name files by their path in the faceset. They come from a file that anyone may have written, so every
one is checked before it is used. Doing any of it twice does no harm: killed on its way, the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.core.files import make_folder, read_file, safe_join, write_atomic
from facewright.core.ulid import new_ulid
from facewright.faceset import record, trash
from facewright.faceset.files import plain_name
from facewright.faceset.index import Index
from facewright.faceset.review.decisions import Deed
from facewright.faceset.store import FACES, PRIVATE, Writer
from facewright.faceset.tags import PARKED, write_marks

KEPT = f"{PRIVATE}/edits"
LOOKED_AGAIN = "looked again"


def adding(path: str) -> dict[str, Any]:
    """Facts of a deed that adds the file `path`."""
    return {"new": [path], "undone": trash.name_for("undone", new_ulid())}


def replacing(old: list[str], new: list[str], run: str, **more: Any) -> dict[str, Any]:
    """Facts of a deed that takes the files `old` out and adds `new`; the deeds of one run are undone together."""
    return {"old": old, "taken": trash.name_for(LOOKED_AGAIN, run), "new": new,
            "undone": trash.name_for("undone look", run), "run": run, **more}


def keep(faceset: Path, number: int, path: str, data: bytes) -> dict[str, Any]:
    """Put the file as it is aside, before deed `number` changes it; facts of that deed."""
    place = f"{KEPT}/{number:06d}/{Path(path).name}"
    make_folder((faceset / place).parent)
    write_atomic(faceset / place, data)
    return {"path": path, "before": place, "after": f"{KEPT}/{number:06d}/after-{Path(path).name}"}


def undo(faceset: Path, deed: Deed) -> None:
    """Bring the files of a deed back to what they were before it. Raises FileRefused, DiskRefused."""
    facts = deed.facts
    if "new" in facts:
        with Writer(faceset) as writer:
            trash.take_out(writer, _faces(faceset, facts, "new"), "undone", _name(facts, "undone"))
        _back(faceset, facts, "old", "taken")
    if "before" in facts:
        _swap(faceset, facts, "before", "after")
    _parked(faceset, deed, parked=True)
    _refreshed(faceset, facts)


def redo(faceset: Path, deed: Deed) -> None:
    """Bring the files of a deed back to what it made of them. Raises FileRefused, DiskRefused, NothingFound."""
    facts = deed.facts
    if "new" in facts:
        if facts.get("old"):
            with Writer(faceset) as writer:
                trash.take_out(writer, _faces(faceset, facts, "old"), LOOKED_AGAIN, _name(facts, "taken"))
        _back(faceset, facts, "new", "undone")
    if "before" in facts:
        _swap(faceset, facts, "after", "before")
    _parked(faceset, deed, parked=False)
    _refreshed(faceset, facts)


def park(writer: Writer, deed: Deed, *, parked: bool) -> None:
    """Park the faces that a deed brought into use, or bring them into use; those that are gone stay so."""
    there = [path for path in _faces(writer.faceset, deed.facts, "unparked") if (writer.faceset / path).is_file()]
    write_marks(writer, [(path, (PARKED,) if parked else (), () if parked else (PARKED,)) for path in there])


def _parked(faceset: Path, deed: Deed, *, parked: bool) -> None:
    if "unparked" in deed.facts:
        with Writer(faceset) as writer:
            park(writer, deed, parked=parked)


def _swap(faceset: Path, facts: Mapping[str, Any], take: str, leave: str) -> None:
    """Put the file kept as `take` into its place, after the one there was put aside as `leave`."""
    path, wanted, other = (_checked(faceset, facts.get(key), root) for key, root in
                           (("path", FACES), (take, KEPT), (leave, KEPT)))
    path = _here(path)
    data = read_file(wanted, limit_bytes=record.MAX_FILE_BYTES)
    if path.exists():
        now = read_file(path, limit_bytes=record.MAX_FILE_BYTES)
        if now == data:
            return
        write_atomic(other, now)
    make_folder(path.parent)
    write_atomic(path, data)


def _back(faceset: Path, facts: Mapping[str, Any], which: str, name: str) -> None:
    missing = {_plain(path) for path in _faces(faceset, facts, which) if not (faceset / path).exists()}
    if missing:
        operation = _name(facts, name)
        lying = [path for one in trash.held(faceset) if one.name == operation for path in one.paths]
        # None left there: nothing was taken out before the kill, or someone emptied the trash.
        trash.bring_back(faceset, operation, [path for path in lying if _plain(path) in missing] or sorted(missing))


def _faces(faceset: Path, facts: Mapping[str, Any], key: str) -> list[str]:
    paths = facts.get(key, [])
    found = [_checked(faceset, path, FACES) for path in (paths if isinstance(paths, list) else [paths])]
    return [_here(path).relative_to(faceset).as_posix() for path in found]


def _here(path: Path) -> Path:
    """Where the file is now: sorting may have put a number before its name."""
    if path.exists() or not path.parent.is_dir():
        return path
    return next((one for one in sorted(path.parent.glob(f"*-{path.name}")) if plain_name(one.name) == path.name), path)


def _plain(path: str) -> str:
    return f"{path.rpartition('/')[0]}/{plain_name(path)}"


def _name(facts: Mapping[str, Any], key: str) -> str:
    name = str(facts.get(key, ""))
    if not name or Path(name).name != name or not name[0].isalnum():
        raise _refused()
    return name


def _checked(faceset: Path, path: Any, root: str) -> Path:
    """A path inside of one folder of the faceset. Raises FileRefused."""
    if not isinstance(path, str) or not path.startswith(f"{root}/"):
        raise _refused()
    return safe_join(faceset, path)


def _refreshed(faceset: Path, facts: Mapping[str, Any]) -> None:
    if facts:
        Index(faceset).refresh()


def _refused() -> FileRefused:
    return FileRefused(
        "A line of review.jsonl names a file that it cannot have written.",
        remedy="Move review.jsonl away if it is not yours; the faces stay.")
