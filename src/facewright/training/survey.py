"""What a faceset offers to training, found in its index alone, and whether that is enough."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import Mismatch, NothingFound, TrainingRefused
from facewright.core.step import Likeness
from facewright.faces.face import FaceType
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.tags import is_parked

_REACH_DEG = 5.0
"""A target that turns further than the source by this much is shown poses that were never learned."""


WORDS = {"src": "source", "dst": "target", "pretrain": "pretraining"}

Counts = Callable[[Row], bool]
"""Which faces of a set matter."""


def all_count(row: Row) -> bool:
    """Every face but those that are parked: what one cannot see is not to be learned."""
    return not is_parked(row)


@dataclass(frozen=True, slots=True)
class Survey:
    """One side's faces: who, how many, of what kind, seen from where.

    yaw_deg, pitch_deg: 1st and 99th percentile. digest: names and sizes of the faces; stamp: that and their times
    (a cache made of them is stale when it differs). consents: reference -> faces.
    """

    where: Path
    person: str
    count: int
    face_type: FaceType
    side_px: int
    yaw_deg: tuple[float, float]
    pitch_deg: tuple[float, float]
    consents: dict[str, int]
    footage_sha256: tuple[str, ...]
    digest: str
    stamp: str
    masks: dict[str, int] = field(default_factory=dict)
    """What made the masks that are stored with the faces -> faces; "" for faces without one."""

    @property
    def masked_01(self) -> float:
        """Share of the faces that carry a mask of their own."""
        return 1 - self.masks.get("", 0) / max(self.count, 1)

    def as_dict(self) -> dict[str, Any]:
        """What the run's record keeps."""
        return {
            "where": str(self.where), "person": self.person, "faces": self.count, "face_type": str(self.face_type),
            "digest": self.digest, "yaw_deg": list(self.yaw_deg), "pitch_deg": list(self.pitch_deg),
        }


