from __future__ import annotations

import pytest

from facewright.api.trust import gate_at
from facewright.core.errors import ConsentRefused
from facewright.core.step import Likeness
from facewright.jobs.job import Job
from facewright.jobs.run import run_job
from facewright.provenance.ledger import Ledger


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project.toml").write_text('[project]\nname = "film-a"\n', encoding="utf-8")
    return tmp_path


def trained(fake, out):
    class Train(fake.CountStep):
        stage = "train"

    return Train(str(out), 2)


def test_looking_needs_no_record_and_leaves_no_entry(fake, project):
    gate = gate_at(project / "facesets" / "src")
    assert (gate.project, gate.ledger) == ("film-a", project / "ledger.jsonl")
    summary = run_job(fake.CountStep(str(project / "facesets" / "src"), 2), gate=gate)
    assert len(summary.job.data["permit"]) == 26
    assert not gate.ledger.exists()


def test_a_face_without_a_record_is_refused_and_nothing_is_written(fake, project):
    step = trained(fake, project / "runs" / "main")
    step.likenesses = lambda: [Likeness("source_likeness", "", "Ada", project / "facesets" / "src")]
    with pytest.raises(ConsentRefused) as caught:
        run_job(step, gate=gate_at(project))
    assert "facewright consent new" in caught.value.remedy
    assert not (project / "runs").exists()
    assert not (project / "jobs").exists()


def test_a_job_is_noted_once(fake, project):
    gate, step = gate_at(project), trained(fake, project / "runs" / "main")
    job = Job.create(step, permit="p")
    for _ in range(3):
        gate.record(step, job, {"iterations": 400, "loss_src": 0.25, "net": "quick96", "preview": ["x"]}, "done")
    gate.record(step, job, {"iterations": 200}, "stopped")
    ledger = Ledger(gate.ledger)
    assert ledger.verify().intact
    entries = [entry for entry in ledger.entries() if entry.type == "train.run"]
    assert [entry.body["state"] for entry in entries] == ["done", "stopped"]
    assert entries[0].body["job"] == job.id
    assert entries[0].body["result"] == {"iterations": "400", "loss_src": "0.25", "net": "quick96"}
    assert entries[0].body["inputs"] == [["film.mp4", "a"]]


def test_a_step_that_wrote_its_own_entry_is_not_noted_again(fake, project):
    gate, step = gate_at(project), trained(fake, project / "x")
    step.stage = "render"
    gate.record(step, Job.create(step), {"ledger": "3:abc"}, "done")
    assert not gate.ledger.exists()
