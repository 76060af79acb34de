"""The one gate: a stage that touches faces runs only with a Permit, and only this file makes one.

It guards against forgetting, not against a hostile fork: whoever changes the source gets output without our
records, which is visibly not ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from facewright.core.errors import ConsentRefused, FacewrightError
from facewright.core.step import Likeness
from facewright.core.ulid import new_ulid
from facewright.provenance.binding import BindingState, check_binding
from facewright.provenance.consent import Record
from facewright.provenance.ledger import Ledger
from facewright.provenance.moment import stamp
from facewright.provenance.new import consent_command
from facewright.provenance.store import DEFAULT_PROJECT, ConsentStore

USE_OF_STAGE = {"train": "train", "preview": "preview", "merge": "merge", "render": "merge",
                "export_model": "export_model"}
"""Which use a record must allow. A rendered film needs `merge`; giving the trained model away, `export_model`."""
FREE_STAGES = (
    "frames", "denoise", "grade",
    "extract", "sort", "clean", "label", "apply_masks", "edit", "resize", "enhance", "collage", "restore",
    "smooth", "fill_gaps", "again",
    "copy", "pack", "unpack",
    "import_faces", "import_alignments", "export_faces",
)
"""Stages that prepare or look at a film, or tend the faces of a set: nobody gets another's face. Faces that leave for
another program are pictures that lie in the set anyway: their records go along, and the ledger notes it."""
LEAVING_STAGES = ("copy", "export_faces", "pack")
"""Free stages by which faces come to lie elsewhere as they are: a record that was revoked stops them, none does not."""
MARK_TEST = "TEST"
_SEAL = object()


@dataclass(frozen=True, slots=True)
class Grant:
    """One likeness, allowed: by which record, in which role, and whether the face was checked against it."""

    role: str
    person: str
    reference: str
    record_id: str
    basis: str
    binding: BindingState

    def as_dict(self) -> dict[str, str]:
        """For job.json, ledger and manifest: no name of a person in it."""
        return {"role": self.role, "record": self.reference, "basis": self.basis, "binding": self.binding}


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to run one stage. marks: texts that must be visible in every picture; ledger: where to write it down."""

    id: str
    stage: str
    project: str
    grants: tuple[Grant, ...]
    marks: tuple[str, ...]
    created: str
    ledger: Path | None
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a Permit is made by permit.allow only")

    @property
    def test_footage(self) -> bool:
        """Whether test clips are involved: the output carries a visible mark and is never distributed."""
        return any(grant.basis == "test_footage" for grant in self.grants)

    @property
    def binding(self) -> BindingState:
        """"verified" only when every face was checked against its record."""
        checked = self.grants and all(grant.binding == "verified" for grant in self.grants)
        return "verified" if checked else "unverified"

    @property
    def records(self) -> tuple[str, ...]:
        """References of all records, in order, each once."""
        return tuple(dict.fromkeys(grant.reference for grant in self.grants))

    def covers(self, stage: str) -> bool:
        """Whether this permit is for `stage`."""
        return self.stage == stage

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, for job.json and the ledger."""
        return {
            "permit": self.id, "stage": self.stage, "project": self.project, "created": self.created,
            "grants": [grant.as_dict() for grant in self.grants], "binding": self.binding, "marks": list(self.marks),
        }


def allow(
    stage: str, likenesses: Sequence[Likeness], *, store: ConsentStore, now: datetime, project: str = DEFAULT_PROJECT,
    ledger: Ledger | None = None,
) -> Permit:
    """A Permit for `stage` on these faces. Raises ConsentRefused that says which face, why, and the next step.

    A likeness without a named record is looked up by the films that its faces come from: that is how the shipped
    people and test clips ask nothing. `ledger`: its last entry must not be younger than `now`.
    """
    if stage in FREE_STAGES:
        for likeness in likenesses:
            _refuse_revoked(likeness, store)
        return _permit(stage, project, (), now, ledger)
    if stage not in USE_OF_STAGE:
        raise ConsentRefused(
            f"The stage {stage!r} has no rule of consent.", why="A new stage must say which use it is.",
            remedy="Add it to USE_OF_STAGE in provenance/permit.py.", where=stage,
        )
    _check_clock(ledger, now)
    if not likenesses:
        raise ConsentRefused(
            f"No face is named for this {stage}.", why="Only a face with a record of consent can be worked on.",
            remedy="Give a faceset whose faces name their person.", where=stage,
        )
    grants = tuple(_grant(likeness, USE_OF_STAGE[stage], store, now, project) for likeness in likenesses)
    return _permit(stage, project, grants, now, ledger)


def _refuse_revoked(likeness: Likeness, store: ConsentStore) -> None:
    try:
        record = store.get(likeness.consent)
    except FacewrightError:
        return  # not known on this machine: then nobody has told it of a revocation either
    if reason := store.revoked(record):
        raise ConsentRefused(
            f"The record of {record.name} was revoked: these faces go nowhere any more.", why=f"Reason: {reason}.",
            remedy="Go on with the other faces alone (`facewright faces copy --person NAME`), or make a new record.",
            where=likeness.where,
        )


def _permit(
    stage: str, project: str, grants: tuple[Grant, ...], now: datetime, ledger: Ledger | None
) -> Permit:
    marks = (MARK_TEST,) if any(grant.basis == "test_footage" for grant in grants) else ()
    path = ledger.path if ledger is not None else None
    return Permit(new_ulid(now), stage, project, grants, marks, stamp(now), path, seal=_SEAL)


def _grant(likeness: Likeness, use: str, store: ConsentStore, now: datetime, project: str) -> Grant:
    record = _record(likeness, use, store, now, project)
    # The vectors are asked for only where there is something to compare them with: reading them costs time.
    found = likeness.vectors() if likeness.vectors is not None and record.binding is not None else None
    binding = check_binding(record, found, store.bindings, likeness.where)
    return Grant(likeness.role, likeness.person, record.reference, record.id, record.basis, binding)


def _record(likeness: Likeness, use: str, store: ConsentStore, now: datetime, project: str) -> Record:
    if likeness.consent:
        return store.check(likeness.consent, likeness.role, use, now, project, likeness.footage_sha256)
    found = store.find(likeness.role, likeness.footage_sha256, now, project, use)
    if found is not None:
        return found
    whose = likeness.person or likeness.where.name
    raise ConsentRefused(
        f"No record of consent covers the face of {whose}.",
        why=f"As {likeness.role}, the person must have agreed to: {use}.",
        remedy=consent_command(likeness.role, likeness.where), where=likeness.where,
    )


def _check_clock(ledger: Ledger | None, now: datetime) -> None:
    last = ledger.head.ts if ledger is not None else ""
    if stamp(now) < last:
        raise ConsentRefused(
            "This machine's clock is behind the project's ledger.",
            why=f"It shows {stamp(now)}; the last entry is of {last}.",
            remedy="Set the clock, then run the same command again.", where=ledger.path if ledger else None,
        )
