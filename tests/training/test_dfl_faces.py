"""Faces of DeepFaceLab are faces like any other: they get masks and they train."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.faceset.dfl_sets import OpenGate
from tests.steps import run

from facewright.core.settings import check
from facewright.faceset.exchange.dfl_import import ImportStep
from facewright.faceset.faceset import Faceset
from facewright.jobs.run import run_job
from facewright.masks.apply import ApplyStep
from facewright.masks.settings import MaskSettings
from facewright.training.curve import both, read_losses
from facewright.training.settings import SaehdTrain
from facewright.training.swap_step import TrainStep

TINY = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16,
        "face_type": "full_face"}


@pytest.fixture(scope="module")
def faceset(golden, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dfl")
    for name in ("00001_0", "00002_0", "00002_1", "00003_0", "00004_0", "00005_0"):  # whole_face, of two sizes
        shutil.copy(golden / "data" / "faceset" / f"{name}.jpg", folder)
    out = folder.with_name("dfl_set")
    run_job(ImportStep(str(folder), str(out), person="Nobody"), gate=OpenGate())
    return out


@pytest.mark.parametrize("masker", ["hull", "mesh"])
def test_they_get_masks(faceset, tmp_path, masker):
    folder = shutil.copytree(faceset, tmp_path / "set")
    done = run(ApplyStep(str(folder), masker, MaskSettings(side=64)))
    assert (done["faces"], done["refused"]) == (6, [])
    for face in Faceset.open(folder):
        mask = Faceset.open(folder).mask(face)
        inside = face.points @ face.face_from_frame[:2, :2].T + face.face_from_frame[:2, 2]
        middle = inside[27:36].mean(0) * 64 / face.side_px
        assert mask[int(middle[1]), int(middle[0])] == 1, "the nose is in it"
        assert 0.05 < mask.mean() < 0.9


def test_they_train(faceset, tmp_path):
    settings = check(SaehdTrain, {"iterations": 3, "batch_size": 2, "device": "cpu", "precision": "float32",
                                  "preview_seconds": 0, "threads": 1})
    step = TrainStep(str(tmp_path / "run"), str(faceset), str(faceset), "saehd", settings, shape=TINY)
    run(step)
    losses = both(read_losses(tmp_path / "run" / "losses.bin"))
    assert len(losses) == 3
    assert np.isfinite(losses).all()
