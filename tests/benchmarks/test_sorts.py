"""The benchmark of sorts makes faces that can be told apart, and measures an order."""

from __future__ import annotations

import pytest

from benchmarks import sorts
from facewright.faceset.faceset import Faceset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sorts") / "set"
    sorts.make(folder, 8, 128)
    return folder


def test_its_faces_are_faces(made):
    faceset = Faceset.open(made)
    assert len(faceset) == 8
    assert not faceset.damaged()


def test_an_order_is_measured(made):
    row = sorts.run_one(made, "sharpness")
    assert row["faces"] == 8
    assert row["cpu_s"] > 0
    assert row["peak_mb"] > 10
