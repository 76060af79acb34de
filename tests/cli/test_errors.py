"""Every expected failure through the real door: exit code 2, one sentence, a remedy, nothing broken left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import TINY, write_film
from tests.cli.test_surface import commands
from tests.nets import environment

from facewright import api, demo
from facewright.jobs.job import Job
from facewright.models import checkpoint

ONE = ("--iterations", "1")
CROPS = ("--face-type", "full_face", "--resolution", "128")


def files_of(folder: Path) -> list[str]:
    """Everything below but jobs, locks and the index."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*")
        if p.is_file() and ".facewright" not in p.parts and not p.name.startswith("index.sqlite")
    )  # fmt: skip


@pytest.mark.parametrize("words", [
    ("extract", "{gone}", "{out}"), ("extract", "{film}", "{gone}", "{out}"),
    ("merge", "{gone}", "{dst}", "{run}", "{out}"), ("merge", "{target}", "{gone}", "{run}", "{out}"),
    ("merge", "{target}", "{dst}", "{gone}", "{out}"),
    ("render", "{gone}", "{out}.mp4"), ("train", "saehd", "{out}", "--src", "{gone}", "--dst", "{dst}"),
    ("faces", "info", "{gone}"), ("verify", "{gone}"), ("faces", "consent", "{gone}", "anybody"),
    ("consent", "show", "nobody"), ("jobs", "resume", "ZZZZZZ"), ("jobs", "stop", "ZZZZZZ"),
], ids=" ".join)  # fmt: skip
def test_missing_file(refused, world, tmp_path, words):
    places = {
        "gone": tmp_path / "gone.mp4", "out": tmp_path / "out", "film": demo.footage().source,
        "target": demo.footage().target, "dst": world.dst, "run": world.run,
    }  # fmt: skip
    error = refused(*(word.format(**places) for word in words))
    assert not (tmp_path / "gone.mp4").exists()
    assert not (tmp_path / "out").exists() or files_of(tmp_path / "out") == []
    if words[0] != "consent" and words[0] != "jobs":
        assert "gone" in error["what"] + error["where"]


STRANGERS = {
    "text": b"hello, this is a letter\n" * 50, "png": b"\x89PNG\r\n\x1a\n" + bytes(500), "zeros": bytes(9000),
    "empty": b"", "playlist": b"ffconcat version 1.0\nfile /etc/passwd\n",
}  # fmt: skip


@pytest.mark.parametrize("content", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
def test_not_a_video(refused, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    error = refused("extract", tmp_path / name, tmp_path / "out")
    assert name in error["what"]
    assert not (tmp_path / "out").exists()


def test_truncated_video_without_its_index(refused, tmp_path):
    film = write_film(tmp_path / "whole.mp4", [np.full((120, 160, 3), n, np.uint8) for n in range(50)])
    data = film.read_bytes()
    assert data.rfind(b"moov") > len(data) // 2, "the index is expected at the end"
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    error = refused("extract", tmp_path / "cut.mp4", tmp_path / "out")
    assert "cut" in error["what"]
    assert not (tmp_path / "out").exists()


def test_truncated_video_with_its_index_is_used_as_far_as_it_goes(cli, tmp_path):
    """What is there is worked on, and what is not is said."""
    data = demo.footage().source.read_bytes()
    if data.find(b"moov") > data.find(b"mdat"):
        pytest.skip("the shipped film has its index at the end")
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 8])
    done = cli("extract", tmp_path / "cut.mp4", tmp_path / "out", *CROPS, "--json")
    assert done.code == 0, done
    (facts,) = done.json()["films"].values()
    assert 0 < facts["faces"] <= facts["frames"] < 100


def test_zero_frames(refused, tmp_path):
    (tmp_path / "stills").mkdir()
    refused("extract", tmp_path / "stills", tmp_path / "out")
    film = write_film(tmp_path / "none.mp4", [])
    refused("extract", film, tmp_path / "out")
    refused("extract", demo.footage().source, tmp_path / "out", "--start", "50")
    assert not (tmp_path / "out").exists()


