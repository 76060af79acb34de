from __future__ import annotations

import pytest

from facewright.core.step import Work


@pytest.mark.parametrize(("asks", "ended"), [(0, [1, 2, 3]), (1, [1, 2]), (2, [1, 2])])
def test_a_stop_ends_behind_the_one_in_hand(asks, ended):
    work, done = Work(), []
    for one in work.until_stopped(iter([1, 2, 3])):
        done.append(one)
        if one == 2:
            for _ in range(asks):
                work.stop.ask()
    assert done == ended


def test_what_is_made_while_a_stop_at_once_comes_is_dropped():
    work = Work()

    def made():
        yield 1
        work.stop.ask()
        work.stop.ask()
        yield 2

    assert list(work.until_stopped(made())) == [1]


def test_the_job_s_id(tmp_path):
    assert Work(folder=tmp_path / "01ABC-extract").job == "01ABC"
    work = Work()
    assert work.job != work.job
