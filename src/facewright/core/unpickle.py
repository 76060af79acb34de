"""The one safe reader of foreign pickles: a closed allow-list of inert stand-ins, and limits on everything.

Rules: consent-and-provenance.md section 6. No class of the pickle is ever imported; arrays are rebuilt by hand
from their bytes; what comes out are plain Python values and NumPy arrays of numbers or text.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import read_file

OPCODE_LIMIT = 5_000_000
NESTING_LIMIT = 32
_NODES_PER_OPCODE = 4
"""Values in the result, counted once for each place that refers to them: more come only from lists of equal lists
of equal lists ..., which double at each level."""

_TUPLE_WEIGHT_LIMIT = 1_000
_COPIED_PER_BYTE, _COPIED_AT_LEAST = 4, 1 << 20
"""Bytes and items that allowed names may copy: an honest pickle has each of its own copied once."""
_LONGEST_INTEGER_BITS = 64
"""Longer ones may be chosen to collide as keys, or to take minutes to print."""
_FORBIDDEN = {
    "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
    "READONLY_BUFFER", "FROZENSET",
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4, pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_SIGNED_LENGTHS = {"LONG4", "BINSTRING"}
_INDEXED = {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
"""Opcodes of a fixed size whose argument counts."""


def _plain_pushes() -> list[int]:
    """Size in bytes of each opcode that only pushes one value of a fixed size and is not forbidden; else 0."""
    sizes = [0] * 256
    for opcode in pickletools.opcodes:
        width = 0 if opcode.arg is None else opcode.arg.n
        one = not opcode.stack_before and len(opcode.stack_after) == 1 and opcode.name not in (*_TUPLES, *_INDEXED)
        if one and width >= 0 and opcode.name not in {*_FORBIDDEN, "MARK"}:
            sizes[ord(opcode.code)] = 1 + width
    return sizes


_PLAIN_PUSH = _plain_pushes()
_MARK, _MEMOIZE, _APPENDS, _EMPTY_LIST = 0x28, 0x94, 0x65, 0x5D
_BRIEF = {_MARK, _MEMOIZE, _APPENDS}
_PAIRS = re.compile(rb"(?:\]\(G.{8}G.{8}e)++|(?:\]\x94\(G.{8}G.{8}e)++", re.DOTALL)
"""Lists of two floats in a row, without or with a place in the memo."""
_DTYPE = re.compile(r"[<>|=]?[fiubSU]\d{1,9}")
_REFUSALS = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, RecursionError,
)


def read_pickle(data: bytes, where: object = None, *, opcode_limit: int = 0) -> Any:
    """Bytes of a pickle (protocols 0 to 5) -> None, bool, int, float, str, bytes, list, tuple, set, dict, ndarray.

    Arrays are read-only views of the data. `opcode_limit`: 0 = OPCODE_LIMIT. Raises FileRefused for anything outside
    the allow-list or the limits.
    """
    try:
        opcodes = _scan(data, opcode_limit or OPCODE_LIMIT)
        return _Plain(_NODES_PER_OPCODE * opcodes + 1000).of(_Reader(data).load(), 0)
    except _REFUSALS as error:
        raise FileRefused(
            "The file is not one that facewright reads safely.", why=str(error) or type(error).__name__,
            remedy="Use a file written by DeepFaceLab itself; do not open it with other programs.", where=where,
        ) from error


def read_pickle_file(path: Path, *, limit_bytes: int = 4 << 30, opcode_limit: int = 0) -> Any:
    """As `read_pickle`, from a file of at most `limit_bytes`. Raises FileRefused."""
    return read_pickle(read_file(path, limit_bytes=limit_bytes), path, opcode_limit=opcode_limit)


Size = tuple[int, int]
"""Of a value on the scanned stack: nesting of tuples, and how many values hashing it would visit."""

_ATOM: Size = (0, 1)


def _scan(data: bytes, limit: int) -> int:
    """Walk the opcodes without running them; returns their number.

    Refused: forbidden ones, too many, deep or self-multiplying tuples.

    Tuples matter because they can be keys: hashing one is recursive C code without a limit of its own, and a
    tuple of two equal tuples of two ... doubles its cost at each level.
    """
    stack: list[Size] = []
    marks: list[int] = []
    memo: dict[int, Size] = {}
    at, end, count = 0, len(data), 0
    while count <= limit:
        if at >= end:
            raise ValueError("it ends before its end")
        code = data[at]
        count += 1
        if code == _EMPTY_LIST and (pairs := _PAIRS.match(data, at)):  # faces are lists of points
            number, behind = _pairs(pairs, memo)
            stack.extend([_ATOM] * number)
            at, count = pairs.end(), count + number * behind - 1
            continue
        size = _PLAIN_PUSH[code]
        if size:  # of the rest, nine in ten are plain numbers
            stack.append(_ATOM)
            at += size
            continue
        if code in _BRIEF:
            at += 1
            if code == _MARK:
                marks.append(len(stack))
            elif code == _MEMOIZE:
                memo[len(memo)] = stack[-1]
            else:
                stack[marks.pop() - 1 :] = (_ATOM,)
            continue
        opcode = _OPCODES.get(code)
        if opcode is None or opcode.name in _FORBIDDEN:
            raise ValueError(f"opcode {opcode.name if opcode else code} is not allowed")
        argument, at = _argument(opcode, data, at + 1)
        name = opcode.name
        if name == "STOP":
            return count
        if name in ("PUT", "BINPUT", "LONG_BINPUT"):
            index = int(argument or 0)
            if index > len(memo) + 1:
                raise ValueError("a memo index leaps")  # the real reader would allocate all in between
            memo[index] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
        else:
            _apply(opcode, stack, marks)
    raise ValueError(f"more than {limit} opcodes")


def _argument(opcode: pickletools.OpcodeInfo, data: bytes, at: int) -> tuple[int | str | None, int]:
    """An opcode's argument where the walk needs to know it, and the offset behind it."""
    if opcode.arg is None:
        return None, at
    size, name = opcode.arg.n, opcode.name
    if name == "GLOBAL":  # two lines; what they say is looked at when they are read
        return None, data.index(b"\n", data.index(b"\n", at) + 1) + 1
    if size == pickletools.UP_TO_NEWLINE:
        file = io.BytesIO(data)
        file.seek(at)
        argument = opcode.arg.reader(file)
        if type(argument) is int and argument.bit_length() > _LONGEST_INTEGER_BITS:
            raise ValueError("an integer is too long")
        return argument, file.tell()
    if size >= 0:
        end = at + size
        argument = int.from_bytes(data[at:end], "little") if name in _INDEXED else None
    else:
        width = _LENGTHS[size]
        length = int.from_bytes(data[at : at + width], "little", signed=name in _SIGNED_LENGTHS)
        end = at + width + length
        if length < 0 or (name in ("LONG1", "LONG4") and _too_long(data[at + width : end])):
            raise ValueError("an integer is too long, or a length negative")
        argument = None
    if end > len(data):
        raise ValueError("it ends within an opcode")
    return argument, end


