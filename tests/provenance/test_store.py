from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from facewright.core.errors import ConsentRefused, FileRefused
from facewright.core.ulid import new_ulid
from facewright.provenance.canonical import to_b64url
from facewright.provenance.consent import sign
from facewright.provenance.keys import Key, fresh_key
from facewright.provenance.store import ConsentStore, footage_clips

FILM = "a1" * 32
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def kept(store: ConsentStore, record_data, own_key: Key):
    return store.add(sign(record_data, own_key))


def check(store: ConsentStore, text: str, now: datetime, **other):
    asked = {"role": "source_likeness", "use": "train", "project": "film-a"} | other
    return store.check(text, now=now, **asked)


def test_by_reference_id_and_name(store, kept, now):
    for text in (kept.reference, kept.id, "Zoë Example", "zoë example"):
        assert check(store, text, now) == kept


def test_an_unknown_name_names_the_next_step(store, now):
    with pytest.raises(ConsentRefused) as caught:
        check(store, "nobody", now)
    assert "facewright consent" in caught.value.remedy


def test_two_of_one_name_are_listed(store, kept, record_data, own_key, now):
    record_data |= {"id": new_ulid(now), "role": "target_performer"}
    other = store.add(sign(record_data, own_key))
    with pytest.raises(ConsentRefused) as caught:
        store.get("Zoë Example")
    assert kept.id in caught.value.remedy
    assert other.id in caught.value.remedy


def test_adding_twice_changes_nothing_but_an_id_is_taken_once(store, kept, record_data, own_key):
    assert store.add(sign(record_data, own_key)) == kept
    record_data["subject"]["ref"] = "S-002"
    with pytest.raises(ConsentRefused, match="id of another"):
        store.add(sign(record_data, own_key))
    assert len(store.list()) == 1


@pytest.mark.parametrize(("moment", "good"), [
    (BEGIN - timedelta(seconds=1), False), (BEGIN, True), (END - timedelta(seconds=1), True), (END, False),
    (END + timedelta(seconds=1), False),
])
def test_term_to_the_second(store, kept, moment, good):
    if good:
        assert check(store, kept.id, moment) == kept
        return
    with pytest.raises(ConsentRefused) as caught:
        check(store, kept.id, moment)
    assert caught.value.where == kept.id


@pytest.mark.parametrize("other", [
    {"role": "target_performer"}, {"use": "export_model"}, {"use": "distribute"}, {"project": "film-b"},
])
def test_out_of_scope(store, kept, now, other):
    with pytest.raises(ConsentRefused) as caught:
        check(store, kept.id, now, **other)
    assert caught.value.why
    assert "facewright consent new" in caught.value.remedy


def test_listed_films_alone(store, record_data, own_key, now):
    record_data["scope"]["media"] = [FILM]
    record = store.add(sign(record_data, own_key))
    assert check(store, record.id, now, footage_sha256=[FILM]) == record
    for footage in ([], ["b2" * 32], [FILM, "b2" * 32]):
        with pytest.raises(ConsentRefused, match="not for this film"):
            check(store, record.id, now, footage_sha256=footage)


def test_an_unknown_issuer_is_refused_until_trusted(store, record_data, now):
    stranger = fresh_key()
    record_data["issuer"] = stranger.issuer
    with pytest.raises(ConsentRefused, match="unknown key"):
        store.add(sign(record_data, stranger))
    assert store.list() == []
    assert store.trust(to_b64url(stranger.public), "production office") == stranger.kid
    record = store.add(sign(record_data, stranger))
    assert check(store, record.id, now) == record


def test_a_record_put_in_by_hand_under_an_unknown_key(store, record_data, now):
    stranger = fresh_key()
    record_data["issuer"] = stranger.issuer
    (store.folder / f"{record_data['id']}.consent.json").write_bytes(sign(record_data, stranger))
    with pytest.raises(ConsentRefused, match="unknown key"):
        check(store, record_data["id"], now)


def test_a_forged_trust_list_is_no_help(store, record_data, own_key):
    kid = fresh_key().kid
    (store.folder / "trusted.json").write_text(json.dumps({kid: {"pub": own_key.issuer["pub"], "name": "x"}}))
    assert store._trusted() == {}
    (store.folder / "trusted.json").write_text("{")
    with pytest.raises(FileRefused):
        store.trust(own_key.issuer["pub"], "x")


