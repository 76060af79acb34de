"""Where records are kept and asked: the user's own, those that ship with the package, and their revocations.

One folder: `<id>.consent.json` envelopes, `<id>.revocation.json`, `trusted.json` (public keys of other issuers).
Nothing is ever removed; a revoked record stays, with its revocation beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from facewright.core.errors import ConsentRefused, FileRefused, TraceBroken
from facewright.core.files import make_folder, read_file, write_atomic
from facewright.core.places import data_folder
from facewright.provenance.canonical import from_b64url, to_b64url
from facewright.provenance.consent import (
    ANY_PROJECT,
    LIMIT_BYTES,
    MEDIA_ONLY,
    REVOCATION,
    Record,
    open_record,
    open_revocation,
    sign,
)
from facewright.provenance.keys import Key, kid_of, machine_kid
from facewright.provenance.moment import stamp

PACKAGE = Path(__file__).resolve().parents[1]
DEFAULT_PROJECT = "default"
"""The project's name in records for work outside a project folder."""


@dataclass(frozen=True, slots=True)
class FootageClip:
    """A licensed clip of the test list: `consent` is documented, inferred, staged or synthetic."""

    clip: str
    licence: str
    attribution: str
    consent: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A record with its standing: shipped with the package or the user's own; revoked by reason code, or ""."""

    record: Record
    shipped: bool
    revoked: str


def footage_clips() -> dict[str, FootageClip]:
    """Hex SHA-256 -> clip of every film that the basis test_footage may name. Pinned in the package."""
    body = json.loads((Path(__file__).parent / "test_footage.json").read_text(encoding="utf-8"))
    return {
        sha256: FootageClip(entry["clip"], entry["licence"], entry["attribution"], entry["class"])
        for sha256, entry in body["clips"].items()
    }


class ConsentStore:
    """Records in `folder` (default: the user data folder) and those shipped with the package.

    `shipped` and `pinned` (folders of envelopes, file of public keys) are there for the tests of the footage tool.
    """

    def __init__(
        self, folder: Path | None = None, *, shipped: Path = PACKAGE / "footage",
        pinned: Path = PACKAGE / "provenance" / "pinned.json",
    ) -> None:
        self.folder = make_folder(folder if folder is not None else data_folder() / "consent")
        self._shipped, self._pinned_file = shipped, pinned

    @property
    def bindings(self) -> Path:
        """Where the private halves of bindings lie: with the user, never in a project that is handed over."""
        return data_folder() / "bindings"

    def add(self, envelope: bytes) -> Record:
        """Check and keep a record; the same one again changes nothing. Raises ConsentRefused."""
        record = open_record(envelope)
        self._known(record)
        path = self.folder / f"{record.id}.consent.json"
        if path.exists() and open_record(path.read_bytes()).reference != record.reference:
            raise _no("This record has the id of another one.", record, "Two records must not share an id.",
                      "Ask its issuer for a record with an id of its own.")
        if not path.exists():
            write_atomic(path, envelope)
        return record

    def trust(self, public_b64url: str, name: str) -> str:
        """Accept records of another issuer from now on; returns the key's short name."""
        public = from_b64url(public_b64url)
        keys = self._trusted() | {kid_of(public): {"pub": to_b64url(public), "name": name}}
        write_atomic(self.folder / "trusted.json", (json.dumps(keys, indent=1) + "\n").encode())
        return kid_of(public)

    def list(self) -> list[Listed]:
        """Every readable record, oldest first, shipped ones first. A damaged file is no record: see `damaged`."""
        places = ((True, self._shipped), (False, self.folder))
        return [Listed(r, shipped, self.revoked(r)) for shipped, folder in places for r in _read(folder)[0]]

    def damaged(self) -> dict[Path, str]:
        """Envelopes that cannot be used at all, each with the reason."""
        return _read(self._shipped)[1] | _read(self.folder)[1]

    def get(self, text: str) -> Record:
        """By reference, id or the subject's name. Raises ConsentRefused: none, or several of that name."""
        records = [entry.record for entry in self.list()]
        exact = [r for r in records if text in (r.reference, r.id)]
        named = exact or [r for r in records if r.name.casefold() == text.casefold()]
        if len(named) == 1:
            return named[0]
        if named:
            ids = ", ".join(f"{r.id} ({r.role})" for r in named)
            raise ConsentRefused(
                f"{len(named)} records are called {text!r}.", remedy=f"Name one by its id: {ids}.", where=self.folder
            )
        damaged = [path.name for path in self.damaged()]
        raise ConsentRefused(
            f"There is no consent record {text!r}.",
            why=f"Damaged files: {', '.join(damaged)}." if damaged else "It was never added here, or it was removed.",
            remedy="List the records with `facewright consent list`, or make one with `facewright consent new`.",
            where=self.folder,
        )

    def revoke(self, text: str, reason_code: str, key: Key, now: datetime) -> Record:
        """Deny all uses of a record from now on. `key` must be its issuer's or a listed revoker's.

        Delivered films stay untouched; a trained model does not forget, so models trained on it are to be retired.
        """
        record = self.get(text)
        body = {"schema": REVOCATION, "revokes": record.reference, "at": stamp(now), "by": key.kid,
                "reason_code": reason_code}
        envelope = sign(body, key)
        open_revocation(envelope, record)
        write_atomic(self._revocation_file(record), envelope)
        return record

    def revoked(self, record: Record) -> str:
        """The reason code that was signed, or ""; a revocation that cannot be read counts: consent fails closed."""
        path = self._revocation_file(record)
        if not path.exists():
            return ""
        try:
            return str(open_revocation(read_file(path, limit_bytes=LIMIT_BYTES), record)["reason_code"])
        except (ConsentRefused, TraceBroken, FileRefused):
            return "a damaged revocation lies beside it"

    def find(self, role: str, footage_sha256: Iterable[str], now: datetime, project: str, use: str) -> Record | None:
        """The first usable record of these films (shipped people, test clips) that fits the role, or None.

        A person's own record that is limited to a film says nothing of the others who are seen in it: it must be named.
        """
        footage = set(footage_sha256)
        for record in (entry.record for entry in self.list() if footage):
            covers = record.basis in MEDIA_ONLY and footage <= set(record.media)
            if covers and self._why_not(record, role, use, now, project, footage) is None:
                return record
        return None

    def check(
        self, text: str, role: str, use: str, now: datetime, project: str, footage_sha256: Iterable[str] = ()
    ) -> Record:
        """The record, when it allows `use` of a face in `role`. Raises ConsentRefused: which record, why, next step.

        Order: signature and schema (on reading), known key, term, revocation, scope.
        """
        record = self.get(text)
        reason = self._why_not(record, role, use, now, project, set(footage_sha256))
        if reason is not None:
            raise reason
        return record

    def _why_not(
        self, record: Record, role: str, use: str, now: datetime, project: str, footage: set[str]
    ) -> ConsentRefused | None:
        first, after = record.term
        try:
            self._known(record)
        except ConsentRefused as error:
            return error
        renew = "Ask the person again and make a new record with `facewright consent new`."
        if now < first:
            return _no(f"The record of {record.name} is not valid yet.", record, f"It begins at {stamp(first)}.",
                       "Wait until then, or set this machine's clock.")
        if now >= after:
            return _no(f"The record of {record.name} has expired.", record, f"It ended at {stamp(after)}.", renew)
        if revoked := self.revoked(record):
            return _no(f"The record of {record.name} was revoked.", record, f"Reason: {revoked}.", renew)
        return _scope(record, role, use, project, footage)

    def _known(self, record: Record) -> None:
        pinned = record.kid in self._pinned
        if pinned and record.basis != "synthetic":
            raise _no("This record's key is for shipped synthetic people only.", record, "It names another basis.",
                      "Ask its issuer for a correct one.")
        if not pinned and record.kid not in self._trusted() and record.kid != machine_kid():
            raise _no(
                f"The record of {record.name} was signed by an unknown key.", record, f"Key {record.kid}.",
                "Make a record on this machine with `facewright consent new`, with their signed release as proof.",
            )

    @cached_property
    def _pinned(self) -> dict[str, str]:
        body = json.loads(self._pinned_file.read_text(encoding="utf-8"))
        return {kid_of(from_b64url(entry["pub"])): entry["pub"] for entry in body["keys"]}

    def _trusted(self) -> dict[str, dict[str, str]]:
        path = self.folder / "trusted.json"
        if not path.exists():
            return {}
        try:
            keys = json.loads(read_file(path, limit_bytes=1 << 20))
            return {kid: entry for kid, entry in keys.items() if kid == kid_of(from_b64url(entry["pub"]))}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileRefused(
                "The list of trusted issuers is damaged.", remedy="Restore or remove it.", where=path
            ) from error

    def _revocation_file(self, record: Record) -> Path:
        return self.folder / f"{record.id}.revocation.json"


