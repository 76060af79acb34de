"""Generated pages are current; links and commands in hand-written ones exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import docs

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("name", docs.PAGES)
def test_generated_page_is_current(name):
    assert (ROOT / name).read_text(encoding="utf-8") == docs.PAGES[name](), f"{name} is stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page):
    known = {
        path.removeprefix("facewright ") for path, _ in docs._walk(docs.typer.main.get_command(_app()), "facewright")
    }
    heads = known | {k.split()[0] for k in known}
    for words in re.findall(
        r"^\s*(?:\$ )?facewright ([a-z0-9-]+(?: [a-z0-9-]+)?)", page.read_text("utf-8"), re.MULTILINE
    ):
        first = words.split()[0]
        assert words in known or first in heads, f"{page.name} names `facewright {words}`"


def _app():
    from facewright.cli.app import app

    return app


def test_help_is_light():
    code = (
        "import sys, time\nfrom facewright.cli.app import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch','cv2','scipy','av','onnxruntime'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy), file=sys.stderr)\nprint('CPU', time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stderr
    assert "Usage: facewright" in done.stdout


@pytest.mark.parametrize(
    "command", [["extract"], ["train", "saehd"], ["merge"], ["render"], ["consent", "new"], ["demo"]]
)
def test_help_of_every_command_is_light_and_shows_ranges(command):
    code = (
        "import sys\nfrom facewright.cli.app import main\n"
        f"try: main({[*command, '--help']!r})\nexcept SystemExit: pass\n"
        "print('HEAVY', sorted({'torch','cv2','scipy','av','onnxruntime'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stderr
    assert "default" in done.stdout