def noise(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write_film(tmp_path / "noise.mp4", [rng.integers(0, 255, (120, 160, 3), np.uint8) for _ in range(5)])


def test_no_face_in_the_whole_input(refused, tmp_path):
    error = refused("extract", noise(tmp_path), tmp_path / "out")
    assert error["code"] == "FW-104"
    assert files_of(tmp_path / "out") == []


def test_empty_faceset(refused, world, tmp_path):
    refused("extract", noise(tmp_path), tmp_path / "empty")
    for words in (("train", "saehd", tmp_path / "run", "--src", tmp_path / "empty", "--dst", world.dst, *ONE),
                  ("merge", demo.footage().target, tmp_path / "empty", world.run, tmp_path / "out"),
                  ("faces", "info", tmp_path / "empty")):
        error = refused(*words)
        assert "empty" in error["what"] + error["where"]
    assert not (tmp_path / "out").exists() or files_of(tmp_path / "out") == []
    assert not (tmp_path / "run").exists() or files_of(tmp_path / "run") == []


def test_mixed_face_types(refused, world, tmp_path):
    """More of another type into a faceset; a faceset into which another's files were copied; too tight for the net."""
    mixed = tmp_path / "mixed"
    shutil.copytree(world.dst, mixed)
    before = files_of(mixed)
    error = refused("extract", demo.footage().source, mixed, "--face-type", "whole_face", "--resolution", "128")
    assert "full_face" in error["what"]
    assert files_of(mixed) == before
    stranger = next((world.whole / "faces").rglob("*.jpg"))
    shutil.copy(stranger, mixed / stranger.relative_to(world.whole))
    error = refused("train", "saehd", tmp_path / "run", "--src", world.src, "--dst", mixed, *TINY, *ONE)
    assert error["code"] == "FW-105"
    train = ("train", "saehd", tmp_path / "run", "--src", world.src, "--dst", world.dst, *TINY, *ONE)
    error = refused(*train, "--face-type", "head")
    assert "head" in error["what"] + error["why"]
    assert not (tmp_path / "run").exists() or files_of(tmp_path / "run") == []


@pytest.mark.parametrize("side", ["src", "dst"])
def test_src_or_dst_too_small(refused, cli, world, tmp_path, side):
    clips = demo.footage()
    film = clips.source if side == "src" else clips.target
    assert cli("extract", film, tmp_path / "one", *CROPS, "--end", "0.01").code == 0
    sides = {"src": world.src, "dst": world.dst, side: tmp_path / "one"}
    error = refused("train", "saehd", tmp_path / "run", "--src", sides["src"], "--dst", sides["dst"], *TINY, *ONE)
    assert "one" in error["what"]
    assert not (tmp_path / "run").exists() or files_of(tmp_path / "run") == []


def test_a_run_of_another_model(refused, world):
    before = files_of(world.run)
    error = refused("train", "quick96", world.run, "--src", world.src, "--dst", world.dst, *ONE)
    assert "another model" in error["what"]
    assert "train saehd" in error["remedy"]
    assert files_of(world.run) == before


def test_a_locked_setting_changed(refused, world):
    before = files_of(world.run)
    sides = ("--src", world.src, "--dst", world.dst, *ONE)
    error = refused("train", "saehd", world.run, *sides, "--ae-dims", "64")
    assert "--ae-dims" in error["what"]
    assert "locked" in error["what"]
    assert files_of(world.run) == before


def test_a_wrong_resolution_step_for_the_letters(refused, world, tmp_path):
    words = ("train", "saehd", tmp_path / "run", "--src", world.src, "--dst", world.dst, *ONE)
    error = refused(*words, "--archi", "df-d", "--resolution", "80")
    assert "80" in error["what"]
    assert "64 or 96" in error["remedy"]
    refused(*words, "--resolution", "77")
    refused(*words, "--archi", "df-x")
    refused(*words, "--recipe", "none-such")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["extract", "train", "merge", "render", "new", "demo"])
