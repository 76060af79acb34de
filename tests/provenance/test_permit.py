from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from facewright.core.errors import ConsentRefused
from facewright.core.step import Likeness
from facewright.core.ulid import new_ulid
from facewright.provenance.binding import bind
from facewright.provenance.consent import sign
from facewright.provenance.ledger import Ledger
from facewright.provenance.new import Answers, new_record
from facewright.provenance.permit import USE_OF_STAGE, Permit, allow
from facewright.provenance.store import footage_clips

FILM = "a1" * 32
USE = "Film A, scene 12: her face on the stunt double on the roof."
SRC = Likeness("source_likeness", "", "", Path("/faces/a"))
DST = Likeness("target_performer", "", "", Path("/faces/b"))


@pytest.fixture
def both(store, record_data, own_key, now):
    """Likenesses of two people, each with a record."""
    source = store.add(sign(record_data, own_key))
    target = store.add(sign(record_data | {"id": new_ulid(now), "role": "target_performer"}, own_key))
    return [dataclasses.replace(SRC, consent=source.reference), dataclasses.replace(DST, consent=target.id)]


@pytest.mark.parametrize("stage", ["train", "preview", "merge", "render"])
def test_two_people_who_agreed(store, both, now, stage):
    permit = allow(stage, both, store=store, now=now, project="film-a")
    assert permit.covers(stage)
    assert not permit.covers("export_model")
    assert len(permit.records) == 2
    assert permit.marks == ()
    assert not permit.test_footage
    assert permit.binding == "unverified"
    body = permit.as_dict()
    assert [grant["role"] for grant in body["grants"]] == ["source_likeness", "target_performer"]
    assert "Example" not in str(body)


def test_the_model_is_not_given_away_by_default(store, both, now):
    with pytest.raises(ConsentRefused, match="does not allow this use"):
        allow("export_model", both, store=store, now=now, project="film-a")


def test_one_missing_is_enough_to_refuse(store, both, now):
    for missing in ([both[0], DST], [SRC, both[1]]):
        with pytest.raises(ConsentRefused) as caught:
            allow("train", missing, store=store, now=now, project="film-a")
        assert caught.value.remedy.startswith("facewright consent new --who adult")
        assert caught.value.exit_status == 2


def test_the_source_cannot_stand_in_for_the_target(store, both, now):
    faces = [both[0], dataclasses.replace(DST, consent=both[0].consent)]
    with pytest.raises(ConsentRefused, match="role"):
        allow("train", faces, store=store, now=now, project="film-a")


def test_another_project_needs_another_yes(store, both, now):
    with pytest.raises(ConsentRefused, match="project"):
        allow("train", both, store=store, now=now, project="film-b")


def test_no_face_named_is_refused(store, now):
    for stage in USE_OF_STAGE:
        with pytest.raises(ConsentRefused):
            allow(stage, [], store=store, now=now)


def test_stages_that_only_look_ask_nothing_and_unknown_ones_are_refused(store, now):
    assert allow("extract", [], store=store, now=now).records == ()
    with pytest.raises(ConsentRefused):
        allow("stage", [SRC], store=store, now=now)


def test_a_permit_is_made_here_only(store, both, now):
    permit = allow("train", both, store=store, now=now, project="film-a")
    with pytest.raises(TypeError):
        Permit("x", "render", "p", (), (), "2026-01-01T00:00:00Z", None)
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(permit, stage="export_model")
    with pytest.raises(dataclasses.FrozenInstanceError):
        permit.stage = "render"
    assert pickle.loads(pickle.dumps(permit)) == permit  # noqa: S301  (our own bytes; a worker gets it so)


def test_films_speak_for_themselves(store, own_key, now):
    """Shipped people and test clips: no record is named, the film's hash finds it."""
    new_record(Answers("invented", USE, "now", True, media=[FILM]), store=store, key=own_key, now=now)
    faces = [dataclasses.replace(likeness, footage_sha256=(FILM,)) for likeness in (SRC, DST)]
    permit = allow("render", faces, store=store, now=now, project="anything")
    assert {grant.basis for grant in permit.grants} == {"synthetic"}
    assert permit.marks == ()
    for footage in ((), ("b2" * 32,), (FILM, "b2" * 32)):
        with pytest.raises(ConsentRefused):
            allow("train", [dataclasses.replace(SRC, footage_sha256=footage)], store=store, now=now)


def test_one_person_s_record_for_a_film_does_not_cover_the_others_in_it(store, own_key, now, tmp_path):
    """Ada agreed for this film; Bob walks through it and is named nowhere."""
    answers = Answers("adult", USE, "now", True, name="Ada", role="target_performer", project="film-a", media=[FILM])
    record = new_record(answers, store=store, key=own_key, now=now)
    bob = dataclasses.replace(DST, consent="", person="Bob", footage_sha256=(FILM,))
    with pytest.raises(ConsentRefused, match="Bob"):
        allow("merge", [bob], store=store, now=now, project="film-a")
    ada = dataclasses.replace(bob, consent=record.reference, person="Ada")
    assert allow("merge", [ada], store=store, now=now, project="film-a").records == (record.reference,)


def test_test_footage_is_marked_and_stays(store, own_key, now):
    clip = sorted(footage_clips())[0]
    for role in ("source_likeness", "target_performer"):
        answers = Answers("test-footage", USE, "now", True, role=role, media=[clip])
        new_record(answers, store=store, key=own_key, now=now)
    faces = [dataclasses.replace(likeness, footage_sha256=(clip,)) for likeness in (SRC, DST)]
    permit = allow("render", faces, store=store, now=now)
    assert permit.test_footage
    assert permit.marks == ("TEST",)
    with pytest.raises(ConsentRefused):
        allow("export_model", faces, store=store, now=now)


def test_a_clock_behind_the_ledger(store, both, now, tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl", clock=lambda: now.replace(second=1))
    ledger.append("train.run", {})
    allow("train", both, store=store, now=now.replace(second=1), project="film-a", ledger=ledger)
    with pytest.raises(ConsentRefused, match="clock"):
        allow("train", both, store=store, now=now, project="film-a", ledger=ledger)


def vectors(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.normal(size=64) + 0.3 * rng.normal(size=(30, 64))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_binding_states_reach_the_permit(store, record_data, own_key, now):
    net = "b0" * 32
    record_data["binding"] = bind(vectors(1), "net", net, store.bindings)
    record = store.add(sign(record_data, own_key))
    named = dataclasses.replace(SRC, consent=record.id)
    ask = {"store": store, "now": now, "project": "film-a"}
    assert allow("train", [dataclasses.replace(named, vectors=lambda: (vectors(1), net))], **ask).binding == "verified"
    assert allow("train", [dataclasses.replace(named, vectors=lambda: None)], **ask).binding == "unverified"
    assert allow("train", [named], **ask).binding == "unverified"
    with pytest.raises(ConsentRefused, match="30 of 30 faces"):
        allow("train", [dataclasses.replace(named, vectors=lambda: (vectors(2), net))], **ask)


def test_vectors_are_not_read_without_a_binding(store, both, now):
    def never() -> None:
        raise AssertionError("read")

    allow("train", [dataclasses.replace(both[0], vectors=never)], store=store, now=now, project="film-a")


def test_revocation_stops_the_next_stage(store, both, own_key, now):
    store.revoke(both[1].consent, "withdrawn", own_key, now)
    with pytest.raises(ConsentRefused, match="revoked"):
        allow("render", both, store=store, now=now, project="film-a")
