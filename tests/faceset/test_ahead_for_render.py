from __future__ import annotations

import threading

import pytest

from facewright.faceset.ahead import ahead


def test_in_order_and_all():
    assert list(ahead(iter_of(100))) == list(range(100))
    assert list(ahead(iter_of(0))) == []


def iter_of(count: int):
    yield from range(count)


def test_an_error_arrives_where_the_items_are_read():
    def broken():
        yield 1
        raise KeyError("x")

    reader = ahead(broken())
    assert next(reader) == 1
    with pytest.raises(KeyError):
        next(reader)


def test_closing_ends_the_thread_and_the_source():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    reader = ahead(endless(), depth=2)
    assert next(reader) == 0
    reader.close()
    assert closed.is_set()
    assert threading.active_count() == before
