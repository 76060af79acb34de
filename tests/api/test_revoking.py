"""A revoked record: every use is denied, vectors are out of reach, and what stands on it is found."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faceset.conftest import SHA
from tests.masks.conftest import head, make_set
from tests.merge.test_dfm import mirror
from tests.steps import run
from tests.tiny_run import make

import facewright
from facewright import api
from facewright.api import trust
from facewright.core.errors import ConsentRefused, SettingRefused, TraceBroken
from facewright.core.places import data_folder
from facewright.faceset.faceset import Faceset
from facewright.faceset.moving.pack import PackStep
from facewright.faceset.store import Writer
from facewright.faceset.trash import take_out
from facewright.models.run_folder import RunFolder
from facewright.models.shelf import trashed
from facewright.provenance.binding import bind
from facewright.provenance.ledger import Ledger
from facewright.provenance.store import ConsentStore

USE = "Film A, scene 12: her face on the stunt double on the roof."


class Killed(BaseException):
    """As a kill: nothing of ours may catch it."""


def vectors(count: int) -> np.ndarray:
    """(count, 8) float32 of length 1: one person."""
    near = np.eye(1, 8, dtype=np.float32) + np.random.default_rng(0).normal(0, 0.02, (count, 8)).astype(np.float32)
    return near / np.linalg.norm(near, axis=1, keepdims=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = api.new(tmp_path / "film").root
    monkeypatch.chdir(root)
    make_set(root / "facesets" / "src", [head(n) for n in range(3)])
    make_set(root / "facesets" / "dst", [head(n) for n in range(3)])
    make(root / "runs" / "hers", (10,))
    make(root / "runs" / "others", (10,))
    return root


def agreed(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A record bound to the faces of facesets/src, which runs/hers learned."""

    def bound(faces: Path, person: str, store: ConsentStore) -> dict[str, Any]:
        return bind(vectors(30), "net", "a" * 64, store.bindings)

    with monkeypatch.context() as patch:
        patch.setattr(trust, "_binding", bound)
        made = api.consent_new(who="adult", use=USE, proof="now", adult_agreed=True, name="Ada",
                               faceset=project / "facesets" / "src")
    entry = {"role": "source_likeness", "consent": made["reference"], "person": "", "where": "", "footage_sha256": []}
    RunFolder.open(project / "runs" / "hers").note(likenesses=[entry])
    return str(made["id"])


def kept_vectors(place: Path) -> int:
    return int(Faceset.open(place).index.select("SELECT count(*) FROM vectors")[0][0])


def test_vectors_go_out_of_reach_and_what_stands_on_the_record_is_named(project, monkeypatch):
    record = agreed(project, monkeypatch)
    for side in ("src", "dst"):
        faces = Faceset.open(project / "facesets" / side)
        faces.vectors(embed=lambda images, faces: vectors(len(images)), net_sha256="a" * 64)
        assert kept_vectors(project / "facesets" / side) == 3
    (project / "runs" / "others" / "run.json").write_text("{")
    (private,) = (data_folder() / "bindings").glob("*.json")
    done = api.consent_revoke(record, "withdrawn")
    assert (done["facesets"], done["models"], done["films"], done["unread"]) == (["src"], ["hers"], [], ["others"])
    assert (kept_vectors(project / "facesets" / "src"), kept_vectors(project / "facesets" / "dst")) == (0, 3)
    assert not private.exists()
    assert (private.parent / "revoked" / private.name).is_file()
    assert len(Faceset.open(project / "facesets" / "src")) == 3, "the faces are the user's"
    assert api.consent_revoke(record, "withdrawn") == done, "asked twice, revoked once"


def test_a_packed_faceset_stands_on_the_record_as_well(project, monkeypatch):
    record = agreed(project, monkeypatch)
    packed = project / "facesets" / "old.faces"
    run(PackStep(str(project / "facesets" / "src"), str(packed)))
    Faceset.open(packed).vectors(embed=lambda images, faces: vectors(len(images)), net_sha256="a" * 64)
    assert kept_vectors(packed) == 3
    assert api.consent_revoke(record, "withdrawn")["facesets"] == ["old.faces", "src"]
    assert kept_vectors(packed) == 0


