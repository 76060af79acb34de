from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from facewright.api.trust import gate_at
from facewright.core.errors import ConsentRefused, DiskRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.files import FolderLock
from facewright.core.journal import Journal, scan
from facewright.core.ulid import new_ulid
from facewright.jobs.control import read_requests, request, watch
from facewright.jobs.job import Job, job_root, list_jobs, rebuild, unfinished
from facewright.jobs.run import Stopped, prepare, run_job


def kinds(job: Job) -> list[str]:
    return [record["kind"] for record in scan(job.journal)[0]]


def test_a_whole_job(fake, tmp_path):
    gate, events = fake.OpenGate(), []
    out = tmp_path / "Ausgabe ünï"
    summary = run_job(fake.CountStep(str(out), 5), gate=gate, on_event=events.append)
    assert summary.result == {"count": 5, "loss": 0.25}
    assert (summary.items, summary.fresh) == (5, 5)
    assert kinds(summary.job) == ["begin", *["item"] * 5, "note", "done"]
    assert summary.job.state() == "done"
    assert summary.job.folder.parent == out / ".facewright" / "jobs"
    assert gate.told == [(summary.job.id, "done")]
    told = [e["kind"] for e in events]
    assert told[0] == "started"
    assert told[-1] == "done"
    assert told.count("item") == 5
    last = [e for e in events if e["kind"] == "progress"][-1]
    assert (last["done"], last["total"]) == (5, 5)
    assert Job.open(summary.job.folder).data["settings"] == {"size": 100, "pause_s": 0.0}
    json.dumps(summary.as_dict())
    json.dumps(summary.job.as_dict())
    assert summary.job.as_dict()["progress"] == "5 of 5"


def test_a_done_job_is_run_afresh(fake, tmp_path):
    first = run_job(fake.CountStep(str(tmp_path), 3), gate=fake.OpenGate())
    second = run_job(fake.CountStep(str(tmp_path), 3), gate=fake.OpenGate())
    assert first.job.id != second.job.id
    assert second.fresh == 3


def test_goes_on_after_a_bug_and_trusts_only_its_own(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 6, fail_at=4)
    with pytest.raises(ValueError, match="a bug"):
        run_job(step, gate=fake.OpenGate())
    job = unfinished(step)
    assert job.state() == "failed"
    last = scan(job.journal)[0][-1]
    assert last["error"]["code"] == "bug"
    assert "Traceback" in next(job.folder.glob("crash-*.txt")).read_text()
    step.fail_at = 4
    again = fake.CountStep(str(tmp_path), 6, fail_at=4)
    with pytest.raises(ValueError, match="a bug"):
        run_job(again, gate=fake.OpenGate())
    assert kinds(job).count("item") == 4
    # Other inputs, other settings: nothing of the old job counts.
    assert run_job(fake.CountStep(str(tmp_path), 6, "b"), gate=fake.OpenGate()).fresh == 6
    other = fake.CountStep(str(tmp_path), 6, settings=fake.CountSettings(size=50))
    assert run_job(other, gate=fake.OpenGate()).fresh == 6


def test_items_whose_output_is_gone_are_done_again(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 6, fail_at=4)
    with pytest.raises(ValueError, match="a bug"):
        run_job(step, gate=fake.OpenGate())
    (tmp_path / "i0001.bin").unlink()
    with pytest.raises(ValueError, match="a bug"):
        run_job(fake.CountStep(str(tmp_path), 6, fail_at=4), gate=fake.OpenGate())
    assert (tmp_path / "i0001.bin").exists()


def test_refused_before_anything_is_written(fake, tmp_path):
    class Closed(fake.OpenGate):
        def allow(self, step):
            raise ConsentRefused("No.", remedy="Ask.")

    out = tmp_path / "out"
    with pytest.raises(ConsentRefused):
        run_job(fake.CountStep(str(out), 3), gate=Closed())
    assert not out.exists()


def test_the_permit_reaches_a_step_that_wants_it(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 1)
    step.permit = None
    run_job(step, gate=fake.OpenGate())
    assert step.permit == "permit"


