"""Ed25519 keys: whoever issues a record, revokes one or signs a ledger's head has one.

A private key is a 32-byte seed in a file of mode 0600, plain or sealed by a passphrase
(scrypt N = 2^15, r = 8, p = 1, then ChaCha20-Poly1305).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from facewright.core.errors import TraceBroken
from facewright.core.files import disk_error, make_folder, read_file, sync_folder
from facewright.core.places import data_folder
from facewright.provenance.canonical import decode, encode, from_b64url, to_b64url

_ABANDONED_S = 3600.0
_FORMAT = "facewright.key/1"
_SCRYPT_N = 1 << 15


class Key:
    """A private key in memory. Nothing about it is printed."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()

    @property
    def kid(self) -> str:
        """The public key's short name: 16 hex characters."""
        return kid_of(self.public)

    @property
    def issuer(self) -> dict[str, str]:
        """`{alg, pub}` as records spell their issuer."""
        return {"alg": "Ed25519", "pub": to_b64url(self.public)}

    def sign(self, message: bytes) -> bytes:
        """64 bytes (RFC 8032, deterministic)."""
        return self._private.sign(message)

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the seed, mode 0600; never over an existing key. Raises DiskRefused."""
        secret = _sealed(self._seed, passphrase) if passphrase else {"seed": to_b64url(self._seed)}
        body = {"format": _FORMAT, "pub": to_b64url(self.public), **secret}
        write_private(path, encode(body) + b"\n")

    def __repr__(self) -> str:
        return f"Key(kid={self.kid!r})"


def kid_of(public: bytes) -> str:
    """First 16 hex characters of SHA-256(raw public key)."""
    return hashlib.sha256(public).hexdigest()[:16]


def fresh_key() -> Key:
    """A new random key, in memory only."""
    return Key(secrets.token_bytes(32))


def load_key(path: Path, passphrase: str | None = None) -> Key:
    """Read a key file. Raises FileRefused (missing), TraceBroken (damaged, passphrase missing or wrong)."""
    body = decode(read_file(path, limit_bytes=4096))
    try:
        if body["format"] != _FORMAT:
            raise KeyError("format")
        seed = from_b64url(body["seed"]) if "seed" in body else _opened(body, passphrase, path)
        if len(seed) != 32:
            raise KeyError("seed")
    except (KeyError, TypeError) as error:
        raise TraceBroken(
            "The signing key is damaged.", why="Its file does not hold a facewright key.",
            remedy="Restore the file from a backup; records that it signed stay valid.", where=path,
        ) from error
    return Key(seed)


def machine_key(passphrase: str | None = None) -> Key:
    """This installation's own key, made on first use in the user's data folder."""
    path = key_folder() / "issuer.key"
    if not path.exists():
        with suppress(FileExistsError):  # another process was faster: its key is ours too
            fresh_key().save(path, passphrase)
    return load_key(path, passphrase)


def machine_kid() -> str | None:
    """The short name of this installation's key, without opening it; None before its first use."""
    path = key_folder() / "issuer.key"
    return kid_of(from_b64url(decode(read_file(path, limit_bytes=4096))["pub"])) if path.exists() else None


def key_folder() -> Path:
    """`keys` in the user's data folder, mode 0700."""
    folder = make_folder(data_folder() / "keys")
    if os.name == "posix":
        folder.chmod(0o700)
    _sweep(folder)
    return folder


def _sweep(folder: Path) -> None:
    """Remove what a killed process left: half a key is a secret too.

    Only of secrets that are there (a process still at work on one finds it in place and gives up by itself), or old.
    """
    for part in folder.glob(".*.part"):
        name = part.name[1:].removesuffix(".part").rpartition(".")[0]
        with suppress(FileNotFoundError):  # another process sweeps as well
            old = time.time() - part.stat().st_mtime > _ABANDONED_S
            if name and (old or (folder / name).exists()):
                part.unlink()


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` over `message` was made by the key whose raw public half is `public`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def write_private(path: Path, data: bytes) -> None:
    """A new file that only its owner can read, whole or not at all.

    Raises FileExistsError when `path` is there (a secret is never overwritten), DiskRefused otherwise.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _move_new(part, path)
        sync_folder(path.parent)
        _sweep(path.parent)
    except FileExistsError:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, path) from error


def _move_new(part: Path, path: Path) -> None:
    """Rename that refuses an existing target: Windows' rename does, POSIX needs a hard link, where there are any."""
    if os.name != "nt":
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if path.exists():
                raise FileExistsError(path) from None
        else:
            part.unlink()
            return
    part.rename(path)


def _sealed(seed: bytes, passphrase: str) -> dict[str, Any]:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    box = ChaCha20Poly1305(_stretch(passphrase, salt)).encrypt(nonce, seed, _FORMAT.encode())
    return {"kdf": "scrypt-15-8-1", "salt": to_b64url(salt), "nonce": to_b64url(nonce), "box": to_b64url(box)}


def _opened(body: dict[str, Any], passphrase: str | None, path: Path) -> bytes:
    if not passphrase:
        raise TraceBroken("The signing key is locked.", remedy="Give its passphrase.", where=path)
    try:
        sealed = ChaCha20Poly1305(_stretch(passphrase, from_b64url(body["salt"])))
        return sealed.decrypt(from_b64url(body["nonce"]), from_b64url(body["box"]), _FORMAT.encode())
    except InvalidTag as error:
        raise TraceBroken("The passphrase does not open this key.", remedy="Try again.", where=path) from error


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=8, p=1).derive(passphrase.encode())
