from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.settings import check
from facewright.training import clock
from facewright.training.settings import SaehdTrain


def settings(**values):
    return check(SaehdTrain, values)


def test_used_time_goes_on_after_an_interruption():
    times = iter([100.0, 103.0, 500.0, 504.0])
    first = clock.Clock(0.0, now=lambda: next(times))
    used = first.used_s
    assert used == 3.0
    assert clock.Clock(used, now=lambda: next(times)).used_s == 7.0


def test_the_nearer_end_counts():
    s = settings(minutes=10, iterations=1000)
    assert clock.share(s, 100, 300.0) == 0.5
    assert clock.share(s, 900, 300.0) == 0.9
    assert clock.over(s, 1000, 0)
    assert clock.over(s, 0, 600)
    assert not clock.over(settings(), 10**9, 1e9)


@given(st.floats(0, 1))
def test_cosine_stays_between_its_limits(used):
    rate = clock.learning_rate(settings(lr=1e-3, lr_schedule="cosine", minutes=1), 0, used)
    assert 1e-5 - 1e-12 <= rate <= 1e-3 + 1e-12


def test_cosine_warms_up_and_ends_at_two_percent():
    s = settings(lr=1e-3, lr_schedule="cosine", minutes=1)
    rates = [clock.learning_rate(s, 0, u / 100) for u in range(101)]
    assert rates[5] == max(rates) == pytest.approx(1e-3)
    assert rates[:6] == sorted(rates[:6])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[100] == pytest.approx(2e-5)


def test_cycle_is_the_originals():
    s = settings(lr=1e-3, lr_schedule="cycle")
    assert clock.learning_rate(s, 0, 0) == pytest.approx(1e-3)
    assert clock.learning_rate(s, 250, 0) == pytest.approx(0, abs=1e-12)
    assert clock.learning_rate(s, 500, 0) == pytest.approx(1e-3)


def test_remaining_time():
    assert clock.remaining_s(settings(), 5, 5, 1) is None
    assert clock.remaining_s(settings(minutes=1), 5, 15, 1) == 45
    assert clock.remaining_s(settings(minutes=1, iterations=30), 10, 15, 2) == 10
    assert clock.remaining_s(settings(minutes=1), 5, 15, 1, pace=2.0) == 22.5  # two cores use up processor time
    assert clock.remaining_s(settings(minutes=1), 5, 15, 1, pace=0.0) is None
