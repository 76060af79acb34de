from __future__ import annotations

import numpy as np
import pytest

from facewright.provenance.visible import visible_mark


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (1280, 720), (240, 320)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_small_visible_and_in_its_corner(size, dtype):
    top = np.iinfo(dtype).max if dtype != np.float32 else 1
    for level in (0, 0.5, 1):
        image = np.full((size[1], size[0], 3), level * top, dtype)
        before = image.copy()
        marked = visible_mark(image, "PREVIEW")
        np.testing.assert_array_equal(image, before)
        assert marked.dtype == dtype
        changed = np.argwhere((marked != image).any(axis=2))
        (y0, x0), (y1, x1) = changed.min(axis=0), changed.max(axis=0)
        assert y0 > size[1] * 0.5
        assert x0 > 0
        assert y1 < size[1] - 1
        assert len(changed) < 0.2 * image.shape[0] * image.shape[1]
        box = marked[y0:y1, x0:x1].astype(float) / top
        assert box.max() - box.min() > 0.3, "letters stand out on any ground"


def test_other_words_give_other_marks():
    image = np.zeros((240, 320, 3), np.uint8)
    assert (visible_mark(image, "TEST") != visible_mark(image, "PREVIEW")).any()


def test_a_tiny_picture_does_not_fail():
    assert visible_mark(np.zeros((10, 12, 3), np.uint8), "PREVIEW").shape == (10, 12, 3)