def survey(
    faceset: Faceset, side: str, person: str = "", counts: Counts = all_count, least: int = 2, several: bool = False
) -> Survey:
    """Look at one side's faceset ("source" or "target"), at those faces that count, of which there must be `least`.
    several: of all people in it. Raises NothingFound, Mismatch, TrainingRefused."""
    who = "" if several else one_person(faceset, person)
    types: Counter[str] = Counter()
    consents: Counter[str] = Counter()
    footage: set[str] = set()
    poses: list[tuple[float, float]] = []
    masks: Counter[str] = Counter()
    side_px = 0
    digest, own = hashlib.sha256(), faceset.consent
    for row in rows_of(faceset, who, counts):
        types[row.face_type] += 1
        side_px = max(side_px, row.side_px)
        consents[row.consent or own] += 1
        footage.add(row.source_sha256)
        masks[(row.mask_by or "another program") if row.has_mask else ""] += 1
        poses.append((row.yaw_deg, row.pitch_deg))
        digest.update(row.face_id.encode())
    _enough(faceset, side, who, types, least)
    stamp = digest.copy()
    for path, time, size in faceset.index.select("SELECT path, mtime_ns, bytes FROM faces ORDER BY path"):
        digest.update(b"%d," % size)
        stamp.update(f"{path},{time},{size};".encode())
    turned = np.quantile(np.array(poses), [0.01, 0.99], axis=0)
    yaw, pitch = ((round(float(turned[0, i]), 1), round(float(turned[1, i]), 1)) for i in (0, 1))
    return Survey(
        faceset.path, who, sum(types.values()), FaceType(next(iter(types))), side_px, yaw, pitch, dict(consents),
        tuple(sorted(footage)), digest.hexdigest(), stamp.hexdigest(), dict(masks),
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One of a training's facesets. name: "src", "dst" or "pretrain"."""

    name: str
    faceset: Faceset
    found: Survey

    @classmethod
    def of(
        cls, name: str, faceset: Faceset, person: str, counts: Counts = all_count, least: int = 2,
        several: bool = False,
    ) -> Side:
        """Look at it. Raises what `survey` raises."""
        return cls(name, faceset, survey(faceset, WORDS[name], person, counts, least, several))

    @classmethod
    def many(cls, faceset: str) -> Side:
        """The set of many people that a net is pretrained on. Raises what `survey` raises."""
        return cls.of("pretrain", Faceset.open(faceset, refresh=True), "", several=True)

    @property
    def word(self) -> str:
        """The user's word for it: source or target."""
        return WORDS[self.name]

    @property
    def role(self) -> str:
        """What the permit asks about these faces."""
        return "target_performer" if self.name == "dst" else "source_likeness"


def one_person(faceset: Faceset, person: str) -> str:
    """The name of the person to use, "" when nobody is named. Raises Mismatch with the list when there are several."""
    names = sorted(faceset.people())
    named_faces = sorted({r.person for r in faceset.rows() if r.person}) if not names else []
    names = names or named_faces
    if person and person not in names:
        raise Mismatch(
            f"Nobody in {faceset.path.name} is called {person!r}.",
            remedy=f"The names are: {', '.join(names) or 'none; leave the name out'}.", where=faceset.path,
        )
    if not person and len(names) > 1:
        raise Mismatch(
            f"There are several people in {faceset.path.name}: {', '.join(names)}.",
            why="A net learns one face per side.",
            remedy="Name the one to use with --src-person or --dst-person.", where=faceset.path,
        )
    return person or (names[0] if names else "")


def rows_of(faceset: Faceset, person: str, counts: Counts = all_count) -> Iterator[Row]:
    """The rows of one person (all when `person` is "") that count: those that `survey` counts, in the same order."""
    return filter(counts, faceset.rows_of(person))


def _enough(faceset: Faceset, side: str, person: str, types: Counter[str], least: int) -> None:
    count, name = sum(types.values()), faceset.path.name
    of = f" of {person}" if person else ""
    if not count:
        raise NothingFound(
            f"The {side} faceset {name} is empty{of}.", remedy="Extract faces into it with `facewright extract`.",
            where=faceset.path,
        )
    if count < least:
        raise TrainingRefused(
            f"The {side} faceset {name} has only one face{of}.",
            why="Training needs at least 2, and hundreds to be good.",
            remedy="Extract more frames of this person.", where=faceset.path,
        )
    if len(types) > 1:
        listed = ", ".join(f"{n} {t}" for t, n in types.most_common())
        raise Mismatch(
            f"The {side} faceset {name} mixes face types: {listed}.",
            remedy="Extract again into a new faceset with one --face-type.", where=faceset.path,
        )


def serves(found: Survey, side: str, wanted: FaceType) -> None:
    """Raise Mismatch when the faces show less of the head than the net needs."""
    if found.face_type.padding < wanted.padding:
        raise Mismatch(
            f"The {side} faceset {found.where.name} holds {found.face_type} faces, too narrow for a {wanted} net.",
            remedy=f"Extract again with --face-type {wanted}{'' if wanted is FaceType.HEAD else ' or wider'}, or train"
                   f" a {found.face_type} net.",
            where=found.where,
        )


def coverage_warning(src: Survey, dst: Survey) -> str:
    """One sentence when the target looks where the source was never seen, else ""."""
    parts = []
    for name, a, b in (("turns", src.yaw_deg, dst.yaw_deg), ("nods", src.pitch_deg, dst.pitch_deg)):
        if b[0] < a[0] - _REACH_DEG or b[1] > a[1] + _REACH_DEG:
            parts.append(f"{name} from {b[0]:.0f} to {b[1]:.0f} degrees, the source from {a[0]:.0f} to {a[1]:.0f}")
    if not parts:
        return ""
    return (
        f"The target {' and '.join(parts)}: poses that the source never shows come out too frontal. "
        "Add source footage with those poses."
    )


def likenesses(faceset: Faceset, found: Survey, role: str) -> list[Likeness]:
    """Whose likeness this side is, one entry per consent reference in use, for the permit."""
    def vectors() -> tuple[np.ndarray, str] | None:
        ids = [row.face_id for row in rows_of(faceset, found.person)]
        picked = [ids[i] for i in np.linspace(0, len(ids) - 1, min(len(ids), 200)).astype(int)]
        got = faceset.vectors(picked)
        return None if got is None else (got.matrix, got.net_sha256)

    return [
        Likeness(role, consent, found.person, found.where, found.footage_sha256, vectors)
        for consent in sorted(found.consents)
    ]
