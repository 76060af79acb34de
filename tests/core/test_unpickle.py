"""The safe reader: honest pickles of every protocol come out equal, hostile ones are refused without effect."""

from __future__ import annotations

import builtins
import collections
import contextlib
import datetime
import io
import os
import pickle
import pickletools
import struct
import sys
import types
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core import pickle_scan, unpickle
from facewright.core.errors import FileRefused
from facewright.core.unpickle import read_pickle, read_pickle_file

HONEST = {
    "plain": {"iter": 7, "options": {"archi": "df-ud", "lr": 5e-5, "on": True, "no": None}, "b": b"\x00\xff", "e": b""},
    "nested": [[1.5, 2.5], (1, (2, (3,))), {"s"}, -(2**60), "ünïcode"],
    "ordered": collections.OrderedDict(a=1, b=2),
    "float32": {"down1/conv1/weight:0": np.arange(24, dtype=np.float32).reshape(2, 3, 4)},
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
    "big endian": np.arange(4, dtype=">f8"),
    "text": np.array(["a", "bcd"]),
    "raw": np.array([b"xy", b"z"]),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float16),
    "scalars": [np.float32(1.5), np.int64(-3), np.uint8(255), np.bool_(True), np.float64(2.25)],
    "bytearray": bytearray(b"abc"),
}


def same(a, b) -> bool:
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    if isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return bool(a == b)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("what", HONEST)
def test_honest_pickles_come_out_equal(what, protocol):
    assert same(read_pickle(pickle.dumps(HONEST[what], protocol)), HONEST[what])


def test_module_names_of_both_numpy_generations():
    data = pickle.dumps(np.arange(3), 3)
    assert b"numpy._core.multiarray" in data
    old = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert same(read_pickle(old), np.arange(3))


@pytest.mark.parametrize(("module", "name"), [
    ("samplelib.Sample", "SampleType"), ("facelib.FaceType", "FaceType"), ("core.imagelib.SegIEPolys", "SegIEPolyType"),
])
def test_enumerations_become_integers(module, name, monkeypatch):
    parts = module.split(".")
    for i in range(len(parts)):
        fake = ".".join(parts[: i + 1])
        monkeypatch.setitem(sys.modules, fake, types.ModuleType(fake))
    kind = IntEnum(name, {"A": 0, "B": 3}, module=module)
    setattr(sys.modules[module], name, kind)
    assert read_pickle(pickle.dumps({"type": kind.B}, 4)) == {"type": 3}


class Reduced:
    """Pickles as a call of anything."""

    def __init__(self, call, *arguments, state=None):
        self.made = (call, arguments) if state is None else (call, arguments, state)

    def __reduce__(self):
        return self.made


def deep_list(depth: int) -> bytes:
    return b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b"."


def deep_key(depth: int) -> bytes:
    return b"\x80\x04}" + b")" + b"\x85" * depth + b"K\x01s."


def doubling(levels: int, *, key: bool) -> bytes:
    body = b")" if key else b"]"
    for i in range(levels):
        body += b"q" + bytes([i])
        body += (b"h" + bytes([i]) + b"\x86") if key else (b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"e")
    return b"\x80\x04" + (b"}" + body + b"K\x01s." if key else body + b".")


def copying(name: bytes, times: int, argument: bytes) -> bytes:
    """One value, handed to an allowed name again and again."""
    one = b"cbuiltins\n" + name + b"\n" if name != b"encode" else b"c_codecs\nencode\n"
    body = b"\x80\x04" + argument + b"\x940" + one + b"\x940("
    return body + b"h\x01h\x00\x85R" * times + b"l."


