"""The review queue from the command line, for people and for programs, on faces that the nets found."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from facewright import demo
from facewright.faceset.faceset import Faceset


def test_review_from_first_to_last(cli, refused, faces):
    film = demo.footage().target
    frames = len({row.frame_index for row in Faceset.open(faces).rows()})
    assert f"accepted {frames}" in cli("faces", "review", faces).out
    table = cli("faces", "review", faces, "--state", "all").out
    assert f"0-{frames - 1} " in table, "frames alike in a row are one line"
    row = Faceset.open(faces).rows().__next__()
    x0, y0, x1, y1 = row.x0_px, row.y0_px, row.x1_px, row.y1_px
    said = cli("faces", "place", faces, "0", "--rect", f"{x0 - 9},{y0 - 9},{x1 + 9},{y1 + 9}", "--footage", film)
    assert said.code == 0, said
    assert "Placed" in said.out
    found = cli("faces", "review", faces, "--state", "doubtful", "--json").json()
    assert [r["reasons"] for r in found["rows"]] == [["double"]]
    said = cli("faces", "review", faces, "--film", film.name).out
    assert f"faces accept faces --film {film.name} --all-doubtful" in said
    assert "Undone: place" in cli("faces", "undo", faces).out
    assert "Done again: place" in cli("faces", "redo", faces).out
    cli("faces", "undo", faces)
    points = Faceset.open(faces).face(row.face_id).points + 2
    Path("points.json").write_text(json.dumps(points.tolist()))
    said = cli("faces", "place", faces, "0", "--points", "points.json", "--face", row.face_id)
    assert "Moved" in said.out
    assert cli("faces", "skip", faces, "1-2").out == "Skipped: 2 frames.\n"
    assert cli("faces", "accept", faces, "3").out == "Accepted: 1 frame with 1 face.\n"
    assert cli("faces", "review", faces, "--state", "skipped", "--json").json()["matching"] == 2
    assert "damaged" in refused("faces", "review", faces, "--state", "lovely")["remedy"]
    refused("faces", "accept", faces, "x-y")
    refused("faces", "accept", faces)
    refused("faces", "redo", faces)
    refused("faces", "place", faces, "0")
    refused("faces", "place", faces, "0", "--rect", "1,2")


def test_looking_again_and_pictures(cli, refused, faces):
    film = demo.footage().target
    said = cli("faces", "again", faces, "0-1", "--detect-side", "320", "--footage", film, "--json")
    assert said.code == 0, said
    assert said.json()["frames"] == 2
    said = cli("faces", "again", faces, "--state", "accepted", "--only-new", "--footage", film)
    assert said.code == 0, said
    assert "by hand" in said.out
    refused("faces", "again", faces, "--state", "damaged", "--footage", film)
    assert "sheet: " in cli("faces", "sheet", faces, "sheet.png", "--landmarks").out
    assert cv2.imread("sheet.png").shape[1] > 400
    said = cli("faces", "review", faces, "--state", "all", "--sheet", "frames.png", "--footage", film)
    assert "sheet: frames.png" in said.out
    assert cv2.imread("frames.png").shape[1] > 400
    assert "pictures in debug" in cli("faces", "debug", faces, "debug").out
    assert cli("faces", "debug", faces, "frames", "--frames", "--footage", film).code == 0
    refused("faces", "debug", faces, faces / "debug")
