from __future__ import annotations

import os
import stat

import pytest

from facewright.core.errors import FileRefused, TraceBroken
from facewright.provenance.keys import Key, fresh_key, load_key, machine_key, machine_kid, verify, write_private


def test_vector(key: Key):
    assert key.public.hex() == "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    assert key.kid == "56475aa75463474c"
    assert key.issuer == {"alg": "Ed25519", "pub": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"}


def test_sign_and_verify(key: Key):
    signature = key.sign(b"text")
    assert verify(key.public, signature, b"text")
    assert not verify(key.public, signature, b"texT")
    assert not verify(fresh_key().public, signature, b"text")
    assert not verify(b"short", signature, b"text")


def test_saved_key_is_private_and_comes_back(tmp_path, key: Key):
    path = tmp_path / "a.key"
    key.save(path)
    assert load_key(path).public == key.public
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["a.key"]


def test_a_key_is_never_overwritten(tmp_path, key: Key):
    key.save(tmp_path / "a.key")
    with pytest.raises(FileExistsError):
        fresh_key().save(tmp_path / "a.key")
    assert load_key(tmp_path / "a.key").public == key.public
    assert [p.name for p in tmp_path.iterdir()] == ["a.key"]


def test_passphrase(tmp_path, key: Key):
    path = tmp_path / "a.key"
    key.save(path, "open sesame")
    assert bytes(range(32)) not in path.read_bytes()
    assert load_key(path, "open sesame").public == key.public
    for wrong in (None, "", "open sesamE"):
        with pytest.raises(TraceBroken):
            load_key(path, wrong)


@pytest.mark.parametrize("text", ['{}', '{"format":"facewright.key/1","seed":"AAAA"}', '[]', 'x', '{"format":1}'])
def test_damaged_key(tmp_path, text):
    (tmp_path / "a.key").write_text(text)
    with pytest.raises(TraceBroken):
        load_key(tmp_path / "a.key")


def test_missing_key(tmp_path):
    with pytest.raises(FileRefused):
        load_key(tmp_path / "a.key")


def test_machine_key_is_made_once():
    assert machine_kid() is None
    first = machine_key()
    assert machine_key().public == first.public
    assert machine_kid() == first.kid


def test_nothing_secret_is_printed(key: Key):
    assert repr(key) == "Key(kid='56475aa75463474c')"


def test_write_private_without_hard_links(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", no_links)
    write_private(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_what_a_killed_process_left_of_a_secret_goes(tmp_path):
    (tmp_path / ".key.0badcafe.part").write_bytes(b"half")  # killed between the link and its end
    (tmp_path / ".other.0badcafe.part").write_bytes(b"half")  # perhaps at work just now
    (tmp_path / ".old.0badcafe.part").write_bytes(b"half")
    os.utime(tmp_path / ".old.0badcafe.part", (0, 0))
    write_private(tmp_path / "key", b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.0badcafe.part", "key"]
    assert (tmp_path / "key").read_bytes() == b"whole"
