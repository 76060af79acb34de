"""Canonical JSON: one value, one spelling, so that a signature or a hash over it means something.

RFC 8785 (JCS) without floats: integers below 2^53 in size, ASCII keys, no lone surrogates. Within these limits
Python's sorted, compact `json.dumps` equals JCS byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any

from facewright.core.errors import TraceBroken

LIMIT_INT = 1 << 53
LIMIT_DEPTH = 16
_ADVICE = "Use the file as it was issued, or ask its issuer for it again."


def encode(value: Any) -> bytes:
    """The canonical UTF-8 bytes of `value`. Raises TraceBroken for what has no canonical form here."""
    _check(value, 0)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _broken("a text holds half a character (a lone surrogate)") from error


def decode(data: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no duplicate key, no float, nothing `encode` would refuse. Raises TraceBroken."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _broken("it is not JSON in UTF-8") from error
    except ValueError as error:  # also integers with thousands of digits
        raise _broken(str(error)) from error
    encode(value)
    return value


def digest(value: Any, prefix: bytes = b"") -> str:
    """Hex SHA-256 over `prefix` + canonical bytes."""
    return hashlib.sha256(prefix + encode(value)).hexdigest()


def to_b64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    """The only bytes that `to_b64url` spells as `text`; stray bits and padding raise TraceBroken."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _broken("a base64url value is malformed") from error
    if to_b64url(data) != text:
        raise _broken("a base64url value is malformed")
    return data


def _check(value: Any, depth: int) -> None:
    if depth > LIMIT_DEPTH:
        raise _broken("it is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise _broken(f"the key {key!r} is not plain ASCII")
            _check(inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, int) and abs(value) >= LIMIT_INT:
        raise _broken("a number is too large")
    elif not (value is None or isinstance(value, str | bool | int)):
        raise _broken(f"it holds a {type(value).__name__}, which has no canonical form")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_float(text: str) -> Any:
    raise ValueError(f"the number {text} is not an integer")


def _broken(why: str) -> TraceBroken:
    return TraceBroken("A signed record cannot be read.", why=f"{why[0].upper()}{why[1:]}.", remedy=_ADVICE)