def _scope(record: Record, role: str, use: str, project: str, footage: set[str]) -> ConsentRefused | None:
    who = f"The record of {record.name}"
    again = "Ask the person, then make a record that says so with `facewright consent new`."
    later = "Protecting a person comes with a later release."
    if record.role in ("protected_person", "face_double"):
        return _no(f"{who} is for protecting a person, which does not work yet.", record, later, later)
    if record.role not in (role, "synthetic"):
        return _no(f"{who} does not allow this role.", record, f"It says {record.role}, this needs {role}.",
                   again.removesuffix("`.") + f" --role {role}`.")
    if use not in record.uses:
        return _no(f"{who} does not allow this use.", record,
                   f"It allows {', '.join(record.uses)}; this needs {use}.", again)
    if ANY_PROJECT not in record.projects and project not in record.projects:
        return _no(f"{who} is not for this project.", record,
                   f"It is for {', '.join(record.projects)}; this is {project}.", again)
    if record.basis in MEDIA_ONLY and not footage:
        return _no(f"{who} is for listed films only.", record, "It is not known which films these faces come from.",
                   "Extract the faces again with facewright, from the films themselves.")
    if record.media and (not footage or not footage <= set(record.media)):
        return _no(f"{who} is not for this film.", record,
                   f"{len(footage - set(record.media)) or 'Its'} film(s) are not listed.", again)
    if record.basis == "test_footage" and not footage <= footage_clips().keys():
        return _no("This film is not on the list of test footage.", record,
                   "Only pinned, licensed clips may be used without a person's own consent.", again)
    return None


def _read(folder: Path) -> tuple[list[Record], dict[Path, str]]:
    """(good records, bad files with their reason), in the order of their ids."""
    records, damaged = [], {}
    for path in sorted(folder.glob("*.consent.json")):
        try:
            records.append(open_record(read_file(path, limit_bytes=LIMIT_BYTES)))
        except (ConsentRefused, FileRefused) as error:
            damaged[path] = error.why
    return records, damaged


def _no(what: str, record: Record, why: str, remedy: str) -> ConsentRefused:
    return ConsentRefused(what, why=why, remedy=remedy, where=record.id)
