"""Who is replaced in which frame, and why a frame stays as it is. Bystanders are never touched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from shlex import quote

from facewright.core.errors import Mismatch, NothingFound
from facewright.faces.face import Face
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.merge.composite import motion
from facewright.merge.paste import Target


@dataclass(frozen=True, slots=True)
class FramePlan:
    """What to do in one frame: the faces to replace, from left to right, or the reason why there is none."""

    targets: tuple[Target, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cast:
    """The faces of one film in one faceset, and the person whose faces are replaced ("" = the only one, unnamed)."""

    faceset: Faceset
    source_sha256: str
    person: str

    def plan(self, start: int, stop: int, *, with_motion: bool = False) -> dict[int, FramePlan]:
        """Frame index -> FramePlan for start <= i < stop. Frames that are not in it have no face."""
        name = self.faceset.namer()
        found = self.faceset.by_frame(self.source_sha256, max(start - 1, 0), stop + 1)
        wanted = {i: [f for f in faces if self._counts(f, name)] for i, faces in found.items()}
        return {
            i: self._frame(found[i], wanted, i, with_motion) for i in found if start <= i < stop
        }

    def _counts(self, face: Face, name: Callable[[Face], str]) -> bool:
        return not self.person or name(face) == self.person

    def _frame(
        self, faces: list[Face], wanted: dict[int, list[Face]], index: int, with_motion: bool
    ) -> FramePlan:
        own = wanted[index]
        if not own:
            return FramePlan((), "other_person" if faces else "no_face")
        aligned = [f for f in own if "profile_unaligned" not in f.flags]
        if not aligned:
            return FramePlan((), "profile_unaligned")
        moved = _motion_at(wanted, index) if with_motion and len(own) == 1 else (0.0, 0.0)
        return FramePlan(tuple(Target(f.face_id, f.points, *moved) for f in aligned))

    def face_ids(self) -> list[str]:
        """Every face of this film that belongs to the person, in order."""
        return [row.face_id for row in self._rows()]

    def digest(self) -> str:
        """Hex SHA-256 of the person's faces as they lie on disk: names, places, angles, sizes of the files.

        Another extraction gives the same names to other landmarks, and a merge that was interrupted must not go on
        with those.
        """
        found = hashlib.sha256(self.person.encode())
        query = "SELECT path, bytes FROM faces WHERE source_sha256 = ?"
        size = dict(self.faceset.index.select(query, (self.source_sha256,)))
        for row in self._rows():
            found.update(f"\n{row} {size[row.path]}".encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def _rows(self) -> Iterator[Row]:
        return self.faceset.rows_of(self.person, source_sha256=self.source_sha256)

    def consents(self) -> list[str]:
        """References of the records that the person's faces name, each once; [""] when none is named."""
        ids, own = set(self.face_ids()), self.faceset.consent
        rows = self.faceset.rows(source_sha256=self.source_sha256)
        return sorted({row.consent or own for row in rows if row.face_id in ids}) or [own]


def _motion_at(wanted: dict[int, list[Face]], index: int) -> tuple[float, float]:
    """Movement between the neighbouring frames where both hold the person once; a missing end is the frame itself."""
    before, after = wanted.get(index - 1, wanted[index] if index == 0 else []), wanted.get(index + 1, [])
    if len(before) != 1 or len(after) != 1:
        return 0.0, 0.0
    return motion(before[0].points, after[0].points)


def cast(faceset: Faceset, source_sha256: str, film: str, person: str = "") -> Cast:
    """Decide whose faces are replaced.

    Raises NothingFound (empty faceset) and Mismatch: no face of this film, several people and none chosen, nobody of
    that name, or two faces in one frame where nobody is named.
    """
    if not len(faceset):
        raise NothingFound(
            f"The faceset {faceset.path.name} is empty.", remedy="Fill it with `facewright extract`.",
            where=faceset.path,
        )
    footage = faceset.footage()
    rows = list(faceset.rows(source_sha256=source_sha256))
    if not rows:
        raise Mismatch(
            f"No face in {faceset.path.name} comes from {film}.",
            why=f"Its faces come from {_listed(footage.values())}.",
            remedy=f"Run `facewright extract {quote(film)} {quote(str(faceset.path))}` first, or give the film that "
            "was extracted.",
            where=faceset.path,
        )
    names = sorted({*faceset.people(), *(row.person for row in rows if row.person)})
    if person and person not in names:
        raise Mismatch(
            f"Nobody in {faceset.path.name} is called {person!r}.",
            remedy=f"Choose one of: {_listed(names)}." if names else "Leave --person out: nobody is named there.",
            where=faceset.path,
        )
    if not person and len(names) > 1:
        raise Mismatch(
            f"There are several people in {faceset.path.name}: {_listed(names)}.",
            why="Only the person that you name is replaced; bystanders are never touched.",
            remedy=f"Say whom to replace, for example --person {names[0]!r}.", where=faceset.path,
        )
    chosen = person or (names[0] if names else "")
    _refuse_crowd(faceset, rows, chosen, film)
    return Cast(faceset, source_sha256, chosen)


def _refuse_crowd(faceset: Faceset, rows: list[Row], chosen: str, film: str) -> None:
    """Two faces at once are two people: a name that was given to a whole set does not tell which of them is meant.
    Names that people gave to tracks do."""
    whole_set = faceset.header.person
    named = [row for row in rows if not chosen or (row.person or whole_set) == chosen]
    crowded = _crowded(rows_by_frame=[row.frame_index for row in named])
    if crowded is None:
        return
    whose = f"and the whole set was extracted as {chosen}" if chosen else "and nobody is named"
    raise Mismatch(
        f"Frame {crowded} of {film} shows more than one face, {whose}.",
        why="facewright would not know whom to replace; bystanders are never touched.",
        remedy="Extract again with --max-faces 1, or without --person and with the identity net at hand so that people "
        "are told apart (`facewright weights fetch`), and give merge the --person.",
        where=faceset.path,
    )


def _crowded(rows_by_frame: list[int]) -> int | None:
    """The first frame that occurs twice (rows come in frame order)."""
    return next((a for a, b in pairwise(rows_by_frame) if a == b), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nowhere"
