"""What is written is read back bit by bit: by Python itself, by the safe reader, and by NumPy 1's names."""

from __future__ import annotations

import io
import pickle
import pickletools

import numpy as np
import pytest

from facewright.core.pickling import LIST_BEGINS, LIST_ENDS, Enumerated, body, dump, dumps
from facewright.core.unpickle import read_pickle

WHOLE = {
    "single": [None, True, False, 0, -1, 255, 2**31, -(2**60), 1.5, float("inf"), "ünï", ""],
    "empty": [{}, [], np.zeros((0, 3), np.float32)],
    "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "view": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "nought-dimensional": np.array(2.5, np.float32),
    "kinds": [np.zeros(2, t) for t in ("f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")],
    "others": {"t": (1, ("x", ())), "s": {2, "b"}, "b": b"\x00\xff", "texts": np.array([["a", "bcd"]]),
               "raw": np.array([b"xy", b"z"])},
    "points": [[[1.5, -2.5], [float("inf"), 0.0]], [[1.0, 2]], [[1.0, 2.0, 3.0]], [(1.0, 2.0)]],
    "scalars": {"iters:0": np.int64(3), "f": np.float32(0.1), "b": np.bool_(True)},
}


def written(value) -> bytes:
    file = io.BytesIO()
    dump(value, file)
    return file.getvalue()


def same(a, b) -> bool:
    if isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("what", WHOLE)
def test_there_and_back(what):
    data = written(WHOLE[what])
    assert same(pickle.loads(data), WHOLE[what])  # noqa: S301  (our own bytes)
    plain = {"scalars": {"iters:0": 3, "f": float(np.float32(0.1)), "b": True}}
    assert same(read_pickle(data), plain.get(what, WHOLE[what]))


def test_an_old_numpy_knows_every_name():
    data = written({"w:0": np.ones(3, np.float32), "iters:0": np.int64(1)})
    asked = {argument for opcode, argument, _ in pickletools.genops(data) if opcode.name == "GLOBAL"}
    assert asked == {
        "numpy.core.multiarray _reconstruct", "numpy.core.multiarray scalar", "numpy ndarray", "numpy dtype",
    }
    assert data[:2] == b"\x80\x04"


@pytest.mark.parametrize("value", [object(), frozenset({1}), np.array([{}], object), np.zeros(1, "c8"),
                                   np.array(["2020"], "M8[Y]"), np.zeros(1, [("a", "f4")])])
def test_others_are_not_written(value):
    with pytest.raises(TypeError):
        written({"a": value})


def test_a_big_endian_array_keeps_its_order():
    array = np.arange(3, dtype=">f8")
    assert same(read_pickle(dumps(array)), array)
    assert np.array_equal(pickle.loads(dumps(array)), array)  # noqa: S301  (NumPy turns the bytes round)


def test_a_list_put_together_of_bodies_and_an_enumeration():
    whole = LIST_BEGINS + body({"a": (1, 2)}) + body(Enumerated("facelib.FaceType", "FaceType", 4)) + LIST_ENDS
    assert read_pickle(whole) == [{"a": (1, 2)}, 4]
    assert read_pickle(dumps([])) == read_pickle(LIST_BEGINS + LIST_ENDS) == []
