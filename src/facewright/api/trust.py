"""Verbs of consent and provenance: records, ledger, verification; and where they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewright.core.errors import Mismatch, SettingRefused
from facewright.core.places import data_folder
from facewright.project import Project, find

if TYPE_CHECKING:
    from facewright.core.step import Likeness
    from facewright.provenance.ledger import Ledger
    from facewright.provenance.permit import Permit
    from facewright.provenance.store import ConsentStore


@dataclass(frozen=True, slots=True)
class Trust:
    """Where records and ledger lie for work at some place, and the project's name in them."""

    records: Path
    ledger: Path
    project: str


def trust_at(place: Path) -> Trust:
    """Inside a project: its own `consent/` and `ledger.jsonl`; elsewhere the user data folder."""
    project = find(place)
    if project is None:
        from facewright.provenance.store import DEFAULT_PROJECT

        return Trust(data_folder() / "consent", data_folder() / "ledger.jsonl", DEFAULT_PROJECT)
    return Trust(project.root / "consent", project.root / "ledger.jsonl", project.name)


def gate_at(place: Path) -> Any:
    """The gate (jobs.run.HouseGate) that jobs with an output at `place` pass."""
    from facewright.jobs.run import HouseGate

    trust = trust_at(place)
    return HouseGate(trust.records, trust.ledger, trust.project)


def permit_at(place: Path, stage: str, people: Sequence[Likeness]) -> Permit:
    """The gate's leave for what is done at `place` outside of a job: the same records, the same ledger.

    Raises ConsentRefused.
    """
    from facewright.provenance.moment import utc_now
    from facewright.provenance.permit import allow

    trust = trust_at(place)
    return allow(stage, people, store=store_of(trust), now=utc_now(), project=trust.project, ledger=ledger_of(trust))


def store_of(trust: Trust) -> ConsentStore:
    """The records of consent there."""
    from facewright.provenance.store import ConsentStore

    return ConsentStore(trust.records)


def ledger_of(trust: Trust) -> Ledger:
    """The ledger there."""
    from facewright.provenance.ledger import Ledger

    return Ledger(trust.ledger, project=trust.project)


def _row(listed: Any) -> dict[str, Any]:
    record = listed.record
    first, after = record.term
    now = datetime.now(UTC)
    state = "revoked" if listed.revoked else "expired" if now >= after else "not yet" if now < first else "valid"
    return {
        "id": record.id,
        "person": record.name,
        "role": record.role,
        "basis": record.basis,
        "until": after.date().isoformat(),
        "state": state,
        "uses": list(record.uses),
        "reference": record.reference,
        "shipped": listed.shipped,
    }


def consent_new(
    *,
    who: str,
    use: str,
    proof: str,
    adult_agreed: bool | None,
    name: str = "",
    role: str = "source_likeness",
    project: str = "",
    days: int = 365,
    uses: Sequence[str] = (),
    media: Sequence[Path] = (),
    faceset: Path | None = None,
    person: str = "",
) -> dict[str, Any]:
    """Record a person's consent and note it in the ledger; with `faceset`, bind the two by identity vectors.

    person: whose faces of a set that shows several people; the record then holds for these faces alone.
    Raises ConsentRefused with the question that was not answered well.
    """
    from facewright.core.files import sha256_of
    from facewright.faceset.files import refuse_packed
    from facewright.provenance.keys import machine_key
    from facewright.provenance.moment import utc_now
    from facewright.provenance.new import Answers, new_record

    if faceset is not None:
        refuse_packed(faceset)  # before a record is made that no face would name
    trust = trust_at(faceset or Path.cwd())
    store = store_of(trust)
    binding = _binding(faceset, person, store) if faceset is not None and who in {"me", "adult"} else None
    digests = tuple(sha256_of(Path(m)) for m in media)
    if who in {"invented", "test-footage"} and faceset is not None and not digests:
        digests = tuple(_open_faceset(faceset).footage())
    answers = Answers(
        who=who,
        use=use,
        proof=proof,
        adult_agreed=adult_agreed,
        name=name,
        role=role,
        project=project or trust.project,
        days=days,
        media=digests,
        binding=binding,
        **({"uses": tuple(uses)} if uses else {}),
    )
    record = new_record(answers, store=store, key=machine_key(), now=utc_now())
    ledger_of(trust).append("consent.added", {"record": record.reference})
    if faceset is not None:
        _open_faceset(faceset).set_consent(record.reference, person)
    return {
        "id": record.id,
        "reference": record.reference,
        "person": record.name,
        "role": record.role,
        "basis": record.basis,
        "uses": ", ".join(record.uses),
        "until": record.term[1].date().isoformat(),
        "kept in": str(store.folder),
        "page": str(store.folder / "pages" / f"{record.id}.txt") if proof == "now" else "",
        "binding": "made" if binding else "none (bind later with `facewright faces consent`)" if faceset else "none",
        "withdraw with": f"facewright consent revoke {record.id}",
    }


def _open_faceset(path: Path) -> Any:
    from facewright.faceset.faceset import Faceset

    return Faceset.open(path)


