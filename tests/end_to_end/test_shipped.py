"""The whole road on the footage that ships with the package, at 64 px, through the public surface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.end_to_end.conftest import altered, pictures, same_time_and_sound
from tests.nets import environment

from facewright import api, demo
from facewright.jobs.job import Job
from facewright.media.reader import open_video
from facewright.merge.result import Merged

CROPS = {"face_type": "full_face", "resolution": 128}
SHAPE = {"archi": "df-ud", "resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
TRAIN = {"precision": "float32", "threads": 1, "batch_size": 4, "optimiser": "adamw", "lr": 2e-3, "match_colour": True,
         "random_dst_flip": False, "preview_seconds": 0.0}  # fmt: skip
ITERATIONS = 60

pytestmark = pytest.mark.timeout(3600)  # on a machine that others use, a minute of work may take ten


@dataclass(frozen=True)
class Gone:
    """The road that was gone: what each verb answered."""

    folder: Path
    answers: dict[str, dict[str, Any]]

    @property
    def film(self) -> Path:
        return self.folder / "film.mp4"


@pytest.fixture(scope="module")
def gone(tmp_path_factory, nets) -> Iterator[Gone]:
    folder, clips = tmp_path_factory.mktemp("road"), demo.footage()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder / "home", nets).items():
            patch.setenv(name, value)
        src, dst, run, out, film = (folder / n for n in ("src", "dst", "run", "merged", "film.mp4"))
        answers = {
            "src": api.extract([clips.source], src, settings={**CROPS, "fps": 12.5}),
            "dst": api.extract([clips.target], dst, settings=CROPS),
            "train": api.train("saehd", run, src, dst, settings={**TRAIN, "iterations": ITERATIONS}, shape=SHAPE),
            "merge": api.merge(clips.target, dst, run, out, settings={}),
            "render": api.render(out, film, audio_from=clips.target, settings={}),
        }
        yield Gone(folder, answers)


@pytest.fixture(autouse=True)
def _the_same_user(gone: Gone, nets: Path, _private_user_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(gone.folder / "home", nets).items():
        monkeypatch.setenv(name, value)


def test_every_frame_of_both_films_has_its_face(gone):
    clips = demo.footage()
    for side, film in (("src", clips.source), ("dst", clips.target)):
        facts = gone.answers[side]["films"][film.name]
        assert facts["faces"] == facts["frames"], "two people, one in each film, always in view"
        assert facts["frames_without_face"] == 0
    assert gone.answers["dst"]["faces"] == open_video(clips.target).frame_count
    info = api.faces_info(gone.folder / "dst")
    assert json.dumps(info)


def test_the_training_learned(gone):
    done = gone.answers["train"]
    assert done["iterations"] == ITERATIONS
    from facewright.training.curve import read_losses

    losses = read_losses(gone.folder / "run" / "losses.bin")
    assert len(losses) == ITERATIONS
    for side in ("src", "dst"):
        assert losses[side][-10:].mean() < 0.7 * losses[side][:5].mean()


def test_every_frame_is_swapped_and_only_inside_its_mask(gone):
    counts = gone.answers["merge"]
    assert counts["frames"] == counts["swapped"] == open_video(demo.footage().target).frame_count
    assert counts["unchanged"] == 0
    plates = dict(zip((0, 40), pictures(demo.footage().target, [0, 40])))
    for composite in Merged.open(gone.folder / "merged").composites():
        if composite.frame_index in plates:
            plate = plates[composite.frame_index].astype(np.int16)
            changed = np.abs(composite.image.astype(np.int16) - plate).max(-1)
            assert changed[composite.alpha > 0.5].mean() > 2, "a face was put in"
            assert not changed[composite.alpha == 0].any(), "outside of the mask nothing differs"


def test_the_film_has_the_source_s_time_and_sound(gone):
    same_time_and_sound(gone.film, demo.footage().target)


def test_verify_tells_genuine_altered_and_none(gone, cli, tmp_path):
    assert cli("verify", gone.film)[0] == 0
    code, out, _ = cli("verify", gone.film, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["state"] == "genuine"
    assert "made_by_trained_model" in json.dumps(facts)
    assert cli("verify", altered(gone.film, tmp_path / "altered.mp4"))[0] == 1
    assert cli("verify", demo.footage().target)[0] == 3
    assert cli("verify", __file__)[0] == 3


def test_the_ledger_tells_the_road(gone):
    report = api.ledger_verify()
    assert report["state"] == "whole"
    kinds = [entry["type"] for entry in api.ledger_show(0)]
    assert kinds[0] == "genesis"
    for kind in ("train.run", "merge.run", "gate.verdict", "output.signed"):
        assert kind in kinds
    (signed,) = [e["body"] for e in api.ledger_show(0) if e["type"] == "output.signed"]
    assert signed["sha256"] == gone.answers["render"]["sha256"]


def test_the_same_command_again_does_nothing_twice(gone, cli):
    clips, before = demo.footage(), sorted(p for p in (gone.folder / "dst" / "faces").rglob("*"))
    code, out, _ = cli("extract", clips.target, gone.folder / "dst", "--face-type", "full_face", "--resolution", "128",
                       "--json")
    assert code == 0
    assert json.loads(out)["already_there"] == [clips.target.name]
    assert sorted(p for p in (gone.folder / "dst" / "faces").rglob("*")) == before


def test_a_face_without_a_record_is_refused_with_the_command_that_helps(gone, cli, tmp_path):
    """The same picture in another file is another film: nobody agreed to it. The printed command makes a record."""
    film, faces = tmp_path / "private.mp4", tmp_path / "private"
    film.write_bytes(demo.footage().source.read_bytes() + b"\0\0\0\x08free")
    assert cli("extract", film, faces, "--face-type", "full_face", "--resolution", "128", "--end", "0.3")[0] == 0
    train = ("train", "saehd", tmp_path / "run", "--src", faces, "--dst", gone.folder / "dst", "--iterations", "1",
             "--archi", "df-ud", "--resolution", "64", "--ae-dims", "32", "--e-dims", "16", "--d-dims", "16")
    code, out, _ = cli(*train, "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"]) == (2, "FW-201")
    assert error["remedy"].startswith("facewright consent new")
    assert str(faces) in error["remedy"]
    monkey = ("consent", "new", "--who", "invented", "--use", "A test of the road with a drawn head, nobody is shown.",
              "--proof", "now", "--adult", "--name", "Drawn Head", "--faceset", faces, "--json")
    code, out, err = cli(*monkey)
    assert code == 0, err
    record = json.loads(out)["id"]
    assert cli(*train, "--json")[0] == 0
    assert cli("consent", "revoke", record, "--reason", "withdrawn")[0] == 0
    code, out, _ = cli(*train[:-8], "--iterations", "2", "--json")
    assert code == 2
    assert "revoked" in json.loads(out)["error"]["what"]


def test_bystanders_are_never_swapped(gone, cli, tmp_path):
    """A person is named: frames in which only others are seen pass unchanged, and their count and reason are told."""
    import shutil

    from facewright.faceset.faceset import Faceset

    faces = tmp_path / "two"
    shutil.copytree(gone.folder / "dst", faces)
    header = json.loads((faces / "faceset.json").read_text())
    (person,) = header["people"]
    header["people"] = [{**person, "name": "performer", "tracks": person["tracks"][:1]},
                        {**person, "name": "bystander", "tracks": person["tracks"][1:]}]
    (faces / "faceset.json").write_text(json.dumps(header))
    assert set(Faceset.open(faces).people()) == {"performer", "bystander"}
    code, out, _ = cli("merge", demo.footage().target, faces, gone.folder / "run", tmp_path / "m", "--json")
    assert code == 2
    assert "performer" in out
    assert "bystander" in out
    code, out, err = cli("merge", demo.footage().target, faces, gone.folder / "run", tmp_path / "m", "--person",
                         "performer", "--json")
    assert code == 0, err
    counts = json.loads(out)
    assert counts["swapped"] + counts["unchanged"] == counts["frames"]
    assert counts["reasons"] == {"other_person": counts["unchanged"]}
    assert counts["unchanged"] > 0
    all_swapped, one_swapped = Merged.open(gone.folder / "merged"), Merged.open(tmp_path / "m")
    for before, after in zip(all_swapped.composites(), one_swapped.composites()):
        if not after.alpha.any():
            plate = pictures(demo.footage().target, [after.frame_index])[0]
            assert np.array_equal(after.image, plate), "a bystander's frame passes unchanged, bit for bit"
            assert before.alpha.any()
            break


def wait_for(condition, process: subprocess.Popen, seconds: float = 300) -> Any:
    """Poll until true; the machine may be busy."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came true")