def _pairs(found: re.Match[bytes], memo: dict[int, Size]) -> tuple[int, int]:
    """How many lists of two floats were found in a row, and how many opcodes each of them is."""
    kept = found[0][1:2] == b"\x94"
    number = len(found[0]) // (22 if kept else 21)
    if kept:
        memo.update(dict.fromkeys(range(len(memo), len(memo) + number), _ATOM))
    return number, 6 if kept else 5


def _too_long(data: bytes) -> bool:
    return int.from_bytes(data[:65], "little", signed=True).bit_length() > _LONGEST_INTEGER_BITS or len(data) > 64


def _apply(opcode: pickletools.OpcodeInfo, stack: list[Size], marks: list[int]) -> None:
    """Pop what the opcode takes, push what it leaves."""
    if opcode.name in _TUPLES:
        taken = _TUPLES[opcode.name]
        items = stack[len(stack) - taken :]
        del stack[len(stack) - taken :]
        stack.append(_tuple_of(items))
        return
    before = opcode.stack_before
    if pickletools.markobject in before:
        cut = marks.pop()
        items = stack[cut:]
        below = before.index(pickletools.markobject)
        del stack[cut - below :]
        stack.extend([_tuple_of(items)] if opcode.name == "TUPLE" else [_ATOM] * len(opcode.stack_after))
        return
    if len(stack) < len(before):
        raise ValueError("the stack runs empty")
    del stack[len(stack) - len(before) :]
    stack.extend([_ATOM] * len(opcode.stack_after))


def _tuple_of(items: list[Size]) -> Size:
    size = (1 + max(items)[0], 1 + sum([w for _, w in items])) if items else (1, 1)
    if size[0] > NESTING_LIMIT or size[1] > _TUPLE_WEIGHT_LIMIT:
        raise ValueError("tuples are nested too deeply")
    return size


