"""Where a pretrained net's file lies on this machine: folder `$FACEWRIGHT_WEIGHTS`, then the cache. No network.

Every file is checked against its SHA-256 before use.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from facewright.core.catalogue import WEIGHTS, Weight, weight
from facewright.core.errors import SettingRefused, WeightsMissing
from facewright.core.files import read_file, sha256_of
from facewright.core.places import cache_folder, config_folder

CONVERSION = "conversion.json"
"""Note beside a converted net: its own digest, the originals' digests and how it was checked."""


def available(name: str) -> Path | None:
    """The checked file of a net that is already on this machine (folder, then cache), else None. No network."""
    net = weight(name)
    if net.identity and identity_off():
        return None
    return next((path for path in _places(net) if is_file_of(net, path)), None)


def verify() -> dict[str, str]:
    """Name -> "ok", "absent", "damaged" (a file of that name with other content) or "off", for every net."""
    return {net.name: _verdict(net) for net in WEIGHTS.values()}


def _verdict(net: Weight) -> str:
    if net.identity and identity_off():
        return "off"
    there = [path for path in _places(net) if path.is_file()]
    if not there:
        return "absent"
    _digest.cache_clear()
    return "ok" if is_file_of(net, there[0]) else "damaged"


def weights_cache() -> Path:
    """The folder of fetched nets: one sub-folder per SHA-256."""
    return cache_folder() / "weights"


def cache_place(net: Weight) -> Path:
    """Where the cache keeps this net's file."""
    return weights_cache() / net.sha256[:16] / net.file


def is_file_of(net: Weight, path: Path) -> bool:
    """Whether `path` is the net: the published digest, or our own checked conversion in the cache."""
    try:
        stat = path.stat()
    except OSError:
        return False
    digest = _digest(str(path), stat.st_size, stat.st_mtime_ns)
    return digest == net.sha256 or (path == cache_place(net) and digest == _converted_digest(net))


@lru_cache(maxsize=64)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    # Size and time are part of the key, so that a file that was replaced is read again.
    return sha256_of(Path(path))


def _converted_digest(net: Weight) -> str | None:
    note = cache_place(net).with_name(CONVERSION)
    if not note.is_file():
        return None
    try:
        facts = json.loads(read_file(note, limit_bytes=1 << 20))
    except json.JSONDecodeError:
        return None
    return facts.get("sha256") if isinstance(facts, dict) else None


def _places(net: Weight) -> Iterator[Path]:
    folder = os.environ.get("FACEWRIGHT_WEIGHTS")
    if folder:
        yield Path(folder) / net.file
    yield cache_place(net)


def offline() -> bool:
    """Whether the user forbade the network (`FACEWRIGHT_OFFLINE=1`)."""
    return _on(os.environ.get("FACEWRIGHT_OFFLINE"))


def identity_off() -> bool:
    """Whether the user switched identity vectors off: `FACEWRIGHT_NO_IDENTITY=1`, or `no_identity = true` in the
    machine's `machine.toml`."""
    said = os.environ.get("FACEWRIGHT_NO_IDENTITY")
    if said is not None:
        return _on(said)
    config = config_folder() / "machine.toml"
    if not config.is_file():
        return False
    try:
        return tomllib.loads(config.read_text(encoding="utf-8")).get("no_identity") is True
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingRefused(
            "The machine's settings cannot be read.", why=str(error), remedy="Correct or remove the file.", where=config
        ) from error


def _on(text: str | None) -> bool:
    return (text or "").strip().lower() in {"1", "true", "yes", "on"}


def missing(net: Weight, why: str) -> WeightsMissing:
    """The refusal for a net that is not to be had: names the file, its digest and the places to put it."""
    if net.identity and identity_off():
        remedy = "Unset FACEWRIGHT_NO_IDENTITY (or no_identity in machine.toml) to use it; all else works without it."
    else:
        folder = os.environ.get("FACEWRIGHT_WEIGHTS")
        place = Path(folder) / net.file if folder else cache_place(net)
        remedy = (
            f"Run `facewright weights fetch {net.name}`, or put {net.file} ({net.bytes:,} bytes, SHA-256 "
            f"{net.sha256}) at {place}. It comes from {'; '.join(map(str, net.carriers))}."
        )
    what = f"The net {net.name} ({net.used_for}) is not available."
    return WeightsMissing(what, why=why, remedy=remedy, where=net.file)
