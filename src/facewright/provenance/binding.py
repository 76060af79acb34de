"""Tie a record to a face: a commitment to the mean identity vector, opened only on the owner's machine.

e_i are unit identity vectors (at least 20), mu = normalise(mean e_i), q = int8 round(127 mu). The record holds
`{model, model_sha256, n, commit}`, commit = SHA-256("fw-bind/1\\n" + model_sha256 + salt + q); q and the 16-byte
salt stay in a private file. A faceset is accepted when the median of cos(e_i, mu) and 95 % of all e_i reach
TAU = 0.55, which lets in 1 stranger's picture in 10,000 and refuses 1 % of the person's own, measured for
MobileFace V2 pair by pair (a mean vector separates better still). Another net needs its own figure.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facewright.core.errors import ConsentRefused, NothingFound
from facewright.core.files import disk_error, make_folder, sync_folder
from facewright.provenance.canonical import decode, encode, from_b64url, to_b64url
from facewright.provenance.consent import Record
from facewright.provenance.keys import write_private

TAU = 0.55
SHARE = 0.95
MIN_FACES = 20
DIFFERENT = 0.40
_PAIRS_OF = 500
BindingState = Literal["verified", "unverified"]


def bind(vectors: np.ndarray, net: str, net_sha256: str, folder: Path) -> dict[str, Any]:
    """The `binding` of a record for (N, D) unit `vectors` of one person; its private half goes into `folder`.

    Raises NothingFound for fewer than 20 faces, ConsentRefused when the faces are not of one person.
    """
    if len(vectors) < MIN_FACES:
        raise NothingFound(
            f"{len(vectors)} faces are too few to bind a record to a person.", why=f"At least {MIN_FACES} are needed.",
            remedy="Extract more frames of the person, then run the same command again.",
        )
    mean = vectors.astype(np.float64).mean(axis=0)
    mu_q = np.rint(127 * mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.int8)
    strangers = _strangers(vectors, mu_q) or _outsiders(vectors)
    if strangers:
        raise _not_one_person(strangers, len(vectors), None)
    salt = secrets.token_bytes(16)
    commit = _commit(net_sha256, salt, mu_q)
    secret = {"model_sha256": net_sha256, "salt": to_b64url(salt), "q": to_b64url(mu_q.tobytes())}
    with suppress(FileExistsError):  # the same 128 random bits: cannot happen, and would be the same file
        write_private(_private_file(commit, folder), encode(secret) + b"\n")
    return {"model": net, "model_sha256": net_sha256, "n": len(vectors), "commit": commit}


def check_binding(
    record: Record, found: tuple[np.ndarray, str] | None, folder: Path, where: object = None
) -> BindingState:
    """"verified" when the faces are those of the record's person; "unverified" where that cannot be looked at.

    `found` = ((N, D) unit vectors, sha256 of their net), or None without a net. A record without a binding, or
    bound by another net (vectors of two nets are never compared), is unverified. Raises ConsentRefused for
    strangers, and when the private half is missing or changed.
    """
    binding = record.binding
    if binding is None or found is None or found[1] != binding["model_sha256"] or len(found[0]) == 0:
        return "unverified"
    vectors = found[0]
    strangers = _strangers(vectors, _open(binding, record, folder, vectors.shape[1]))
    if strangers:
        raise _not_one_person(strangers, len(vectors), record, where)
    return "verified"


def set_aside(binding: Mapping[str, Any], folder: Path) -> bool:
    """Put the private half (biometric data) into quarantine, where no check finds it: at a revocation. Whoever is asked
    to erase it deletes that file of `folder`/revoked. True when there was one."""
    path = _private_file(binding["commit"], folder)
    if not path.exists():
        return False
    quarantine = make_folder(folder / "revoked")
    try:
        os.replace(path, quarantine / path.name)
        sync_folder(quarantine)
        sync_folder(folder)
    except OSError as error:
        raise disk_error(error, path) from error
    return True


def _strangers(vectors: np.ndarray, mu_q: np.ndarray) -> int:
    """0 when the rule accepts; else how many faces lie below TAU (at least 1)."""
    mu = mu_q.astype(np.float64)
    cosines = vectors.astype(np.float64) @ (mu / max(float(np.linalg.norm(mu)), 1e-12))
    if not np.isfinite(cosines).all():
        return len(vectors)
    below = int(np.count_nonzero(cosines < TAU))
    accepted = float(np.median(cosines)) >= TAU and below <= (1 - SHARE) * len(cosines)
    return 0 if accepted else max(below, 1)


def _outsiders(vectors: np.ndarray) -> int:
    """How many faces are not of the majority's person; 0 for one person.

    The mean of two people half and half lies within TAU of both, so a mean alone would bind a record to either.
    Faces of one person are, pair by pair, below DIFFERENT in 0.03 % of pairs: more than 5 % means several people.
    """
    some = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), _PAIRS_OF)).astype(int)].astype(np.float64)
    cosines = some @ some.T
    different = cosines < DIFFERENT
    if different.mean() <= 1 - SHARE:
        return 0
    typical = some[int(np.argmin(different.sum(axis=0)))]
    return max(int(np.count_nonzero(vectors @ typical < DIFFERENT)), 1)


def _open(binding: Mapping[str, Any], record: Record, folder: Path, size: int) -> np.ndarray:
    path = _private_file(binding["commit"], folder)
    if path.exists():
        secret = decode(path.read_bytes())
        if isinstance(secret, dict) and isinstance(secret.get("salt"), str) and isinstance(secret.get("q"), str):
            salt, mu_q = from_b64url(secret["salt"]), np.frombuffer(from_b64url(secret["q"]), np.int8)
            if _commit(binding["model_sha256"], salt, mu_q) == binding["commit"] and mu_q.shape == (size,):
                return mu_q
    raise ConsentRefused(
        f"The record of {record.name} is bound to a face that cannot be checked here.",
        why="The private half of its binding is missing or was changed.",
        remedy="Restore the folder `bindings` of the user data folder, or make a new record with "
               "`facewright consent new`.",
        where=record.id,
    )


def _commit(net_sha256: str, salt: bytes, mu_q: np.ndarray) -> str:
    return hashlib.sha256(b"fw-bind/1\n" + net_sha256.encode() + salt + mu_q.tobytes()).hexdigest()


def _private_file(commit: str, folder: Path) -> Path:
    return make_folder(folder) / f"{commit}.json"


def _not_one_person(strangers: int, count: int, record: Record | None, where: object = None) -> ConsentRefused:
    whose = "one person" if record is None else f"the person of record {record.id}"
    return ConsentRefused(
        f"{strangers} of {count} faces are not of {whose}.",
        why=f"Their likeness to the person's mean stays below {TAU}.",
        remedy="Take the strangers out of the faceset, or name the person with `--person`, and run the command again.",
        where=where if where is not None else (record.id if record else None),
    )
