"""Nets on several threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from facewright.core.weights import resolve
from facewright.faces.nets import LiteNet


@pytest.mark.shared
def test_nets_that_are_loaded_at_once_leave_stderr_where_it_is(weights):
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        nets = list(pool.map(lambda _: LiteNet(resolve("iris")), range(24)))
    assert os.path.samestat(before, os.fstat(2))
    assert len({net.side for net in nets}) == 1


@pytest.mark.shared
def test_one_net_asked_from_several_threads_answers_each(weights):
    net = LiteNet(resolve("iris"))
    pictures = np.random.default_rng(2).random((12, 1, net.side, net.side, 3)).astype(np.float32)
    alone = [net(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(net, pictures))
    for one, other in zip(alone, together):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)
