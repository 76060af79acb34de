"""Orders by likeness equal the original's, and what a plain search finds."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.image import alike
from facewright.image.alike import histogram_chain, in_slices, pixel_chain, roots_of, strangeness


@pytest.fixture(scope="module")
def drawn(golden):
    numbers = json.loads((golden / "data" / "sort.json").read_text())["pics"]
    return np.load(golden / "data" / "sort_pics.npz")["pics"], numbers


def named(order):
    return [f"p{i:02d}" for i in order]


def counts(pictures):
    return np.stack([[np.bincount(c.ravel(), minlength=256) for c in np.moveaxis(p, -1, 0)] for p in pictures])


def test_chains_equal_the_original(drawn):
    pictures, numbers = drawn
    assert named(histogram_chain(roots_of(counts(pictures)))) == numbers["hist_order"]
    assert named(pixel_chain(pictures.copy())) == numbers["absdiff_similar_order"]
    assert named(pixel_chain(pictures.copy(), alike=False)) == numbers["absdiff_dissimilar_order"]


def test_strangeness_equals_the_original(drawn):
    pictures, numbers = drawn
    grey = np.stack([cv2.cvtColor(p, cv2.COLOR_BGR2GRAY) for p in pictures])[..., None]
    found = strangeness(roots_of(counts(grey)[:, 0]))
    assert np.abs(found - numbers["hist_dissim_score"]).max() < 1e-3


def plainly(count, distance):
    order = list(range(count))
    for i in range(count - 1):
        rest = [distance(order[i], order[j]) for j in range(i + 1, count)]
        k = i + 1 + int(np.argmin(rest))
        order[i + 1], order[k] = order[k], order[i + 1]
    return order


def faces(seed, count, groups, noise):
    rng = np.random.default_rng(seed)
    bases = [cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (32, 32)) for _ in range(groups)]
    return np.stack([
        np.clip(bases[rng.integers(groups)] * rng.uniform(0.4, 1) + rng.normal(0, noise, (32, 32, 3)), 0, 255)
        for _ in range(count)]).astype(np.uint8)


MANY = {"seed": st.integers(0, 1 << 16), "count": st.integers(1, 40), "groups": st.integers(1, 5)}


@given(**MANY, noise=st.sampled_from([0, 3, 60]))
def test_pixel_chains_are_what_a_plain_search_finds(seed, count, groups, noise):
    pictures = faces(seed, count, groups, noise)
    whole = pictures.astype(np.int32)

    def far(a, b):
        return int(np.abs(whole[a] - whole[b]).sum())

    assert pixel_chain(pictures.copy()).tolist() == plainly(count, far)
    assert pixel_chain(pictures.copy(), alike=False).tolist() == plainly(count, lambda a, b: -far(a, b))


@given(**MANY, noise=st.sampled_from([3, 60]))
def test_histogram_chains_are_what_a_plain_search_finds(seed, count, groups, noise):
    roots = roots_of(counts(faces(seed, count, groups, noise)))

    def far(a, b):
        return float(np.sqrt(np.maximum(1 - np.einsum("cb,cb->c", roots[a], roots[b]), 0)).sum())

    assert histogram_chain(roots.copy()).tolist() == plainly(count, far)


def test_many_that_lie_together_are_compared_by_threads(monkeypatch):
    pictures = faces(3, 60, 2, 60)
    before = pixel_chain(pictures.copy(), alike=False)
    monkeypatch.setattr(alike, "_ROWS_OF_A_THREAD", 3)
    monkeypatch.setattr(alike, "_MOST_PICKED", 0.0)
    assert np.array_equal(pixel_chain(pictures.copy(), alike=False), before)


def test_progress_is_told():
    told = []
    pixel_chain(faces(1, 300, 3, 5), lambda done, total: told.append((done, total)))
    histogram_chain(roots_of(counts(faces(1, 300, 3, 5))), lambda done, total: told.append((done, total)))
    assert told == [(0, 300), (256, 300)] * 2


def test_equal_pictures_follow_each_other_as_they_stood():
    pictures = np.repeat(faces(1, 3, 3, 5), 4, axis=0)[[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]]
    order = pixel_chain(pictures.copy())
    same = [tuple(sorted(order[i : i + 4] % 3)) for i in (0, 4, 8)]
    assert sorted(same) == [(0,) * 4, (1,) * 4, (2,) * 4]


def test_long_sets_are_chained_in_slices(monkeypatch):
    monkeypatch.setattr(alike, "MOST_OF_A_CHAIN", 10)
    pictures = faces(5, 25, 3, 5)
    order = in_slices(pixel_chain, pictures.copy())
    assert sorted(order) == list(range(25))
    for at in (0, 10, 20):
        part = pictures[at : at + 10]
        assert np.array_equal(order[at : at + 10] - at, pixel_chain(part.copy()))
    assert in_slices(pixel_chain, pictures[:0]).tolist() == []


def test_an_empty_histogram_is_far_from_all():
    roots = roots_of(np.stack([np.zeros((256,), np.uint32), np.eye(256, dtype=np.uint32)[7]]))
    assert np.isfinite(roots).all()
    assert strangeness(np.stack([roots[1], roots[1], np.eye(256)[9]])).tolist() == [1, 1, 2]
