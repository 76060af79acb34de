"""SIGKILL at random moments while frames are looked at again: nothing lost or half, the same end as undisturbed."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faceset.review.test_again import files_of
from tests.faceset.review_world import extract, film_at

from facewright import api
from facewright.faceset import record
from facewright.faceset.review import decisions

PROGRAM = """
import sys
from tests.faceset.review.test_again import Shifted
from tests.jobs.fake_step import OpenGate
from facewright.faceset.review.again import AgainStep
from facewright.faceset.settings import AgainSettings
from facewright.jobs.run import run_job

Shifted.pause_s = 0.03
step = AgainStep(sys.argv[1], sys.argv[2], [[0, 69]], AgainSettings(), make_finder=Shifted)
run_job(step, gate=OpenGate(), on_event=lambda event: print(event["kind"], flush=True))
"""


def look_again(folder: Path, film: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(film)], stdout=subprocess.PIPE)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_as_undisturbed(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEWRIGHT_NO_IDENTITY", "1")
    film = film_at(tmp_path)
    before = extract(film, tmp_path / "before")
    first = files_of(before)
    whole = Path(shutil.copytree(before, tmp_path / "whole"))
    assert look_again(whole, film).wait() == 0
    draw = random.Random(7)
    kills = 0
    for attempt in range(20):
        folder = Path(shutil.copytree(before, tmp_path / f"set{attempt}"))
        for _ in range(3):
            child = look_again(folder, film)
            child.stdout.readline()  # it has begun
            time.sleep(draw.uniform(0, 0.35))
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
            trashed = {p.stem for p in (folder / ".facewright" / "trash").rglob("*.jpg")}
            here = files_of(folder)
            for path in first:
                assert path in here or Path(path).stem in trashed, "a face is gone"
            for path in here:
                record.read_image(folder / path)
                record.read_face(folder / path)
        assert look_again(folder, film).wait() == 0
        assert {p: d for p, d in files_of(folder).items()} == files_of(whole)
        while decisions.read(folder).deeds:
            api.faces_undo(folder)
        assert files_of(folder) == first
        shutil.rmtree(folder)
    assert kills >= 30
