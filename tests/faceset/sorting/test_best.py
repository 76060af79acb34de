"""The best faces: equal to the original where asked, exactly as many as asked for elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faceset.conftest import make_face
from tests.faceset.golden_set import IDENTITY
from tests.faceset.sets import write_set

from facewright.faceset.sorting.best import _exact_shares, best, spread
from facewright.image.alike import roots_of


@pytest.fixture(scope="module")
def records(golden):
    found = json.loads((golden / "data" / "sort.json").read_text())["best"]
    mu, sigma = np.array(found["hist_mu"])[:, None], np.array(found["hist_sigma"])[:, None]
    counts = (1000 * np.exp(-(((np.arange(256) - mu) / sigma) ** 2))).astype(np.float32)
    return found, [np.array(found[k]) for k in ("sharp", "yaw", "pitch")] + [roots_of(counts)]


@pytest.mark.parametrize("target", ["40", "256", "640", "2000"])
def test_equals_the_original(target, records):
    found, arrays = records
    kept, left = spread(*arrays, int(target), legacy=True)
    assert [f"r{i:03d}" for i in kept] == found["cases"][target]["order"]
    assert [f"r{i:03d}" for i in left] == found["cases"][target]["trash"]


@pytest.mark.parametrize("target", [1, 2, 40, 64, 127, 128, 256, 599, 600, 2000])
def test_keeps_exactly_as_many_as_asked_for(target, records):
    _, arrays = records
    kept, left = spread(*arrays, target)
    assert len(kept) == min(target, 600)
    assert sorted(kept + left) == list(range(600))
    yaw = arrays[1][kept]
    if target >= 40:
        assert np.ptp(yaw) > 0.8 * np.ptp(arrays[1]), "all poses stay"


@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=40), count=st.integers(0, 600))
def test_shares_are_exact_and_as_equal_as_can_be(sizes, count):
    shares = _exact_shares(sizes, count)
    assert sum(shares) == min(count, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(shares, sizes))
    open_ones = [share for share, size in zip(shares, sizes) if share < size]
    if open_ones:
        assert max(shares) <= min(open_ones) + 1


@given(seed=st.integers(0, 1 << 16), number=st.integers(0, 60), count=st.integers(1, 80), legacy=st.booleans())
def test_no_face_is_lost_or_doubled(seed, number, count, legacy):
    rng = np.random.default_rng(seed)
    kept, left = spread(rng.random(number), rng.normal(0, 0.6, number), rng.normal(0, 0.4, number),
                        roots_of(rng.integers(0, 9, (number, 256))), count, legacy=legacy)
    assert sorted(kept + left) == list(range(number))
    if not legacy:
        assert len(kept) == min(count, number)


def test_of_faces_alike_in_pose_the_better_is_kept(tmp_path):
    """Twenty of one pose, ten candidates for one place: the worse half has no chance."""
    rng = np.random.default_rng(1)
    like = make_face(3).points_px
    faces = [(make_face(n, points_px=like, side_px=128, face_from_frame=IDENTITY, box_px=(0, 0, 10 + n, 10)),
              rng.integers(0, 256, (128, 128, 3), np.uint8)) for n in range(20)]
    faceset = write_set(tmp_path / "set", faces)
    kept, left = best(faceset, 1, "size")
    assert len(kept) == 1
    assert len(left) == 19
    assert int(kept[0][9:16]) >= 10
    for by in ("blur", "quality"):
        kept, left = best(faceset, 5, by)
        assert len(kept) == 5
        assert sorted(kept + left) == [row.face_id for row in faceset.rows()]
