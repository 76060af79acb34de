from __future__ import annotations

import shutil

import pytest

from facewright.cli import cleaning
from facewright.faceset.faceset import Faceset
from facewright.faceset.store import Writer
from facewright.faceset.trash import take_out


@pytest.fixture
def dst(world, tmp_path):
    shutil.copytree(world.dst, tmp_path / "dst")
    return tmp_path / "dst"


def test_park_tag_and_back(cli, dst):
    face = next(iter(Faceset.open(dst).rows())).face_id
    assert cli("faces", "park", dst, face, "--json").json() == {"faceset": str(dst), "faces": 1, "changed": 1}
    assert "1 face of" in cli("faces", "park", dst, face).out
    assert cli("faces", "tag", dst, "other-person", "--flag", "parked").code == 0
    assert cli("faces", "info", dst, "--json").json()["flags"].items() >= {"parked": 1, "other_person": 1}.items()
    assert "training leaves it out" in cli("faces", "info", dst).out
    assert cli("faces", "unpark", dst).code == 0
    assert cli("faces", "tag", dst, "other-person", face, "--remove").code == 0
    assert not {"parked", "other_person"} & set(cli("faces", "info", dst, "--json").json()["flags"])


@pytest.mark.parametrize("words", [("park",), ("tag", "good"), ("tag", "pretty", "x"), ("park", "nobody"),
                                   ("trash", "restore")])
def test_what_is_not_meant_is_refused(cli, dst, words):
    group = words[:2] if words[0] == "trash" else words[:1]
    said = cli("faces", *group, dst, *words[len(group) :])
    assert said.code == 2
    assert said.err.count("\n") >= 2


def test_the_trash_is_listed_restored_and_emptied_when_told(cli, dst):
    rows = list(Faceset.open(dst).rows())
    with Writer(dst) as writer:
        taken = take_out(writer, [row.path for row in rows[:3]], "blurry")
    listed = cli("faces", "trash", "list", dst)
    assert "blurry" in listed.out
    assert taken.name in listed.out
    assert cli("faces", "trash", "restore", dst, "--face", rows[1].face_id).out.startswith("1 face")
    refused = cli("faces", "trash", "empty", dst)
    assert refused.code == 2
    assert "--yes" in refused.err
    assert len(cli("faces", "trash", "list", dst, "--json").json()[0]["paths"]) == 2
    done = cli("faces", "trash", "empty", dst, "--yes", "--json").json()
    assert (done["deleted"], done["faces"]) == ([taken.name], 2)
    assert cli("faces", "trash", "empty", dst, "--yes").code == 0
    assert len(Faceset.open(dst)) == len(rows) - 2


def test_clean_says_first_and_does_when_told(cli, dst, tmp_path):
    count = len(Faceset.open(dst))
    asked = ("faces", "clean", dst, "--filters", "none", "--best", "5", "--rare", "0")
    said = cli(*asked, "--sheets", tmp_path / "sheets")
    assert said.code == 0
    assert "surplus" in said.out
    # The hint does what was looked at, not something else.
    assert f"faces clean {dst} --filters none --best 5 --rare 0 --apply" in said.out.replace("'", "")
    assert (tmp_path / "sheets" / "surplus.png").is_file()
    assert len(Faceset.open(dst)) == count
    told = cli(*asked, "--json").json()
    assert (told["applied"], told["move"]) == (False, {"surplus": count - 5})
    assert {row["deed"] for row in told["rows"]} == {"move"}
    done = cli(*asked, "--apply", "--json").json()
    assert (done["applied"], done["moved"], done["left"]) == (True, {"surplus": count - 5}, 5)
    again = cli("faces", "clean", dst, "--filters", "none", "--best", "5", "--apply")
    assert again.code == 0
    assert "Nothing is wrong" in again.out
    assert cli("faces", "trash", "restore", dst).code == 0
    assert len(Faceset.open(dst)) == count


def test_clean_refuses_what_it_does_not_know(cli, dst):
    assert cli("faces", "clean", dst, "--filters", "ugly").code == 2
    assert cli("faces", "clean", dst, "--apply", "--tag").code == 2
    assert cli("faces", "clean", dst / "nowhere").code == 2


def test_coverage_in_words_numbers_and_a_picture(cli, world, tmp_path):
    said = cli("faces", "coverage", world.src, world.dst, "--map", tmp_path / "map.png")
    assert said.code == 0
    assert "warning:" in said.out
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    told = cli("faces", "coverage", world.src, world.dst, "--json").json()
    assert set(told) >= {"source", "target", "compared", "advice"}
    alone = cli("faces", "coverage", world.src, "--json").json()
    assert alone["compared"] is None


def test_by_origin_and_compile(cli, dst, tmp_path):
    rows = cli("faces", "by-origin", dst, "--json").json()
    film, count = rows[0]["film"], len(Faceset.open(dst))
    assert film in cli("faces", "by-origin", dst).out
    done = cli("faces", "compile", tmp_path / "out", dst, "--film", film, "--where", "frame_index=0:4")
    assert done.code == 0
    assert 0 < len(Faceset.open(tmp_path / "out")) <= 5 < count
    assert cli("faces", "compile", tmp_path / "no", dst, "--film", "nowhere").code == 2
    assert cli("faces", "compile", tmp_path / "no", dst, "--where", "beauty=1").code == 2


def test_moving_faces_of_the_project_s_target_is_warned_of(cli, dst, tmp_path, monkeypatch):
    assert cli("new", tmp_path / "film").code == 0
    place = tmp_path / "film" / "facesets" / "dst"
    place.parent.mkdir(parents=True, exist_ok=True)
    dst.rename(place)
    asked = ("faces", "clean", place, "--filters", "none", "--best", "5")
    assert "keep the old one" in cli(*asked).out
    assert "keep the old one" not in cli(*asked, "--park").out


def test_a_reason_is_said_to_its_end(capsys):
    why = "duplicate-1: like the_interview_of_last_summer.mp4 1204, step 1 (--duplicates 3)"
    row = {"category": "duplicate-1", "why": f"{why}; misaligned: its place jumps"}
    cleaning._found({"faces": 1, "faceset": "set", "move": {"duplicate-1": 1}, "park": {}, "stay": {}, "rows": [row],
                     "notes": [], "refused": []})
    said = " ".join(capsys.readouterr().out.split())
    assert why in said
    assert "its place jumps" not in said
