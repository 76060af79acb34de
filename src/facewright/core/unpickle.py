"""The one safe reader of foreign pickles: a closed allow-list of inert stand-ins, and limits on everything.

Rules: consent-and-provenance.md section 6. The opcodes are walked first (pickle_scan.py), names become stand-ins
(pickle_names.py); what comes out are plain Python values and NumPy arrays of numbers or text.
"""

from __future__ import annotations

import gc
import io
import pickle
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.core.files import read_file
from facewright.core.pickle_names import ALLOWED, COPYING, Array, Inert
from facewright.core.pickle_scan import NESTING_LIMIT, scan

OPCODE_LIMIT = 5_000_000
_NODES_PER_OPCODE = 4
"""Values in the result, counted once for each place that refers to them: more come only from lists of equal lists
of equal lists ..., which double at each level."""

_COPIED_PER_BYTE, _COPIED_AT_LEAST = 4, 1 << 20
"""Bytes and items that allowed names may copy: an honest pickle has each of its own copied once."""
_REFUSALS = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, RecursionError,
)


def read_pickle(
    data: bytes, where: object = None, *, opcode_limit: int = 0, keys: Collection[str] | None = None
) -> Any:
    """Bytes of a pickle (protocols 0 to 5) -> None, bool, int, float, str, bytes, list, tuple, set, dict, ndarray.

    Arrays are read-only views of the data. `opcode_limit`: 0 = OPCODE_LIMIT. `keys`: of each dict only these are
    looked at and kept. Raises FileRefused for anything outside the allow-list or the limits.
    """
    try:
        opcodes = scan(data, opcode_limit or OPCODE_LIMIT)
        with _uncollected():
            return _Plain(_NODES_PER_OPCODE * opcodes + 1000, keys).of(_Reader(data).load(), 0)
    except _REFUSALS as error:
        raise FileRefused(
            "The file is not one that facewright reads safely.", why=str(error) or type(error).__name__,
            remedy="Use a file written by DeepFaceLab itself; do not open it with other programs.", where=where,
        ) from error


def read_pickle_file(path: Path, *, limit_bytes: int = 4 << 30, opcode_limit: int = 0) -> Any:
    """As `read_pickle`, from a file of at most `limit_bytes`. Raises FileRefused."""
    return read_pickle(read_file(path, limit_bytes=limit_bytes), path, opcode_limit=opcode_limit)


@contextmanager
def _uncollected() -> Iterator[None]:
    """What is being read is no garbage: to look through it again and again takes as long as reading it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._left = _COPIED_PER_BYTE * len(data) + _COPIED_AT_LEAST

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for an allowed name; nothing is imported."""
        try:
            found = ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None
        return Inert(name, lambda *arguments: self._copied(found, arguments)) if found in COPYING else found

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

    def __init__(self, node_limit: int, keys: Collection[str] | None) -> None:
        self.left, self.keys = node_limit, keys

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
            if kinds == {list} and depth < NESTING_LIMIT:
                nodes = len(value) + sum(map(len, value))  # known before they are looked at: one may be there often
                if nodes <= self.left and set(map(type, chain.from_iterable(value))) == {float}:
                    return self._counted(value, nodes)  # points
            return [self.of(v, depth + 1) for v in value]
        if kind is dict:
            if self.keys is not None:
                value = {key: value[key] for key in self.keys if key in value}
            return {self.of(k, depth + 1): self.of(v, depth + 1) for k, v in value.items()}
        if kind is tuple:
            return tuple(self.of(v, depth + 1) for v in value)
        if kind is set:
            return {self.of(v, depth + 1) for v in value}
        if kind is bytearray:
            return bytes(value)
        if kind is Array and value.value is not None:
            return value.value
        raise TypeError(f"a value of unknown kind ({kind.__name__.strip('_')})")

    def _counted(self, value: list[Any], nodes: int) -> list[Any]:
        """A list that holds nothing but numbers, visited as a whole."""
        self.left -= nodes
        if self.left < 0:
            raise ValueError("values are nested too deeply or too many")
        return value