@pytest.mark.parametrize("whole", [True, False])
def test_others_in_the_same_faceset_keep_their_vectors(project, monkeypatch, whole):
    record = agreed(project, monkeypatch)
    place = project / "facesets" / "src"
    hers, other = api.consent_show(record)["standing"]["reference"], "sha256:" + "0" * 64
    if not whole:
        Faceset.open(place).set_consent(other)
    with Writer(place) as writer:
        for number, face in enumerate(Faceset.open(place)):
            own = ("", other, "") if whole else ("", hers, hers)
            path = Faceset.open(place).file(face)
            writer.write_face(path, dataclasses.replace(face, consent=own[number]), None)
    Faceset.open(place).vectors(embed=lambda images, faces: vectors(len(images)), net_sha256="a" * 64)
    assert api.consent_revoke(record, "withdrawn")["facesets"] == ["src"]
    kept = [row[0] for row in Faceset.open(place).index.select("SELECT face_id FROM vectors")]
    assert kept == [list(Faceset.open(place))[1 if whole else 0].face_id]


def test_models_in_the_trash_handed_out_or_brought_here_are_named(project, monkeypatch):
    record = agreed(project, monkeypatch)
    RunFolder.open(project / "runs" / "others").note(likenesses=[])
    api.model_bundle(project / "runs" / "hers", project / "hers.zip")
    (project / "foreign.dfm").write_bytes(mirror().SerializeToString())
    api.model_import_dfm(project / "foreign.dfm", records=[record])
    api.model_delete(project / "runs" / "hers")
    (gone,) = trashed(project / "runs")
    for _ in range(2):
        done = api.consent_revoke(record, "withdrawn")
        assert (done["models"], done["trashed"], done["unread"]) == ([], [gone.folder.name], [])
        assert [(one["deed"], one["name"]) for one in done["copies"]] == [
            ("exported", "hers"), ("imported", "foreign.dfm")]
        assert done["copies"][0]["files"] == ["hers.zip"]


@pytest.mark.parametrize("likenesses", [None, ["her"], {"consent": "x"}])
def test_a_model_that_does_not_say_whom_it_learned_is_named(project, monkeypatch, likenesses):
    record = agreed(project, monkeypatch)
    RunFolder.open(project / "runs" / "others").note(likenesses=likenesses)
    done = api.consent_revoke(record, "withdrawn")
    assert (done["models"], done["unread"]) == (["hers"], ["others"])


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database is locked"), OSError(5, "Input/output error")])
def test_a_locked_index_spares_no_other_place(project, monkeypatch, error):
    record = agreed(project, monkeypatch)

    def locked(self: Faceset, *args: object, **named: object) -> int:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Faceset, "forget_identity", locked)
        done = api.consent_revoke(record, "withdrawn")
    assert (done["facesets"], done["models"], done["unread"]) == ([], ["hers"], ["src"])


def test_a_damaged_ledger_keeps_nothing_in_reach(project, monkeypatch):
    record = agreed(project, monkeypatch)
    Faceset.open(project / "facesets" / "src").vectors(
        embed=lambda images, faces: vectors(len(images)), net_sha256="a" * 64)
    path = project / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0].replace(b"genesis", b"genesiS"), *lines[1:]]))
    with pytest.raises(TraceBroken):
        api.consent_revoke(record, "withdrawn")
    assert api.consent_show(record)["standing"]["state"] == "revoked"
    assert list((data_folder() / "bindings" / "revoked").iterdir())
    assert kept_vectors(project / "facesets" / "src") == 0