HOSTILE = {
    "a bytearray made a thousand times": copying(b"bytearray", 3_000, b"B" + struct.pack("<I", 4_000) + bytes(4_000)),
    "a set made a thousand times": copying(b"set", 3_000, b"(" + b"K\x01" * 4_000 + b"l"),
    "keys that collide": b"\x80\x02}(" + b"".join(
        b"\x8a\x0a" + (k * (2**61 - 1) + (1 << 70)).to_bytes(10, "little") + b"K\x01" for k in range(9)) + b"u.",
    "heavy keys": doubling(11, key=True),
    "os.system": pickle.dumps(Reduced(os.system, "touch HACKED")),
    "eval": pickle.dumps(Reduced(builtins.eval, "open('HACKED','w')")),
    "getattr": pickle.dumps(Reduced(builtins.getattr, "x", "upper")),
    "import": b"cbuiltins\n__import__\n(S'os'\ntR.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "subclass name": b"\x80\x04\x8c\x05numpy\x8c\x08recarray\x93.",
    "numpy load": b"cnumpy\nload\n(S'x'\ntR.",
    "object array": pickle.dumps(np.array([{}], dtype=object)),
    "datetime array": pickle.dumps(np.array(["2020-01-01"], dtype="datetime64[D]")),
    "complex array": pickle.dumps(np.array([1j])),
    "structured array": pickle.dumps(np.zeros(2, dtype=[("a", "f4")])),
    "datetime": pickle.dumps(datetime.date(2020, 1, 1)),
    "instance": pickle.dumps(types.SimpleNamespace(a=1)),
    "callable left over": b"cnumpy\ndtype\n.",
    "call ndarray": b"cnumpy\nndarray\n(I3\ntR.",
    "bytes with argument": b"cbuiltins\nbytes\n(I1000000000000\ntR.",
    "bytearray with a size": b"cbuiltins\nbytearray\n(I1000000000\ntR.",
    "unfinished array": b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
    "empty": b"",
    "no pickle": b"PK\x03\x04" + bytes(50),
    "cut": pickle.dumps(np.arange(1000))[:-50],
    "persistent id": b"Pname\n.",
    "binary persistent id": b"\x80\x04K\x01Q.",
    "extension": b"\x80\x02\x82\x01.",
    "instance opcode": b"(inumpy\ndtype\n.",
    "object opcode": b"(cnumpy\ndtype\no.",
    "new object": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "deep list": deep_list(200_000),
    "a little too deep": deep_list(40),
    "deep key": deep_key(200_000),
    "doubling list": doubling(30, key=False),
    "doubling key": doubling(30, key=True),
    "leaping memo": b"\x80\x04Nr\xff\xff\xff\xff.",
    "cycle": b"\x80\x04]q\x00h\x00a.",
    "stack underflow": b"\x80\x04a.",
    "mark underflow": b"\x80\x04e.",
    "set the state of a stand-in": b"cnumpy\ndtype\n(N}S'__call__'\nI1\nstb.",
    "set the state of a list": b"](N}S'append'\nI1\nstb.",
    "long text integer": b"I" + b"9" * 100_000 + b"\n.",
    "out of band buffer": b"\x80\x05\x97.",
    "unhashable key": b"}]K\x01s.",
    "bytes of a length that is not there": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.",
    "text of a length that is not there": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",
    "bytearray of a length that is not there": b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"abc.",
    "integer of a length that is not there": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
    "frame of a length that is not there": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    "array of a billion empty texts": pickle.dumps(np.zeros(4, "S1")).replace(b"S1", b"S0"),
    "array larger than its bytes, protocol 5": pickle.dumps(np.zeros((2, 3), np.float32), 5).replace(
        b"K\x02K\x03", b"K\x7fK\x03"),
    "scalar larger than its bytes": pickle.dumps(np.float64(1), 4).replace(b"f8", b"f4"),
    "memory map": b"cnumpy\nmemmap\n(S'/etc/passwd'\ntR.",
    "array from a file": b"cnumpy\nfromfile\n(S'/etc/passwd'\ntR.",
    "torch storage": b"ctorch._utils\n_rebuild_tensor_v2\n(I1\ntR.",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles_are_refused(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with pytest.raises(FileRefused):
        read_pickle(HOSTILE[what])
    assert list(tmp_path.iterdir()) == []
    assert not {m for m in set(sys.modules) - before if not m.startswith(("_pytest", "encodings"))}


POINTS = b"]\x94(G" + bytes(8) + b"G" + bytes(8) + b"e"
WASHED = {
    "nothing appended": (b"", b"(e"), "no items set": (b"", b"(u"), "nothing added": (b"", b"(\x90"),
    "no state": (b"", b"Nb"), "a memo with a hole": (b"Nq\x01" + POINTS * 3, b"\x940h\x01"),
}


@pytest.mark.parametrize("how", WASHED)
def test_tuples_of_tuples_are_seen_whatever_lies_between_them(how):
    """As a key, each of these would be hashed for years."""
    before, between = WASHED[how]
    levels = [b"\x80\x04" + before + b")" + (b"2\x86" + between) * count + b"." for count in (3, 60)]
    assert pickle.loads(levels[0]) == ((((), ()), ((), ())), (((), ()), ((), ())))  # noqa: S301  (what the reader would make of it)
    assert pickle_scan.scan(levels[0], 1_000) > 0
    with pytest.raises(ValueError, match="nested too deeply"):
        pickle_scan.scan(levels[1], 1_000)


def test_a_list_that_is_there_often_is_counted_before_it_is_looked_at(monkeypatch):
    looked = []
    monkeypatch.setattr(unpickle, "chain", types.SimpleNamespace(
        from_iterable=lambda lists: (looked.append(len(one)) or x for one in lists for x in one)))
    with pytest.raises(FileRefused):
        read_pickle(b"\x80\x02](" + (b"G" + bytes(8)) * 100 + b"eq\x000](" + b"h\x00" * 900 + b"e.")
    assert len(looked) < 10_000


def array_pickle(shape, data: bytes, dtype: str = "f4", state: str = "(I3\nS'<'\nNNNI-1\nI-1\nI0\nt") -> bytes:
    """A hand-made array, protocol 0 and 3 mixed."""
    body = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR(I1\n("
    body += b"".join(b"L%dL\n" % n for n in shape) + b"t"
    body += b"cnumpy\ndtype\n(V%s\nI0\nI1\ntR" % dtype.encode() + state.replace("S'<'", "V<").encode() + b"b"
    return body + b"I00\nB" + struct.pack("<I", len(data)) + data + b"tb."


def test_hand_made_array_is_understood():
    assert same(read_pickle(array_pickle((2,), b"\0" * 8)), np.zeros(2, np.float32))


@pytest.mark.parametrize(("shape", "dtype"), [
    ((3,), "f4"), ((10**12,), "f4"), ((-2,), "f4"), ((1,) * 9 + (2,), "f4"), ((2,), "O8"), ((2,), "V4"),
    ((2,), "M8[s]"), ((10**9,), "S0"), ((2,), "f4,f4"), ((2,), "f3"),
])
def test_impossible_arrays_are_refused(shape, dtype):
    with pytest.raises(FileRefused):
        read_pickle(array_pickle(shape, b"\0" * 8, dtype))


def test_too_many_opcodes(monkeypatch):
    monkeypatch.setattr(unpickle, "OPCODE_LIMIT", 100)
    with pytest.raises(FileRefused) as caught:
        read_pickle(pickle.dumps(list(range(200))))
    assert "100 opcodes" in caught.value.why


def test_every_cut_and_many_flips_end_in_refusal_or_plain_values():
    data = pickle.dumps({"a:0": np.arange(5, dtype=np.float32), "b": [1.0, (2, "x")]}, 4)
    for cut in range(len(data)):
        with pytest.raises(FileRefused):
            read_pickle(data[:cut])
    rng = np.random.default_rng(0)
    for _ in range(1500):
        bad = bytearray(data)
        bad[rng.integers(len(bad))] = rng.integers(256)
        with contextlib.suppress(FileRefused):
            read_pickle(bytes(bad))


def test_arrays_cannot_be_written_through(tmp_path):
    path = tmp_path / "x.npy"
    buffer = io.BytesIO()
    pickle.dump({"w:0": np.ones(3, np.float32)}, buffer, 4)
    path.write_bytes(buffer.getvalue())
    array = read_pickle_file(path)["w:0"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2
    with pytest.raises(FileRefused, match="too large"):
        read_pickle_file(path, limit_bytes=10)


def walked(data: bytes) -> list[str] | None:
    """The opcodes by the standard library's own walk, None where it does not come to the end."""
    try:
        return [opcode.name for opcode, _, _ in pickletools.genops(data)]
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError):
        return None


def scanned(data: bytes) -> int | None:
    try:
        return pickle_scan.scan(data, 10_000)
    except unpickle._REFUSALS:
        return None


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("what", HONEST)
def test_the_walk_sees_every_opcode_that_the_library_sees(what, protocol):
    data = pickle.dumps(HONEST[what], protocol)
    assert scanned(data) == len(walked(data))


@given(st.sampled_from(sorted(HONEST)), st.sampled_from(range(6)), st.data())
def test_of_broken_pickles_too(what, protocol, data):
    """Whatever a byte is changed to: what the walk lets through, the library walks the same way."""
    broken = bytearray(pickle.dumps(HONEST[what], protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    found, names = scanned(bytes(broken)), walked(bytes(broken))
    if found is not None and names is not None:
        assert found == len(names)
    if names is not None and {*names} & pickle_scan._FORBIDDEN:
        assert found is None
