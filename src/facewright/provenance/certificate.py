"""This installation's signing certificate: a local root and a leaf, made on first use, valid for ten years.

The leaf carries the usages claimSigning (C2PA) and emailProtection; readers refuse the first one alone. Elsewhere
films signed with it read as intact by an unknown signer; public trust needs C2PA's conformance programme.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from facewright.core.errors import TraceBroken
from facewright.core.files import read_file
from facewright.provenance.keys import key_folder, write_private
from facewright.provenance.moment import stamp, utc_now

CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
LIFE_DAYS = 3652
WARN_DAYS = 90
_FILE = "film-signer.pem"
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----\n.*?-----END [A-Z ]+-----\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM bytes: the leaf's private key, the chain (leaf first), the root; when the leaf ends."""

    key_pem: bytes
    chain_pem: bytes
    root_pem: bytes
    until: datetime

    def warning(self, now: datetime) -> str:
        """One sentence from 90 days before the end on, else ""."""
        if now < self.until - timedelta(days=WARN_DAYS):
            return ""
        return f"This machine's signing certificate ends at {stamp(self.until)}; no film can be signed after that."


def local_identity(folder: Path | None = None, now: datetime | None = None) -> Identity:
    """The certificate in `folder` (default: the user's key folder), made when there is none.

    Raises TraceBroken when its file is damaged or the leaf has ended.
    """
    path = (folder if folder is not None else key_folder()) / _FILE
    now = now if now is not None else utc_now()
    if not path.exists():
        with suppress(FileExistsError):  # another process was faster: its certificate is ours too
            write_private(path, make_identity(now))
    return _read(path, now)


def local_root(folder: Path | None = None) -> bytes | None:
    """The root's PEM, for readers on this machine; None before the first film."""
    path = (folder if folder is not None else key_folder()) / _FILE
    return _split(read_file(path))[2] if path.exists() else None


def make_identity(now: datetime) -> bytes:
    """PEM of a fresh leaf key, leaf and root. The root's private key is not kept: it signs this one leaf."""
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    leaf_id = x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key())
    root_name = _name(f"facewright local root {root_id.digest.hex()[:8]}")
    leaf_name = _name(f"facewright local signer {leaf_id.digest.hex()[:8]}")
    root = (
        _certificate(root_name, root_name, root_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(root_id, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _certificate(leaf_name, root_name, leaf_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(leaf_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    key_pem = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem + b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, root))


def _read(path: Path, now: datetime) -> Identity:
    key_pem, leaf_pem, root_pem = _split(read_file(path, limit_bytes=1 << 16))
    until = x509.load_pem_x509_certificate(leaf_pem).not_valid_after_utc
    if now >= until:
        raise TraceBroken(
            "The signing certificate of this machine has ended.", why=f"It was valid until {stamp(until)}.",
            remedy=f"Move {path.name} aside; a new one is made. Films signed before stay as they are.", where=path,
        )
    return Identity(key_pem, leaf_pem + root_pem, root_pem, until)


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    parts = _PEM.findall(data)
    if len(parts) != 3 or b"PRIVATE KEY" not in parts[0]:
        raise TraceBroken(
            "The signing certificate of this machine is damaged.",
            why="Its file does not hold a key and two certificates.",
            remedy=f"Restore {_FILE} from a backup, or move it aside: a new one is made.",
        )
    return parts[0], parts[1], parts[2]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "facewright local installation"),
                      x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    # An hour back: a reader's clock may be behind ours.
    return (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=LIFE_DAYS))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=sign_certificates, crl_sign=sign_certificates,
        encipher_only=False, decipher_only=False,
    )