def test_an_unwritable_folder(refused, world, tmp_path, verb, request):
    """The output lies below a plain file: no right of any user helps. (A full disk: tests/torture.)"""
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / "out"
    words = {
        "extract": ("extract", demo.footage().source, out, *CROPS, "--end", "0.1"),
        "train": ("train", "saehd", out, "--src", world.src, "--dst", world.dst, *TINY, "--iterations", "1"),
        "merge": ("merge", demo.footage().target, world.dst, world.run, out),
        "render": ("render", world.run, out / "film.mp4"), "new": ("new", out), "demo": ("demo", out),
    }  # fmt: skip
    if verb == "render":
        words["render"] = ("render", request.getfixturevalue("merged"), out / "film.mp4")
    error = refused(*words[verb])
    assert error["code"] == "FW-103"
    assert (tmp_path / "file").read_text() == "x"


@pytest.fixture(scope="session")
def merged(world, nets, tmp_path_factory) -> Path:
    """The shipped target, merged with the run of one iteration."""
    from facewright.cli.app import main

    out = tmp_path_factory.mktemp("merged") / "out"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(out.parent / "home", nets).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main(["merge", str(demo.footage().target), str(world.dst), str(world.run), str(out)])
    assert end.value.code == 0
    return out


def test_half_written_files_of_a_killed_run(cli, world, tmp_path):
    """What a kill may leave in each place does not hinder the same command, and is gone after it."""
    out = tmp_path / "faces"
    place = next((world.dst / "faces").glob("*/*")).relative_to(world.dst)
    part = (out / place).with_name(place.name + ".part")
    part.mkdir(parents=True)
    (part / "half.jpg").write_bytes(b"\xff\xd8")
    (out / "faceset.json.part").write_text("{")
    assert cli("extract", demo.footage().target, out, *CROPS, "--end", "0.2").code == 0
    assert files_of(out) == files_of(world.dst)
    run = tmp_path / "run"
    (run / "model/ckpt/000000001.part").mkdir(parents=True)
    shutil.copytree(world.run, run, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".facewright"))
    half = ("run.json.part", "loss.png.part", "model/CURRENT.part", "model/ckpt/000000001.part/weights.safetensors")
    for name in half:
        (run / name).write_bytes(b"half")
    done = cli("train", "saehd", run, "--src", world.src, "--dst", world.dst, "--iterations", "2", "--threads", "1")
    assert done.code == 0, done
    assert not [name for name in files_of(run) if ".part" in name]


def test_no_consent_record(refused, cli, cut_film, world, tmp_path):
    faces = tmp_path / "faces"
    assert cli("extract", cut_film, faces, *CROPS).code == 0
    for sides in ((faces, world.dst), (world.src, faces)):
        error = refused("train", "saehd", tmp_path / "run", "--src", sides[0], "--dst", sides[1], *TINY, *ONE)
        assert error["code"] == "FW-201"
        assert "facewright consent new" in error["remedy"]
        assert str(faces) in error["remedy"]
    error = refused("merge", cut_film, faces, world.run, tmp_path / "out")
    assert error["code"] == "FW-201"
    for out in ("run", "out"):
        assert not (tmp_path / out).exists() or files_of(tmp_path / out) == []


