"""A set in which every face has a size of its own serves everything that comes after as one of a single size does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.faceset.extraction.test_extract import _Growing, film, run, step_for  # noqa: F401

from facewright.faces.face import FaceType
from facewright.faceset import record
from facewright.faceset.faceset import Faceset


@pytest.fixture(scope="module")
def sets(film, tmp_path_factory) -> tuple[Path, Path]:  # noqa: F811
    folder = tmp_path_factory.mktemp("mixed")
    for name, side in (("mixed", "auto"), ("even", 512)):
        run(step_for(film, folder / name, _Growing, resolution=side, end="1", jpeg_quality=100))
    return folder / "mixed", folder / "even"


def test_training_sees_the_same_faces(sets):
    samples = pytest.importorskip("facewright.training.samples")
    survey = pytest.importorskip("facewright.training.survey")
    mixed, even = (Faceset.open(path) for path in sets)
    assert survey.survey(mixed, "source").side_px == max(face.side_px for face in mixed)
    for a, b in zip(list(mixed)[::5], list(even)[::5]):
        assert a.face_id == b.face_id
        crops = [samples.cut_face((face, source.image(face), None), FaceType.FULL, 96, False).astype(int)
                 for face, source in ((a, mixed), (b, even))]
        assert crops[0].shape == (5, 96, 96)
        assert np.abs(crops[0] - crops[1]).mean() < 3


def test_masks_cover_the_same_part(sets):
    apply = pytest.importorskip("facewright.masks.apply")
    settings = pytest.importorskip("facewright.masks.settings")
    for path in sets:
        step = apply.ApplyStep(str(path), "hull", settings=settings.MaskSettings())
        run(step)
    mixed, even = (Faceset.open(path) for path in sets)
    for a, b in zip(mixed, even):
        masks = [source.mask(face) for face, source in ((a, mixed), (b, even))]
        assert masks[0].shape == masks[1].shape
        assert abs(masks[0].mean() - masks[1].mean()) < 0.02


def test_info_orders_and_sheets_take_them(sets, tmp_path):
    from facewright.faceset.sorting.measures import measures

    mixed = Faceset.open(sets[0])
    assert len(mixed.info().sides_px) > 3
    names = ("laplacian", "exposure", "light", "crop")
    found = measures(mixed, names)
    assert all(np.isfinite(np.asarray(found[name], float)).all() for name in names)
    for face in mixed:
        assert record.read_image(mixed.file(face)).shape == (face.side_px,) * 2 + (3,)
