"""Consent records: who allows which use of a face, until when, signed.

Envelope `{"record": R, "sig": {"alg", "kid", "value"}}`; the signature covers the schema's name, a newline and
R in canonical JSON. A record is refused for an unknown key, a wrong spelling, a wrong signature. Checked in this
order: size, parse, schema, signature; the store goes on with known key, term, revocation, scope, binding.

The person is an adult, and sexual content is not allowed, in every record: no field and no option changes that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from facewright.core.errors import ConsentRefused, TraceBroken
from facewright.core.ulid import is_ulid
from facewright.provenance.canonical import decode, encode, from_b64url, to_b64url
from facewright.provenance.keys import Key, kid_of, verify
from facewright.provenance.moment import parse_stamp

SCHEMA = "facewright.consent/1"
REVOCATION = "facewright.consent-revocation/1"
LIMIT_BYTES = 64 << 10
ROLES = ("source_likeness", "target_performer", "protected_person", "face_double", "synthetic")
BASES = ("contract", "explicit_consent", "self", "estate", "synthetic", "protection_request", "test_footage")
USES = ("train", "preview", "merge", "export_model", "distribute")
TEST_USES = ("train", "preview", "merge")
MEDIA_ONLY = ("synthetic", "test_footage")
"""Bases without a person who signed: valid for the listed films alone, in any project."""
ANY_PROJECT = "*"
MIN_DESCRIPTION = 40
MAX_YEARS = 10

_HEX64 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Unmistakable words only: the content gate looks at the pictures, this reads what was asked for.
_SEXUAL = re.compile(r"\b(porn\w*|nud(e|es|ity)|naked|erotic\w*|sex(ual(ly)?)?|nsfw|hentai)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Record:
    """A record that passed schema and signature. `data` is R as signed."""

    data: Mapping[str, Any]
    reference: str
    kid: str

    @property
    def id(self) -> str:
        """Its ULID."""
        return self.data["id"]

    @property
    def role(self) -> str:
        """One of ROLES."""
        return self.data["role"]

    @property
    def basis(self) -> str:
        """One of BASES."""
        return self.data["basis"]

    @property
    def name(self) -> str:
        """The subject's name, or its reference where none is given."""
        return self.data["subject"].get("name") or self.data["subject"]["ref"]

    @property
    def uses(self) -> tuple[str, ...]:
        """What is allowed, of USES."""
        return tuple(self.data["scope"]["uses"])

    @property
    def projects(self) -> tuple[str, ...]:
        """Where it is allowed; `*` = in any project (bases of MEDIA_ONLY)."""
        return tuple(self.data["scope"]["projects"])

    @property
    def media(self) -> tuple[str, ...]:
        """Hex SHA-256 of the films it is for; () = not limited to films."""
        return tuple(self.data["scope"].get("media", ()))

    @property
    def binding(self) -> Mapping[str, Any] | None:
        """The commitment to the person's identity vectors, or None."""
        return self.data.get("binding")

    @property
    def term(self) -> tuple[datetime, datetime]:
        """(first moment, first moment after), aware."""
        first, after = parse_stamp(self.data["term"]["from"]), parse_stamp(self.data["term"]["until"])
        assert first is not None
        assert after is not None
        return first, after


def reference_of(data: Mapping[str, Any]) -> str:
    """`sha256:` + SHA-256 of R's canonical bytes: how everything else names a record."""
    return "sha256:" + hashlib.sha256(encode(data)).hexdigest()


def sign(data: Mapping[str, Any], key: Key) -> bytes:
    """The envelope of a record or a revocation, in canonical bytes and a newline. Checks nothing but the size."""
    value = key.sign(_message(data))
    envelope = {"record": data, "sig": {"alg": "Ed25519", "kid": key.kid, "value": to_b64url(value)}}
    text = encode(envelope) + b"\n"
    if len(text) > LIMIT_BYTES:
        raise _refused("the record is longer than 64 KiB")
    return text


def open_record(envelope: bytes) -> Record:
    """Size, parse, schema, signature by the issuer. Raises ConsentRefused that says which failed."""
    data, signature, kid = _split(envelope)
    check_schema(data)
    public = from_b64url(data["issuer"]["pub"])
    if kid != kid_of(public) or not verify(public, signature, _message(data)):
        raise _refused("the signature does not fit its text: it was changed after signing", data)
    return Record(data=data, reference=reference_of(data), kid=kid)