def notes(job: Job, what: str) -> list[dict[str, Any]]:
    from facewright.core.journal import scan

    return [r for r in scan(job.journal)[0] if r["kind"] == "note" and r.get("what") == what]


def test_a_running_training_is_steered_from_another_process(gone, cli, tmp_path):
    """list, watch, preview, save, set, stop, resume: here and there are different processes."""
    run = tmp_path / "run"
    words = ["train", "saehd", run, "--src", gone.folder / "src", "--dst", gone.folder / "dst", "--iterations",
             "100000", *(w for k, v in SHAPE.items() for w in ("--" + k.replace("_", "-"), v)), "--threads", "1",
             "--precision", "float32", "--batch-size", "2"]
    process = subprocess.Popen([sys.executable, "-m", "facewright", *map(str, words)], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        places = wait_for(lambda: list(run.rglob("job.json")), process)
        job = Job.open(places[0].parent)
        wait_for(lambda: notes(job, "preview"), process)
        (row,) = [r for r in api.jobs_list() if r["id"] == job.id]
        assert (row["state"], row["stage"]) == ("running", "train")
        events = []
        for event in api.jobs_watch(job.id[-6:]):
            events.append(event)
            if event["kind"] == "progress" and event.get("facts"):
                break
        assert events[0]["kind"] in ("begin", "started")
        assert {"loss_src", "loss_dst"} <= set(events[-1]["facts"])
        before = len(notes(job, "preview"))
        code, out, _ = cli("jobs", "preview", job.id, "--json")
        assert code == 0
        assert Path(json.loads(out)["preview"]).is_file()
        wait_for(lambda: len(notes(job, "preview")) > before, process)
        assert cli("jobs", "save", job.id)[0] == 0
        wait_for(lambda: notes(job, "save"), process)
        code, out, _ = cli("jobs", "set", job.id, "lr=0.001", "random-warp=off", "--json")
        assert code == 0
        assert json.loads(out)["id"] == job.id
        wait_for(lambda: len(notes(job, "setting")) == 2, process)
        assert {(n["name"], n["now"]) for n in notes(job, "setting")} == {("lr", 0.001), ("random_warp", False)}
        for pair in ("lr=7", "no_such=1", "batch_size=8", "lr"):
            code, out, _ = cli("jobs", "set", job.id, pair, "--json")
            assert code == 2, pair
            assert json.loads(out)["error"]["remedy"]
        assert cli("jobs", "stop", job.id)[0] == 0
        out, err = process.communicate(timeout=300)
        assert process.returncode == 130, err
        assert "latest.png" in err, "the live picture's path is said at the start"
    finally:
        process.kill()
        process.communicate()
    assert job.state() == "stopped"
    assert cli("jobs", "stop", job.id)[0] == 2, "nothing is left to stop"
    saved = int((run / "model" / "CURRENT").read_text().split("-")[0])
    assert saved > 0
    resumed = subprocess.Popen([sys.executable, "-m", "facewright", "jobs", "resume", job.id], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        wait_for(lambda: len(notes(job, "start")) == 2, resumed)
        assert notes(job, "start")[-1]["iteration"] == saved, "it goes on where it was saved"
        wait_for(lambda: len(notes(job, "preview")) > before + 1, resumed)
        api.jobs_request(job.id, {"do": "stop"})
        _, err = resumed.communicate(timeout=300)
        assert resumed.returncode == 130, err
    finally:
        resumed.kill()
        resumed.communicate()


def test_the_demo_verb(cli, tmp_path, monkeypatch):
    """As short as it may be; the clock is the processor's, so that a busy machine learns as much."""
    real = demo.train_settings
    monkeypatch.setattr(demo, "train_settings", lambda minutes, seed: {**real(minutes, seed), "clock": "cpu",
                                                                       "minutes": minutes, "threads": 1})
    out = tmp_path / "demo"
    code, said, err = cli("demo", out, "--minutes", "0.2", "--json")
    assert code == 0, err
    made = json.loads(said)
    assert Path(made["film"]) == out / "result.mp4"
    same_time_and_sound(out / "result.mp4", demo.footage().target)
    assert cli("verify", out / "result.mp4")[0] == 0
    with Image.open(out / "result.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (92 + demo.COLUMNS * (demo.TILE_PX + 4) + 12, 24 + 3 * (demo.TILE_PX + 4))
        pixels = np.asarray(picture.convert("RGB"))
    rows = [pixels[12 + r * 228 : 12 + r * 228 + 224, 92:] for r in range(3)]
    assert all(row.std() > 20 for row in rows), "three rows of pictures"
    assert np.abs(rows[1].astype(int) - rows[2]).mean() > 1, "the swap differs from the target"
    assert np.abs(rows[1].astype(int) - rows[2]).mean() < np.abs(rows[0].astype(int) - rows[2]).mean()
    assert set(made["seconds"]) == set(demo.WORDS)
