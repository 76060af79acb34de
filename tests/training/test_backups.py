from __future__ import annotations

import os

import pytest

from facewright.core.errors import DiskRefused
from facewright.training import backups


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    os.utime(tmp_path / "run.json", (1000, 1000))
    save = tmp_path / "model" / "ckpt" / "000000001"
    save.mkdir(parents=True)
    (save / "weights").write_bytes(b"w")
    return tmp_path


def test_due_counts_from_the_newest_backup_or_the_runs_beginning(run):
    assert not backups.due(run, 0)
    assert not backups.due(run, 2, now_s=1000 + 7199)
    assert backups.due(run, 2, now_s=1000 + 7200)
    made = backups.back_up(run, run / "model" / "ckpt" / "000000001")
    assert not backups.due(run, 2, now_s=made.stat().st_mtime + 7199)
    assert backups.due(run, 2, now_s=made.stat().st_mtime + 7200)


def test_the_oldest_go(run):
    for i in range(30):
        save = run / "model" / "ckpt" / f"{i:09d}"
        save.mkdir(exist_ok=True)
        os.utime(backups.back_up(run, save), (i, i))
    assert [p.name for p in sorted((run / "backups").iterdir())] == [f"{i:09d}" for i in range(6, 30)]


def test_a_backup_is_a_whole_copy_or_nothing(run, monkeypatch):
    save = run / "model" / "ckpt" / "000000001"

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(backups.shutil, "copytree", full)
        with pytest.raises(DiskRefused, match="full"):
            backups.back_up(run, save)
    assert list((run / "backups").iterdir()) == []
    made = backups.back_up(run, save)
    assert (made / "weights").read_bytes() == b"w"
    (save / "weights").write_bytes(b"changed")
    assert (made / "weights").read_bytes() == b"w"
