"""Step: what `clean.find` found is carried out, in batches of 64 faces: into the trash, parked, or tagged.

What to do is decided once and written to FACESET/.facewright/clean/ before the first face moves: killed anywhere, the
same command goes on with that plan instead of judging afresh a set that half of the faces have left.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.core.files import disk_error, make_folder, read_file, write_atomic
from facewright.core.settings import Settings
from facewright.core.step import Item, Likeness, Work
from facewright.core.ulid import new_ulid
from facewright.faceset import trash
from facewright.faceset.cleaning.clean import MOVE, PARK, STAY, Found
from facewright.faceset.cleaning.settings import CleanSettings
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import PRIVATE, Writer
from facewright.faceset.tags import GOOD, KEEP, PARKED, TAGS, words_of, write_marks

APPLY, TAG = "apply", "tag"
"""Move and park; or only write the categories into the faces."""

_FORMAT = "facewright.clean/1"
_LIMIT_BYTES = 256 << 20


class CleanStep:
    """Carry out the plan of that name (`write_plan`) in a faceset."""

    stage = "clean"
    settings: Settings

    def __init__(self, faceset: str, plan: str, settings: CleanSettings | None = None) -> None:
        self.folder = Path(faceset).resolve()
        self.name, self.settings = plan, settings or CleanSettings()
        self._writer = Writer(self.folder)
        self._job = ""

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "plan": self.name}

    def likenesses(self) -> list[Likeness]:
        """None: no picture of a person is changed."""
        return []

    def inputs(self) -> dict[str, str]:
        """The plan itself."""
        return {"plan": hashlib.sha256(json.dumps(self._batches).encode()).hexdigest()}

    @cached_property
    def _batches(self) -> list[dict[str, Any]]:
        plan = _file(self.folder, self.name)
        return _load(plan if plan.exists() else _done(plan))["batches"]

    def plan(self) -> list[Item]:
        """One item per 64 faces. Raises FileRefused: the plan is gone (another was made since)."""
        return [Item(batch["id"], batch) for batch in self._batches]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what a batch took out is still out."""
        batch = item.payload
        return batch["deed"] != MOVE or not any((self.folder / path).exists() for path, *_ in batch["faces"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Any]]:
        """Batches in order."""
        self._job = work.job
        total = sum(len(item.payload["faces"]) for item in self.plan())
        done = total - sum(len(item.payload["faces"]) for item in todo)
        with self._writer as writer:
            writer.sweep()
            for item in work.until_stopped(todo):
                yield item, None
                done += len(item.payload["faces"])
                work.progress(done, total)

    def commit(self, item: Item, result: Any) -> dict[str, Any]:
        """Move one batch into its folder of the trash, or write the words of its faces together."""
        batch = item.payload
        with self._writer as writer:
            if batch["deed"] == MOVE:
                name = trash.name_for(batch["word"], self._job) if self._job else ""
                taken = trash.take_out(writer, [path for path, *_ in batch["faces"]], batch["word"], name)
                return {"deed": MOVE, "word": batch["word"], "faces": len(taken.paths), "trash": taken.name}
            there = [(path, add, remove) for path, add, remove in batch["faces"] if (self.folder / path).exists()]
            write_marks(writer, there)
        return {"deed": batch["deed"], "word": batch["word"], "faces": len(there), "trash": ""}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Count, bring the index in step, put the plan aside."""
        counts: dict[str, Counter[str]] = {MOVE: Counter(), PARK: Counter(), TAG: Counter()}
        for record in records.values():
            counts[record["deed"]][record["word"]] += record["faces"]
        left = len(Faceset.open(self.folder))
        plan = _file(self.folder, self.name)
        if plan.exists():
            try:
                os.replace(plan, _done(plan))
            except OSError as error:
                raise disk_error(error, plan) from error
        return {
            "faceset": str(self.folder), "moved": dict(counts[MOVE]), "parked": dict(counts[PARK]),
            "tagged": dict(counts[TAG]), "left": left,
            "trash": sorted({r["trash"] for r in records.values() if r["trash"] and r["faces"]}),
        }


def key_of(settings: CleanSettings, *what: Any) -> str:
    """What a plan was made for: the same question finds it again."""
    text = json.dumps([settings.model_dump(mode="json"), *what], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def pending(faceset: Path, key: str) -> str:
    """Name of the plan for that question that was not carried out to its end, or ""."""
    for file in sorted((faceset / PRIVATE / "clean").glob("plan-*.json")):
        if _load(file)["key"] == key:
            return file.stem.removeprefix("plan-")
    return ""


def write_plan(faceset: Path, found: Found, rows: Sequence[Row], key: str, how: str) -> str:
    """Freeze what is to be done (`how`: APPLY or TAG); returns the plan's name. An older plan that came to no end is
    given up: what it moved is in the trash. "" when there is nothing to do. Raises DiskRefused, Mismatch
    (a packed file)."""
    todo = _moves(found) if how == APPLY else _tags(found, rows)
    batches = [
        {"id": f"{number:06d}", "deed": deed, "word": word, "faces": some}
        for number, (deed, word, some) in enumerate(
            (deed, word, faces[at : at + BATCH_FACES])
            for (deed, word), faces in todo.items() for at in range(0, len(faces), BATCH_FACES))
    ]
    if not batches:
        return ""
    record, name = {"format": _FORMAT, "key": key, "how": how, "batches": batches}, new_ulid()
    with Writer(faceset):  # nobody else is at it, and it is no packed file
        folder = make_folder(faceset / PRIVATE / "clean")
        older = [*folder.glob("plan-*.json"), *folder.glob("done-*.json")]
        write_atomic(folder / f"plan-{name}.json", json.dumps(record).encode())
        for file in older:
            file.unlink(missing_ok=True)
    return name


def _moves(found: Found) -> dict[tuple[str, str], list[list[Any]]]:
    """(deed, category) -> [path, words to add, words to take away] of each face."""
    todo: dict[tuple[str, str], list[list[Any]]] = {}
    for one in found.findings:
        if one.deed != STAY:
            words = [PARKED, *(w for w in one.words if w in TAGS)] if one.deed == PARK else []
            todo.setdefault((one.deed, one.folder), []).append([one.path, words, []])
    return todo


def _tags(found: Found, rows: Sequence[Row]) -> dict[tuple[str, str], list[list[Any]]]:
    """The same where only words are written. None is taken away: people and extraction write such words too."""
    known = {row.path: words_of(row) for row in rows}
    todo: dict[tuple[str, str], list[list[Any]]] = {}
    for one in found.findings:
        words = set(one.words) & set(TAGS)
        if one.deed == STAY and GOOD not in known[one.path]:
            words.add(KEEP)
        if words - known[one.path]:
            todo.setdefault((TAG, one.folder), []).append([one.path, sorted(words), []])
    return todo


def _file(faceset: Path, name: str) -> Path:
    return faceset / PRIVATE / "clean" / f"plan-{name}.json"


def _done(plan: Path) -> Path:
    return plan.with_name(plan.name.replace("plan-", "done-"))


def _load(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(read_file(file, limit_bytes=_LIMIT_BYTES))
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']!r}")
        return record
    except (ValueError, TypeError, LookupError) as error:
        raise FileRefused(
            "The plan of a cleaning is damaged.", why=f"{type(error).__name__}: {error}"[:200],
            remedy="Move that file away and clean again; what was moved is in the trash.", where=file,
        ) from error
