"""The group `faces people`, `faces smooth` and `faces gaps`, from the command line, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facewright.faceset.faceset import Faceset


def test_people_from_first_to_last(cli, refused, faces, tmp_path):
    count = len(Faceset.open(faces))
    listed = cli("faces", "people", faces, "--json").json()
    assert listed == cli("faces", "people", "list", faces, "--json").json()
    name = listed["people"][0]["name"]
    assert sum(one["faces"] for one in listed["people"]) == listed["faces"] == count
    assert f"faces people rename faces {name} NAME" in cli("faces", "people", faces).out
    assert f"{name} is Ada now" in cli("faces", "people", "rename", faces, name, "Ada").out
    named = cli("faces", "people", faces).out
    assert "Ada*" in named
    assert "rename faces Ada" not in named
    assert "called 'Zoe'" in refused("faces", "people", "rename", faces, "Zoe", "Bea")["what"]
    tracks = cli("faces", "people", "tracks", faces, "Ada", "--json").json()
    assert sum(track["faces"] for track in tracks) == count
    assert tracks[0]["track"] in cli("faces", "people", "tracks", faces, "Ada").out
    assert "all tracks of Ada" in refused("faces", "people", "split", faces, "Ada", tracks[0]["track"])["what"]
    assert "cannot be merged" in refused("faces", "people", "merge", faces, "Ada")["what"]
    assert cli("faces", "people", "sheet", faces, "p.png").code == 0
    assert cli("faces", "people", "sheet", faces, "t.png", "--person", "Ada", "--across", "3").code == 0
    assert cv2.imread("p.png").shape[1] > cv2.imread("t.png").shape[1] > 300
    assert "Ada" in cli("faces", "people", "link", faces).out
    moved = cli("faces", "people", "move-out", faces, "Ada", "ada", "--json").json()
    assert moved["faces"] == len(Faceset.open(Path("ada"))) == count
    assert len(Faceset.open(faces)) == 0
    assert cli("faces", "trash", "restore", faces).code == 0
    assert len(Faceset.open(faces)) == count
    assert cli("faces", "people").code == 2
    assert "no faceset" in refused("faces", "people", "nowhere")["what"]


def test_smoothing_there_and_back(cli, refused, faces):
    before = {path: path.read_bytes() for path in faces.rglob("*.jpg")}
    done = cli("faces", "smooth", faces, "--strength", "1", "--json").json()
    assert done["faces"] == len(before)
    assert done["smoothed"] == done["changed"] > 0
    assert "(strength 0)" in cli("faces", "smooth", faces, "--strength", "0").out
    assert {path: path.read_bytes() for path in faces.rglob("*.jpg")} == before
    assert refused("faces", "smooth", faces, "--strength", "2")["where"] == "--strength"


def test_gaps_there_and_back(cli, refused, faces):
    faceset = Faceset.open(faces)
    whole = {row.frame_index: faceset.face(row.face_id).points for row in faceset.rows()}
    missing = sorted(whole)[2]
    for row in faceset.rows(frame_index=(missing, missing)):
        (faces / row.path).unlink()
    listed = cli("faces", "gaps", faces, "--dry-run", "--json").json()
    assert [(row["first_frame"], row["frames"]) for row in listed["rows"]] == [(missing, 1)]
    assert str(missing) in cli("faces", "gaps", faces, "--dry-run").out
    assert "1 face proposed in 1 gap" in cli("faces", "gaps", faces).out
    (face,) = [f for f in Faceset.open(faces) if "interpolated" in f.flags]
    assert face.source.frame_index == missing
    assert np.abs(face.points - whole[missing]).max() < 6
    assert "put in between" in cli("faces", "review", faces, "--state", "doubtful").out
    assert "1 proposed face taken out" in cli("faces", "gaps", faces, "--remove").out
    assert "put in between" in refused("faces", "gaps", faces, "--remove")["what"]
    assert refused("faces", "gaps", faces, "--up-to", "0")["where"] == "--up-to"
