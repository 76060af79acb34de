"""kill -9 at random moments: every item recorded once, every file whole."""

from __future__ import annotations

import random
import signal
import sys
import time

import pytest

from facewright.core.journal import scan
from facewright.jobs.job import list_jobs

KILLS, ITEMS = 31, 100


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_every_item_is_recorded_exactly_once(tmp_path, start, fake):
    rng = random.Random(7)
    kills = 0
    for _ in range(200):
        process = start(tmp_path, ITEMS, size=2000, pause_s=0.002)
        while (line := process.stdout.readline()) and line != "started\n":
            pass
        if kills < KILLS:
            time.sleep(rng.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
        code = process.wait(60)
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        if list_jobs(tmp_path)[0].state() == "done":  # perhaps killed behind its last record
            break
    assert kills >= 20, "the work was done before enough kills happened"
    (job,) = list_jobs(tmp_path)
    assert job.state() == "done"
    records = scan(job.journal)[0]
    ids = [record["id"] for record in records if record["kind"] == "item"]
    assert sorted(ids) == [f"i{n:04d}" for n in range(ITEMS)]
    assert len({record["record"]["pid"] for record in records if record["kind"] == "item"}) > 3
    for n in range(ITEMS):
        assert (tmp_path / f"i{n:04d}.bin").read_bytes() == fake.content(n, 2000)
    assert not list(tmp_path.glob("*.part"))