def test_revocation_denies_every_use_at_once(store, kept, own_key, now):
    assert check(store, kept.id, now)
    store.revoke(kept.id, "withdrawn", own_key, now)
    for use in ("train", "preview", "merge"):
        with pytest.raises(ConsentRefused, match="revoked"):
            check(store, kept.id, now, use=use)
    assert store.list()[0].revoked == "withdrawn"
    assert store.add((store.folder / f"{kept.id}.consent.json").read_bytes()) == kept
    with pytest.raises(ConsentRefused, match="revoked"):
        check(store, kept.id, now)


def test_a_stranger_cannot_revoke(store, kept, now):
    with pytest.raises(ConsentRefused):
        store.revoke(kept.id, "dispute", fresh_key(), now)
    assert check(store, kept.id, now)


def test_a_damaged_revocation_still_revokes(store, kept, own_key, now):
    store.revoke(kept.id, "withdrawn", own_key, now)
    path = store.folder / f"{kept.id}.revocation.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConsentRefused, match="revoked"):
        check(store, kept.id, now)


def test_a_damaged_record_is_no_record_and_is_named(store, kept, record_data, own_key, now):
    record_data["id"] = new_ulid(now)
    other = store.add(sign(record_data, own_key))
    path = store.folder / f"{kept.id}.consent.json"
    path.write_bytes(path.read_bytes().replace(b"film-a", b"film-b"))
    assert list(store.damaged()) == [path]
    with pytest.raises(ConsentRefused) as caught:
        check(store, kept.id, now)
    assert path.name in caught.value.why
    assert check(store, other.id, now) == other


def test_protecting_a_person_comes_later(store, record_data, own_key, now):
    record_data |= {"role": "protected_person", "basis": "protection_request", "subject": {"ref": "P-1"}}
    record = store.add(sign(record_data, own_key))
    for role in ("target_performer", "protected_person"):
        with pytest.raises(ConsentRefused, match="does not work yet"):
            check(store, record.id, now, role=role)


# --- records without a person who signed: films are named by hash ---

@pytest.fixture
def test_record(record_data):
    data = copy.deepcopy(record_data) | {"basis": "test_footage", "evidence": []}
    data["scope"] |= {"projects": ["*"], "media": sorted(footage_clips())[:2]}
    return data


def test_test_clips_are_for_those_hashes_alone(store, test_record, own_key, now):
    record = store.add(sign(test_record, own_key))
    clips = record.media
    assert check(store, record.id, now, project="any", footage_sha256=clips) == record
    assert store.find("source_likeness", clips[:1], now, "any", "merge") == record
    with pytest.raises(ConsentRefused, match="not for this film"):
        check(store, record.id, now, footage_sha256=[FILM])
    with pytest.raises(ConsentRefused, match="listed films only"):
        check(store, record.id, now)
    for use in ("export_model", "distribute"):
        with pytest.raises(ConsentRefused):
            check(store, record.id, now, use=use, footage_sha256=clips)


def test_a_film_off_the_pinned_list_is_not_test_footage(store, test_record, own_key, now):
    test_record["scope"]["media"] = [FILM]
    record = store.add(sign(test_record, own_key))
    with pytest.raises(ConsentRefused, match="not on the list"):
        check(store, record.id, now, footage_sha256=[FILM])
    assert store.find("source_likeness", [FILM], now, "any", "train") is None


def test_the_pinned_list():
    clips = footage_clips()
    assert len(clips) == 12
    assert {clip.consent for clip in clips.values()} == {"documented", "inferred", "staged", "synthetic"}
    assert all(clip.licence and clip.attribution for clip in clips.values())
    assert all(len(sha) == 64 for sha in clips)


def test_pinned_keys_sign_synthetic_people_only(tmp_path, record_data, now):
    lost = fresh_key()
    pinned = tmp_path / "p.json"
    pinned.write_text(json.dumps({"format": "facewright.pinned/1", "keys": [{"pub": lost.issuer["pub"]}]}))
    store = ConsentStore(tmp_path / "s", shipped=tmp_path / "shipped", pinned=pinned)
    record_data["issuer"] = lost.issuer
    with pytest.raises(ConsentRefused, match="synthetic people only"):
        store.add(sign(record_data, lost))
    record_data |= {"role": "synthetic", "basis": "synthetic", "evidence": []}
    record_data["scope"] |= {"projects": ["*"], "media": [FILM]}
    record = store.add(sign(record_data, lost))
    for role in ("source_likeness", "target_performer"):
        assert check(store, record.id, now, role=role, project="x", footage_sha256=[FILM]) == record
    with pytest.raises(ConsentRefused):
        check(store, record.id, now, footage_sha256=["b2" * 32])


def test_the_package_itself_trusts_no_stray_key():
    store = ConsentStore()
    assert store.damaged() == {}
    for entry in store.list():
        assert entry.record.basis == "synthetic"
        assert replace(entry).shipped