def test_consent_new_refuses_half_an_answer(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    refused("consent", "new")
    refused("consent", "new", "--who", "adult", "--use", "too short", "--proof", "now", "--name", "A", "--adult")
    refused("consent", "new", "--who", "adult", "--use", "x" * 60, "--proof", "now", "--name", "A", "--not-adult")
    refused("consent", "check", "nobody", "--use", "dance")


@pytest.mark.parametrize("words", [("extrakt",), ("extract", "--no-such-option"), ("jobs", "watch"), ("train", "amp")])
def test_words_that_are_no_command(cli, words):
    said = cli(*words)
    assert said.code == 2
    assert said.err
    assert "Traceback" not in said.err
    assert list(cli(*words, "--json").json()) == ["error"]


def test_paths_left_out_outside_of_a_project(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (("extract",), ("train", "saehd"), ("merge",), ("render",)):
        refused(*words)
    refused("extract", demo.footage().source)
    refused("merge", "a", "b")
    refused("render", "a")


def test_done_is_0(cli):
    assert cli("--version").code == 0
    assert cli("--help").code == 0
    assert cli("extract", "--help").code == 0


def test_a_bug_is_70_with_a_report(cli, monkeypatch, tmp_path):
    def broken() -> None:
        raise ZeroDivisionError("a bug for the test")

    monkeypatch.setattr(api, "doctor", broken)
    said = cli("doctor")
    assert said.code == 70
    assert "ZeroDivisionError" in said.err
    (report,) = (Path(os.environ["FACEWRIGHT_HOME"]) / "data" / "crashes").iterdir()
    assert str(report) in said.err
    text = report.read_text()
    assert "Traceback" in text
    assert "a bug for the test" in text
    said = cli("doctor", "--json")
    assert said.code == 70
    assert said.json()["error"]["code"] == "bug"


def test_a_bug_inside_a_job_is_70_and_the_same_command_goes_on(cli, world, tmp_path, monkeypatch):
    from facewright.training import swapping

    words = ("train", "saehd", tmp_path / "run", "--src", world.src, "--dst", world.dst, *TINY, "--iterations", "2")
    with monkeypatch.context() as patch:
        patch.setattr(swapping, "objective", lambda *a, **k: 1 / 0)
        assert cli(*words).code == 70
    (job,) = (Job.open(p.parent) for p in (tmp_path / "run").rglob("job.json"))
    assert job.state() == "failed"
    assert list(job.folder.glob("crash-*.txt"))
    assert cli(*words).code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to another process is POSIX's")
def test_ctrl_c_is_130_and_the_training_goes_on(cli, world, tmp_path):
    run = tmp_path / "run"
    words = ["train", "saehd", run, "--src", world.src, "--dst", world.dst, *TINY, "--json"]
    process = subprocess.Popen([sys.executable, "-m", "facewright", *map(str, words)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 300
    while not (run / "preview" / "latest.png").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "jobs resume" in err
    assert "Traceback" not in err
    (job,) = (Job.open(p.parent) for p in run.rglob("job.json"))
    assert job.state() == "stopped"
    saved = checkpoint.load_latest(run)
    assert saved is not None
    assert saved.iteration > 0
    assert not saved.damaged
    done = cli("train", "saehd", run, "--src", world.src, "--dst", world.dst, "--threads", "1", "--precision",
               "float32", "--batch-size", "2", "--iterations", str(saved.iteration + 1), "--json")
    assert done.code == 0, done
    assert done.json()["iterations"] == saved.iteration + 1


FILLED = {
    "A-B...": "1-2", "RECORD": "her", "[FRAME ...]": "1", "FRAME": "1", "WORD": "good", "NAME": "Ada", "NEW": "Bea",
    "NAME NAME ...": "Ada", "TRACK ...": "t", "TRACK": "t", "FILE.faces": "new.faces", "FILE.png": "new.png",
    "FACESET": "nowhere/ghost", "FILE|FACESET": "nowhere/ghost", "FACESET ...": "nowhere/ghost",
}  # fmt: skip
MORE = {"faces place": ("--rect", "1,2,30,40"), "faces roundtrip": ("--command", "cp {in} {out}"),
        "faces people merge": ("Bea",)}
TENDING = sorted(path for path in commands() if path.startswith(("faces ", "video ")) and path != "faces orders")


@pytest.mark.parametrize("path", TENDING)
def test_a_path_that_is_not_there_is_named_with_a_remedy(cli, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    words = list[str]()
    for number, argument in enumerate(p for p in commands()[path].params if p.param_type_name == "argument"):
        if argument.metavar.endswith(" OUT"):
            words += ["nowhere/ghost", "new"]
        elif number == 0 and argument.metavar != "OUT":
            words.append("nowhere/ghost")
        elif argument.required or argument.metavar == "[FRAME ...]":
            words.append(FILLED.get(argument.metavar, "new.mp4" if path == "video cut" else "new"))
    said = cli(*path.split(), *words, *MORE.get(path, ()), "--json")
    assert said.code == 2
    error = said.json()["error"]
    assert "ghost" in error["what"] + (error["where"] or "")
    assert error["remedy"]
    assert not (tmp_path / "new").exists()
