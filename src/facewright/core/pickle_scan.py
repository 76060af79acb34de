"""The walk over a pickle's opcodes before it is read: forbidden ones, too many of them, integers too long, and tuples
that would take for ever to hash are refused. Nothing is made and nothing is run here.
"""

from __future__ import annotations

import io
import pickletools
import re

NESTING_LIMIT = 32

_TUPLE_WEIGHT_LIMIT = 1_000
_LONGEST_INTEGER_BITS = 64
"""Longer ones may be chosen to collide as keys, or to take minutes to print."""
_FORBIDDEN = {
    "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
    "READONLY_BUFFER", "FROZENSET",
}
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4, pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_SIGNED_LENGTHS = {"LONG4", "BINSTRING"}
_INDEXED = {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
"""Opcodes of a fixed size whose argument counts."""
_TUPLES = {_CODES[name]: taken for taken, name in enumerate(("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"))}


def _table(values: dict[str, int]) -> list[int]:
    """Opcode name -> value as a list over all bytes; 0 for the rest."""
    found = [0] * 256
    for name, value in values.items():
        found[_CODES[name]] = value
    return found


_PLAIN_PUSH = _table({
    o.name: 1 + (o.arg.n if o.arg is not None else 0) for o in pickletools.opcodes
    if not o.stack_before and len(o.stack_after) == 1 and (o.arg is None or o.arg.n >= 0)
    and o.name not in {*_FORBIDDEN, *_INDEXED, "EMPTY_TUPLE", "EMPTY_LIST", "MARK"}
})
"""Size in bytes of each opcode that only pushes one value of a fixed size and is not forbidden; else 0."""
_COUNTED_PUSH = _table(dict.fromkeys(("SHORT_BINUNICODE", "SHORT_BINBYTES"), 1)
                       | dict.fromkeys(("BINUNICODE", "BINBYTES"), 4)
                       | dict.fromkeys(("BINUNICODE8", "BINBYTES8", "BYTEARRAY8"), 8))
"""Of texts and bytes: the width of the length that stands before them."""
_IS_MARK, _REMEMBERS, _FOLDS, _JOINS, _IS_TUPLE = range(1, 6)
_DOES = _table({
    "MARK": _IS_MARK, "MEMOIZE": _REMEMBERS, "APPENDS": _FOLDS, "SETITEMS": _FOLDS, "ADDITEMS": _FOLDS,
    "REDUCE": _JOINS, "BUILD": _JOINS, "APPEND": _JOINS, "STACK_GLOBAL": _JOINS, "TUPLE": _IS_TUPLE,
    "EMPTY_TUPLE": _IS_TUPLE, "TUPLE1": _IS_TUPLE, "TUPLE2": _IS_TUPLE, "TUPLE3": _IS_TUPLE,
})
"""What the other frequent ones do to the stack: all behind a mark into the value below it, two values into one ..."""
_EMPTY_LIST, _GLOBAL, _BINGET, _STOP = (_CODES[name] for name in ("EMPTY_LIST", "GLOBAL", "BINGET", "STOP"))
_PAIRS = re.compile(rb"(?:\]\(G.{8}G.{8}e)++|(?:\]\x94\(G.{8}G.{8}e)++", re.DOTALL)
"""Lists of two floats in a row, without or with a place in the memo."""

Size = tuple[int, int]
"""Of a value on the scanned stack: nesting of tuples, and how many values hashing it would visit."""

_ATOM: Size = (0, 1)


def scan(data: bytes, limit: int) -> int:
    """Walk the opcodes without running them; returns their number.

    ValueError, LookupError: forbidden ones, too many, deep or self-multiplying tuples, an end too early.

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
        size = _PLAIN_PUSH[code]
        if size:
            stack.append(_ATOM)
            at += size
            continue
        width = _COUNTED_PUSH[code]
        at += 1
        if width:  # an end behind the data's is noticed at the next opcode: the last one is STOP
            stack.append(_ATOM)
            at += width + int.from_bytes(data[at : at + width], "little")
            continue
        does = _DOES[code]
        if does == _IS_MARK:
            marks.append(len(stack))
        elif does == _JOINS:  # what takes it in stays what it was: a tuple is one still when nothing was to be done
            del stack[-1]
        elif does == _FOLDS:
            del stack[marks.pop() :]
        elif does == _IS_TUPLE:
            begin = len(stack) - _TUPLES[code] if code in _TUPLES else marks.pop()
            stack[begin:] = (_tuple_of(stack[begin:]),)
        elif does == _REMEMBERS:
            memo[len(memo)] = stack[-1]
        elif code == _EMPTY_LIST:
            pairs = _PAIRS.match(data, at - 1)  # faces are lists of points
            if pairs is None:
                stack.append(_ATOM)
                continue
            number, behind = _pairs(pairs, memo)
            stack.extend([_ATOM] * number)
            at, count = pairs.end(), count + number * behind - 1
        elif code == _GLOBAL:  # two lines; what they say is looked at when they are read
            stack.append(_ATOM)
            at = data.index(b"\n", data.index(b"\n", at) + 1) + 1
        elif code == _BINGET:
            stack.append(memo[data[at]])
            at += 1
        elif code == _STOP:
            return count
        else:
            at = _rare(code, data, at, stack, marks, memo)
    raise ValueError(f"more than {limit} opcodes")


def _rare(code: int, data: bytes, at: int, stack: list[Size], marks: list[int], memo: dict[int, Size]) -> int:
    """Any other opcode, by what the library says of it; returns the offset behind it."""
    opcode = _OPCODES.get(code)
    if opcode is None or opcode.name in _FORBIDDEN:
        raise ValueError(f"opcode {opcode.name if opcode else code} is not allowed")
    argument, at = _argument(opcode, data, at)
    name = opcode.name
    if name in ("PUT", "BINPUT", "LONG_BINPUT"):
        index = int(argument or 0)
        if index > len(memo) + 1:
            raise ValueError("a memo index leaps")  # the real reader would allocate all in between
        memo[index] = stack[-1]
    elif name in ("GET", "LONG_BINGET"):
        stack.append(memo[int(argument or 0)])
    elif name == "DUP":
        stack.append(stack[-1])
    elif name == "POP" and marks and marks[-1] == len(stack):
        marks.pop()
    else:
        _apply(opcode, stack, marks)
    return at


def _argument(opcode: pickletools.OpcodeInfo, data: bytes, at: int) -> tuple[int | str | None, int]:
    """An opcode's argument where the walk needs to know it, and the offset behind it."""
    if opcode.arg is None:
        return None, at
    size, name = opcode.arg.n, opcode.name
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
        for _ in range(number):  # one by one: a place that is taken is taken again, where a PUT has leapt before
            memo[len(memo)] = _ATOM
    return number, 6 if kept else 5


def _too_long(data: bytes) -> bool:
    return int.from_bytes(data[:65], "little", signed=True).bit_length() > _LONGEST_INTEGER_BITS or len(data) > 64


def _apply(opcode: pickletools.OpcodeInfo, stack: list[Size], marks: list[int]) -> None:
    """Pop what the opcode takes, push what it leaves."""
    before = opcode.stack_before
    if pickletools.markobject in before:
        del stack[marks.pop() - before.index(pickletools.markobject) :]
    elif len(stack) < len(before):
        raise ValueError("the stack runs empty")
    else:
        del stack[len(stack) - len(before) :]
    stack.extend([_ATOM] * len(opcode.stack_after))


def _tuple_of(items: list[Size]) -> Size:
    if items.count(_ATOM) == len(items):
        size = (1, 1 + len(items))
    else:
        size = (1 + max(items)[0], 1 + sum([w for _, w in items]))
    if size[0] > NESTING_LIMIT or size[1] > _TUPLE_WEIGHT_LIMIT:
        raise ValueError("tuples are nested too deeply")
    return size