def _vectors(faces: Any, person: str) -> tuple[Any, str] | None:
    """Identity vectors and their net's digest, of all faces or one person's; None without the net. Raises Mismatch."""
    if not person:
        return faces.identity()
    name = faces.namer()
    rows = list(faces.rows())
    ids = [row.face_id for row in rows if name(row) == person]
    if not ids:
        names = sorted({name(row) for row in rows} - {""})
        raise Mismatch(
            f"Nobody in {faces.path.name} is called {person!r}.",
            remedy=f"The names are: {', '.join(names) or 'none; leave --person out'}.", where=faces.path,
        )  # fmt: skip
    found = faces.vectors(ids, limit=200)
    return None if found is None else (found.matrix, found.net_sha256)


def _binding(faceset: Path, person: str, store: Any) -> dict[str, Any] | None:
    """The record's commitment to the faces' mean identity vector, or None where the identity net is not at hand."""
    from facewright.faces.identity import identity_net
    from facewright.provenance.binding import MIN_FACES, bind

    net, found = identity_net(), _vectors(_open_faceset(faceset), person)
    if net is None or found is None or len(found[0]) < MIN_FACES:
        return None
    return bind(found[0], net[0], found[1], store.bindings)


def consent_list() -> list[dict[str, Any]]:
    """All records known here, oldest first."""
    return [_row(listed) for listed in store_of(trust_at(Path.cwd())).list()]


def reference_at(place: Path, record: str) -> str:
    """The reference of a record by reference, id or name, among those that hold where `place` lies. Raises
    NothingFound."""
    return str(store_of(trust_at(place)).get(record).reference)


def consent_show(record: str) -> dict[str, Any]:
    """One record as signed, and its standing."""
    store = store_of(trust_at(Path.cwd()))
    found = store.get(record)
    listed = next(entry for entry in store.list() if entry.record.reference == found.reference)
    return {"standing": _row(listed), "record": dict(found.data)}


def consent_check(record: str, use: str) -> dict[str, Any]:
    """Raises ConsentRefused unless the record allows `use` now and here."""
    from facewright.provenance.consent import USES
    from facewright.provenance.moment import utc_now

    if use not in USES:
        raise SettingRefused(f"There is no use {use!r}.", remedy=f"Choose one of: {', '.join(USES)}.", where="--use")
    trust = trust_at(Path.cwd())
    store = store_of(trust)
    found = store.get(record)
    role = found.role if found.role != "synthetic" else "source_likeness"
    checked = store.check(record, role, use, utc_now(), trust.project, found.media)
    return {"id": checked.id, "person": checked.name, "use": use, "state": "valid"}


def standing(faceset: Path) -> dict[str, Any] | None:
    """The record that covers a faceset: the one it names, else a valid one for its films; None where there is none."""
    from facewright.provenance.moment import utc_now

    trust, faces = trust_at(faceset), _open_faceset(faceset)
    store = store_of(trust)
    rows = {row["reference"]: row for row in map(_row, store.list())}
    if faces.consent:
        return rows.get(faces.consent)
    films = tuple(faces.footage())
    for role in ("source_likeness", "target_performer"):
        found = store.find(role, films, utc_now(), trust.project, "train")
        if found is not None:
            return rows[found.reference]
    return None


def records_of(faceset: Path, references: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Rows of the records that faces name, by reference; those that are not kept here are left out."""
    wanted, kept = set(references), store_of(trust_at(faceset)).list()
    return {row["reference"]: row for row in map(_row, kept) if row["reference"] in wanted}


def faces_consent(faceset: Path, record: str, person: str = "") -> dict[str, Any]:
    """Tie a faceset (or one person's faces in it) to a record.

    Where the record is bound to a face and the net is at hand, they must match.
    """
    from facewright.provenance.binding import check_binding

    trust = trust_at(faceset)
    store, faces = store_of(trust), _open_faceset(faceset)
    found = store.get(record)
    state = check_binding(found, _vectors(faces, person) if found.binding else None, store.bindings, faceset)
    faces.set_consent(found.reference, person)
    ledger_of(trust).append("faceset.bound", {"record": found.reference, "binding": state})
    return {"faceset": str(faceset), "record": found.reference, "person": found.name, "binding": state}


def ledger_show(last: int = 20) -> list[dict[str, Any]]:
    """The newest entries, oldest of them first."""
    entries = ledger_of(trust_at(Path.cwd())).entries()
    return [asdict(e) for e in (entries[-last:] if last > 0 else entries)]


def ledger_verify() -> dict[str, Any]:
    """Check the chain and its signed heads."""
    trust = trust_at(Path.cwd())
    report = ledger_of(trust).verify()
    return {
        "state": "whole" if report.intact else "broken",
        "entries": report.entries,
        "ledger": str(trust.ledger),
        "broken at": report.broken_seq if report.broken_seq is not None else "-",
        "signed heads": report.signed_heads,
        "recovered gaps": len(report.gaps),
        "head": f"{report.head.seq}:{report.head.hash[:16]}",
    }


def new_project_entry(project: Project) -> None:
    """The ledger's first entry of a new project."""
    ledger_of(trust_at(project.root)).begin()


def verify(path: Path) -> dict[str, Any]:
    """Does a file carry facewright's trace, and is it unaltered: state genuine | altered | none, and what it says."""
    from facewright.provenance.mark import verify_file

    return verify_file(path).as_dict()
