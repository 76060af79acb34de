"""Started by torchrun: the first process is the command as ever, the others only learn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.api.shelves import record
from tests.training.conftest import DrawnFaceset, write_faceset

from facewright import api
from facewright.core.errors import SettingRefused
from facewright.models import checkpoint

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
WORDS = ["--resolution", "64", "--archi", "df-ud", "--ae-dims", "32", "--e-dims", "16", "--d-dims", "16",
         "--d-mask-dims", "16", "--batch-size", "2", "--device", "cpu", "--preview-seconds", "0"]


def start(place: Path, iterations: int, out: Path) -> subprocess.Popen[bytes]:
    src = write_faceset(place / "src", DrawnFaceset(6, (220, 180, 150), "a"), consent=record("a"))
    dst = write_faceset(place / "dst", DrawnFaceset(6, (120, 80, 60), "b"),
                        consent=record("b", role="target_performer"))
    command = [*TORCHRUN, "facewright", "train", "saehd", str(place / "run"), "--src", str(src), "--dst", str(dst),
               *WORDS, "--iterations", str(iterations), "--json"]
    with out.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=(place / "said.txt").open("wb"), cwd=place)


def test_torchrun_trains_with_one_voice(tmp_path):
    process = start(tmp_path, 2, tmp_path / "out.json")
    assert process.wait(120) == 0, (tmp_path / "said.txt").read_text()
    told = json.loads((tmp_path / "out.json").read_text())  # one document
    assert (told["iterations"], told["processes"]) == (2, 2)
    assert checkpoint.load_latest(tmp_path / "run").iteration == 2


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_under_torchrun_saves(tmp_path):
    """torchrun passes on what the terminal has sent to all processes already."""
    process = start(tmp_path, 10**6, tmp_path / "out.json")
    losses, until = tmp_path / "run" / "losses.bin", time.monotonic() + 120
    while not (losses.is_file() and losses.stat().st_size > 100) and time.monotonic() < until:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in [process.pid, *map(int, children)]:
        os.kill(pid, signal.SIGINT)
    process.wait(90)
    saved = checkpoint.load_latest(tmp_path / "run")
    assert saved is not None
    assert saved.iteration > 1
    assert json.loads((tmp_path / "out.json").read_text())["stopped"]


def test_a_job_of_torchrun_stays_in_front(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingRefused, match="--background does not go with torchrun"):
        api.train("saehd", tmp_path / "run", tmp_path, tmp_path, settings={}, background=True)
