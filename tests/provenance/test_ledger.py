from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facewright.core.errors import DiskRefused, TraceBroken
from facewright.provenance.canonical import encode
from facewright.provenance.keys import Key
from facewright.provenance.ledger import ZEROS, Ledger, _scan

RECORD = "sha256:233b737c55eff99a51396bb071a8eb435351ee96bea4534d1b39f92811a42ffe"


class Clock:
    """One second later at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=1)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def ledger(tmp_path: Path, key: Key) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl", project="film-a", key=key, clock=Clock())


def again(ledger: Ledger, key: Key) -> Ledger:
    return Ledger(ledger.path, project="film-a", key=key, clock=Clock())


def test_vectors_of_the_specification(ledger):
    entry = ledger.append("consent.added", {"record": RECORD})
    first, second = ledger.entries()
    assert (first.type, first.body, first.prev) == ("genesis", {"project": "film-a"}, ZEROS)
    assert first.hash == "f0cdc5a5ddf21bca55b8dcbf8709b18392e27d298cf17c1b6c04b2aaa2e53242"
    assert second == entry
    assert second.hash == "a7785fafd25ca81e6a69d25d1899ffc21378c0a840fbd72dedc1084d2dcac4f3"
    assert entry.id == "1:a7785fafd25ca81e"
    for line in ledger.path.read_bytes().splitlines():
        assert encode(json.loads(line)) == line


def test_begin_writes_the_first_entry_once(ledger):
    ledger.begin()
    ledger.begin()
    assert [e.type for e in ledger.entries()] == ["genesis"]
    assert ledger.append("train.run", {}).seq == 1


def test_an_empty_ledger(ledger):
    assert ledger.head.seq == -1
    assert ledger.entries() == []
    assert ledger.verify().intact
    assert not ledger.path.exists()


def test_chain_heads_and_find(ledger, key):
    for number in range(250):
        ledger.append("train.run", {"n": number})
    report = again(ledger, key).verify()
    assert report.intact
    assert report.entries == 1 + 250 + 2
    assert report.signed_heads == 2
    assert report.head == ledger.head
    assert [e.seq for e in ledger.find(lambda e: e.type == "head.signed")] == [100, 200]
    assert [e.body["n"] for e in ledger.find(lambda e: e.body.get("n") == 7)] == [7]


def test_a_forged_head_is_named(ledger):
    for number in range(99):
        ledger.append("train.run", {"n": number})
    entry = ledger.entries()[100]
    ledger.path.write_bytes(b"".join(ledger.path.read_bytes().splitlines(True)[:100]))
    forger = Ledger(ledger.path, key=Key(b"x" * 32), clock=Clock())
    body = dict(entry.body) | {"value": entry.body["value"][::-1].replace("=", "A")}
    with forger._locked(), open(ledger.path, "ab") as file:
        forger._catch_up(file.fileno())
        forger._write(file.fileno(), "head.signed", body)
    report = forger.verify()
    assert report.bad_heads == (100,)
    assert not report.intact


@pytest.mark.parametrize("type", ["genesis", "recovered", "head.signed", "party"])
def test_types_that_nobody_may_append(ledger, type):
    with pytest.raises(ValueError):
        ledger.append(type, {})


def test_a_body_with_floats_is_refused_before_anything_is_written(ledger):
    with pytest.raises(TraceBroken):
        ledger.append("train.run", {"loss": 0.1})
    assert not ledger.path.exists()


def test_two_writers_share_one_chain(ledger, key):
    other = again(ledger, key)
    for _ in range(5):
        ledger.append("train.run", {"by": "a"})
        other.append("merge.run", {"by": "b"})
    assert ledger.verify().entries == 11
    assert ledger.verify().intact


def test_clock_that_went_back_is_reported(ledger, key):
    ledger.append("train.run", {})
    ledger.append("train.run", {})
    again(ledger, key).append("train.run", {})
    assert ledger.verify().clock_back == (3,)


def filled(ledger: Ledger, count: int = 4) -> bytes:
    for number in range(count):
        ledger.append("train.run", {"n": number, "text": "Zoë"})
    return ledger.path.read_bytes()


@pytest.mark.parametrize("zeros", [False, True], ids=["cut", "zero-filled"])
def test_a_last_line_cut_anywhere_gives_the_right_prefix(ledger, key, zeros):
    data = filled(ledger)
    start = data.rindex(b"\n", 0, len(data) - 1) + 1
    for cut in range(start + 1, len(data)):
        ledger.path.write_bytes(data[:cut] + (b"\0" * (len(data) - cut) if zeros else b""))
        report = again(ledger, key).verify()
        assert (report.broken_seq, report.entries) == (None, 4)
        assert report.torn_bytes > 0


@pytest.mark.parametrize("zeros", [False, True], ids=["cut", "zero-filled"])
def test_a_torn_tail_is_moved_aside_and_said(ledger, key, zeros):
    data = filled(ledger)
    tail = data[-40:-20] + (b"\0" * 20 if zeros else b"")
    ledger.path.write_bytes(data[:-40] + tail)
    entry = again(ledger, key).append("merge.run", {"ok": True})
    report = ledger.verify()
    assert report.intact
    assert report.gaps == (4,)
    assert entry.seq == 5
    aside = next(ledger.path.parent.glob("ledger.torn-*"))
    assert aside.read_bytes().endswith(tail)
    assert ledger.entries()[4].body["file"] == aside.name


def test_a_torn_first_line(ledger, key):
    ledger.path.write_bytes(b'{"body":{"proj')
    again(ledger, key).append("train.run", {})
    assert [e.type for e in ledger.entries()] == ["genesis", "recovered", "train.run"]


def test_every_bit_flip_is_found(ledger, key):
    data = filled(ledger, 6)
    rng = random.Random(1)
    for _ in range(300):
        position, bit = rng.randrange(len(data)), rng.randrange(8)
        flipped = bytearray(data)
        flipped[position] ^= 1 << bit
        ledger.path.write_bytes(flipped)
        report = again(ledger, key).verify()
        line = data.count(b"\n", 0, position)
        assert report.entries <= line
        # In the last line a flip looks like a torn write; anywhere else it is corruption of that line.
        assert report.broken_seq == line if line < 6 else (report.broken_seq == 6 or report.torn_bytes > 0)


@pytest.mark.parametrize("damage", ["flip", "delete", "swap", "newline"])
def test_corruption_is_named_and_never_repaired(ledger, key, damage):
    lines = filled(ledger).splitlines(True)
    if damage == "flip":
        lines[2] = lines[2].replace(b'"n":1', b'"n":7')
    elif damage == "delete":
        del lines[2]
    elif damage == "swap":
        lines[2], lines[3] = lines[3], lines[2]
    else:  # the newline between the last two lines
        lines[3] = lines[3][:-1] + b"\x0b"
    bad = b"".join(lines)
    ledger.path.write_bytes(bad)
    seq = 3 if damage == "newline" else 2
    assert again(ledger, key).verify().broken_seq == seq
    with pytest.raises(TraceBroken, match=f"entry {seq}"):
        again(ledger, key).append("train.run", {})
    assert ledger.path.read_bytes() == bad
    assert not list(ledger.path.parent.glob("ledger.torn-*"))


def test_a_file_that_became_shorter_is_noticed(ledger):
    filled(ledger)
    ledger.path.write_bytes(ledger.path.read_bytes()[:100])
    with pytest.raises(TraceBroken, match="corrupt"):
        ledger.append("train.run", {})


@pytest.mark.parametrize("fault", ["enospc", "short"])
def test_a_full_disk_leaves_the_chain_whole(ledger, monkeypatch, fault):
    data = filled(ledger)
    real = os.write

    def full(handle: int, line: bytes) -> int:
        done = real(handle, line[:10])
        if fault == "enospc":
            raise OSError(errno.ENOSPC, "No space left on device")
        return done

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskRefused, match="full"):
        ledger.append("train.run", {})
    monkeypatch.undo()
    assert ledger.path.read_bytes() == data
    assert ledger.append("train.run", {}).seq == 5


@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE is POSIX")
def test_a_real_size_limit(ledger, key):
    """The kernel itself refuses the write."""
    filled(ledger)
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom facewright.core.errors import DiskRefused\n"
        "from facewright.provenance.ledger import Ledger\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = Path(sys.argv[1])\nsize = path.stat().st_size + 50\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "try:\n    Ledger(path).append('train.run', {'x': 'y' * 100})\nexcept DiskRefused:\n    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(ledger.path)], check=False).returncode == 7
    assert ledger.verify().intact
    assert ledger.verify().torn_bytes == 0


def test_40_kills_lose_nothing_acknowledged(tmp_path, key):
    path = tmp_path / "ledger.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom facewright.provenance.keys import Key\n"
        "from facewright.provenance.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), key=Key(bytes(range(32))))\n"
        "import os\nwhile True:\n"
        "    entry = ledger.append('train.run', {'text': 'x' * 200})\n"
        "    os.write(1, f'{entry.seq} {entry.hash}\\n'.encode())\n"
    )
    # One warm interpreter forks the writers: starting Python 40 times would be most of the test.
    server = (
        "import os, sys\ncode = sys.argv[2]\nsys.argv = ['x', sys.argv[1]]\n"
        "import facewright.provenance.ledger\n"
        "for line in sys.stdin:\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n        exec(code)\n"
        "    sys.stderr.write(f'{pid}\\n'); sys.stderr.flush(); os.waitpid(pid, 0)\n"
    )
    acknowledged: list[str] = []
    rng = random.Random(7)
    with subprocess.Popen(
        [sys.executable, "-c", server, str(path), code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout is not None
        for _ in range(40):
            process.stdin.write("go\n")
            process.stdin.flush()
            pid = int(process.stderr.readline())
            acknowledged.append(process.stdout.readline().strip())  # it writes; killed at any moment from now on
            time.sleep(rng.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
        process.stdin.close()
        acknowledged += process.stdout.read().splitlines()
    entries = {f"{e.seq} {e.hash}" for e in Ledger(path, key=key).entries()}
    assert len(acknowledged) >= 40
    assert set(acknowledged) <= entries
    Ledger(path, key=key).append("train.run", {})
    assert Ledger(path, key=key).verify().intact


def test_scan_of_nothing():
    from facewright.provenance.ledger import Head

    assert _scan(b"", 0, Head()).broken_seq is None
