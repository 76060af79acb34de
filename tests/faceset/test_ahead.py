from __future__ import annotations

import threading
import time

import pytest

from facewright.faceset.ahead import ahead


def test_same_results_in_order_on_another_thread():
    threads = set()

    def numbers():
        for i in range(50):
            threads.add(threading.current_thread().name)
            yield i

    assert list(ahead(numbers())) == list(range(50))
    assert threads == {"read-ahead"}


def test_an_error_comes_behind_the_results_before_it():
    def broken():
        yield 1
        yield 2
        raise ValueError("third")

    got = []
    with pytest.raises(ValueError, match="third"):
        got.extend(ahead(broken()))
    found = ahead(broken())
    assert [next(found), next(found)] == [1, 2]
    found.close()


def test_closing_stops_the_source():
    made, closed = [], threading.Event()

    def endless():
        try:
            while True:
                made.append(1)
                yield len(made)
        finally:
            closed.set()

    found = ahead(endless(), depth=2)
    assert next(found) == 1
    found.close()
    assert closed.wait(5)
    assert len(made) <= 3
    assert not [t for t in threading.enumerate() if t.name == "read-ahead"]


def test_no_more_is_made_than_there_is_room_for():
    made = []

    def numbers():
        for i in range(20):
            made.append(i)
            yield i

    for i in ahead(numbers(), depth=1):
        time.sleep(0.005)
        assert len(made) <= i + 2