def test_a_revocation_that_was_killed_is_ended_when_asked_again(project, monkeypatch):
    record = agreed(project, monkeypatch)

    def killed(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed)
        with pytest.raises(Killed):
            api.consent_revoke(record, "withdrawn")
    assert api.consent_show(record)["standing"]["state"] == "revoked"
    with pytest.raises(SettingRefused, match="cannot be a reason"):
        api.consent_revoke(record, "not ä word\n")
    for _ in range(2):
        api.consent_revoke(record, "dispute")
    (entry,) = (entry for entry in api.ledger_show(0) if entry["type"] == "consent.revoked")
    assert entry["body"]["reason"] == "withdrawn", "what was signed, not what was said later"
    assert list((data_folder() / "bindings" / "revoked").iterdir())


def test_faces_under_a_revoked_record_leave_no_more(project, monkeypatch):
    record = agreed(project, monkeypatch)
    src, dst = project / "facesets" / "src", project / "facesets" / "dst"
    assert api.faces_pack(src, project / "before.faces", settings={})["faces"] == 3
    assert [entry["type"] for entry in api.ledger_show()].count("faces.packed") == 1
    api.consent_revoke(record, "withdrawn")
    with pytest.raises(ConsentRefused, match="revoked"):
        api.faces_pack(src, project / "after.faces", settings={})
    with pytest.raises(ConsentRefused, match="revoked"):
        api.faces_export(src, project / "aligned", settings={})
    assert not (project / "after.faces").exists()
    assert not (project / "aligned").exists()
    assert api.faces_pack(dst, project / "dst.faces", settings={})["faces"] == 3, "no record is named: as before"


def test_faces_leave_no_project_that_revoked_their_record(project, monkeypatch, tmp_path):
    record, src = agreed(project, monkeypatch), project / "facesets" / "src"
    assert api.faces_export(src, tmp_path / "before", settings={})["exported"] == 3
    done = api.consent_revoke(record, "withdrawn")
    assert [(one["deed"], one["name"]) for one in done["copies"]] == [("exported", "before")]
    for carry in (api.faces_export, api.faces_copy):
        with pytest.raises(ConsentRefused, match="revoked"):
            carry(src, tmp_path / "outside", settings={})
    assert not (tmp_path / "outside").exists()


def test_faces_in_a_trash_are_named(project, monkeypatch):
    record, src = agreed(project, monkeypatch), project / "facesets" / "src"
    hers = api.consent_show(record)["standing"]["reference"]
    faces = Faceset.open(src)
    mine, other, third = faces
    with Writer(src) as writer:
        writer.write_face(faces.file(other), dataclasses.replace(other, consent="sha256:" + "0" * 64), None)
        writer.write_face(faces.file(third), dataclasses.replace(third, consent=hers), None)
        one = take_out(writer, [faces.file(mine), faces.file(other)], "blurry").name
        two = take_out(writer, [faces.file(third)], "small").name
        writer.update_header(lambda head: dataclasses.replace(head, consent="sha256:" + "0" * 64))
    for _ in range(2):
        done = api.consent_revoke(record, "withdrawn")
        assert done["facesets"] == []
        assert [(t["faceset"], t["operation"], t["faces"]) for t in done["faces_trashed"]] == [
            ("src", one, 1), ("src", two, 1)]
    assert api.faces_trash_empty(Path(done["faces_trashed"][1]["folder"]), two)["faces"] == 1


def test_what_left_or_came_in_one_file_is_in_the_ledger_and_named(project, monkeypatch):
    record, src = agreed(project, monkeypatch), project / "facesets" / "src"
    hers = api.consent_show(record)["standing"]["reference"]
    api.faces_pack(src, project / "hers.faces", settings={})
    api.model_bundle(project / "runs" / "hers", project / "hers.zip")
    api.model_unbundle(project / "hers.zip", project / "runs" / "again")
    packed, _, came = (entry["body"] for entry in api.ledger_show()[-3:])
    assert packed["records"] == came["records"] == [hers]
    assert came["files"][0][0] == "hers.zip"
    done = api.consent_revoke(record, "withdrawn")
    assert [(one["deed"], one["name"]) for one in done["copies"]] == [
        ("packed", "hers.faces"), ("exported", "hers"), ("imported", "again")]
    ledger = project / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"genesis", b"genesiS", 1))
    with pytest.raises(TraceBroken):
        api.model_unbundle(project / "hers.zip", project / "runs" / "third")
    assert not (project / "runs" / "third").exists(), "no run that the ledger does not know"


