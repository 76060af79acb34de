"""The group `mask`, from the command line: every command, for people and for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2

from facewright.faceset.faceset import Faceset


def test_masks_from_first_to_last(cli, refused, faces, tmp_path):
    count = len(Faceset.open(faces))
    assert "has a mask" in refused("mask", "check", faces)["what"]
    said = cli("mask", "apply", faces, "--with", "mesh")
    assert said.code == 0, said
    assert f"{count} faces of faces masked with mesh" in said.out
    assert cli("mask", "apply", faces, "--with", "hull", "--side", "128", "--json").json()["replaced"] == count
    assert "mesh" not in {row.mask_by for row in Faceset.open(faces).rows()}
    assert "Brought back" in cli("mask", "restore", faces).out
    checked = cli("mask", "check", faces, "--sheet", tmp_path / "sheet.png", "--json").json()
    assert checked["made_by"] == {"mesh": count}
    assert "doubtful" in cli("mask", "check", faces, "--small", "100", "--blur", "0.5").out
    assert cli("mask", "check", faces, "--blur", "0.5", "--sheet", tmp_path / "sheet.png").code == 0
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] > 400
    assert f"{count} pictures" in cli("mask", "export", faces, tmp_path / "png").out
    assert len(list((tmp_path / "png").glob("*.png"))) == count
    assert "mask restore faces" in cli("mask", "remove", faces).out
    assert Faceset.open(faces).info().masks == 0
    assert refused("mask", "apply", faces, "--with", "hulk")["code"] == "FW-101"


def test_labels_from_first_to_last(cli, refused, faces, tmp_path):
    count = len(Faceset.open(faces))
    assert "has labels" in refused("mask", "labels", "export", faces, "l.json")["what"]
    cli("mask", "apply", faces, "--with", "mesh")
    assert f"{count} faces labelled from their masks" in cli("mask", "to-labels", faces, "--node", "12").out
    assert cli("mask", "labels", "export", faces, "l.json").code == 0
    assert len(json.loads(Path("l.json").read_text())["faces"]) == count
    assert f"{count} labelled faces in shared" in cli("mask", "fetch", faces, "shared").out
    assert cli("faces", "info", "shared", "--json").json()["labels"] == count
    assert "Every face" in refused("mask", "suggest", faces)["what"]
    assert f"Labels of {count} faces taken away" in cli("mask", "labels", "remove", faces).out
    named = cli("mask", "suggest", faces, "-n", 3, "--json").json()["rows"]
    assert len(named) == min(3, count)
    assert all(row["why"] for row in named)
    assert named[0]["face_id"] in cli("mask", "suggest", faces, "--number", 3).out
    assert cli("mask", "labels", "restore", faces, "--json").json()["restored"] == count
    cli("mask", "labels", "remove", faces)
    assert f"{count} of {count} labelled faces taken in" in cli("mask", "labels", "import", faces, "l.json").out
    Path("bad.json").write_text("{")
    assert "label file" in refused("mask", "labels", "import", faces, "bad.json")["what"]
    assert refused("mask", "labels", "import", faces, "gone.json")["code"] == "FW-102"


def test_the_exit_code_tells_that_files_were_passed_over(cli, faces, golden, tmp_path):
    shutil.copytree(golden / "data" / "faceset", tmp_path / "theirs")
    (tmp_path / "theirs" / "bad.jpg").write_bytes(b"nothing")
    said = cli("mask", "labels", "import", faces, tmp_path / "theirs")
    assert said.code == 2
    assert "passed over: bad.jpg: It is no JPEG" in said.out
    cli("mask", "apply", faces, "--with", "mesh")
    bad = min(faces.rglob("*.jpg"))
    bad.write_bytes(bad.read_bytes()[:-200])
    checked = cli("mask", "check", faces, "--blur", "0.5", "--sheet", tmp_path / "sheet.png")
    assert (checked.code, f"{bad.name}: Its picture is cut short" in checked.out) == (2, True)
    assert (tmp_path / "sheet.png").is_file()
    assert cli("mask", "apply", faces, "--with", "hull").code == 2


def test_from_deepfacelab_s_folder(cli, faces, golden):
    said = cli("mask", "labels", "import", faces, golden / "data" / "faceset", "--json").json()
    assert said["imported"] == 0
    assert said["found"] == len(said["not here"]) > 2


def test_both_sides_of_a_project_at_once(cli, faces, tmp_path, monkeypatch):
    cli("new", tmp_path / "film")
    for side in ("src", "dst"):
        shutil.copytree(faces, tmp_path / "film" / "facesets" / side)
    monkeypatch.chdir(tmp_path / "film")
    done = cli("mask", "apply", "--with", "hull", "--json").json()
    assert [Path(one["faceset"]).name for one in done] == ["src", "dst"]
    listed = cli("jobs", "list", "--json").json()
    assert {row["stage"] for row in listed} == {"apply_masks"}
    assert {row["state"] for row in listed} == {"done"}
