"""Whole copies of a run's newest save, every N hours, the last 24 of them: RUN/backups/<9 digits>/."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from facewright.core.files import PART, disk_error, make_folder, replace_folder

FOLDER, COPIES = "backups", 24


def due(run: Path, hours: int, now_s: float | None = None) -> bool:
    """Whether the newest backup is `hours` old; 0 hours = never. A run without one counts from its beginning."""
    if not hours:
        return False
    kept = _all(run)
    since = kept[-1].stat().st_mtime if kept else (run / "run.json").stat().st_mtime
    return (time.time() if now_s is None else now_s) - since >= hours * 3600


def back_up(run: Path, save: Path) -> Path:
    """Copy a checkpoint folder aside, then put it in place; the oldest beyond 24 go. Raises DiskRefused."""
    root = make_folder(run / FOLDER)
    final = root / save.name
    if final.exists():
        return final
    part = final.with_name(final.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(save, part)
        part.touch()  # the copy's time, not the save's
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise disk_error(error, final) from error
    replace_folder(part, final)
    for old in _all(run)[:-COPIES]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _all(run: Path) -> list[Path]:
    root = run / FOLDER
    found = [p for p in root.iterdir() if p.is_dir() and not p.name.endswith(PART)] if root.is_dir() else []
    return sorted(found, key=lambda p: (p.stat().st_mtime, p.name))