def test_torn_journal_tail_is_cut_off(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 6, fail_at=4)
    with pytest.raises(ValueError, match="a bug"):
        run_job(step, gate=fake.OpenGate())
    job = unfinished(step)
    whole = job.journal.read_bytes()
    for cut in range(1, len(whole), 97):
        job.journal.write_bytes(whole[:cut] + b"\x00\xffgarbage")
        with pytest.raises(ValueError, match="a bug"):
            run_job(fake.CountStep(str(tmp_path), 6, fail_at=4), gate=fake.OpenGate())
        ids = {r["id"] for r in scan(job.journal)[0] if r["kind"] == "item"}
        assert ids == {f"i{n:04d}" for n in range(4)}


def test_two_runners_on_one_output(fake, tmp_path, start):
    other = start(tmp_path, 50, pause_s=0.2)
    assert other.stdout.readline() == "started\n"
    with pytest.raises(DiskRefused, match="at work"):
        run_job(fake.CountStep(str(tmp_path), 3), gate=fake.OpenGate())


def test_stop_from_another_process_and_resume(fake, tmp_path, start):
    process = start(tmp_path, 40, pause_s=0.05)
    assert process.stdout.readline() == "started\n"
    (job,) = list_jobs(tmp_path)
    assert job.state() == "running"
    request(job, {"do": "stop"})
    assert process.wait(20) == 130
    assert job.state() == "stopped"
    done = kinds(job).count("item")
    assert 1 <= done < 40
    with pytest.raises(Mismatch, match="not running"):
        request(job, {"do": "stop"})
    step = fake.CountStep(str(tmp_path), 40, settings=fake.CountSettings(pause_s=0.05))
    step.settings = fake.CountSettings(pause_s=0.05)
    summary = run_job(step, gate=fake.OpenGate())
    assert summary.job.id == job.id
    assert summary.fresh == 40 - done
    assert Job.find(job.id[:10], tmp_path).id == job.id
    assert Job.find(job.id[-6:].lower(), tmp_path).id == job.id


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to other processes")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_stop_after_the_item(tmp_path, start, name):
    process = start(tmp_path, 100, pause_s=0.05)
    assert process.stdout.readline() == "started\n"
    process.send_signal(getattr(signal, name))
    assert process.wait(20) == 130
    (job,) = list_jobs(tmp_path)
    assert job.state() == "stopped"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to other processes")
@pytest.mark.parametrize("how", ["signals", "requests"])
def test_the_second_stop_is_at_once(tmp_path, start, how):
    process = start(tmp_path, 2, pause_s=600)  # so long that nobody waits for the item, however busy the machine
    assert process.stdout.readline() == "started\n"
    time.sleep(0.3)
    (job,) = list_jobs(tmp_path)
    for _ in range(2):
        if how == "signals":
            process.send_signal(signal.SIGINT)
        else:
            request(job, {"do": "stop"})
        time.sleep(0.3)
    assert process.wait(120) == 130
    assert job.state() == "stopped"
    assert kinds(job).count("item") == 0


def test_set_and_preview_reach_the_step(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 100_000, settings=fake.CountSettings(pause_s=0.03))  # ended by the asker
    errors = []

    def ask():
        try:
            job = until(lambda: next((job for job in list_jobs(tmp_path) if job.state() == "running"), None))
            with job.changes.open("ab") as file:
                file.write(b"12345678 {torn")  # a killed client
            request(job, {"set": {"lr": "0.1"}})
            request(job, {"do": "preview"})
            with pytest.raises(SettingRefused):
                request(job, {"do": "dance"})
            until(lambda: len(step.seen) == 2)
        except BaseException as error:  # noqa: BLE001  (told by the main thread)
            errors.append(error)
        request(list_jobs(tmp_path)[0], {"do": "stop"})

    thread = threading.Thread(target=ask)
    thread.start()
    with pytest.raises(Stopped):
        run_job(step, gate=fake.OpenGate())
    thread.join()
    assert not errors
    assert step.seen == [{"set": {"lr": "0.1"}}, {"do": "preview"}]


def test_what_is_asked_as_soon_as_the_job_runs_is_heard(fake, tmp_path, monkeypatch):
    """Others see it running from its lock on, before the session is made."""
    import facewright.jobs.run as run

    log_file = run._log_file

    def asked_then_log_file(job):
        request(job, {"do": "preview"})
        return log_file(job)

    monkeypatch.setattr(run, "_log_file", asked_then_log_file)
    step = fake.CountStep(str(tmp_path), 3)
    run_job(step, gate=fake.OpenGate())
    assert step.seen == [{"do": "preview"}]


