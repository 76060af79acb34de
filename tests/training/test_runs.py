"""What is known of a run, and runs side by side."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.tiny_run import SHAPE, make

from facewright.core.errors import FileRefused
from facewright.models.run_folder import RunFolder
from facewright.models.settings import Quick96Settings
from facewright.training import history, runs
from facewright.training.compare import compare, course, differing
from facewright.training.compare_plot import draw
from facewright.training.curve import read_losses
from facewright.training.snapshots import snapshot


@pytest.fixture
def run(tmp_path):
    make(tmp_path / "one", (10, 20), lr=1e-4)
    return tmp_path / "one"


def test_a_row(run):
    row = runs.row_of(run)
    assert (row["net"], row["shape"], row["iteration"]) == ("saehd", "liae-ud 64 full_face", 20)
    assert row["loss_src"] == pytest.approx(float(read_losses(run / "losses.bin")["src"].mean()), abs=1e-4)
    assert row["learned"] == "trained"
    assert row["bytes"] > 100_000
    assert row["last_trained"]


def test_a_damaged_run_does_not_hide_the_others(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    row = runs.row_of(tmp_path / "bad")
    assert (row["name"], row["net"]) == ("bad", "")
    assert "damaged" in row["damaged"]
    with pytest.raises(FileRefused):
        runs.info(tmp_path / "bad")


def test_a_run_without_a_save(tmp_path):
    RunFolder.create(tmp_path / "bare", "quick96", Quick96Settings())
    found = runs.info(tmp_path / "bare")
    assert (found["iteration"], found["loss_src"], found["learned"], found["saves"]) == (0, None, "new", [])
    assert found["shape"]["resolution"] == 96
    assert (found["minutes"], found["s_per_iteration"], found["last_trained"]) == (None, None, "")


def test_everything_about_one(run):
    snapshot(run, "early", "000000010")
    found = runs.info(run)
    assert found["changed"] == {"lr": 1e-4, "iterations": 20}
    assert [(s["iteration"], s["name"], s["current"], s["whole"]) for s in found["saves"]] == [
        (10, "early", False, True), (20, "", True, True)]
    assert found["s_per_iteration"] == 0.5
    assert found["minutes"] == pytest.approx(10 / 60, abs=0.01)
    assert found["people"][0]["role"] == "source_likeness"
    assert found["data"]["src"]["digest"] == "5" * 64


def test_history_is_in_order_and_says_what_changed(run):
    settings = history.events(run / "history.jsonl", "start")[0]["settings"]
    history.note(run / "history.jsonl", "start", iteration=20, given={}, settings=settings | {"lr": 5e-5}, device="cpu")
    history.note(run / "history.jsonl", "setting", iteration=21, name="lr", before=1, now=2, by="user")
    snapshot(run, "a")
    rows = runs.rows(run)
    assert [r["at"] for r in rows] == sorted(r["at"] for r in rows)
    texts = {r["what"]: r["text"] for r in rows}
    assert texts["start"] == "cpu; lr 5e-05"
    assert texts["setting"] == "lr = 2 (was 1), by user"
    assert texts["save"].startswith("kept as a; loss")


def test_compare(run, tmp_path):
    two = tmp_path / "two"
    make(two, (10, 30), lr=1e-4, random_warp=False, shape=SHAPE | {"ae_dims": 64})
    snapshot(two, "late")
    found = compare([run, two])
    assert found["runs"] == ["one", "two"]
    assert found["settings"] == {"iterations": [20, 30], "random_warp": [True, False]}
    assert found["shape"] == {"ae_dims": [32, 64]}
    assert found["facts"]["iteration"] == [20, 30]
    assert found["data"]["src digest"] == ["5" * 64] * 2
    assert found["snapshots"] == [[], ["late"]]
    assert not found["comparable"], "one of them was judged on bent faces"
    assert compare([run, run])["comparable"]


def test_names_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make(tmp_path / folder / "run", (5,))
    assert compare([tmp_path / "a" / "run", tmp_path / "b" / "run"])["runs"] == ["a/run", "b/run"]


def test_differing():
    assert differing([{"a": 1, "b": 2}, {"a": 1, "c": [3]}]) == {"b": [2, None], "c": [None, [3]]}


def test_the_course_in_seconds(run):
    at, seconds, losses = course(run)
    assert at.tolist() == list(range(1, 21))
    np.testing.assert_allclose(seconds, 0.5 * at)
    assert (np.diff(losses) < 0).all()


def test_the_picture(run, tmp_path):
    at = np.arange(1, 20_000.0)
    lines = [(at * 3, at * 0.2, 2 * at**-0.2), (at, at * 0.4, 3 * at**-0.25), course(run)]
    lines += [(np.empty(0), np.empty(0), np.empty(0))]
    image = Image.open(io.BytesIO(draw(["fast", "slow", "tiny", "empty"], lines)))
    assert image.size[0] == 960
    colours = {c for _, c in image.getcolors(1 << 20)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)} <= colours
    assert Image.open(io.BytesIO(draw([], []))).size[0] == 960
    draw(["one"], [(at[:1], at[:1], at[:1])])
