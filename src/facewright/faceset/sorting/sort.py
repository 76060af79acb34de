"""Put a faceset in order: the order is written to FACESET/orders/NAME.json, no face moves.

On request files are numbered (`numbered`), which `unnumbered` takes back; and a contact sheet shows the order.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, NothingFound, SettingRefused
from facewright.core.files import disk_error, make_folder, read_file, sync_folder, write_atomic
from facewright.faceset import sheet
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import plain_name
from facewright.faceset.sorting.measures import Progress
from facewright.faceset.sorting.orders import Ranking, silent
from facewright.faceset.sorting.settings import ORDERS, SortSettings
from facewright.faceset.store import ORDERS_FOLDER, Writer

FORMAT = "facewright.order/1"
ALIASES = {
    "face-yaw": "yaw", "face-pitch": "pitch", "face-source-rect-size": "size", "final": "best",
    "final-by-blur": "best", "final-fast": "best-fast", "final-by-size": "best-fast",
}
"""The original's names, where ours are others."""

_LIMIT_BYTES = 256 << 20
_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_SHOWN = 120


def ranked(
    faceset: Faceset, by: str, settings: SortSettings | None = None, *, progress: Progress = silent,
    refused: dict[str, str] | None = None,
) -> Ranking:
    """The order called `by` (or what the original calls it). Raises SettingRefused for an unknown name."""
    order = ORDERS.load(ALIASES.get(by, by))
    wants = inspect.signature(order).parameters
    offered = {"progress": progress, "refused": refused, "settings": settings or SortSettings()}
    made = order(faceset, **{name: value for name, value in offered.items() if name in wants})
    return _whole(made if isinstance(made, Ranking) else Ranking(tuple(made)), faceset)


def _whole(made: Ranking, faceset: Faceset) -> Ranking:
    """Every face of the set once, whatever an order from outside gave, or whoever adds faces at this moment: what it
    left out comes last."""
    ids = [row.face_id for row in faceset.rows()]
    if sorted(made) == sorted(ids):
        return made
    known, scores = set(ids), dict(zip(made, made.scores or [None] * len(made)))
    names = [i for i in dict.fromkeys(made) if i in known] + [i for i in ids if i not in scores]
    return Ranking(tuple(names), tuple(scores.get(i) for i in names) if made.scores else (), made.meaning)


def sort(
    folder: Path, by: str, settings: SortSettings | None = None, *, reverse: bool = False, rename: bool = False,
    person: str = "", sheet_file: Path | None = None, progress: Progress = silent,
) -> dict[str, Any]:
    """Sort, write the order's file, and say what came out, JSON-able.

    reverse: the other way round, what has no score stays last. rename: also number the files. person: this one's faces
    alone. sheet_file: a picture with faces from all over the order. `file` is "" for a packed set. Raises
    SettingRefused, NothingFound, FileRefused, DiskRefused.
    """
    if rename and folder.is_file():
        raise SettingRefused(
            "The files in a packed faceset cannot be numbered.", remedy="Unpack it first, or leave --rename out.",
            where="--rename",
        )
    faceset, refused = Faceset.open(folder), {}
    refused.update(faceset.damaged())
    made = ranked(faceset, by, settings, progress=progress, refused=refused)
    made = _of(made, {row.face_id for row in faceset.rows_of(person)}) if person else made
    made = _reversed(made) if reverse else made
    if not made:
        raise NothingFound(
            f"There are no faces{f' of {person}' if person else ''} in {folder.name}.",
            remedy="`facewright faces info` lists what it holds.", where=folder,
        )
    name, place, renamed = ALIASES.get(by, by), "", 0
    if folder.is_dir():  # a packed set stays as it is: its order is told, not written
        with Writer(folder) as writer:
            place = str(write_order(writer, name, made, reverse=reverse, person=person))
            renamed = numbered(writer, faceset, made) if rename else 0
    answer: dict[str, Any] = {
        "faceset": str(folder), "order": name, "reverse": reverse, "person": person, "faces": len(made),
        "rest": made.rest, "groups": [list(group) for group in made.groups], "score": made.meaning,
        "direction": made.direction, "scores": _quantiles(made), "file": place, "renamed": renamed,
        "first": _ends(faceset, made, slice(0, 10)), "last": _ends(faceset, made, slice(-min(10, len(made)), None)),
        "refused": [list(pair) for pair in refused.items()],
    }
    if sheet_file is not None:
        answer["sheet"] = [str(path) for path in show(faceset, name, made, sheet_file)]
    return answer