def open_revocation(envelope: bytes, record: Record) -> Mapping[str, Any]:
    """A revocation of `record`, signed by its issuer or a revoker that it lists. Raises ConsentRefused."""
    data, signature, kid = _split(envelope)
    _keys(data, {"schema", "revokes", "at", "by", "reason_code"}, set(), "the revocation")
    _need(data["schema"] == REVOCATION, "it is not a revocation", data)
    _need(data["revokes"] == record.reference, "it revokes another record", data)
    _need(parse_stamp(data["at"]) is not None, "its time is not spelled YYYY-MM-DDThh:mm:ssZ", data)
    _need(is_reason_code(data["reason_code"]), "its reason code is malformed", data)
    allowed = [from_b64url(record.data["issuer"]["pub"]), *map(from_b64url, record.data.get("revokers", ()))]
    public = next((key for key in allowed if kid_of(key) == kid), None)
    _need(public is not None and data["by"] == kid, "its signer is neither the issuer nor a listed revoker", data)
    assert public is not None
    _need(verify(public, signature, _message(data)), "the revocation's signature does not fit its text", data)
    return data


def is_reason_code(value: Any) -> bool:
    """Whether it may stand in a revocation: a short plain word."""
    return _is_word(value)


def check_schema(data: Any) -> None:
    """Every rule for R that needs no clock and no key. Raises ConsentRefused with the first one broken."""
    _keys(
        data,
        {"schema", "id", "role", "subject", "basis", "scope", "term", "evidence", "adult_declared", "issuer"},
        {"revokers", "binding"},
        "the record",
    )
    _need(data["schema"] == SCHEMA, f"its schema is not {SCHEMA}", data)
    _need(is_ulid(data["id"]), "its id is not a ULID", data)
    _need(data["role"] in ROLES, f"its role is none of {', '.join(ROLES)}", data)
    _need(data["basis"] in BASES, f"its basis is none of {', '.join(BASES)}", data)
    if data["adult_declared"] is not True:
        raise under_age(data)
    for rule in (_check_pairing, _check_subject, _check_scope, _check_term, _check_evidence, _check_binding):
        rule(data)
    _check_issuer(data["issuer"], data)
    _list(data.get("revokers", []), _is_public_key, 16, "revokers", data)


def under_age(data: Any = None) -> ConsentRefused:
    """The refusal for a person who is not declared an adult: it has no way round."""
    return ConsentRefused(
        "facewright does not work with the face of anyone under 18.",
        why="The record does not declare that the person is an adult.",
        remedy="Use another performer; no setting changes this.", where=_where(data),
    )


def sexual(data: Any = None) -> ConsentRefused:
    """The refusal of sexual content: it has no way round."""
    return ConsentRefused(
        "facewright is not for sexual content.", why="The record allows or describes it.",
        remedy="Describe another use; no setting changes this.", where=_where(data),
    )


def _check_pairing(data: Any) -> None:
    synthetic = data["role"] == "synthetic"
    _need(synthetic == (data["basis"] == "synthetic"), "role and basis synthetic go together", data)
    protected = data["role"] == "protected_person"
    _need(protected == (data["basis"] == "protection_request"),
          "role protected_person and basis protection_request go together", data)


def _check_subject(data: Any) -> None:
    subject = data["subject"]
    _keys(subject, {"ref"}, set() if data["role"] == "protected_person" else {"name"}, "subject", data)
    _need(_is_word(subject["ref"]), "subject.ref is not a short plain word", data)
    _need("name" not in subject or _is_text(subject["name"], 1, 200), "subject.name is not a plain text", data)


def _check_scope(data: Any) -> None:
    scope, basis = data["scope"], data["basis"]
    _keys(scope, {"projects", "uses", "description"}, {"media", "sexual_content", "alter_speech"}, "scope", data)
    _list(scope["projects"], lambda p: p == ANY_PROJECT or _is_text(p, 1, 100), 100, "scope.projects", data, least=1)
    _need(ANY_PROJECT not in scope["projects"] or basis in MEDIA_ONLY, "scope.projects must name the projects", data)
    _list(scope["uses"], lambda u: u in USES, len(USES), "scope.uses", data, least=1)
    _list(scope.get("media", []), _is_hash, 256, "scope.media", data, least=1 if basis in MEDIA_ONLY else 0)
    _need(_is_text(scope["description"], MIN_DESCRIPTION, 4000),
          f"scope.description needs at least {MIN_DESCRIPTION} characters: say for which film and what", data)
    if scope.get("sexual_content", False) is not False or _SEXUAL.search(scope["description"]):
        raise sexual(data)
    _need(isinstance(scope.get("alter_speech", False), bool), "scope.alter_speech is not true or false", data)
    if basis == "test_footage":
        _need(set(scope["uses"]) <= set(TEST_USES), "test footage is for train, preview and merge only", data)


