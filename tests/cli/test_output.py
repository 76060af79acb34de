"""What a person reads: progress, notes, tables, verdicts, ends of jobs."""

from __future__ import annotations

import json
import sys

import pytest

from facewright import api
from facewright.cli import app, made, seen, show
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models.settings import SaehdSettings
from facewright.training.changes import wishes
from facewright.training.settings import SaehdTrain

START = {
    "kind": "note", "what": "start", "iteration": 0, "device": "cpu", "threads": 1, "precision": "bf16", "batch": 4,
    "parameters": 38_300_000, "preview": "RUN/preview/latest.png",
}  # fmt: skip


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


# ---- progress and notes


def test_a_training_says_device_threads_precision_and_preview():
    text, _ = show.note_text(START)
    for part in ("cpu with 1 thread,", "bf16", "batch 4", "38.3 million", "RUN/preview/latest.png", "Ctrl-C"):
        assert part in text


@pytest.mark.parametrize(("event", "words"), [
    ({"done": 40, "total": 100, "rate": 4.0, "eta_s": 15.0}, ["40%", "frame 40 of 100", "4/s", "ETA 0:15"]),
    ({"done": 40, "total": 100, "rate": 0.25, "eta_s": None}, ["4 s each", "ETA -:--"]),
    ({"done": 12, "total": None, "rate": 0.5}, ["frame 12", "2 s each"]),
    ({"done": 5e6, "total": 1e7, "unit": "bytes", "note": "yunet_n"}, ["5.0 of 10.0 MB", "yunet_n"]),
    ({"done": 3, "total": 9, "note": "preparing src faces"}, ["face 3 of 9", "preparing src faces"]),
    ({"done": 3, "total": None, "note": "training", "facts": {"loss_src": 1.234, "loss_dst": 2}},
     ["loss source 1.23 target 2"]),
    ({"done": 3, "total": None, "note": "training", "facts": {"loss_src": 0.1234, "loss_dst": None}}, ["loss 0.123"]),
])  # fmt: skip
def test_progress_in_words(event, words):
    line = "  ".join(show.progress_bits(event, "frame"))
    for word in words:
        assert word in line
    assert "training" not in line


def test_a_training_without_an_end_has_no_time_left():
    assert "ETA" not in "  ".join(show.progress_bits({"done": 12, "total": None}, "iteration"))


def test_warnings_are_said_even_with_json(capsys):
    with show.Bar("train", quiet=True) as bar:
        bar.event(START)
        bar.event({"kind": "note", "what": "save", "iteration": 5})
        bar.event({"kind": "note", "what": "warning", "text": "The target turns further."})
    streams = capsys.readouterr()
    assert streams.err == "Warning: The target turns further.\n"
    assert streams.out == ""


def test_a_wish_that_is_refused_is_a_note_of_its_own_kind():
    """`what` of a note is its kind; a refusal must not overwrite it (the runner would fail on the second one)."""
    notes: list[dict[str, object]] = []

    def note(kind: str, **facts: object) -> None:
        assert "what" not in facts
        notes.append({"kind": "note", "what": kind, **facts})

    now = check(SaehdTrain, {"minutes": 1.0, "lr_schedule": "cosine"})
    work = Work(changes=lambda: [{"set": {"minutes": 0.0}}], note=note)
    assert wishes(work, now, now, 7, SaehdSettings()).settings == now
    text, urgent = show.note_text(notes[0])
    assert urgent
    assert text.startswith("Refused: ")
    assert "cosine" in text


# ---- ends of stages


def test_a_merge_counts_what_passed_unchanged_with_its_reasons(capsys):
    made.summary({"stage": "merge", "out": "/nowhere/out", "frames": 100, "swapped": 88, "unchanged": 12,
                  "reasons": {"no_face": 10, "other_person": 2}, "warnings": []})
    text = said(capsys)
    assert "replaced in 88 of 100 frames" in text
    assert "12 frames unchanged (no face was found: 10; only faces of other people: 2)" in text
    assert "Next:  facewright render /nowhere/out FILM.mp4 --audio-from INPUT" in text


@pytest.mark.parametrize("mark", ["PREVIEW", "TEST"])
def test_a_mark_in_the_picture_is_explained(capsys, mark):
    made.summary({"stage": "render", "film": "/nowhere/my film.mp4", "frames": 9, "marks": [mark],
                  "binding": "verified", "content_gate": ["unscreened"], "notes": ["The sound was encoded anew."]})
    text = said(capsys)
    assert f"{mark} is burnt into every frame: " in text
    assert "not looked at" in text
    assert "note: The sound was encoded anew." in text
    assert "facewright verify '/nowhere/my film.mp4'" in text


def test_a_training_that_has_nothing_left_to_do_says_how_to_go_on(capsys):
    made.summary({"stage": "train", "output": "/nowhere/run", "net": "quick96", "iterations": 20, "it_per_s": 0.0,
                  "minutes": 1.0, "loss_src": 1.0, "loss_dst": 1.0, "preview": "/nowhere/run/preview/latest.png"})
    text = said(capsys)
    assert "Nothing to train" in text
    assert "raise them" in text


def test_a_job_in_the_background_says_how_to_watch_it(capsys):
    made.summary({"job": "A" * 26, "stage": "train", "process": 7, "watch with": "facewright jobs watch AAAAAA"})
    assert "Next:  facewright jobs watch AAAAAA" in said(capsys)


# ---- looking


