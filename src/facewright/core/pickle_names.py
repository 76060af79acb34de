"""The names that a foreign pickle may ask for, and the inert stand-ins that it gets instead: no class of the pickle is
ever imported, arrays are rebuilt by hand from their bytes. Rules: consent-and-provenance.md section 6.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

_DTYPE = re.compile(r"[<>|=]?[fiubSU]\d{1,9}")


class Inert:
    """An allowed name. Its state cannot be set, so a pickle cannot change it for the next one."""

    __slots__ = ("_call", "_name")

    def __init__(self, name: str, call: Callable[..., Any] | None = None) -> None:
        self._name, self._call = name, call

    def __call__(self, *arguments: Any) -> Any:
        """Make the harmless value that stands for what the name would have made."""
        if self._call is None:
            raise TypeError(f"{self._name} cannot be called")
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise TypeError(f"{self._name} has no state")


class _Dtype:
    """numpy.dtype: float, int, uint, bool, bytes or text; no fields, no objects."""

    __slots__ = ("value",)

    def __init__(self, text: Any, align: Any = False, copy: Any = False) -> None:
        self.value = _dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subtype, names, fields, *_ = state
        if subtype is not None or names is not None or fields is not None:
            raise ValueError("structured arrays are not allowed")
        self.value = self.value.newbyteorder(order)


@lru_cache(64)
def _dtype(text: Any) -> np.dtype:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ValueError(f"array type {text!r} is not allowed")
    found = np.dtype(text)
    if found.kind not in "fiubSU" or found.itemsize == 0:
        raise ValueError(f"array type {text!r} is not allowed")
    return found


class Array:
    """An ndarray in the making: filled by BUILD, or by `_frombuffer` of protocol 5."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise TypeError("an array of unknown make")
    if len(shape) > 8 or not all(type(n) is int and n >= 0 for n in shape) or order not in ("C", "F"):
        raise ValueError("an array of impossible shape")
    if math.prod(shape) * dtype.value.itemsize != len(data):
        raise ValueError("an array whose size does not fit its data")
    if not data:
        return np.zeros(shape, dtype.value)
    array = np.frombuffer(data, dtype.value).reshape(shape, order=order)  # type: ignore[call-overload]
    array.flags.writeable = False
    return array


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    if kind is not _NDARRAY:
        raise TypeError("an array of unknown make")
    return Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    made = Array()
    made.value = _array(data, dtype, shape, order)
    return made


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (1,), "C")[0].item()


def _encode(text: Any, codec: Any) -> bytes:
    if not isinstance(text, str) or codec != "latin1":
        raise ValueError("only latin1 text stands for bytes")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _bytearray(data: Any = b"") -> bytearray:
    if not isinstance(data, bytes):
        raise TypeError("a bytearray of unknown make")
    return bytearray(data)


def _set(items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple):
        raise TypeError("a set of unknown make")
    return set(items)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    if not isinstance(pairs, list | tuple):
        raise TypeError("a dict of unknown make")
    return dict(pairs)


def _enum(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("an enumeration's value is an integer")
    return value


_NDARRAY = Inert("numpy.ndarray")
ALLOWED: dict[tuple[str, str], Inert] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Inert("numpy.dtype", _Dtype),
    ("_codecs", "encode"): Inert("encode", _encode),
    ("__builtin__", "bytes"): Inert("bytes", _no_bytes),
    ("builtins", "bytes"): Inert("bytes", _no_bytes),
    ("collections", "OrderedDict"): Inert("OrderedDict", _ordered),
    ("samplelib.Sample", "SampleType"): Inert("SampleType", _enum),
    ("facelib.FaceType", "FaceType"): Inert("FaceType", _enum),
    ("core.imagelib.SegIEPolys", "SegIEPolyType"): Inert("SegIEPolyType", _enum),
}
for _core in ("numpy.core", "numpy._core"):
    ALLOWED[f"{_core}.multiarray", "_reconstruct"] = Inert("_reconstruct", _reconstruct)
    ALLOWED[f"{_core}.multiarray", "scalar"] = Inert("scalar", _scalar)
    ALLOWED[f"{_core}.numeric", "_frombuffer"] = Inert("_frombuffer", _frombuffer)
for _builtins in ("__builtin__", "builtins"):
    ALLOWED[_builtins, "set"] = Inert("set", _set)
    ALLOWED[_builtins, "bytearray"] = Inert("bytearray", _bytearray)


COPYING = frozenset(
    found for (_, name), found in ALLOWED.items() if name in ("encode", "OrderedDict", "set", "bytearray")
)
"""Those that make a copy of what they are given."""
