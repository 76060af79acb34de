from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace

import pytest

from facewright.core.errors import ConsentRefused, FileRefused
from facewright.provenance.new import Answers, consent_command, new_record
from facewright.provenance.store import footage_clips

USE = "Film A, scene 12: her face on the stunt double on the roof."
GOOD = Answers(who="adult", use=USE, proof="now", adult_agreed=True, name="Zoë Example", project="film-a")


@pytest.fixture
def make(store, own_key, now):
    return lambda answers: new_record(answers, store=store, key=own_key, now=now)


def test_defaults(make, store, now):
    record = make(GOOD)
    assert record.uses == ("merge", "preview", "train")
    assert record.projects == ("film-a",)
    assert (record.term[1] - record.term[0]).days == 365
    assert record.basis == "explicit_consent"
    assert record.data["adult_declared"] is True
    assert record.data["scope"]["sexual_content"] is False
    assert store.check("Zoë Example", "source_likeness", "merge", now, "film-a") == record


def test_proof_now_is_a_page_whose_hash_is_signed(make, store):
    record = make(GOOD)
    page = (store.folder / "pages" / f"{record.id}.txt").read_bytes()
    assert b"18 or older and agreed" in page
    assert record.data["evidence"] == [
        {"kind": "declaration", "sha256": hashlib.sha256(page).hexdigest(), "bytes": len(page)}]


def test_proof_file_stays_with_its_owner(make, store, tmp_path):
    release = tmp_path / "release.pdf"
    release.write_bytes(b"signed")
    record = make(replace(GOOD, proof=str(release)))
    assert record.data["evidence"] == [
        {"kind": "signed_release", "sha256": hashlib.sha256(b"signed").hexdigest(), "bytes": 6}]
    assert b"release.pdf" not in (store.folder / f"{record.id}.consent.json").read_bytes()
    assert not (store.folder / "pages").exists()


@pytest.mark.parametrize("answers", [
    replace(GOOD, who="somebody"), replace(GOOD, who="protect"), replace(GOOD, use="for fun"),
    replace(GOOD, proof=""), replace(GOOD, adult_agreed=None), replace(GOOD, who="invented"),
    replace(GOOD, who="test-footage"), replace(GOOD, who="test-footage", media=["a1" * 32]),
    replace(GOOD, uses=["train", "sell"]), replace(GOOD, uses=[]), replace(GOOD, role="hero"),
    replace(GOOD, days=0), replace(GOOD, days=4000), replace(GOOD, project="*"),
    replace(GOOD, use="A nude scene of the lead actress, her face replaced."),
], ids=str)
def test_answers_that_do_not_do(make, store, answers):
    with pytest.raises(ConsentRefused) as caught:
        make(answers)
    assert caught.value.remedy
    assert store.list() == []
    assert not (store.folder / "pages").exists()


def test_under_18_is_refused_whatever_else_is_said(make):
    for who in ("me", "adult", "invented"):
        with pytest.raises(ConsentRefused, match="under 18"):
            make(replace(GOOD, who=who, adult_agreed=False, media=["a1" * 32]))


def test_a_missing_or_empty_proof(make, tmp_path):
    with pytest.raises(FileRefused):
        make(replace(GOOD, proof=str(tmp_path / "none.pdf")))
    (tmp_path / "empty.pdf").write_bytes(b"")
    with pytest.raises(ConsentRefused):
        make(replace(GOOD, proof=str(tmp_path / "empty.pdf")))


def test_me_and_invented_and_test(make):
    assert make(replace(GOOD, who="me")).basis == "self"
    invented = make(replace(GOOD, who="invented", media=["a1" * 32]))
    assert (invented.role, invented.basis, invented.media, invented.projects) == (
        "synthetic", "synthetic", ("a1" * 32,), ("*",))
    clip = sorted(footage_clips())[0]
    clip_record = make(replace(GOOD, who="test-footage", media=[clip], uses=["train", "export_model"]))
    assert clip_record.uses == ("merge", "preview", "train")


def test_the_command_can_be_pasted():
    words = shlex.split(consent_command("target_performer", "/films/my face"))
    assert words[:3] == ["facewright", "consent", "new"]
    assert words[-2:] == ["--faceset", "/films/my face"]
    assert "--adult" in words
    assert words[words.index("--role") + 1] == "target_performer"


def test_a_packed_set_is_unpacked_first(tmp_path):
    (tmp_path / "best.faces").write_bytes(b"")
    words = shlex.split(consent_command("target_performer", tmp_path / "best.faces"))
    assert words[:5] == ["facewright", "faces", "unpack", str(tmp_path / "best.faces"), "FOLDER"]
    assert words[-2:] == ["--faceset", "FOLDER"]


@pytest.mark.shared
def test_the_clip_without_documented_consent_is_refused(shared, make, store, now):
    """Its class is unknown: no list names it, and no answer but the person's own makes it usable."""
    clip = hashlib.sha256((shared / "footage" / "glasses_man_expressions.mp4").read_bytes()).hexdigest()
    assert clip not in footage_clips()
    with pytest.raises(ConsentRefused, match="not on the list"):
        make(replace(GOOD, who="test-footage", media=[clip]))
    assert store.find("source_likeness", [clip], now, "film-a", "train") is None


@pytest.mark.shared
def test_the_list_names_the_clips_that_lie_there(shared):
    have = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (shared / "footage").glob("*.mp4")}
    assert set(footage_clips()) <= have
    assert len(have - set(footage_clips())) == 1
