"""The nets that real commands need in tests: those beside the checkout, else the carrier wheel's, fetched once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from tests.conftest import SHARED

from facewright.core.errors import WeightsMissing
from facewright.core.files import FolderLock

SMALLEST = ("blazeface_full", "face_mesh")
"""What every installation has, and what the road needs at least."""


def session_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of one test session share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


def nets_folder(factory: pytest.TempPathFactory) -> Path:
    """For FACEWRIGHT_WEIGHTS. Skips where neither the shared folder nor the carrier is to be had."""
    if (SHARED / "weights").is_dir():
        return SHARED / "weights"
    from facewright.core.catalogue import weight
    from facewright.core.weights import resolve

    folder, lock = session_folder(factory) / "nets", FolderLock(session_folder(factory) / "nets.lock")
    while not lock.acquire():
        time.sleep(0.2)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACEWRIGHT_HOME", str(folder / "home"))
            patch.delenv("FACEWRIGHT_WEIGHTS", raising=False)
            for name in SMALLEST:
                if not (folder / weight(name).file).exists():
                    shutil.copy(resolve(name), folder / weight(name).file)
    except WeightsMissing as error:
        pytest.skip(f"needs the nets of the carrier package: {error}")
    finally:
        lock.release()
    return folder


def environment(home: Path, nets: Path) -> dict[str, str]:
    """A user of one's own, with these nets and no network."""
    return {
        "FACEWRIGHT_HOME": str(home), "FACEWRIGHT_WEIGHTS": str(nets), "FACEWRIGHT_OFFLINE": "1",
        "FACEWRIGHT_NO_IDENTITY": "1",
    }
