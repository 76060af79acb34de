from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.training.collapse import AGAIN, BLOCK, KNOWN, LOOK, SETTLED, STAYS, Collapsed, Signs

_START = KNOWN * BLOCK


def feed(signs, losses, first=1):
    """Losses of iterations `first`, ...; returns the warnings, and after which iteration the net counts as broken."""
    warnings, broken = [], None
    for n in range(0, len(losses), 7):  # reports come in any length
        part = np.asarray(losses[n : n + 7], float)
        warning = signs.losses(list(range(first + n, first + n + len(part))), part)
        warnings += [warning] if warning else []
        if signs.verdict() and broken is None:
            broken = first + n + len(part) - 1
    return warnings, broken


def noisy(seed, count, spread=0.25, level=0.5):
    """A loss that falls as trainings' do, in heavy noise."""
    rng = np.random.default_rng(seed)
    return (level + 2 * np.arange(1, count + 1) ** -0.4) * np.exp(spread * rng.standard_normal(count))


@given(st.integers(0, 10_000), st.floats(0.02, 0.8))
def test_noise_is_no_collapse(seed, spread):
    signs = Signs()
    warnings, broken = feed(signs, noisy(seed, 2000, spread))
    assert (warnings, broken) == ([], None)


@given(st.integers(0, 10_000))
def test_single_bad_stretches_are_made_good(seed):
    losses = noisy(seed, 1500, 0.1)
    losses[600:750] *= 4
    signs = Signs()
    warnings, broken = feed(signs, losses)
    assert len(warnings) == 1
    assert "goes back to the last good save" in warnings[0]
    assert broken is None
    assert not signs.doubt
    assert signs.good == 1500


@pytest.mark.parametrize("factor", [3.0, 6.0])
def test_a_loss_that_stays_high_is_one_and_saves_of_then_are_not_sound(factor):
    losses = noisy(1, 1000, 0.1)
    losses[604:] *= factor
    signs = Signs()
    warnings, broken = feed(signs, losses)
    assert broken is not None
    assert STAYS * BLOCK <= broken - 604 <= STAYS * BLOCK + 20
    assert 590 <= signs.onset <= 604
    assert len(warnings) == 1
    sign, text = signs.verdict()
    assert sign == "loss"
    assert "stays there" in text


def test_a_rise_is_in_doubt_before_the_block_is_full():
    signs = Signs()
    feed(signs, np.full(_START, 0.5))
    assert not signs.doubt
    signs.losses([_START + 1], np.array([9.0]))
    assert "0.500" in signs.doubt
    signs.losses([_START + k for k in range(2, 21)], np.full(19, 0.5))
    assert not signs.doubt


def test_what_is_measured_anew_has_no_usual_range_yet():
    signs = Signs()
    feed(signs, np.full(_START, 0.5))
    signs.restart(_START)
    assert signs.onset == _START + 1, "the save from before the change is sound"
    assert feed(signs, np.full(1000, 3.0), _START + 1) == ([], None)
    assert signs.onset == _START + 1000


def test_faces_that_become_plain_are_looked_at_twice():
    signs = Signs()
    for iteration, life in ((100, 0.9), (300, 0.01)):  # noise of a new net, then the grey it learns first
        signs.look(iteration, life)
        assert not signs.doubt
    signs.look(SETTLED, 0.6)
    signs.look(SETTLED + 500, 0.01)
    signs.look(SETTLED + 501, 0.01)
    assert "variance" in signs.doubt
    assert signs.verdict() is None
    assert not signs.look_due(SETTLED + 502)
    assert signs.look_due(SETTLED + 500 + AGAIN)
    signs.look(SETTLED + 500 + AGAIN, float("nan"))
    assert signs.verdict()[0] == "variance"
    signs.good = 10**6
    assert signs.onset == SETTLED + 1
    signs.look(SETTLED + 700, 0.7)
    assert signs.verdict() is None
    assert not signs.doubt


def test_faces_are_looked_at_though_nobody_asks_for_a_preview():
    signs = Signs()
    assert not any(signs.look_due(i) for i in range(SETTLED))
    looked = []
    for i in range(SETTLED, SETTLED + 4 * LOOK):
        if signs.look_due(i):
            signs.look(i, 0.8)
            looked.append(i)
    assert looked == [SETTLED + k * LOOK for k in range(4)]
    signs.restart(looked[-1] + 1)  # losses of what comes now are as large as they like
    signs.look(looked[-1] + LOOK, 0.0)
    signs.look(looked[-1] + LOOK + AGAIN, 0.0)
    assert signs.verdict()[0] == "variance"


def test_a_part_that_begins_afresh_may_be_plain():
    signs = Signs(5 * SETTLED)
    signs.look(5 * SETTLED, 0.9)
    signs.afresh(5 * SETTLED + 10)
    for k in range(1, 9):
        signs.look(5 * SETTLED + 100 * k, 0.01)
    assert not signs.doubt


def test_the_error_crosses_processes():
    kind, values = Collapsed("loss", 1234, "it rose").__reduce__()
    error = kind(*values)
    assert (error.sign, error.iteration, error.what) == ("loss", 1234, "Training stopped at iteration 1,234: it rose.")