def test_coverage_is_a_table_with_its_edges(capsys):
    grid = [[0] * 12 for _ in range(6)]
    grid[2][5], grid[3][7] = 1234, 5
    seen.coverage({"coverage": grid, "yaw_edges_deg": range(-90, 91, 15), "pitch_edges_deg": range(-45, 46, 15)})
    lines = said(capsys).splitlines()
    assert lines[1].split() == ["pitch", "|", "yaw", "-15..0", "0..15", "15..30"]
    assert lines[2].split() == ["-15..0", "1,234", ".", "."]
    assert lines[3].split() == ["0..15", ".", ".", "5"]
    assert len({len(line) for line in lines[1:]}) == 1


GENUINE = {
    "state": "genuine", "meaning": "", "signer": "unknown", "actions": ["c2pa.opened"], "codes": [],
    "facts": {"software": [{"name": "facewright", "version": "1"}], "made_by_trained_model": True, "when": "2026",
              "certificate": "c", "consent": {
                  "records": ["sha256:" + "a" * 64, "sha256:" + "b" * 64], "binding": "unverified",
                  "marks": ["PREVIEW"], "gate": [{"subject": "result", "state": "unscreened"}],
                  "ledger": {"seq": 4, "head": "f" * 64}}},
}  # fmt: skip


def test_a_verdict_begins_with_sentences(capsys):
    row = {"person": "Ann", "id": "X", "role": "source_likeness", "state": "revoked"}
    seen.verdict("film.mp4", GENUINE, {"sha256:" + "a" * 64: row})
    text = said(capsys)
    assert text.startswith("film.mp4 is genuine: unchanged since it was signed by a signer that this machine does not")
    assert "made by a trained model (facewright 1)" in text
    assert "2 records of consent; the faces were not compared" in text
    assert "Ann, source_likeness, revoked" in text
    assert "not kept on this machine" in text
    assert "result: not looked at" in text
    assert "PREVIEW is burnt" in text
    assert "entry 4" in text


@pytest.mark.parametrize(("state", "word"), [("altered", "ALTERED"), ("none", "no trace")])
def test_an_altered_film_or_one_without_a_trace_is_said_first(capsys, state, word):
    seen.verdict("f.mp4", {"state": state, "signer": "", "facts": {}, "actions": [], "codes": ["x.mismatch"]}, {})
    assert word in said(capsys).splitlines()[0]


def test_every_type_of_ledger_entry_has_a_sentence(capsys):
    bodies = {
        "genesis": {"project": "p"}, "consent.added": {"record": "sha256:" + "a" * 64},
        "consent.revoked": {"record": "sha256:" + "a" * 64, "reason": "withdrawn"},
        "train.run": {"stage": "train", "state": "done", "job": "J" * 26, "result": {"iterations": "20"}},
        "gate.verdict": {"verdicts": [{"subject": "target", "state": "clear"}], "marks": []},
        "output.signed": {"signed": True, "frames": 40, "sha256": "c" * 64, "marks": ["TEST"]},
        "recovered": {"bytes": 3},
    }  # fmt: skip
    moment = "2026-01-01T00:00:00Z"
    seen.ledger([{"seq": i, "ts": moment, "type": t, "body": b} for i, (t, b) in enumerate(bodies.items())])
    text = said(capsys)
    for words in ("begins the ledger of p", "withdrawn", "train done: iterations 20", "target clear", "40 frames",
                  "marked TEST", "bytes 3"):
        assert words in text


def test_jobs_are_listed_with_short_ids(capsys):
    seen.jobs([{"id": "01M8A1EDPWDD4S3WT4ASQA8FYQ", "stage": "train", "state": "stopped", "progress": "",
                "output": "/x/run", "created": "2026-01-01T00:00:00Z"}])
    text = said(capsys)
    assert "QA8FYQ" in text
    assert "jobs resume" in text
    seen.jobs([])
    assert "no jobs" in said(capsys)


def test_the_end_of_a_watched_job_is_not_its_last_progress(cli, monkeypatch):
    events = [{"kind": "started", "stage": "train"}, {"kind": "stopped"}, {"kind": "progress", "done": 3}]
    monkeypatch.setattr(api, "jobs_watch", lambda id: iter(events))
    found = cli("jobs", "watch", "AAAAAA")
    assert "The job is stopped." in found.out
    assert "facewright jobs resume AAAAAA" in found.out
    assert cli("jobs", "watch", "AAAAAA", "--json").json() == {"kind": "stopped"}


def test_ctrl_c_ends_the_watching_alone(cli, monkeypatch):
    def interrupted(id: str) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "jobs_watch", interrupted)
    found = cli("jobs", "watch", "AAAAAA")
    assert found.code == 130
    assert "the job goes on" in found.err


# ---- the command line itself


def test_the_helps_order_is_the_order_of_the_work(cli):
    text = cli("--help").out
    places = [text.index(f"\n  {name} ") for name in app._ROAD]
    assert places == sorted(places)
    assert "..." not in text.partition("Commands:")[2], "a command's first sentence does not fit its line"


def test_a_group_called_bare_shows_its_help(cli):
    found = cli("train")
    assert found.code == 2
    assert "saehd" in found.err
    assert "bug" not in found.err


def test_a_stop_is_one_document_too(capsys):
    end = KeyboardInterrupt("Stopped.")
    assert app._farewell(end, as_json=True) == 130
    streams = capsys.readouterr()
    assert json.loads(streams.out) == {"stopped": {}}
    assert streams.err == "Stopped.\n"


def test_typers_own_copy_of_click_is_known():
    import typer

    assert issubclass(typer.BadParameter, app._CLICK)
    assert "typer" in sys.modules
