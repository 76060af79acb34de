from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import ContentRefused
from facewright.provenance.sensitive import (
    MARK_PREVIEW,
    Verdict,
    classifier,
    film_is_hit,
    marks_for,
    sample_plan,
    screen,
    shrink,
    timecode,
)

RATE = 25


def times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


class Film:
    """A film whose frame i is a flat picture that spells i; a stub net that reads i and looks up its score."""

    def __init__(self, scores: dict[int, float], sexy: float = 0.0) -> None:
        self.scores, self.sexy, self.seen = scores, sexy, []

    def read(self, wanted: list[int]):
        for index in wanted:
            self.seen.append(index)
            yield index, np.full((8, 10, 3), (index // 256, index % 256, 0), np.uint8)

    def classify(self, images_01: np.ndarray) -> np.ndarray:
        assert images_01.shape[1:] == (224, 224, 3)
        assert images_01.dtype == np.float32
        pixels = np.rint(images_01[:, 0, 0] * 255).astype(int)
        out = np.zeros((len(images_01), 5), np.float32)
        for row, (high, low, _) in zip(out, pixels, strict=True):
            score = self.scores.get(high * 256 + low, 0.0)
            row[:] = 0, score / 2, 1 - score - self.sexy, score / 2, self.sexy
        return out

    def screen(self, seconds: float, **other) -> Verdict:
        return screen(self.read, times(seconds), self.classify, subject="result", seed=1, net_sha256="ab", **other)


def run(first_s: float, last_s: float, score: float) -> dict[int, float]:
    return {i: score for i in range(int(first_s * RATE), int(last_s * RATE))}


def test_a_safe_film_is_clear():
    film = Film({})
    verdict = film.screen(120)
    assert (verdict.state, verdict.hits, verdict.grey, verdict.net_sha256) == ("clear", (), 0, "ab")
    assert verdict.samples == len(film.seen) >= 120
    assert marks_for([verdict]) == ()


def test_skin_that_is_only_sexy_never_blocks():
    verdict = Film({}, sexy=0.96).screen(30)
    assert verdict.state == "clear"
    assert verdict.as_dict()["sexiest_milli"] == 960


def test_three_hits_within_ten_seconds_refuse():
    verdict = Film(run(100, 104, 0.9)).screen(600)
    assert verdict.state == "refused"
    assert len(verdict.hits) >= 3
    with pytest.raises(ContentRefused) as caught:
        marks_for([verdict])
    assert "0:01:40" in caught.value.why
    assert "no setting" in caught.value.remedy


def test_one_hit_in_a_long_film_is_listed_and_passes():
    verdict = Film({100 * RATE: 0.85}).screen(600)
    assert verdict.state == "hits_below_rule"
    assert [hit.as_dict()["time"] for hit in verdict.hits] == ["0:01:40.000"]
    assert verdict.as_dict()["hits"][0]["score_milli"] == 850
    assert marks_for([verdict]) == ()


def test_one_hit_in_a_short_film_is_more_than_two_percent():
    assert Film({0: 0.85}).screen(4).state == "refused"


def test_grey_makes_it_look_closer():
    """A one-second flash between two whole seconds: one grey sample leads to the hits around it."""
    scores = run(50.1, 50.9, 0.95) | {50 * RATE: 0.5}
    blind = Film(run(50.1, 50.9, 0.95))
    film = Film(scores)
    verdict = film.screen(600)
    assert verdict.grey >= 1
    assert verdict.state == "refused"
    assert len(film.seen) == len(set(film.seen))
    assert len(film.seen) > len(blind.seen) - 3


def test_a_film_that_cannot_be_read_through_is_not_cleared():
    film = Film({})
    with pytest.raises(ContentRefused, match="could not see"):
        screen(lambda plan: list(film.read(plan))[:-1], times(5), film.classify, subject="target", seed=1)
    with pytest.raises(ContentRefused, match="could not see"):
        screen(film.read, times(5), lambda x: np.full((len(x), 5), np.nan), subject="target", seed=1)


def test_without_the_net_only_marked_previews_of_ten_seconds():
    film = Film({})
    for seconds in (4.0, 10.0):
        verdict = screen(film.read, times(seconds), None, subject="result", seed=1)
        assert verdict.state == "unscreened"
        assert marks_for([verdict]) == (MARK_PREVIEW,)
    assert film.seen == []
    for verdicts in ([screen(film.read, times(10.04), None, subject="result", seed=1)], []):
        with pytest.raises(ContentRefused, match="no net"):
            marks_for(verdicts)


def test_one_unscreened_or_refused_verdict_decides():
    clear, unseen = Film({}).screen(5), Verdict("unscreened", "target", 5.0)
    refused = Film(run(0, 5, 1.0)).screen(5)
    assert marks_for([clear, unseen]) == (MARK_PREVIEW,)
    for verdicts in ([clear, refused], [unseen, refused], [refused, clear]):
        with pytest.raises(ContentRefused, match="sexual content"):
            marks_for(verdicts)


@given(st.integers(1, 2000), st.lists(st.integers(0, 2000), max_size=4), st.integers(0, 9))
def test_plan(count, cuts, seed):
    line = np.arange(count) / RATE
    edges = sorted({0, count, *(c for c in cuts if c < count)})
    shots = list(pairwise(edges))
    plan = sample_plan(line, shots, np.random.default_rng(seed))
    assert plan == sorted(set(plan))
    assert plan[0] >= 0
    assert plan[-1] < count
    for a, b in shots:
        assert {a, (a + b - 1) // 2, b - 1} <= set(plan)
    assert all(any(s <= line[i] < s + 1 for i in plan) for s in range(int(line[-1]) + 1) if (line >= s).any())
    assert plan == sample_plan(line, shots, np.random.default_rng(seed))
    assert len(plan) <= 3 * len(shots) + int(line[-1]) + 2 + 16


def test_plan_of_an_uneven_or_empty_film():
    assert sample_plan(np.array([]), [], np.random.default_rng(0)) == []
    late = np.concatenate([np.arange(10) / RATE, 60 + np.arange(10) / RATE])
    assert {0, 10, 19} <= set(sample_plan(late, [], np.random.default_rng(0)))


@pytest.mark.parametrize(("hits", "samples", "refused"), [
    ([], 100, False), ([5.0], 50, False), ([5.0], 49, True), ([0, 5, 10], 1000, True), ([0, 5, 10.1], 1000, False),
    ([0, 20, 40], 150, False), ([0, 20, 40, 60], 150, True),
])
def test_film_rule(hits, samples, refused):
    assert film_is_hit(hits, samples) is refused


def test_shrink_takes_both_depths():
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    small = shrink(image)
    assert small.shape == (224, 224, 3)
    assert small.dtype == np.float32
    assert 0 <= small.min() <= small.max() <= 1
    np.testing.assert_array_equal(small, shrink(image.astype(np.uint16) * 257))


def test_timecode():
    assert timecode(3723.4567) == "1:02:03.457"


def test_no_net_no_classifier(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path))
    assert classifier() is None


@pytest.mark.shared
def test_the_real_net_finds_talking_heads_safe(weights, shared):
    from facewright.media.reader import frames, open_video

    found = classifier()
    assert found is not None
    film = open_video(shared / "footage" / "man_headpose.mp4")

    def read(plan: list[int]):
        return ((f.index, f.image) for f in frames(film) if f.index in plan)

    verdict = screen(read, np.arange(62) / 12, found[0], subject="target", seed=3, net_sha256=found[1])
    assert verdict.state == "clear"
    assert verdict.highest_01 < 0.4
    assert len(verdict.net_sha256) == 64
