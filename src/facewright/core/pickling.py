"""Write plain values and arrays as a pickle that DeepFaceLab's old Python and NumPy read.

Protocol 4, NumPy 1's module names (NumPy 2 knows them too), nothing but the opcodes below: what is written here is
inside the allow-list of unpickle.py. Arrays go out without a second copy in memory.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
"""The call that makes an empty array, whose state follows."""

_NATIVE = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


@dataclass(frozen=True, slots=True)
class Enumerated:
    """A member of an enumeration of the other program, by its number: the one kind of name that it asks for."""

    module: str
    name: str
    value: int


def dump(value: Any, file: BinaryIO) -> None:
    """Write None, bool, int, float, str, bytes, list, tuple, set, dict, Enumerated, ndarray and NumPy scalars.
    TypeError for others."""
    file.write(b"\x80\x04")
    _write(value, file)
    file.write(b".")


def dumps(value: Any) -> bytes:
    """The same as bytes."""
    file = io.BytesIO()
    dump(value, file)
    return file.getvalue()


def body(value: Any) -> bytes:
    """The opcodes of one value alone: any number of them between `LIST_BEGINS` and `LIST_ENDS` are a list's pickle."""
    file = io.BytesIO()
    _write(value, file)
    return file.getvalue()


LIST_BEGINS, LIST_ENDS = b"\x80\x04](", b"e."


def _write(value: Any, file: BinaryIO) -> None:
    if isinstance(value, np.ndarray):
        _write_array(value, file)
    elif isinstance(value, np.generic):
        data = value.tobytes()
        file.write(b"cnumpy.core.multiarray\nscalar\n" + _dtype(value.dtype) + b"C" + bytes([len(data)]) + data)
        file.write(b"\x86R")
    elif isinstance(value, list):
        if are_points(value):
            file.write(b"](" + b"".join([_POINT.pack(_PAIR, x, _FLOAT, y, _END) for x, y in value]) + b"e")
            return
        file.write(b"](")
        for entry in value:
            _write(entry, file)
        file.write(b"e")
    elif isinstance(value, tuple | set):
        file.write(b"(" if isinstance(value, tuple) else b"\x8f(")
        for entry in value:
            _write(entry, file)
        file.write(b"t" if isinstance(value, tuple) else b"\x90")
    elif isinstance(value, Enumerated):
        file.write(f"c{value.module}\n{value.name}\n".encode("ascii") + _single(value.value) + b"\x85R")
    elif isinstance(value, dict):
        file.write(b"}(")
        for key, entry in value.items():
            _write(key, file)
            _write(entry, file)
        file.write(b"u")
    else:
        file.write(_single(value))


_POINT = struct.Struct(">3sdcdc")
_PAIR, _FLOAT, _END = b"](G", b"G", b"e"


def are_points(value: list[Any]) -> bool:
    """Whether it is a list of [x, y] floats: faces are full of them, so these are written at once."""
    return set(map(type, value)) == {list} and set(map(len, value)) == {2} and set(
        map(type, chain.from_iterable(value))) == {float}


def _single(value: Any) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else b"\x8a" + bytes([len(data)]) + data
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    raise TypeError(f"a {type(value).__name__} is not written")


def _write_array(array: np.ndarray, file: BinaryIO) -> None:
    array = np.ascontiguousarray(array).reshape(array.shape)
    shape = b"(" + b"".join(_single(int(n)) for n in array.shape) + b"t"
    file.write(_ARRAY + b"(K\x01" + shape + _dtype(array.dtype) + b"\x89\x8e" + struct.pack("<Q", array.nbytes))
    file.write(array.data if array.nbytes else b"")
    file.write(b"tb")


def _dtype(dtype: np.dtype) -> bytes:
    name, order = f"{dtype.kind}{dtype.itemsize}", _single(dtype.str[0])
    state = b"(K\x03" + order + b"NNN"
    if dtype.kind in "SU" and dtype.itemsize:  # texts say their size and alignment once more
        name = dtype.str[1:]
        state += _single(dtype.itemsize) + _single(dtype.alignment) + b"K" + bytes([dtype.flags])
    elif name in _NATIVE:
        state += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    else:
        raise TypeError(f"arrays of {dtype} are not written")
    return b"cnumpy\ndtype\n" + _single(name) + b"K\x00K\x01\x87R" + state + b"tb"