def _check_term(data: Any) -> None:
    term = data["term"]
    _keys(term, {"from", "until"}, set(), "term", data)
    first, after = parse_stamp(term["from"]), parse_stamp(term["until"])
    _need(first is not None and after is not None, "a date is not spelled YYYY-MM-DDThh:mm:ssZ", data)
    assert first is not None
    assert after is not None
    _need(first < after, "term.until is not after term.from", data)
    _need(data["basis"] in MEDIA_ONLY or (after - first).days <= 366 * MAX_YEARS,
          f"the term is longer than {MAX_YEARS} years", data)


def _check_evidence(data: Any) -> None:
    _list(data["evidence"], lambda e: isinstance(e, dict), 32, "evidence", data,
          least=0 if data["basis"] in MEDIA_ONLY else 1)
    for item in data["evidence"]:
        _keys(item, {"kind", "sha256", "bytes"}, set(), "evidence", data)
        _need(_is_word(item["kind"]) and _is_hash(item["sha256"]) and _is_count(item["bytes"]),
              "a piece of evidence needs kind, sha256 and bytes", data)


def _check_binding(data: Any) -> None:
    if "binding" not in data:
        return
    binding = data["binding"]
    _keys(binding, {"model", "model_sha256", "n", "commit"}, set(), "binding", data)
    _need(_is_word(binding["model"]) and _is_hash(binding["model_sha256"]) and _is_hash(binding["commit"])
          and _is_count(binding["n"]) and binding["n"] >= 20,
          "binding is malformed or rests on fewer than 20 faces", data)


def _check_issuer(issuer: Any, data: Any) -> None:
    _keys(issuer, {"alg", "pub"}, set(), "issuer", data)
    _need(issuer["alg"] == "Ed25519" and _is_public_key(issuer["pub"]), "issuer is not an Ed25519 key", data)


def _split(envelope: bytes) -> tuple[dict[str, Any], bytes, str]:
    """(R, signature, kid). The first two checks: size, parse."""
    if len(envelope) > LIMIT_BYTES:
        raise _refused("it is longer than 64 KiB")
    try:
        body = decode(envelope)
        _keys(body, {"record", "sig"}, set(), "the envelope")
        _keys(body["sig"], {"alg", "kid", "value"}, set(), "sig")
        _need(body["sig"]["alg"] == "Ed25519" and isinstance(body["record"], dict), "it is not signed with Ed25519")
        _need(isinstance(body["sig"]["value"], str), "sig.value is not a text")
        return body["record"], from_b64url(body["sig"]["value"]), body["sig"]["kid"]
    except TraceBroken as error:
        raise _refused(error.why) from error


def _message(data: Mapping[str, Any]) -> bytes:
    schema = data.get("schema")
    return f"{schema}\n".encode() + encode(data)


def _keys(value: Any, must: set[str], may: set[str], name: str, data: Any = None) -> None:
    _need(isinstance(value, dict), f"{name} is not an object", data)
    missing, unknown = must - value.keys(), value.keys() - must - may
    _need(not missing, f"{name} lacks {', '.join(sorted(missing))}", data)
    _need(not unknown, f"{name} has an unknown key {', '.join(sorted(unknown))}", data)


def _list(value: Any, good: Callable[[Any], bool], most: int, name: str, data: Any, *, least: int = 0) -> None:
    fits = isinstance(value, list) and least <= len(value) <= most and all(map(good, value))
    unique = fits and len(value) == len({repr(v) for v in value})
    _need(unique, f"{name} is malformed, empty, too long or repeats itself", data)


def _is_text(value: Any, least: int, most: int) -> bool:
    return isinstance(value, str) and least <= len(value.strip()) and len(value) <= most and value.isprintable()


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HEX64.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_public_key(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(from_b64url(value)) == 32
    except TraceBroken:
        return False


def _need(true: bool, why: str, data: Any = None) -> None:
    if not true:
        raise _refused(why, data)


def _refused(why: str, data: Any = None) -> ConsentRefused:
    return ConsentRefused(
        "A consent record is not valid.", why=f"{why[:1].upper()}{why[1:]}.".replace("..", "."),
        remedy="Ask the person who issued it for a correct one, or make one with `facewright consent new`.",
        where=_where(data),
    )


def _where(data: Any) -> str | None:
    name = data.get("id") if isinstance(data, dict) else None
    return name if isinstance(name, str) else None
