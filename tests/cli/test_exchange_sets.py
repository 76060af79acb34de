from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.faceset.dfl_sets import stated_in


@pytest.fixture
def theirs(golden, tmp_path) -> Path:
    shutil.copytree(golden / "data" / "faceset", tmp_path / "data_src" / "aligned")
    return tmp_path / "data_src"


def test_in_and_out(cli, theirs, tmp_path):
    done = cli("faces", "import", theirs, tmp_path / "set", "--person", "Nobody")
    assert done.code == 0
    assert "set holds 12 (whole_face, 96 px)." in done.out
    assert "import with --footage" in done.out
    assert cli("faces", "import", theirs, tmp_path / "set", "--person", "Nobody", "--json").json()["already_there"] == [
        "data_src"]
    assert "mesh and pose follow from its 68 points" in cli("faces", "info", tmp_path / "set").out
    out = cli("faces", "export", tmp_path / "set", tmp_path / "out")
    assert out.out.startswith("12 faces in ")
    assert sorted(stated_in(tmp_path / "out" / "00001_0.jpg")) == sorted(
        stated_in(theirs / "aligned" / "00001_0.jpg"))
    pak = cli("faces", "export", tmp_path / "set", tmp_path / "packed", "--pak", "--json").json()
    assert (pak["exported"], pak["pak"]) == (12, "faceset.pak")
    assert (tmp_path / "packed" / "faceset.pak").is_file()


def test_an_export_is_in_the_ledger_with_its_records(cli, theirs, tmp_path):
    made = ("--who", "adult", "--use", "A film that tests make of nobody at all.", "--proof", "now", "--adult")
    assert cli("consent", "new", *made, "--name", "Nobody").code == 0
    (row,) = [r for r in cli("consent", "list", "--json").json() if not r["shipped"]]
    assert cli("faces", "import", theirs, tmp_path / "set", "--consent", row["id"]).code == 0
    assert cli("faces", "export", tmp_path / "set", tmp_path / "out").code == 0
    entry = cli("ledger", "show", "--json").json()[-1]
    assert entry["type"] == "faces.exported"
    assert entry["body"]["records"] == [row["reference"]]
    assert "exported 12" in cli("ledger", "show").out
    first = json.loads((tmp_path / "out" / "facewright-faces.jsonl").read_text().splitlines()[0])
    assert first["consents"] == [row["reference"]]


def test_files_that_are_passed_over_are_listed_and_end_with_two(cli, theirs, tmp_path):
    (theirs / "aligned" / "bad.jpg").write_bytes(b"no picture")
    done = cli("faces", "import", theirs, tmp_path / "set")
    assert done.code == 2
    assert "passed over: bad.jpg: It is no JPEG" in done.out
    assert cli("faces", "import", theirs / "nothing", tmp_path / "set").code == 2
    assert "--footage" in cli("faces", "import", theirs / "aligned" / "x.fsa", tmp_path / "set2").err