def _of(made: Ranking, ids: set[str]) -> Ranking:
    """The same order of some faces."""
    keep = [place for place, face_id in enumerate(made) if face_id in ids]
    ends = np.cumsum([0, *(n for _, n in made.groups)])
    groups = tuple((name, sum(a <= place < b for place in keep))
                   for (name, _), a, b in zip(made.groups, ends, ends[1:]))
    return Ranking(
        tuple(made[place] for place in keep), tuple(made.scores[place] for place in keep) if made.scores else (),
        made.meaning, sum(place >= len(made) - made.rest for place in keep), tuple(g for g in groups if g[1]),
    )


def _reversed(made: Ranking) -> Ranking:
    """The other way round; faces without a score stay last. What was set aside comes first then, so nothing is."""
    order = list(range(len(made)))[::-1]
    if made.scores:
        order = [p for p in order if made.scores[p] is not None] + [p for p in order[::-1] if made.scores[p] is None]
    return Ranking(
        tuple(made[p] for p in order), tuple(made.scores[p] for p in order) if made.scores else (), made.meaning,
        groups=made.groups[::-1],
    )


def _quantiles(made: Ranking) -> dict[str, float]:
    """Share of faces -> the score that so many do not exceed: for choosing a threshold."""
    return {f"{q:g}": float(np.quantile(made.known, q)) for q in _QUANTILES} if made.known else {}


def readable(score: float | None, lowest: float, highest: float) -> str:
    """A score as people read it: with as many decimals as tell apart what lies a hundredth of the range apart."""
    if score is None:
        return ""
    step = abs(highest - lowest) or abs(score) or 1.0
    whole = all(float(value).is_integer() for value in (score, lowest, highest))
    return f"{score:z,.{0 if whole else min(max(2 - math.floor(math.log10(step)), 0), 4)}f}"


def _ends(faceset: Faceset, made: Ranking, part: slice) -> list[dict[str, Any]]:
    paths = {row.face_id: row.path for row in faceset.rows()}
    scores = made.scores[part] if made.scores else [None] * len(made[part])
    return [{"face_id": i, "path": paths[i], "score": score} for i, score in zip(made[part], scores)]


def write_order(writer: Writer, name: str, made: Ranking, *, reverse: bool = False, person: str = "") -> Path:
    """Replace FACESET/orders/NAME.json; the same order gives the same bytes. Raises DiskRefused."""
    folder = make_folder(writer.faceset / ORDERS_FOLDER)
    record = {
        "format": FORMAT, "order": name, "reverse": reverse, "person": person, "score": made.meaning,
        "rest": made.rest, "groups": [list(group) for group in made.groups],
        "faces": [{"face_id": face_id, "score": made.scores[at] if made.scores else None}
                  for at, face_id in enumerate(made)],
    }
    head = {key: value for key, value in record.items() if key != "faces"}
    lines = ",\n  ".join(json.dumps(face, allow_nan=False) for face in record["faces"])
    text = json.dumps(head, ensure_ascii=False, allow_nan=False)[:-1] + f',\n "faces": [\n  {lines}\n]}}\n'
    path = folder / f"{name}.json"
    write_atomic(path, text.encode("utf-8", "surrogatepass"))
    return path


