"""The verb `consent revoke`: every use is denied, vectors are put out of reach, what stands on the record is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewright.api.trust import ledger_of, store_of, trust_at
from facewright.core.errors import FacewrightError, FileRefused, SettingRefused
from facewright.project import find

if TYPE_CHECKING:
    from facewright.provenance.ledger import Entry, Ledger


def consent_revoke(record: str, reason: str) -> dict[str, Any]:
    """Deny every use from now on. The private half of the record's binding is set aside, and the identity vectors of
    faces under it in the project's facesets are erased; what else stands on it is named, and stays.

    facesets, models: names in this project, [] outside of one; trashed: folders in the trash of its models;
    faces_trashed: faces under it in the trash of facesets (faceset, folder, name of the operation, faces); unread:
    names of those that could not be looked at. films: digests of those that the ledger signed. copies: what the ledger
    knows of models that were handed out (exports, bundles) or brought here, and of faces that were exported or packed:
    entry, deed (exported, imported or packed), name, files (names). Asked again, it ends what was killed on its way.

    Raises ConsentRefused, SettingRefused; when all else is done, TraceBroken and DiskRefused (of the ledger).
    """
    from facewright.provenance.binding import set_aside
    from facewright.provenance.consent import is_reason_code
    from facewright.provenance.keys import machine_key
    from facewright.provenance.moment import utc_now

    trust = trust_at(Path.cwd())
    store, ledger = store_of(trust), ledger_of(trust)
    found = store.get(record)
    if not is_reason_code(reason):
        raise SettingRefused(f"{reason!r} cannot be a reason.", why="It stands in a signed text as a short plain word.",
                             remedy="Say withdrawn, expired, mistake or dispute.", where="--reason")
    if not store.revoked(found):
        store.revoke(found.reference, reason, machine_key(), utc_now())
    # Before the ledger: one that is damaged or locked must not keep a person's data in reach.
    try:
        if found.binding is not None:
            set_aside(found.binding, store.bindings)
    finally:
        standing = _standing_on(found.reference)
    if not ledger.find(lambda entry: entry.type == "consent.revoked" and entry.body["record"] == found.reference):
        # The reason that was signed: that of a later call may be another.
        ledger.append("consent.revoked", {"record": found.reference, "reason": store.revoked(found)})
    return {
        "id": found.id,
        "person": found.name,
        "state": "revoked",
        **standing,
        "films": _films(ledger, found.reference),
        "copies": _copies(ledger, found.reference),
        "note": "Films already delivered are not touched; a trained model does not forget: retire it.",
    }


def _standing_on(reference: str) -> dict[str, list[Any]]:
    from facewright.faceset.store import is_faceset
    from facewright.faceset.trash import under
    from facewright.models.shelf import runs_in, trashed

    project, unread = find(Path.cwd()), list[str]()
    if project is None:
        return {"facesets": [], "models": [], "trashed": [], "faces_trashed": [], "unread": unread}
    sets, runs = project.root / "facesets", project.root / "runs"
    places = sorted(p for p in sets.iterdir() if is_faceset(p)) if sets.is_dir() else []

    def named(places: Iterable[Path], stands: Callable[[Path, str], bool]) -> list[str]:
        found = []
        for place in places:
            try:
                if stands(place, reference):
                    found.append(place.name)
            except (FacewrightError, OSError, sqlite3.Error):  # one that is damaged or locked must not spare the others
                unread.append(place.name)
        return found

    gone = list[dict[str, Any]]()

    def thrown_away(place: Path, reference: str) -> bool:
        gone.extend({"faceset": place.name, "folder": str(place), "operation": operation, "faces": faces}
                    for operation, faces in under(place, reference).items())
        return False

    named((place for place in places if place.is_dir()), thrown_away)
    return {"facesets": named(places, _forgets), "faces_trashed": gone, "models": named(runs_in(runs), _learned),
            "trashed": named((one.folder for one in trashed(runs)), _learned), "unread": unread}


def _forgets(place: Path, reference: str) -> bool:
    """Whether a faceset or faces in it name the record; the identity vectors of these faces are erased then."""
    from facewright.faceset.faceset import Faceset

    faces = Faceset.open(place)
    own, named = faces.consent, {row.face_id: row.consent for row in faces.rows()}
    holds = reference in (own, *named.values())
    if holds:
        # Others' stay; what no readable face accounts for goes.
        faces.forget_identity(keep={face_id for face_id, consent in named.items() if (consent or own) != reference})
    return holds


def _learned(place: Path, reference: str) -> bool:
    from facewright.models.run_folder import RunFolder

    people = RunFolder.open(place).extra.get("likenesses", [])
    if not isinstance(people, list) or not all(isinstance(one, dict) for one in people):
        raise FileRefused(f"It is not known whom {place.name} learned.", why="Its run.json does not list people.",
                          remedy="Restore it from a backup.", where=place / "run.json")
    return any(one.get("consent") == reference for one in people)


def _films(ledger: Ledger, reference: str) -> list[str]:
    """Hex SHA-256 of the films that were signed with the record."""
    signed = _permitted(ledger, reference, "output.signed")
    return [str(entry.body["sha256"]) for entry in signed if entry.body.get("signed")]


def _copies(ledger: Ledger, reference: str) -> list[dict[str, Any]]:
    """What crossed the border: files that hold the net of a run, models that were brought here, faces that left."""
    passed = _permitted(ledger, reference, "model.exported", "model.imported", "faces.exported", "faces.packed")
    return [
        {"entry": entry.id, "deed": entry.type.partition(".")[2], "name": _name_of(entry.body),
         "files": [name for name, _ in entry.body.get("files", [])]}
        for entry in passed
    ]


def _name_of(body: Mapping[str, Any]) -> str:
    """The model's, or that of the folder or file that faces went to."""
    result = body.get("result", {})
    return str(body.get("name", "")) or Path(str(result.get("out") or result.get("file") or "")).name


def _permitted(ledger: Ledger, reference: str, *types: str) -> list[Entry]:
    """Entries of these types that rest on the record: by their permit, or because faces under it passed."""
    return ledger.find(lambda entry: entry.type in types and (reference in entry.body.get("records", []) or any(
        grant["record"] == reference for grant in entry.body.get("permit", {}).get("grants", []))))
