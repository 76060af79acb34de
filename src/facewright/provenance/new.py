"""Make a record from three answers: whose face, what for, which proof. The rest is prefilled."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from facewright.core.errors import ConsentRefused, FileRefused
from facewright.core.files import make_folder, sha256_of, write_atomic
from facewright.core.ulid import new_ulid
from facewright.provenance.consent import (
    ANY_PROJECT,
    MEDIA_ONLY,
    MIN_DESCRIPTION,
    SCHEMA,
    TEST_USES,
    USES,
    Record,
    open_record,
    sign,
    under_age,
)
from facewright.provenance.keys import Key
from facewright.provenance.moment import stamp
from facewright.provenance.store import DEFAULT_PROJECT, ConsentStore, footage_clips

WHO = ("me", "adult", "protect", "invented", "test-footage")
"""me; another adult who agreed; someone to protect; nobody real; a licensed clip of the test list."""
_BASIS = {"me": "self", "adult": "explicit_consent", "protect": "protection_request", "invented": "synthetic",
          "test-footage": "test_footage"}
DEFAULT_DAYS, MAX_DAYS = 365, 3650
ROLES = ("source_likeness", "target_performer")
"""What a face is used as; the other roles of the format are not made by these questions."""
DECLARATION = "The person shown is 18 or older and agreed to this use."


@dataclass(frozen=True, slots=True)
class Answers:
    """The three answers and what is prefilled around them.

    who: one of WHO. use: one line of at least 40 characters. proof: path of the signed release (it stays where it
    is; its hash is recorded), or "now" for a page made and signed here. adult_agreed: DECLARATION, said by the user.
    name: how the person is called in lists. role: source_likeness (face put in) or target_performer (face
    replaced). media: hex SHA-256 of the films it is limited to; needed for invented people and test clips.
    """

    who: str
    use: str
    proof: str
    adult_agreed: bool | None
    name: str = ""
    role: str = "source_likeness"
    project: str = DEFAULT_PROJECT
    days: int = DEFAULT_DAYS
    uses: Sequence[str] = TEST_USES
    media: Sequence[str] = ()
    binding: Mapping[str, Any] | None = None


def new_record(answers: Answers, *, store: ConsentStore, key: Key, now: datetime) -> Record:
    """Check the answers, sign, keep. Raises ConsentRefused with the question that was not answered well."""
    _check_answers(answers)
    record_id = new_ulid(now)
    page = _page(answers, record_id, now)
    data = _fill(answers, record_id, key, now, _evidence(answers, page, record_id, store.folder))
    envelope = sign(data, key)
    open_record(envelope)
    if data["evidence"] and answers.proof == "now":  # before the record that names its hash
        write_atomic(_page_file(store.folder, record_id), page)
    return store.add(envelope)


def consent_command(role: str, where: object = None) -> str:
    """The command line that makes the record which is missing; words in capitals are for the user to fill in."""
    command = (
        f"facewright consent new --who adult --adult --name NAME --role {role} "
        '--use "FILM, SCENE AND WHAT IS DONE" --proof RELEASE.pdf'
    )
    if not where:
        return command
    place = shlex.quote(str(where))
    if Path(str(where)).is_file():  # a packed set cannot be tied to a record
        return f"facewright faces unpack {place} FOLDER && {command} --faceset FOLDER"
    return f"{command} --faceset {place}"


def _check_answers(answers: Answers) -> None:
    if answers.who not in WHO:
        raise _ask(f"Whose face is it? {answers.who!r} is no answer.", f"Say --who {' | '.join(WHO)}.")
    if answers.who == "protect":
        raise _ask("Protecting a person comes with a later release.", "Work with another performer until then.")
    if answers.adult_agreed is None:
        raise _ask("Is the person an adult, and did they agree?", f"Say so with --adult: {DECLARATION}")
    if answers.adult_agreed is not True:
        raise under_age()
    if len(answers.use.strip()) < MIN_DESCRIPTION:
        raise _ask("The answer to what it is for is too short.",
                   f"Name the film, the scene and what is done, in at least {MIN_DESCRIPTION} characters, with --use.")
    if not answers.proof:
        raise _ask("Which proof is there?",
                   "Give the signed release with --proof FILE, or make a page with --proof now.")
    if answers.role not in ROLES:
        raise _ask(f"There is no role {answers.role!r}.", f"Say --role {' | '.join(ROLES)}.")
    if not 1 <= answers.days <= MAX_DAYS:
        raise _ask(f"A record cannot be valid for {answers.days} days.", f"Say --days with 1 to {MAX_DAYS}.")
    unknown = sorted(set(answers.uses) - set(USES)) or (["nothing"] if not answers.uses else [])
    if unknown:
        raise _ask(f"A record cannot allow {', '.join(unknown)}.", f"Say --uses with a list of: {', '.join(USES)}.")
    if answers.who in ("invented", "test-footage") and not answers.media:
        raise _ask("Which films is it for?", "Name them with --media; such a record is valid for these films alone.")
    if answers.who == "test-footage" and not set(answers.media) <= footage_clips().keys():
        raise _ask("This film is not on the list of test footage.",
                   "Only pinned, licensed clips may be used without a person's own consent; "
                   "ask the person and use --who adult.")


def _fill(answers: Answers, record_id: str, key: Key, now: datetime, evidence: list[dict[str, Any]]) -> dict[str, Any]:
    basis = _BASIS[answers.who]
    test = basis == "test_footage"
    scope: dict[str, Any] = {
        "projects": [ANY_PROJECT] if basis in MEDIA_ONLY else [answers.project],
        "uses": sorted(TEST_USES if test else answers.uses),
        "description": " ".join(answers.use.split()), "sexual_content": False, "alter_speech": False,
    }
    scope |= {"media": sorted(answers.media)} if answers.media else {}
    subject = {"ref": f"{answers.who}-{record_id[-6:]}"} | ({"name": answers.name} if answers.name else {})
    data: dict[str, Any] = {
        "schema": SCHEMA, "id": record_id, "role": "synthetic" if basis == "synthetic" else answers.role,
        "subject": subject, "basis": basis, "scope": scope,
        "term": {"from": stamp(now), "until": stamp(now + timedelta(days=answers.days))},
        "evidence": evidence, "adult_declared": True, "issuer": key.issuer,
    }
    return data | ({"binding": dict(answers.binding)} if answers.binding else {})


def _evidence(answers: Answers, page: bytes, record_id: str, folder: Path) -> list[dict[str, Any]]:
    if answers.who == "test-footage":
        return []
    if answers.proof == "now":
        return [{"kind": "declaration", "sha256": hashlib.sha256(page).hexdigest(), "bytes": len(page)}]
    release = Path(answers.proof)
    if not release.is_file():
        raise FileRefused(
            f"There is no file {release.name} to prove it.",
            remedy="Give the signed release with --proof FILE, or make a page to sign with --proof now.", where=release,
        )
    digest = sha256_of(release)
    if not release.stat().st_size:
        raise _ask(f"The proof {release.name} is empty.", "Give the signed release with --proof FILE.")
    return [{"kind": "signed_release", "sha256": digest, "bytes": release.stat().st_size}]


def _page(answers: Answers, record_id: str, now: datetime) -> bytes:
    until = stamp(now + timedelta(days=answers.days))
    lines = (
        "Consent to the use of a likeness with facewright", "", f"Record: {record_id}",
        f"Person: {answers.name or answers.who}", f"Role: {answers.role}", f"Use: {' '.join(answers.use.split())}",
        f"Project: {answers.project}", f"Allowed: {', '.join(answers.uses)}", f"From {stamp(now)} until {until}.",
        DECLARATION, "Sexual content is not allowed. The person can withdraw at any time:",
        f"facewright consent revoke {record_id}", "", f"Made and signed on {stamp(now)}.", "",
    )
    return "\n".join(lines).encode()


def _page_file(folder: Path, record_id: str) -> Path:
    return make_folder(folder / "pages") / f"{record_id}.txt"


def _ask(what: str, remedy: str) -> ConsentRefused:
    return ConsentRefused(what, remedy=remedy)