def test_what_an_earlier_session_was_asked_is_over(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 4, fail_at=2)
    with pytest.raises(ValueError, match="a bug"):
        run_job(step, gate=fake.OpenGate())
    job = unfinished(step)
    with job.lock:
        request(job, {"do": "preview"})
    with pytest.raises(ValueError, match="a bug"):
        run_job(step, gate=fake.OpenGate())
    assert step.seen == []


def until(found, limit_s=60.0):
    """The first true answer; raises TimeoutError."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.01)
    raise TimeoutError


def test_a_request_is_written_in_binary(fake, tmp_path, monkeypatch):
    """Windows opens files as text unless told, and a text's line ends spoil the checksum."""
    from facewright.jobs import control

    job = Job.create(fake.CountStep(str(tmp_path / "out"), 1))
    flags, opened = [], os.open
    monkeypatch.setattr(control.os, "O_BINARY", 1 << 30, raising=False)
    monkeypatch.setattr(control.os, "open", lambda path, flag, mode: (
        flags.append(flag), opened(path, flag & ~(1 << 30), mode))[1])
    monkeypatch.setattr(Job, "state", lambda self: "running")
    request(job, {"do": "save"})
    assert flags[0] & 1 << 30


def test_requests_of_an_earlier_session_are_over(fake, tmp_path):
    step = fake.CountStep(str(tmp_path), 6, fail_at=4)
    with pytest.raises(ValueError, match="a bug"):
        run_job(step, gate=fake.OpenGate())
    job = unfinished(step)
    lock = FolderLock(job.folder / "lock")
    assert lock.acquire()
    request(job, {"do": "stop"})
    lock.release()
    assert read_requests(job, 0)[0] == [{"do": "stop"}]
    with pytest.raises(ValueError, match="a bug"):  # not Stopped
        run_job(fake.CountStep(str(tmp_path), 6, fail_at=4), gate=fake.OpenGate())


def test_watch_tells_all_and_ends(fake, tmp_path, start):
    process = start(tmp_path, 8, pause_s=0.05)
    assert process.stdout.readline() == "started\n"
    events = list(watch(list_jobs(tmp_path)[0], poll_s=0.05))
    assert [e["id"] for e in events if e["kind"] == "item"] == [f"i{n:04d}" for n in range(8)]
    assert events[-1]["kind"] in ("done", "progress")
    assert "done" in [e["kind"] for e in events]
    offsets = [e["offset"] for e in events if "offset" in e]
    assert offsets == sorted(offsets)
    process.wait(10)
    assert [e["kind"] for e in watch(list_jobs(tmp_path)[0], poll_s=0.05)].count("item") == 8


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("code", ["time.sleep(0.4); lock.acquire(); time.sleep(60)", "pass"], ids=["runs", "ended"])
def test_a_job_in_the_background_can_be_watched_at_once(fake, tmp_path, monkeypatch, code):
    from facewright.jobs import control

    job, began, made = Job.create(fake.CountStep(str(tmp_path / "out"), 1)), time.monotonic(), []
    head = "import sys, time; from pathlib import Path; from facewright.core.files import FolderLock;"
    body = f"{head} lock = FolderLock(Path(sys.argv[1])); {code}"
    popen = subprocess.Popen

    def instead(words, **options):
        made.append(popen([sys.executable, "-c", body, str(job.lock.path)], **options))
        return made[0]

    monkeypatch.setattr(control.subprocess, "Popen", instead)
    pid = control.spawn(job)
    try:
        assert pid == made[0].pid
        assert job.state() == ("running" if "acquire" in code else "interrupted")
        assert time.monotonic() - began < control.START_S
    finally:
        made[0].kill()
        made[0].wait()


def test_full_disk_is_a_clear_end(fake, tmp_path, start):
    process = start(tmp_path, 50, size=60_000, limit=50_000)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "DiskRefused Cannot write i0000.bin: the disk is full." in out
    (job,) = list_jobs(tmp_path)
    assert job.state() == "failed"
    assert scan(job.journal)[0][-1]["error"]["code"] == "FW-103"
    assert not list(tmp_path.glob("*.part"))
    assert run_job(fake.CountStep(str(tmp_path), 50, settings=fake.CountSettings(size=60_000)),
                   gate=fake.OpenGate()).job.id == job.id


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_journal_that_cannot_grow_is_a_clear_end(fake, tmp_path, start):
    process = start(tmp_path, 200, size=10, limit=8_000)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "DiskRefused Cannot write journal.jsonl: the disk is full." in out
    summary = run_job(fake.CountStep(str(tmp_path), 200, settings=fake.CountSettings(size=10)), gate=fake.OpenGate())
    ids = [r["id"] for r in scan(summary.job.journal)[0] if r["kind"] == "item"]
    assert sorted(ids) == [f"i{n:04d}" for n in range(200)]