def into_a_notebook_s(source: Path, out: Path) -> int:
    return facewright.Faceset.create(out).add_from(facewright.Faceset(source))


CARRYING: dict[str, Callable[[Path, Path], Any]] = {
    "copy": lambda source, out: api.faces_copy(source, out, settings={}),
    "move": lambda source, out: api.faces_move(source, out, settings={}),
    "merge": lambda source, out: api.faces_merge(out, [source.parent / "dst", source], settings={}),
    "compile": lambda source, out: api.faces_compile(out, [source]),
    "move-out": lambda source, out: api.faces_people_move_out(source, "", out),
    "notebook": into_a_notebook_s,
}


@pytest.mark.parametrize("door", CARRYING)
def test_faces_under_a_revoked_record_are_carried_nowhere(project, monkeypatch, door):
    record, src = agreed(project, monkeypatch), project / "facesets" / "src"
    mine = next(iter(Faceset.open(src)))
    with Writer(src) as writer:
        writer.write_face(Faceset.open(src).file(mine), dataclasses.replace(mine, person="Ada"), None)
    api.consent_revoke(record, "withdrawn")
    with pytest.raises(ConsentRefused, match="revoked"):
        CARRYING[door](src, project / "out")
    assert not (project / "out").exists() or len(Faceset.open(project / "out")) == 0
    assert len(Faceset.open(src)) == 3
    assert not (src / ".facewright" / "trash").exists()
    with Writer(src) as writer:
        writer.update_header(lambda head: dataclasses.replace(head, consent=""))
        writer.write_face(Faceset.open(src).file(mine), dataclasses.replace(mine, consent=record, person="Ada"), None)
    with pytest.raises(ConsentRefused, match="revoked"):
        api.faces_copy(src, project / "out", settings={"person": "Ada"})
    assert CARRYING["copy"](project / "facesets" / "dst", project / "other")["copied"] == 3


def test_every_project_that_faces_come_from_or_into_is_asked(project, monkeypatch, tmp_path):
    record, src = agreed(project, monkeypatch), project / "facesets" / "src"
    other = api.new(tmp_path / "other").root
    api.faces_copy(src, other / "facesets" / "before", settings={})
    make_set(other / "facesets" / "own", [head(n) for n in range(40, 43)])
    api.consent_revoke(record, "withdrawn")
    with pytest.raises(ConsentRefused, match="revoked"):
        api.faces_merge(other / "facesets" / "all", [other / "facesets" / "own", src], settings={})
    with pytest.raises(ConsentRefused, match="revoked"):
        api.faces_copy(other / "facesets" / "before", project / "facesets" / "back", settings={})
    assert api.faces_copy(other / "facesets" / "own", project / "facesets" / "back", settings={})["copied"] == 3


@pytest.mark.parametrize("door", [name for name in CARRYING if name != "merge"])
def test_each_face_keeps_its_own_record_through_every_door(project, door):
    one, two = ("sha256:" + digit * 64 for digit in "12")
    src, dst, out = (project / "facesets" / name for name in ("src", "dst", "all"))
    Faceset.open(src).set_consent(one)
    Faceset.open(dst).set_consent(two)
    with Writer(dst) as writer:  # other films, so that no face is there twice
        for face in Faceset.open(dst):
            source = dataclasses.replace(face.source, sha256="d" * 64)
            other = dataclasses.replace(face, source=source, face_id="d" * 8 + face.face_id[8:])
            writer.write_face(dst / "faces" / SHA[:8] / "0000000" / f"{face.face_id}.jpg", other, None)
    for source in (src, dst):
        CARRYING[door](source, out)
    merged = Faceset.open(out)
    assert sorted(face.consent or merged.consent for face in merged) == [one] * 3 + [two] * 3
