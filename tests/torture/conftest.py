from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nets import nets_folder, session_folder
from tests.torture import road as roads
from tests.torture.forge import Forge

from facewright.core.files import FolderLock

if sys.platform != "linux":
    collect_ignore = ["test_kills.py", "test_full_disk.py"]  # SIGKILL by processor time, RLIMIT_FSIZE, fork


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    """A warm process that runs commands."""
    made = Forge()
    yield made
    made.close()


@pytest.fixture(scope="session")
def road(forge: Forge, tmp_path_factory: pytest.TempPathFactory) -> roads.Road:
    """The undisturbed road, made once also where several workers share the tests."""
    base, nets = session_folder(tmp_path_factory), nets_folder(tmp_path_factory)
    folder, facts = base / "undisturbed", base / "undisturbed.json"
    lock = FolderLock(base / "undisturbed.lock")
    while not lock.acquire():
        time.sleep(0.2)
    try:
        if not facts.exists():
            folder.mkdir()
            facts.write_text(json.dumps(dict(roads.build(forge, folder, nets).cpu_s)))
        return roads.Road(folder, nets, json.loads(facts.read_text()))
    finally:
        lock.release()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's own folder of one test."""
    return tmp_path / "home"
