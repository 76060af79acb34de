"""A full disk in every stage: a clear end, nothing broken; with room again the same command ends as if undisturbed.

Two kinds: files that may not grow beyond a limit (RLIMIT_FSIZE stands in for a disk that fills up at that write), and a
real small disk (tmpfs) where the tests may mount one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.torture import road as roads
from tests.torture.forge import Ended
from tests.torture.road import STAGES

SIGNING = -4000
"""Bytes less than the signed film: encoded it fits, signed it does not."""
LIMITS = {
    # Bytes that a file may have: too little for the job's record; for the first results; for the last ones.
    "extract": (300, 5_000, 40_000),
    "train": (900, 60_000, 5_000_000),
    "merge": (900, 100_000, 8_000_000),
    "render": (60_000, SIGNING),
}


def refused(done: Ended) -> None:
    """Exit code 2, the disk named, a remedy, no traceback."""
    assert done.code == 2, done.said
    text = done.err + done.out
    assert "FW-103" in text, done.said
    assert re.search(r"do: +\S+", text), done.said
    assert "Traceback" not in text
    assert "bug" not in text


def prepare(stage: str, folder: Path, road: roads.Road) -> list[str]:
    folder.mkdir(exist_ok=True)
    merged = None
    if stage == "render":
        merged = folder / "merged"
        shutil.copytree(road.output("merge"), merged, ignore=shutil.ignore_patterns(".facewright"))
    return road.words(stage, folder, merged)


def ends_well(stage: str, folder: Path, road: roads.Road, done: Ended) -> None:
    assert done.code == 0, done.said
    assert roads.state_of(stage, folder) == roads.state_of(stage, road.folder)
    assert roads.leftovers(folder) == []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", STAGES)
def test_a_limit_on_files(forge, road, tmp_path, stage):
    """Fails at every limit in turn, on one output; then the disk has room again."""
    env = road.environment(tmp_path / "home")
    words = prepare(stage, tmp_path / "work", road)
    for limit in LIMITS[stage]:
        most = limit if limit > 0 else road.output("render").stat().st_size + limit
        refused(forge.run(words, env, limit=most))
        assert not roads.leftovers(tmp_path), f"half-written after a limit of {limit} bytes"
        if stage == "render":
            assert not (tmp_path / "work" / roads.PLACE[stage]).exists()
    ends_well(stage, tmp_path / "work", road, forge.run(words, env))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 24 MB and 400 files."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,nr_inodes=400", "tmpfs", str(place)], capture_output=True, check=False
    ) if os.geteuid() == 0 and shutil.which("mount") else None
    if done is None or done.returncode:
        pytest.skip("a small disk cannot be mounted here (needs root and the right to mount)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


ROOM = {"extract": (0, 150_000), "train": (0, 1_000_000), "merge": (0, 3_000_000), "render": (0, 200_000)}
"""Free bytes of the small disk at each try."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", STAGES)
def test_a_small_disk(forge, road, small_disk, tmp_path, stage):
    env = road.environment(tmp_path / "home")
    words = prepare(stage, small_disk / "work", road)
    ballast = small_disk / "ballast"
    for room in ROOM[stage]:
        fill(ballast, room)
        refused(forge.run(words, env))
        assert not roads.leftovers(small_disk), f"half-written with {room} bytes of room"
    ballast.unlink()
    if stage == "train":  # its saves want more room than this disk has: moved to a larger one, as a user would
        shutil.copytree(small_disk / "work", tmp_path / "work")
        words = [word.replace(str(small_disk), str(tmp_path)) for word in words]
        ends_well(stage, tmp_path / "work", road, forge.run(words, env))
    else:
        ends_well(stage, small_disk / "work", road, forge.run(words, env))


def fill(ballast: Path, room: int) -> None:
    """Write until only `room` bytes are free."""
    ballast.unlink(missing_ok=True)
    free = shutil.disk_usage(ballast.parent).free
    ballast.write_bytes(b"\0" * max(0, free - room))
