from __future__ import annotations

import os
import stat
from datetime import timedelta

import pytest
from cryptography import x509

from facewright.core.errors import TraceBroken
from facewright.provenance.certificate import CLAIM_SIGNING, local_identity, local_root
from facewright.provenance.keys import key_folder


def leaf_of(chain_pem: bytes) -> tuple[x509.Certificate, x509.Certificate]:
    leaf, root = x509.load_pem_x509_certificates(chain_pem)
    return leaf, root


def test_what_the_specification_asks_of_a_leaf(tmp_path, now):
    identity = local_identity(tmp_path, now)
    leaf, root = leaf_of(identity.chain_pem)
    leaf.verify_directly_issued_by(root)
    assert leaf.issuer != leaf.subject
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert purposes == {CLAIM_SIGNING, x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION}
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert 3650 <= (leaf.not_valid_after_utc - now).days <= 3653


def test_made_once_and_private(tmp_path, now):
    first = local_identity(tmp_path, now)
    assert local_identity(tmp_path, now) == first
    assert local_root(tmp_path) == first.root_pem
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "film-signer.pem").stat().st_mode) == 0o600


def test_no_root_before_the_first_film():
    assert local_root() is None
    assert local_identity().root_pem == local_root()
    assert (key_folder() / "film-signer.pem").exists()


def test_warning_from_90_days_before_the_end(tmp_path, now):
    identity = local_identity(tmp_path, now)
    assert identity.warning(identity.until - timedelta(days=91)) == ""
    assert "ends at" in identity.warning(identity.until - timedelta(days=89))
    with pytest.raises(TraceBroken, match="ended"):
        local_identity(tmp_path, identity.until)


def test_a_damaged_file_is_said(tmp_path, now):
    local_identity(tmp_path, now)
    path = tmp_path / "film-signer.pem"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(TraceBroken, match="damaged"):
        local_identity(tmp_path, now)


def test_two_machines_have_two_roots(tmp_path, now):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert local_identity(tmp_path / "a", now).root_pem != local_identity(tmp_path / "b", now).root_pem