def test_rebuild_from_the_folder(fake, tmp_path):
    job = prepare(fake.CountStep(str(tmp_path), 4, settings=fake.CountSettings(size=7)), gate=fake.OpenGate())
    assert job.state() == "interrupted"
    step = rebuild(Job.find(job.id, tmp_path), fake.STEPS)
    assert step.settings.size == 7
    assert run_job(step, job=job, gate=fake.OpenGate()).job.id == job.id
    with pytest.raises(Mismatch, match="no stage"):
        rebuild(job, {})
    changed = dataclasses.replace(job, data={**job.data, "inputs": {"film.mp4": "z"}, "key": "other"})
    with pytest.raises(Mismatch, match="changed") as caught:
        rebuild(changed, fake.STEPS)
    assert "film.mp4" in caught.value.why


def test_project_jobs_lie_in_the_project(fake, tmp_path, tmp_path_factory):
    (tmp_path / "project.toml").write_text('[project]\nname = "film-a"\n')
    out = tmp_path / "facesets" / "src"
    summary = run_job(fake.CountStep(str(out), 2), gate=fake.OpenGate())
    assert summary.job.folder.parent == tmp_path / "jobs"
    assert job_root(out) == tmp_path / "jobs"
    assert [job.id for job in list_jobs(out)] == [summary.job.id]
    assert not (out / ".facewright").exists()
    assert gate_at(out).project == "film-a"
    elsewhere = tmp_path_factory.mktemp("elsewhere")  # a job in the background is run from anywhere
    assert Job.find(summary.job.id, elsewhere).folder == summary.job.folder


def test_jobs_outside_of_projects_are_remembered(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = [run_job(fake.CountStep(str(tmp_path / name), 1), gate=fake.OpenGate()).job.id for name in "ab"]
    assert [job.id for job in list_jobs()] == ids
    (tmp_path / "a" / ".facewright" / "jobs" / f"{ids[0]}-extract" / "job.json").write_text("{")
    assert [job.id for job in list_jobs()] == ids[1:]
    with pytest.raises(NothingFound):
        Job.find("ZZZZ")
    with pytest.raises(NothingFound):
        Job.find("")


def test_what_a_killed_start_left_goes_with_the_next(fake, tmp_path):
    step = fake.CountStep(str(tmp_path / "out"), 1)
    root = job_root(step.home())
    left = root / f"{new_ulid()}-extract"
    left.mkdir(parents=True)
    (left / "job.json.part").write_text("{")
    foreign = root / f"{new_ulid()}-train"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("somebody's")
    job = Job.create(step)
    assert sorted(p.name for p in root.iterdir()) == sorted([".locks", job.folder.name, foreign.name])


def test_a_stopped_stream_that_did_everything_is_done(fake, tmp_path):
    class Last(fake.CountStep):
        def stream(self, todo, work):
            for item, result in super().stream(todo, work):
                if item.payload == self.items - 1:
                    work.stop.ask()
                yield item, result

    assert run_job(Last(str(tmp_path), 3), gate=fake.OpenGate()).job.state() == "done"

    class First(fake.CountStep):
        def stream(self, todo, work):
            work.stop.ask()
            yield from super().stream(todo, work)

    with pytest.raises(Stopped) as caught:
        run_job(First(str(tmp_path), 4), gate=fake.OpenGate())
    assert caught.value.summary.result == {"items_done": 1, "items": 4}
    assert caught.value.exit_status == 130


def test_journal_is_readable_while_it_grows(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.add({"kind": "a"})
    assert scan(tmp_path / "j")[0] == [{"kind": "a"}]
    journal.close()


def test_jobs_load_nothing_heavy():
    code = "import sys, facewright.jobs.run; sys.exit(bool({'cv2','torch','av','onnxruntime'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
