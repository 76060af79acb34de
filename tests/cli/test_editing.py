"""Pictures through an outside editor and back, from the command line."""

from __future__ import annotations

import shutil

import cv2
import pytest

from facewright.faceset.faceset import Faceset


@pytest.fixture
def faces(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(world.whole, tmp_path / "faces")


def test_metadata_return_to_pictures_and_copies_are_said(cli, faces, tmp_path):
    assert cli("faces", "metadata", "save", faces, "all.meta").code == 0
    pictures = sorted((faces / "faces").rglob("*.jpg"))
    shutil.copy(pictures[0], pictures[0].with_name("another name.jpg"))
    said = cli("faces", "metadata", "restore", faces / "faces", "all.meta", tmp_path / "back")
    assert "Another picture shows this face as well" in said.out, said
    assert len(Faceset.open(tmp_path / "back")) == len(pictures)
    cv2.imwrite(str(pictures[1].with_suffix(".png")), cv2.imread(str(pictures[1])))
    said = cli("faces", "metadata", "restore", faces / "faces", "all.meta", tmp_path / "again")
    assert "1 picture of a face that another one shows as well: counts once" in said.out, said
    assert len(Faceset.open(tmp_path / "again")) == len(pictures)
