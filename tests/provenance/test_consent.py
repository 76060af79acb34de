from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from facewright.core.errors import ConsentRefused
from facewright.provenance.canonical import encode, from_b64url
from facewright.provenance.consent import check_schema, open_record, open_revocation, reference_of, sign
from facewright.provenance.keys import Key, fresh_key

VECTOR: dict[str, Any] = {
    "basis": "contract", "evidence": [{"bytes": 12345, "kind": "signed_release", "sha256": "0" * 64}],
    "id": "01J9Z3K4QW8VX2N6T5R7M0ABCD",
    "issuer": {"alg": "Ed25519", "pub": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"}, "role": "source_likeness",
    "schema": "facewright.consent/1",
    "scope": {"projects": ["film-a"], "sexual_content": False, "uses": ["merge", "preview", "train"]},
    "subject": {"name": "Zoë Example", "ref": "S-001"},
    "term": {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
}


def test_vector_of_the_specification(key: Key):
    assert len(encode(VECTOR)) == 527
    assert reference_of(VECTOR) == "sha256:233b737c55eff99a51396bb071a8eb435351ee96bea4534d1b39f92811a42ffe"
    envelope = json.loads(sign(VECTOR, key))
    assert envelope["sig"]["kid"] == "56475aa75463474c"
    assert from_b64url(envelope["sig"]["value"]).hex() == (
        "0a72cc4a2e88594db391a4759ab68d656356506daee478133d72ac7650c28845fa793ca99286313fba7b7b1151632800"
        "ca077743304159d50cb6963c1cc36702"
    )


def test_a_whole_record(record_data, own_key: Key):
    record = open_record(sign(record_data, own_key))
    assert (record.name, record.role, record.basis, record.projects) == (
        "Zoë Example", "source_likeness", "contract", ("film-a",))
    assert record.reference == reference_of(record_data)
    assert record.kid == own_key.kid
    assert record.media == ()
    assert record.binding is None


def test_any_bit_flip_is_refused(record_data, own_key: Key):
    envelope = sign(record_data, own_key)
    for position in range(len(envelope) - 1):  # the last byte is the newline behind the record
        for bit in range(8):
            flipped = bytearray(envelope)
            flipped[position] ^= 1 << bit
            with pytest.raises(ConsentRefused):
                open_record(bytes(flipped))


def test_another_key_cannot_sign_for_the_issuer(record_data):
    with pytest.raises(ConsentRefused, match="not valid"):
        open_record(sign(record_data, fresh_key()))


def change(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(data)
    *parents, last = path.split(".")
    inner: Any = data
    for name in parents:
        inner = inner[int(name)] if name.isdigit() else inner[name]
    if value is KeyError:
        del inner[last]
    else:
        inner[last] = value
    return data


BAD = [
    ("schema", "facewright.consent/2"), ("id", "01J9Z3K4QW8VX2N6T5R7M0ABC"), ("id", "81J9Z3K4QW8VX2N6T5R7M0ABCD"),
    ("id", "01j9z3k4qw8vx2n6t5r7m0abcd"), ("id", 7), ("role", "hero"), ("role", "synthetic"), ("role", []),
    ("basis", "synthetic"), ("basis", "hearsay"), ("basis", "protection_request"),
    ("subject", {}), ("subject", {"ref": "S 1"}), ("subject", {"ref": "S-1", "age": 30}), ("subject.name", ""),
    ("subject.name", "a\nb"), ("subject.name", "x" * 201), ("subject", "Zoë"),
    ("scope.projects", []), ("scope.projects", ["*"]), ("scope.projects", "film-a"), ("scope.projects", ["a", "a"]),
    ("scope.uses", []), ("scope.uses", ["train", "sell"]), ("scope.uses", ["train", "train"]), ("scope.uses", [1]),
    ("scope.description", "too short"), ("scope.description", " " * 50), ("scope.description", KeyError),
    ("scope.alter_speech", 1), ("scope.media", ["film.mp4"]), ("scope.media", ["A1" * 32]), ("scope.extra", 1),
    ("term.from", "2026-01-01"), ("term.until", "2027-01-01T00:00:00+00:00"), ("term.until", "2026-01-01T00:00:00Z"),
    ("term.until", "2026-02-30T00:00:00Z"), ("term.until", "2037-01-05T00:00:00Z"), ("term.until", KeyError),
    ("evidence", []), ("evidence", [{"kind": "x", "sha256": "0" * 64}]), ("evidence.0.bytes", -1),
    ("evidence.0.bytes", True), ("evidence.0.sha256", "0" * 63), ("evidence.0.note", "x"), ("evidence", [7]),
    ("issuer.alg", "RSA"), ("issuer.pub", "AAAA"), ("issuer.pub", 1), ("issuer", None),
    ("revokers", ["x"]), ("revokers", "x"), ("binding", {}), ("colour", "red"),
    ("binding", {"model": "m", "model_sha256": "0" * 64, "n": 19, "commit": "0" * 64}),
    ("adult_declared", KeyError), ("evidence", KeyError), ("issuer", KeyError),
]


@pytest.mark.parametrize(("path", "value"), BAD, ids=[f"{p}={str(v)[:24]}" for p, v in BAD])
def test_every_broken_rule_is_refused(record_data, own_key: Key, path, value):
    check_schema(record_data)
    with pytest.raises(ConsentRefused) as caught:
        open_record(sign(change(record_data, path, value), own_key))
    assert caught.value.remedy


@pytest.mark.parametrize("value", [False, None, 1, "true", 0])
def test_people_not_declared_adult_are_refused(record_data, value):
    with pytest.raises(ConsentRefused, match="under 18"):
        check_schema(change(record_data, "adult_declared", value))


@pytest.mark.parametrize(("path", "value"), [
    ("scope.sexual_content", True), ("scope.sexual_content", 1), ("scope.sexual_content", "no"),
    ("scope.description", "Film A, scene 3: replace the face in the nude scene."),
    ("scope.description", "A pornographic film in which the face of the lead is replaced."),
])
def test_sexual_content_is_refused(record_data, path, value):
    with pytest.raises(ConsentRefused, match="not for sexual content"):
        check_schema(change(record_data, path, value))


def test_test_footage_is_never_distributed(record_data):
    data = change(record_data, "basis", "test_footage")
    data["scope"] |= {"projects": ["*"], "media": ["a1" * 32]}
    check_schema(data)
    for use in ("distribute", "export_model"):
        with pytest.raises(ConsentRefused):
            check_schema(change(data, "scope.uses", ["train", use]))
    with pytest.raises(ConsentRefused):
        check_schema(change(data, "scope.media", []))


def test_a_protected_person_has_no_name(record_data):
    data = change(change(record_data, "role", "protected_person"), "basis", "protection_request")
    with pytest.raises(ConsentRefused):
        check_schema(data)
    check_schema(change(data, "subject", {"ref": "P-1"}))


@pytest.mark.parametrize("envelope", [
    b"", b"{}", b"[]", b'{"record":{},"sig":{}}', b'{"record":1,"sig":{"alg":"Ed25519","kid":"","value":""}}',
    b'{"record":{},"sig":{"alg":"none","kid":"","value":""}}',
    b'{"record":{},"sig":{"alg":"Ed25519","kid":1,"value":1}}',
    b" " * (64 * 1024 + 1), b"\xff",
], ids=lambda e: e[:20].decode("latin1"))
def test_strange_envelopes(envelope):
    with pytest.raises(ConsentRefused):
        open_record(envelope)


def revocation(reference: str, by: str, **other: Any) -> dict[str, Any]:
    return {"schema": "facewright.consent-revocation/1", "revokes": reference, "at": "2026-06-01T00:00:00Z", "by": by,
            "reason_code": "withdrawn"} | other


def test_revocation_by_issuer_or_revoker_only(record_data, own_key: Key):
    agent, stranger = fresh_key(), fresh_key()
    record_data["revokers"] = [agent.issuer["pub"]]
    record = open_record(sign(record_data, own_key))
    for signer in (own_key, agent):
        assert open_revocation(sign(revocation(record.reference, signer.kid), signer), record)["by"] == signer.kid
    for claimed in (stranger.kid, own_key.kid):
        with pytest.raises(ConsentRefused):
            open_revocation(sign(revocation(record.reference, claimed), stranger), record)


@pytest.mark.parametrize("other", [
    {"revokes": "sha256:" + "0" * 64}, {"at": "today"}, {"reason_code": "with space"}, {"by": "0" * 16}, {"more": 1},
    {"schema": "facewright.consent/1"},
])
def test_broken_revocations(record_data, own_key: Key, other):
    record = open_record(sign(record_data, own_key))
    with pytest.raises(ConsentRefused):
        open_revocation(sign(revocation(record.reference, own_key.kid) | other, own_key), record)
