from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from facewright.core import at_hand, catalogue
from facewright.core import weights as door
from facewright.core.at_hand import cache_place
from facewright.core.errors import SettingRefused, WeightsMissing
from facewright.core.weights import WEIGHTS, Package, Repository, Weight, available, resolve, verify, weight


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """No folder, no network, nothing switched off."""
    for name in ("FACEWRIGHT_WEIGHTS", "FACEWRIGHT_NO_IDENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FACEWRIGHT_OFFLINE", "1")


@pytest.fixture
def tiny(monkeypatch):
    """The table with one net whose file we can write ourselves."""
    content = b"a net of eleven bytes"
    digest = hashlib.sha256(content).hexdigest()
    net = Weight(
        "tiny", "tiny.onnx", len(content), digest, "MIT", "", "none", "", (Repository("a/b", "0" * 40, ()),), "tests"
    )
    monkeypatch.setitem(catalogue.WEIGHTS, "tiny", net)
    return net, content


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_net_says_what_it_is():
    for net in WEIGHTS.values():
        assert net.licence
        assert net.training_data
        assert net.used_for
        assert net.bytes > 0
        assert len(net.sha256) == 64
        assert net.carriers
        for carrier in net.carriers:
            assert str(carrier)
            parts = [carrier.part] if isinstance(carrier, Package) else carrier.parts
            assert all(len(p.sha256) == 64 and p.bytes > 0 for p in parts)
            if isinstance(carrier, Package) or not carrier.convert:
                assert parts[0].sha256 == net.sha256
                assert parts[0].bytes == net.bytes
    assert "MS-Celeb-1M" in weight("mobileface_v2").reservations
    assert "scraped" in weight("nsfwjs").training_data


def test_contract_names():
    names = {"yunet_n", "yunet_s", "blazeface_full", "blazeface_short", "face_mesh", "mobileface_v2", "nsfwjs"}
    assert names | {"canonical_face"} <= set(WEIGHTS)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(SettingRefused) as caught:
        available("nonsense")
    assert "yunet_n" in caught.value.remedy


def test_nothing_is_at_hand_in_an_empty_home():
    assert available("yunet_n") is None
    with pytest.raises(WeightsMissing) as caught:
        resolve("yunet_n")
    text = caught.value.remedy
    assert "yunet_n_dynamic.onnx" in text
    assert WEIGHTS["yunet_n"].sha256 in text
    assert "322,906 bytes" in text
    assert str(cache_place(WEIGHTS["yunet_n"])) in text
    assert "weights fetch yunet_n" in text


def test_order_explicit_then_folder_then_cache(tiny, tmp_path, monkeypatch):
    net, content = tiny
    cached = _put(cache_place(net), content)
    assert available("tiny") == cached
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path))
    assert available("tiny") == cached
    folder = _put(tmp_path / "tiny.onnx", content)
    assert available("tiny") == folder
    explicit = _put(tmp_path / "elsewhere" / "mine.onnx", content)
    assert resolve("tiny", explicit=explicit) == explicit


def test_wrong_content_never_counts(tiny, tmp_path, monkeypatch):
    _, content = tiny
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path))
    file = _put(tmp_path / "tiny.onnx", content[::-1])
    assert available("tiny") is None
    assert verify()["yunet_n"] == "absent"
    with pytest.raises(WeightsMissing, match="tiny"):
        resolve("tiny", explicit=file)
    _put(file, content)  # replaced on disk: seen at once, the same size or not
    assert available("tiny") == file


def test_verify_sees_damage(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(tmp_path))
    _put(tmp_path / "yunet_n_dynamic.onnx", b"no")
    assert verify()["yunet_n"] == "damaged"
    assert verify()["face_mesh"] == "absent"


def test_resolve_asks_the_carrier_only_when_allowed(monkeypatch):
    asked = []
    monkeypatch.setattr(door, "fetch", lambda name: asked.append(name) or Path("there"))
    with pytest.raises(WeightsMissing):
        resolve("face_mesh")
    monkeypatch.setenv("FACEWRIGHT_OFFLINE", "0")
    assert resolve("face_mesh") == Path("there")
    with pytest.raises(WeightsMissing):
        resolve("yunet_n")  # no package carries it: only `weights fetch` goes to an address
    assert asked == ["face_mesh"]


@pytest.mark.parametrize("way", ["environment", "file"])
def test_identity_switched_off(way, monkeypatch, tmp_path):
    from facewright.core.places import config_folder

    net = WEIGHTS["mobileface_v2"]
    monkeypatch.setattr(at_hand, "is_file_of", lambda n, path: n is net)
    assert available("mobileface_v2") is not None
    if way == "environment":
        monkeypatch.setenv("FACEWRIGHT_NO_IDENTITY", "1")
    else:
        (config_folder() / "machine.toml").write_text("no_identity = true\n", encoding="utf-8")
    assert available("mobileface_v2") is None
    assert verify()["mobileface_v2"] == "off"
    with pytest.raises(WeightsMissing) as caught:
        resolve("mobileface_v2")
    assert "FACEWRIGHT_NO_IDENTITY" in caught.value.remedy


def test_broken_machine_file_is_said(monkeypatch):
    from facewright.core.places import config_folder

    (config_folder() / "machine.toml").write_text("no_identity = = 1", encoding="utf-8")
    with pytest.raises(SettingRefused):
        available("mobileface_v2")


@pytest.mark.shared
def test_the_table_is_true(weights):
    for net in WEIGHTS.values():
        path = available(net.name)
        assert path == weights / net.file
        assert path.stat().st_size == net.bytes
    assert set(verify().values()) == {"ok"}