class _Inert:
    """An allowed name. Its state cannot be set, so a pickle cannot change it for the next one."""

    __slots__ = ("_call", "_name")

    def __init__(self, name: str, call: Callable[..., Any] | None = None) -> None:
        self._name, self._call = name, call

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            raise TypeError(f"{self._name} cannot be called")
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise TypeError(f"{self._name} has no state")


class _Dtype:
    """numpy.dtype: float, int, uint, bool, bytes or text; no fields, no objects."""

    __slots__ = ("value",)

    def __init__(self, text: Any, align: Any = False, copy: Any = False) -> None:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise ValueError(f"array type {text!r} is not allowed")
        self.value = np.dtype(text)
        if self.value.kind not in "fiubSU" or self.value.itemsize == 0:
            raise ValueError(f"array type {text!r} is not allowed")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, subtype, names, fields, *_ = state
        if subtype is not None or names is not None or fields is not None:
            raise ValueError("structured arrays are not allowed")
        self.value = self.value.newbyteorder(order)


class _Array:
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


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _NDARRAY:
        raise TypeError("an array of unknown make")
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    made = _Array()
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


_NDARRAY = _Inert("numpy.ndarray")
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Inert("numpy.dtype", _Dtype),
    ("_codecs", "encode"): _Inert("encode", _encode),
    ("__builtin__", "bytes"): _Inert("bytes", _no_bytes),
    ("builtins", "bytes"): _Inert("bytes", _no_bytes),
    ("collections", "OrderedDict"): _Inert("OrderedDict", _ordered),
    ("samplelib.Sample", "SampleType"): _Inert("SampleType", _enum),
    ("facelib.FaceType", "FaceType"): _Inert("FaceType", _enum),
    ("core.imagelib.SegIEPolys", "SegIEPolyType"): _Inert("SegIEPolyType", _enum),
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Inert("_reconstruct", _reconstruct)
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Inert("scalar", _scalar)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Inert("_frombuffer", _frombuffer)
for _builtins in ("__builtin__", "builtins"):
    _ALLOWED[_builtins, "set"] = _Inert("set", _set)
    _ALLOWED[_builtins, "bytearray"] = _Inert("bytearray", _bytearray)


_COPYING = frozenset(
    found for (_, name), found in _ALLOWED.items() if name in ("encode", "OrderedDict", "set", "bytearray")
)


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._left = _COPIED_PER_BYTE * len(data) + _COPIED_AT_LEAST

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for an allowed name; nothing is imported."""
        try:
            found = _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None
        return _Inert(name, lambda *arguments: self._copied(found, arguments)) if found in _COPYING else found

    def _copied(self, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """One value may be handed over and over again: what is made of it is counted."""
        self._left -= sum(len(a) for a in arguments if isinstance(a, str | bytes | list | tuple)) + 1
        if self._left < 0:
            raise ValueError("more is copied than the file holds")
        return make(*arguments)

    def persistent_load(self, pid: Any) -> Any:
        """Never."""
        raise pickle.UnpicklingError("it refers to outside objects")


class _Plain:
    """Turns stand-ins into values and checks that nothing else is left; counts every visit."""

    def __init__(self, node_limit: int) -> None:
        self.left = node_limit

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if depth > NESTING_LIMIT or self.left < 0:
            raise ValueError("values are nested too deeply or too many")
        kind = type(value)
        if value is None or kind in (bool, int, float, str, bytes):
            return value
        if kind is list:
            kinds = set(map(type, value))
            if kinds == {float}:
                return self._counted(value, len(value))
            if kinds == {list} and set(map(type, chain.from_iterable(value))) == {float} and depth < NESTING_LIMIT:
                return self._counted(value, len(value) + sum(map(len, value)))  # points
            return [self.of(v, depth + 1) for v in value]
        if kind is dict:
            return {self.of(k, depth + 1): self.of(v, depth + 1) for k, v in value.items()}
        if kind is tuple:
            return tuple(self.of(v, depth + 1) for v in value)
        if kind is set:
            return {self.of(v, depth + 1) for v in value}
        if kind is bytearray:
            return bytes(value)
        if kind is _Array and value.value is not None:
            return value.value
        raise TypeError(f"a value of unknown kind ({kind.__name__.strip('_')})")

    def _counted(self, value: list[Any], nodes: int) -> list[Any]:
        """A list that holds nothing but numbers, visited as a whole."""
        self.left -= nodes
        if self.left < 0:
            raise ValueError("values are nested too deeply or too many")
        return value
