from __future__ import annotations

import shutil

import numpy as np
import pytest
from tests.cli.conftest import TINY

from facewright import demo
from facewright.faceset.faceset import Faceset
from facewright.faceset.trash import held


@pytest.fixture
def sets(world, tmp_path):
    for name in ("src", "dst"):
        shutil.copytree(world.folder / name, tmp_path / name)
    return tmp_path


def test_packed_checked_and_unpacked(cli, refused, sets):
    count = len(Faceset.open(sets / "src"))
    said = cli("faces", "pack", sets / "src", sets / "src.faces")
    assert said.code == 0
    assert f"src.faces is made: {count} faces" in said.out
    assert "there already" in cli("faces", "pack", sets / "src", sets / "src.faces").out
    assert cli("faces", "info", sets / "src.faces", "--json").json()["count"] == count
    assert "all whole" in cli("faces", "check", sets / "src.faces").out
    assert "all whole" in cli("faces", "check", sets / "src").out
    assert f"{count} faces in" in cli("faces", "unpack", sets / "src.faces", sets / "back").out
    assert cli("faces", "unpack", sets / "src.faces", sets / "json", "--json").json()["faces"] == count
    assert "rename" not in cli("faces", "people", sets / "src.faces").out, "nobody in a packed set can be named"
    error = refused("faces", "consent", sets / "src.faces", "synthetic source")
    assert "faces unpack" in error["remedy"]
    records = cli("consent", "list", "--json").out
    error = refused("consent", "new", "--who", "adult", "--adult", "--name", "Ada", "--proof", "now", "--use",
                    "a test of what a packed set says to a new record", "--faceset", sets / "src.faces")
    assert "faces unpack" in error["remedy"]
    assert cli("consent", "list", "--json").out == records, "no record that no face names"
    error = refused("mask", "apply", sets / "src.faces", "--with", "hull")
    assert "faces unpack" in error["remedy"]
    for words in (("labels", "import"), ("labels", "remove"), ("remove",), ("to-labels",)):
        place = [sets / "src" / "faceset.json"] if words[-1] == "import" else []
        assert refused("mask", *words, sets / "src.faces", *place)["code"].startswith("FW-")
    refused("faces", "pack", sets / "src", sets / "src.jpg")
    refused("faces", "unpack", sets / "src" / "faceset.json", sets / "none")
    data = bytearray((sets / "src.faces").read_bytes())
    data[len(data) // 2] ^= 1
    (sets / "src.faces").write_bytes(data)
    said = cli("faces", "check", sets / "src.faces")
    assert said.code == 2
    assert "1 damaged" in said.out
    assert "--salvage" in refused("faces", "unpack", sets / "src.faces", sets / "torn")["remedy"]
    said = cli("faces", "unpack", sets / "src.faces", sets / "torn", "--salvage")
    assert said.code == 2
    assert f"{count - 1} faces in" in said.out
    assert "lost: faces/" in said.out


def test_copied_moved_and_merged(cli, refused, sets):
    src, dst = (len(Faceset.open(sets / name)) for name in ("src", "dst"))
    said = cli("faces", "merge", sets / "both", sets / "src", sets / "dst")
    assert f"{src + dst} faces copied into" in said.out
    assert cli("faces", "info", sets / "both", "--json").json()["consents"].keys() <= {"", *(
        Faceset.open(sets / name).consent for name in ("src", "dst"))}
    done = cli("faces", "copy", sets / "src", sets / "few", "--where", "frame_index=0..1", "--json").json()
    assert done["copied"] == len(Faceset.open(sets / "few")) == 2
    said = cli("faces", "move", sets / "few", sets / "one", "--where", "frame_index=0..0")
    assert "1 original in the trash of" in said.out
    assert len(held(sets / "few")) == 1
    assert "beauty" in refused("faces", "copy", sets / "src", sets / "none", "--where", "beauty=1")["what"]
    refused("faces", "copy", sets / "src", sets / "src")
    refused("faces", "copy", sets / "src", sets / "none", "--person", "Nobody")


def test_trained_and_merged_from_packed_sets(cli, sets):
    for name in ("src", "dst"):
        cli("faces", "pack", sets / name, sets / f"{name}.faces")
        shutil.rmtree(sets / name)
    said = cli("train", "saehd", sets / "run", "--src", sets / "src.faces", "--dst", sets / "dst.faces", *TINY,
               "--iterations", "1")
    assert said.code == 0, said
    said = cli("merge", demo.footage().target, sets / "dst.faces", sets / "run", sets / "out", "--json")
    assert said.code == 0, said
    assert sorted(p.name for p in sets.iterdir()) == ["dst.faces", "out", "run", "src.faces"], "nothing beside them"


def test_masks_and_measures_read_a_packed_set(cli, sets):
    cli("mask", "apply", sets / "src", "--with", "hull")
    cli("faces", "pack", sets / "src", sets / "src.faces")
    for words in (("mask", "check"), ("mask", "suggest")):
        theirs, ours = (cli(*words, sets / name, "--json").json() for name in ("src.faces", "src"))
        assert theirs["rows"] == ours["rows"]
    assert cli("mask", "export", sets / "src.faces", sets / "masks").code == 0
    from facewright.faceset.sorting.measures import measures

    ours, theirs = (measures(Faceset.open(sets / name), ["brightness"]) for name in ("src", "src.faces"))
    assert np.array_equal(ours["brightness"], theirs["brightness"])
