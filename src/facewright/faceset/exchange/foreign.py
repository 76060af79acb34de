"""Plain values and arrays of another program as JSON, exact both ways: what `Face.foreign` holds.

Texts, whole numbers, finite floats, True, False and None stand for themselves, lists for lists. Everything else is a
table with one key that says what it is: `dict` (pairs), `tuple`, `set`, `bytes`, `float` (nan, inf), `array`, and
`points`: a list of [x, y] floats, the usual case, in a fifth of the space.
"""

from __future__ import annotations

import base64
import marshal
import math
import re
from contextlib import suppress
from typing import Any

import numpy as np

from facewright.core.pickling import are_points

_DTYPE = re.compile(r"[<>|][fiubSU]\d{1,6}")


def pack(value: Any) -> Any:
    """JSON-able. TypeError for a value that is none of the kinds above."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return {"points": _text(np.array(value, "<f8"))} if are_points(value) else [pack(v) for v in value]
    if isinstance(value, tuple | set):
        return {type(value).__name__: [pack(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(k), pack(v)] for k, v in value.items()]}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, np.ndarray) and _DTYPE.fullmatch(value.dtype.str):
        return {"array": value.dtype.str, "shape": list(value.shape), "data": _text(value)}
    raise TypeError(f"a {type(value).__name__} has no place in a face file")


def unpack(value: Any) -> Any:
    """What `pack` was given. ValueError, TypeError, LookupError: not made by it."""
    if isinstance(value, list):
        return [unpack(v) for v in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value))
    held = value[kind]
    if kind == "points":
        return np.frombuffer(base64.b64decode(held, validate=True), "<f8").reshape(-1, 2).tolist()
    if kind == "array" or "data" in value:
        return _array(value["array"], value["shape"], value["data"])
    if kind == "dict":
        return {unpack(k): unpack(v) for k, v in held}
    if kind == "bytes":
        return base64.b64decode(held, validate=True)
    if kind == "float":
        return float(held)
    return {"tuple": tuple, "set": set}[kind](unpack(v) for v in held)


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal in kind and to the last bit."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        alike = type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
        return alike and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        if type(a) is list and are_points(a):
            with suppress(ValueError):  # b holds something else than plain values
                return marshal.dumps(a, 2) == marshal.dumps(b, 2)  # kinds and bits, in one go
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def _array(dtype: str, shape: list[int], data: str) -> np.ndarray:
    if not _DTYPE.fullmatch(dtype):
        raise ValueError("an array of unknown make")
    return np.frombuffer(base64.b64decode(data, validate=True), dtype).reshape(shape)


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