def read_order(faceset: Faceset, name: str) -> Ranking:
    """A stored order, without faces that are gone since; new ones are not in it. Raises NothingFound, FileRefused."""
    path = faceset.path / ORDERS_FOLDER / f"{ALIASES.get(name, name)}.json"
    if not path.is_file():
        raise NothingFound(
            f"{faceset.path.name} has not been sorted by {name}.",
            remedy=f"Do so: `facewright faces sort FACESET --by {name}`.", where=path,
        )
    try:
        found = json.loads(read_file(path, limit_bytes=_LIMIT_BYTES))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}")
        made = Ranking(
            tuple(str(face["face_id"]) for face in found["faces"]), tuple(face["score"] for face in found["faces"]),
            str(found["score"]), int(found["rest"]), tuple((str(g[0]), int(g[1])) for g in found["groups"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise FileRefused(
            f"The order {path.name} is damaged.", why=f"{type(error).__name__}: {error}"[:200],
            remedy="Sort again; it is made anew.", where=path,
        ) from error
    return _of(made, {row.face_id for row in faceset.rows()})


def numbered(writer: Writer, faceset: Faceset, made: Sequence[str]) -> int:
    """Put `000001-` and so on before the names of the files, in place of an earlier number; returns how many changed.

    Every file stays in its folder and whole; killed anywhere, the rest keeps the names it had. Raises DiskRefused.
    """
    place = {face_id: at for at, face_id in enumerate(made, 1)}
    return _renamed(writer, faceset, {
        row.path: f"{place[row.face_id]:06d}-{plain_name(row.path)}" for row in faceset.rows() if row.face_id in place})


def unnumbered(folder: Path) -> int:
    """Take the numbers away again: every file has the name that it had before. Raises FileRefused, DiskRefused."""
    faceset = Faceset.open(folder)
    paths = [path for (path,) in faceset.index.select("SELECT path FROM faces ORDER BY path")]
    with Writer(folder) as writer:
        return _renamed(writer, faceset, {path: plain_name(path) for path in paths})


def _renamed(writer: Writer, faceset: Faceset, names: dict[str, str]) -> int:
    """Path in the faceset -> new name. A name that another file has is left alone. The index follows without reading
    a file again, so that measures and vectors stay."""
    moved: list[tuple[str, str]] = []
    folders = set()
    try:
        for path, name in names.items():
            old = writer.faceset / path
            new = old.with_name(name)
            if new != old and old.exists() and not new.exists():
                old.rename(new)
                folders.add(old.parent)
                moved.append((f"{path.rpartition('/')[0]}/{name}", path))
        for folder in folders:
            sync_folder(folder)
    except OSError as error:
        raise disk_error(error, writer.faceset) from error
    finally:
        with faceset.index.connect() as db:
            db.executemany("UPDATE OR REPLACE faces SET path = ? WHERE path = ?", moved)
    return len(moved)


def show(faceset: Faceset, name: str, made: Ranking, path: Path) -> list[Path]:
    """A contact sheet of at most 120 faces, evenly out of the order; framed red what is set aside."""
    places = np.unique(np.linspace(0, len(made) - 1, min(_SHOWN, len(made))).round().astype(int)).tolist()
    origins = {row.face_id: row.origin for row in faceset.rows()}
    groups = np.repeat(np.arange(len(made.groups)), [n for _, n in made.groups]) if made.groups else None

    def words(place: int) -> str:
        score = made.scores[place] if made.scores else None
        value = readable(score, min(made.known), max(made.known)) if made.known else ""
        group = "" if groups is None else f"{made.groups[groups[place]][0] or 'group'} ({groups[place] + 1})"
        number = f"no. {place + 1:,}" + (f": {value}" if value else "")
        return "\n".join(w for w in (number, origins[made[place]], group) if w)

    def tiles() -> Iterator[np.ndarray | None]:
        for place in places:
            try:
                yield faceset.image(made[place])
            except FileRefused:
                yield None

    aside = len(made) - made.rest
    head = f"{faceset.path.name} by {name}: {len(places)} of {len(made):,} faces" + (
        f"; under each: {made.meaning}" if made.known else "") + (f" ({made.direction})" if made.direction else "")
    edges = [sheet.RED if place >= aside else None for place in places] if made.rest else []
    return sheet.save(sheet.pages(tiles(), [words(p) for p in places], headline=head, edges=edges, side_px=128), path)
