from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewright.faceset.selection import Chunk, chunks, runs, select, stretches
from facewright.faceset.settings import CHUNK_FRAMES

SHA = "ab" * 32


def test_native_rate_takes_all():
    assert select(np.arange(10) / 25, 0, 0, math.inf).tolist() == list(range(10))
    assert select(np.zeros(0), 0, 0, math.inf).tolist() == []


def test_ntsc_to_five():
    picked = select(np.arange(90) * 1001 / 30000, 5, 0, math.inf)
    assert picked.tolist()[:5] == [0, 6, 12, 18, 24]
    assert len(picked) == 15 + 1 or len(picked) == 15


def test_a_higher_rate_than_the_films_takes_all():
    assert len(select(np.arange(50) / 25, 60, 0, math.inf)) == 50


def test_start_and_end_belong_to_it():
    times = 7.0 + np.arange(100) / 25  # the film's own clock begins at 7 s
    assert select(times, 0, 1, 2).tolist() == list(range(25, 51))
    assert select(times, 1, 1, 3).tolist() == [25, 50, 75]
    assert select(times, 0, 99, math.inf).tolist() == []


def test_variable_rate_keeps_the_clock():
    times = np.array([0, 0.01, 0.02, 0.5, 0.51, 1.0, 1.9])
    assert select(times, 2, 0, math.inf).tolist() == [0, 3, 5, 6]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200, unique=True), st.floats(0.1, 60))
def test_at_most_one_a_tick_and_none_skipped(times, fps):
    moments = np.sort(np.array(times))
    picked = select(moments, fps, 0, math.inf)
    assert (np.diff(picked) > 0).all()
    ticks = np.floor((moments - moments[0]) * fps + 1e-3)
    assert sorted(set(ticks.tolist())) == ticks[picked].tolist()


def test_chunks_cover_in_order():
    frames = np.arange(3, 203, 2)
    made = chunks(SHA, frames)
    assert [f for c in made for f in c.frames] == frames.tolist()
    assert [len(c.frames) for c in made] == [CHUNK_FRAMES] * 3 + [100 - 3 * CHUNK_FRAMES]
    assert made[1].id == f"abababab:{3 + 2 * CHUNK_FRAMES:07d}"
    assert made[0].step == 2
    assert Chunk(SHA, (5,)).step == 1
    assert Chunk(SHA, (0, 6, 12, 19)).step == 1


def test_runs_follow_each_other():
    made = chunks(SHA, np.arange(200)) + chunks("cd" * 32, np.arange(64))
    todo = [made[0], made[1], made[3], made[4], made[7], made[8]]
    assert [[c.id for c in run] for run in runs(todo, made)] == [
        [made[0].id, made[1].id], [made[3].id, made[4].id], [made[7].id, made[8].id]]


def test_stretches_give_the_frames_back():
    for frames in ([], [4], [0, 1, 2, 3], [5, 10, 15, 16, 17, 30], [0, 2, 5, 7, 10]):
        assert [n for run in stretches(frames) for n in range(*run)] == frames
    assert stretches(list(range(0, 900, 3))) == [[0, 898, 3]]
