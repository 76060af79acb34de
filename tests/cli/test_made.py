"""What a command says to do next can be done: pasted as it stands, it works."""

from __future__ import annotations

import shlex
import shutil

import pytest

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
