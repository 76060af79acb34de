"""Nets and pictures for the tests of this room: the shared folder's where it is, else what a user would have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import resources
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from facewright.core.errors import WeightsMissing
from facewright.core.weights import resolve, weight
from facewright.media.frame import Frame
from facewright.media.reader import frames, open_video

SHARED = Path(os.environ.get("FACEWRIGHT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CARRIED = ("blazeface_full", "blazeface_short", "face_mesh")


@pytest.fixture(scope="session")
def net_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with at least the nets of the carrier package (from the user's cache or by pip), or skip."""
    if (SHARED / "weights").is_dir():
        return SHARED / "weights"
    folder = tmp_path_factory.mktemp("nets")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FACEWRIGHT_HOME", raising=False)  # the machine's own cache: fetched once, not once a run
        try:
            for name in CARRIED:
                shutil.copy(resolve(name), folder / weight(name).file)
        except WeightsMissing as error:
            pytest.skip(f"no pretrained nets here: {error.why}")
    return folder


@pytest.fixture
def nets(net_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nets at hand through FACEWRIGHT_WEIGHTS, network forbidden."""
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(net_folder))
    monkeypatch.setenv("FACEWRIGHT_OFFLINE", "1")
    return net_folder


@pytest.fixture(scope="session")
def heads() -> list[np.ndarray]:
    """Five pictures, each of one head that is near and roughly upright."""
    if (SHARED / "footage").is_dir():
        clip = SHARED / "footage" / "synthetic_person_a.mp4"
    else:
        clip = Path(str(resources.files("facewright") / "footage" / "source.mp4"))
        if not clip.is_file():
            pytest.skip("neither the shared footage nor the demo's is here")
    return [frame.image for frame in islice(frames(open_video(clip), step=7), 5)]


@pytest.fixture(scope="session")
def clip_frames() -> Callable[..., list[Frame]]:
    """(name, start, stop, step=1) -> frames of a shared clip."""

    def read(name: str, start: int, stop: int, step: int = 1) -> list[Frame]:
        return list(frames(open_video(SHARED / "footage" / f"{name}.mp4"), start, stop, step=step))

    return read
