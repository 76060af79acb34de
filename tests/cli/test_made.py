"""What a command says to do next can be done: pasted as it stands, it works."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from facewright import demo
from facewright.faceset.faceset import Faceset

MADE = {
    "copy": ("copy", "my src", "o u t"), "move": ("move", "my src", "o u t"),
    "merge": ("merge", "o u t", "my src", "dst"), "compile": ("compile", "o u t", "my src", "dst"),
    "resize": ("resize", "my src", "o u t", "--side", "128"), "enhance": ("enhance", "my src", "o u t"),
    "pack": ("pack", "my src", "my src.faces"), "smooth": ("smooth", "my src"),
    "import": ("import", "their faces", "o u t", "--person", "Nobody"),
}  # fmt: skip


@pytest.mark.parametrize("verb", MADE)
def test_the_next_command_works_as_it_stands(cli, world, golden, tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world.src, "my src")
    shutil.copytree(world.dst, "dst")
    if verb == "import":
        shutil.copytree(golden / "data" / "faceset", "their faces")
    said = cli("faces", *MADE[verb])
    assert said.code == 0, said
    hints = said.out.partition("Next:  ")[2].splitlines()
    assert hints, said.out
    for hint in hints:
        program, *words = shlex.split(hint)
        assert program == "facewright"
        # A record is not made without questions: that the set is known is seen by what is asked for.
        done = cli(*words)
        assert done.code == 0 or (words[:2] == ["consent", "new"] and "--who" in done.err), (hint, done)


def test_the_remedy_for_another_part_of_a_film_works_as_it_stands(cli, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world.src, "my src")
    part = ("extract", demo.footage().source, "--face-type", "full_face", "--resolution", "128", "--start", "0.4",
            "--end", "0.5")
    said = cli(*part, "my src")
    assert said.code == 2
    own = shlex.split(said.err.partition("such as ")[2].partition(", and join")[0])[0]
    program, *words = shlex.split(said.err.partition("`")[2].partition("`")[0])
    assert cli(*part, own).code == 0
    assert program == "facewright"
    assert cli(*words).code == 0
    frames = {name: {row.frame_index for row in Faceset.open(Path(name)).rows()} for name in ("my src", own, words[2])}
    assert frames["my src"]
    assert frames[words[2]] == frames["my src"] | frames[own]
