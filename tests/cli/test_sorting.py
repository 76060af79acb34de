from __future__ import annotations

import json
import shutil

import pytest

from facewright.faceset.faceset import Faceset


@pytest.fixture
def dst(world, tmp_path):
    shutil.copytree(world.dst, tmp_path / "dst")
    return tmp_path / "dst"


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in (folder / "faces").rglob("*.*") if p.is_file())


def test_sort_tells_writes_and_draws(cli, dst, tmp_path):
    before = files(dst)
    said = cli("faces", "sort", dst, "--by", "sharpness", "--sheet", tmp_path / "sheet.png")
    assert said.code == 0
    assert "by sharpness" in said.out
    assert "sheet.png" in said.out
    assert (tmp_path / "sheet.png").exists()
    assert files(dst) == before
    done = cli("faces", "sort", dst, "--by", "face-yaw", "--reverse", "--json").json()
    assert (done["order"], done["reverse"], done["faces"]) == ("yaw", True, len(Faceset.open(dst)))
    assert [one["score"] for one in done["first"]] == sorted((one["score"] for one in done["first"]), reverse=True)
    stored = json.loads((dst / "orders" / "yaw.json").read_text())
    assert stored["faces"][0]["face_id"] == done["first"][0]["face_id"]


def test_numbers_before_names_and_back(cli, dst):
    before = files(dst)
    said = cli("faces", "sort", dst, "--by", "hue", "--rename")
    assert said.code == 0
    assert "restore-names" in said.out
    assert all(name.rpartition("/")[2][6] == "-" for name in files(dst))
    assert cli("faces", "restore-names", dst, "--json").json()["renamed"] == len(before)
    assert files(dst) == before


def test_settings_of_best_arrive(cli, dst):
    total = len(Faceset.open(dst))
    done = cli("faces", "sort", dst, "--by", "final", "--count", "1", "--quality", "size", "--json").json()
    assert done["rest"] == total - 1
    assert "set aside" in cli("faces", "sort", dst, "--by", "best", "--count", "1").out


def test_orders_are_listed_and_unknown_ones_refused(cli, dst):
    rows = cli("faces", "orders", "--json").json()
    assert {"blur", "identity", "quality"} <= {row["name"] for row in rows}
    assert "absdiff-dissim" in cli("faces", "orders").out
    said = cli("faces", "sort", dst, "--by", "beauty")
    assert said.code == 2
    assert "hist-dissim" in said.err
    assert cli("faces", "sort", dst, "--by", "hue", "--person", "nobody").code == 2


def test_a_damaged_face_is_passed_over_and_named(cli, dst):
    path = dst / files(dst)[0]
    path.write_bytes(path.read_bytes()[:-500])
    said = cli("faces", "sort", dst, "--by", "brightness")
    assert said.code == 2
    assert path.name in said.out
    assert (dst / "orders" / "brightness.json").exists()
