"""The project's ledger: an append-only hash chain of what was allowed and done.

Line = canonical JSON `{v, seq, ts, type, prev, body, hash}` and a newline; hash = SHA-256("facewright.ledger/1\\n" +
canonical JSON without `hash`); prev of seq 0 is 64 zeros. One write() per line, synced before it is acknowledged.

A bad last line is a torn write: it is moved aside and a `recovered` entry follows. A bad line with a valid one
after it is corruption: the ledger is read-only from then on, and never repaired. A tail cut off whole is invisible
to a chain, so every 100th entry is followed by a signed head, and films and projects carry the head as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from facewright.core.errors import DiskRefused, TraceBroken
from facewright.core.files import FolderLock, disk_error, make_folder, sync_folder
from facewright.provenance.canonical import decode, encode, from_b64url, to_b64url
from facewright.provenance.keys import Key, kid_of, machine_key, verify
from facewright.provenance.moment import parse_stamp, stamp, utc_now

TYPES = (
    "genesis", "consent.added", "consent.revoked", "faceset.bound", "train.run", "gate.verdict", "gate.appeal",
    "merge.run", "output.signed", "model.imported", "model.exported", "faces.exported", "faces.packed", "recovered",
    "head.signed",
)
ZEROS = "0" * 64
SIGN_EVERY = 100
_PREFIX = b"facewright.ledger/1\n"
_HEAD_PREFIX = b"facewright.ledger-head/1\n"
_LOCK_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One acknowledged line."""

    seq: int
    ts: str
    type: str
    prev: str
    body: Mapping[str, Any]
    hash: str

    @property
    def id(self) -> str:
        """`<seq>:<first 16 hex of the hash>`: how a film names its entry."""
        return f"{self.seq}:{self.hash[:16]}"


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry's number and hash; (-1, zeros) when there is none. `ts` is "" then."""

    seq: int = -1
    hash: str = ZEROS
    ts: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a full check found.

    broken_seq: the number of the entry that is corrupt, or None. torn_bytes: an unfinished last line, repaired by
    the next append. signed_heads: how many signed heads fit; bad_heads: seq of those that do not. clock_back: seq
    of entries dated before the one ahead of them. gaps: seq of `recovered` entries.
    """

    entries: int
    head: Head
    broken_seq: int | None = None
    torn_bytes: int = 0
    signed_heads: int = 0
    bad_heads: tuple[int, ...] = ()
    clock_back: tuple[int, ...] = ()
    gaps: tuple[int, ...] = ()

    @property
    def intact(self) -> bool:
        """No corruption and every signed head fits."""
        return self.broken_seq is None and not self.bad_heads


@dataclass(frozen=True, slots=True)
class _Scan:
    """entries from an offset on; `good`: offset after the last whole one; `tail`: bytes behind it."""

    entries: list[Entry]
    head: Head
    good: int
    tail: bytes
    broken_seq: int | None


class Ledger:
    """`path` is a .jsonl file, made at the first append. Any number of processes may append.

    project: named in the first entry. key: signs heads (default: this installation's). clock: for tests.
    """

    def __init__(
        self, path: Path, *, project: str = "default", key: Key | None = None, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.path = path
        self._project, self._key, self._clock = project, key, clock
        self._good, self._head = 0, Head()

    @property
    def head(self) -> Head:
        """The last whole entry now on disk."""
        return self._look().head

    def append(self, type: str, body: Mapping[str, Any]) -> Entry:
        """Write one entry durably and return it. `body` must be canonical JSON (no floats: spell numbers as text).

        Raises TraceBroken (ledger corrupt, body not canonical), DiskRefused (full, locked for 30 s).
        """
        if type not in TYPES or type in ("genesis", "recovered", "head.signed"):
            raise ValueError(f"{type!r} is not an entry that may be appended")
        encode(body)
        make_folder(self.path.parent)
        with self._locked(), _opened(self.path) as handle:
            self._catch_up(handle)
            if self._head.seq < 0:
                self._write(handle, "genesis", {"project": self._project})
            entry = self._write(handle, type, body)
            if (entry.seq + 1) % SIGN_EVERY == 0:
                self._sign_head(handle)
        return entry

    def begin(self) -> None:
        """Write the first entry of a new ledger; does nothing when there is one."""
        make_folder(self.path.parent)
        with self._locked(), _opened(self.path) as handle:
            self._catch_up(handle)
            if self._head.seq < 0:
                self._write(handle, "genesis", {"project": self._project})

    def verify(self) -> Report:
        """Read everything from the start; changes nothing, raises nothing for a broken chain."""
        found = _scan(self._bytes(0), 0, Head())
        signed, bad, back = 0, [], []
        last = ""
        for entry in found.entries:
            if entry.ts < last:
                back.append(entry.seq)
            last = entry.ts
            if entry.type == "head.signed":
                good = _head_fits(entry)
                signed += good
                bad += [] if good else [entry.seq]
        gaps = tuple(e.seq for e in found.entries if e.type == "recovered")
        torn = 0 if found.broken_seq is not None else len(found.tail)
        return Report(
            len(found.entries), found.head, found.broken_seq, torn, signed, tuple(bad), tuple(back), gaps
        )

    def entries(self) -> list[Entry]:
        """All whole entries before any damage."""
        return _scan(self._bytes(0), 0, Head()).entries

    def find(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        """The entries that `wanted` accepts, in order."""
        return [entry for entry in self.entries() if wanted(entry)]

    def _look(self) -> _Scan:
        return _scan(self._bytes(self._good), self._good, self._head)

    def _bytes(self, start: int) -> bytes:
        if not self.path.exists():
            return b""
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read()

    def _catch_up(self, handle: int) -> None:
        """Under the lock: take in what others appended, move a torn tail aside, refuse corruption."""
        if os.fstat(handle).st_size < self._good:
            raise self._corrupt(self._head.seq, "It is shorter than it was.")
        found = self._look()
        if found.broken_seq is not None:
            raise self._corrupt(found.broken_seq, "A valid entry follows it.")
        self._good, self._head = found.good, found.head
        if found.tail:
            self._recover(handle, found.tail)

    def _recover(self, handle: int, tail: bytes) -> None:
        name = f"{self.path.stem}.torn-{stamp(self._clock()).replace(':', '')}-{hashlib.sha256(tail).hexdigest()[:8]}"
        aside = self.path.with_name(name)
        try:
            with open(aside, "wb") as file:
                file.write(tail)
                file.flush()
                os.fsync(file.fileno())
            os.ftruncate(handle, self._good)
            _sync(handle)
        except OSError as error:
            raise disk_error(error, self.path) from error
        if self._head.seq < 0:
            self._write(handle, "genesis", {"project": self._project})
        self._write(handle, "recovered", {"bytes": len(tail), "sha256": hashlib.sha256(tail).hexdigest(), "file": name})

    def _write(self, handle: int, type: str, body: Mapping[str, Any]) -> Entry:
        entry = Entry(self._head.seq + 1, stamp(self._clock()), type, self._head.hash, body, "")
        entry = replace(entry, hash=_hash(entry))
        line = encode(_as_dict(entry) | {"hash": entry.hash}) + b"\n"
        start = os.fstat(handle).st_size
        try:
            if os.write(handle, line) != len(line):
                raise OSError(28, "the disk took only a part of the line")
            _sync(handle)
            if entry.seq == 0:
                sync_folder(self.path.parent)
        except OSError as error:
            os.ftruncate(handle, start)
            raise disk_error(error, self.path) from error
        self._good, self._head = start + len(line), Head(entry.seq, entry.hash, entry.ts)
        return entry

    def _sign_head(self, handle: int) -> None:
        key = self._key if self._key is not None else machine_key()
        head = {"seq": self._head.seq, "head": self._head.hash}
        body = head | {"alg": "Ed25519", "kid": key.kid, "pub": to_b64url(key.public),
                       "value": to_b64url(key.sign(_HEAD_PREFIX + encode(head)))}
        self._write(handle, "head.signed", body)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FolderLock(self.path.with_name(self.path.name + ".lock"))
        deadline = time.monotonic() + _LOCK_WAIT_S
        while not lock.acquire():
            if time.monotonic() > deadline:
                raise DiskRefused(
                    "The ledger is in use by another process.", why=f"It stayed locked for {_LOCK_WAIT_S:g} s.",
                    remedy="Wait for the other facewright process, then run the same command again.", where=self.path,
                )
            time.sleep(0.005)
        try:
            yield
        finally:
            lock.release()

    def _corrupt(self, seq: int, why: str) -> TraceBroken:
        return TraceBroken(
            f"The ledger is corrupt at entry {seq}.", why=why,
            remedy="It stays as it is, as evidence. Restore it from a backup, or begin a new project.", where=self.path,
        )


def _scan(data: bytes, start: int, head: Head) -> _Scan:
    """Follow the chain from `head`; stop at the first line that does not continue it."""
    entries: list[Entry] = []
    good = start
    lines = data.split(b"\n")
    rest = lines.pop()  # b"" after a whole last line
    for number, line in enumerate(lines):
        entry = _parse(line)
        if entry is None or (entry.seq, entry.prev) != (head.seq + 1, head.hash):
            tail = data[good - start:]
            torn = entry is None and number == len(lines) - 1 and not rest and not _holds_an_entry_and_more(tail)
            return _Scan(entries, head, good, tail, None if torn else head.seq + 1)
        entries.append(entry)
        head = Head(entry.seq, entry.hash, entry.ts)
        good += len(line) + 1
    return _Scan(entries, head, good, rest, head.seq + 1 if _holds_an_entry_and_more(rest) else None)


def _holds_an_entry_and_more(tail: bytes) -> bool:
    """A torn write ends inside its one line; a whole entry with other text behind it lost its newline later."""
    text = tail.decode("utf-8", errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (json.JSONDecodeError, RecursionError):
        return False
    return _parse(text[:end].encode()) is not None and bool(text[end:].strip("\0\n"))


def _parse(line: bytes) -> Entry | None:
    """The entry that a line spells canonically with a fitting hash, wherever it stands; else None."""
    try:
        value = decode(line)
        if not isinstance(value, dict) or encode(value) != line or value.pop("v") != 1:
            return None
        entry = Entry(**value)
        return entry if entry.hash == _hash(entry) and parse_stamp(entry.ts) else None
    except (TraceBroken, TypeError, KeyError):
        return None


def _hash(entry: Entry) -> str:
    return hashlib.sha256(_PREFIX + encode(_as_dict(entry))).hexdigest()


def _as_dict(entry: Entry) -> dict[str, Any]:
    return {"v": 1, "seq": entry.seq, "ts": entry.ts, "type": entry.type, "prev": entry.prev, "body": entry.body}


def _head_fits(entry: Entry) -> bool:
    body = entry.body
    try:
        public, value = from_b64url(body["pub"]), from_b64url(body["value"])
        head = {"seq": body["seq"], "head": body["head"]}
    except (KeyError, TypeError, TraceBroken):
        return False
    about = (body["seq"], body["head"]) == (entry.seq - 1, entry.prev)
    return about and kid_of(public) == body.get("kid") and verify(public, value, _HEAD_PREFIX + encode(head))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    """fsync; on macOS the call that also empties the disk's own cache."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        os.fsync(handle)
