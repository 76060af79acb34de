"""One file for a run: there and back bit-equal; nothing that is hostile, altered or cut gets in."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import time
import zipfile

import pytest
from tests.tiny_run import make, picture

from facewright.core.errors import DiskRefused, FileRefused
from facewright.models import bundle as bundles
from facewright.models import checkpoint
from facewright.models.bundle import bundle, unbundle
from facewright.models.run_folder import RunFolder
from facewright.models.tensors import read_sizes
from facewright.training.snapshots import snapshot


@pytest.fixture
def run(tmp_path):
    place = tmp_path / "one"
    make(place, (10, 20, 30))
    snapshot(place, "early", "000000010")
    (place / "preview").mkdir()
    (place / "preview" / "latest.png").write_bytes(b"picture")
    (place / ".cache").mkdir()
    (place / ".cache" / "faces.u8").write_bytes(b"faces of people")
    return place


def test_there_and_back_bit_equal(run, tmp_path):
    index = bundle(run, tmp_path / "one.zip")
    folder = unbundle(tmp_path / "one.zip", tmp_path / "new" / "two")
    before, after = picture(run), picture(folder.path)
    assert {k for k in before if k not in after} == {
        ".cache/faces.u8", "preview/latest.png", "model/ckpt/000000020/state.json",
        "model/ckpt/000000020/ema.safetensors", "model/ckpt/000000020/weights.safetensors",
        "model/ckpt/000000020/optimiser.safetensors",
    }
    assert all(after[k] == before[k] for k in after if k != "run.json")
    assert (folder.net, folder.shape) == ("saehd", RunFolder.open(run).shape)
    assert checkpoint.load_latest(folder.path).iteration == 30
    assert checkpoint.load(folder.path, "early").iteration == 10
    assert index["records"] == ["sha256:" + "1" * 64]


def test_every_save_when_asked(run, tmp_path):
    bundle(run, tmp_path / "one.zip", every_save=True)
    folder = unbundle(tmp_path / "one.zip", tmp_path / "two")
    assert [c.iteration for c in checkpoint.list_all(folder.path)] == [10, 20, 30]


def test_no_path_of_this_machine_is_inside_and_people_stay_named_by_their_records(run, tmp_path):
    bundle(run, tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        text = archive.read("run.json").decode()
    assert "/home/x" not in text
    (person,) = json.loads(text)["extra"]["likenesses"]
    assert (person["consent"], person["where"], person["person"]) == ("sha256:" + "1" * 64, "src", "")


def test_nothing_is_written_over(run, tmp_path):
    bundle(run, tmp_path / "one.zip")
    with pytest.raises(FileRefused, match="exists already"):
        bundle(run, tmp_path / "one.zip")
    with pytest.raises(FileRefused, match="exists already"):
        unbundle(tmp_path / "one.zip", run)


def forge(file, parts, *, index=None, mode=stat.S_IFREG, method=zipfile.ZIP_STORED, first=True):
    """A zip as an attacker would write it, with an index that fits the parts unless another is given."""
    made = {"format": bundles.FORMAT, "files": {
        n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in parts.items()}}
    members = [("index.json", json.dumps(made if index is None else index).encode()), *parts.items()]
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members if first else members[::-1]:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode if name != "index.json" else stat.S_IFREG) << 16
            archive.writestr(info, data, compress_type=method)
    return file


RECORD = json.dumps({"format": 1, "net": "quick96", "shape": {}, "extra": {}}).encode()


@pytest.mark.parametrize("name", [
    "../run.json", "/etc/passwd", "model/../../x", "C:\\x", "model/ckpt/1/state.json", ".facewright/jobs/x",
    "preview/latest.png", "model/ckpt/000000001/evil.pkl", "model\\ckpt\\x", "run.json/x", "model/ckpt/000000001/", "",
])
def test_names_from_outside_are_refused(name, tmp_path):
    file = forge(tmp_path / "x.zip", {"run.json": RECORD, name: b"1"})
    with pytest.raises(FileRefused, match="no sound bundle"):
        unbundle(file, tmp_path / "two")
    assert sorted(p.name for p in tmp_path.iterdir()) in (["x.zip"], [".facewright", "x.zip"])


@pytest.mark.parametrize("harm", [
    {"mode": stat.S_IFLNK}, {"mode": stat.S_IFCHR}, {"method": zipfile.ZIP_DEFLATED}, {"first": False},
    {"index": {}}, {"index": []}, {"index": {"format": bundles.FORMAT, "files": {}}},
    {"index": {"format": bundles.FORMAT, "files": {"run.json": {"bytes": 10**15, "sha256": ""}}}},
    {"index": {"format": bundles.FORMAT, "files": {"run.json": {"bytes": len(RECORD), "sha256": "0" * 64}}}},
    {"index": {"format": "facewright.bundle/9", "files": {}}},
])
def test_kinds_and_claims_are_checked(harm, tmp_path):
    file = forge(tmp_path / "x.zip", {"run.json": RECORD}, **harm)
    with pytest.raises(FileRefused):
        unbundle(file, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_contents_that_no_command_could_open_are_refused(tmp_path):
    deep = b"[" * 200_000
    for number, parts in enumerate([
        {"run.json": b"{"}, {"run.json": RECORD, "history.jsonl": deep}, {"run.json": RECORD, "history.jsonl": b"[]"},
        {"run.json": RECORD.replace(b'"extra": {}', b'"extra": {"likenesses": ["x"]}')},
        {"run.json": RECORD.replace(b"quick96", b"nonsense")}, {"history.jsonl": b"{}\n"},
        {"run.json": RECORD, "model/ckpt/000000001/state.json": b"{}"}, {"run.json": deep},
    ]):
        with pytest.raises(FileRefused):
            unbundle(forge(tmp_path / f"{number}.zip", parts), tmp_path / "two")
        assert not (tmp_path / "two").exists()


def test_the_same_part_twice_is_refused(tmp_path):
    file = forge(tmp_path / "x.zip", {"run.json": RECORD})
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("run.json", RECORD)
    with pytest.raises(FileRefused, match="no sound bundle"):
        unbundle(file, tmp_path / "two")


def content(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.glob("model/ckpt/*/*.safetensors"))}


def test_a_cut_or_flipped_file_is_refused(run, tmp_path):
    bundle(run, tmp_path / "one.zip")
    data = (tmp_path / "one.zip").read_bytes()
    for place in range(0, len(data), len(data) // 23):
        for harmed in (data[:place], data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :]):
            (tmp_path / "x.zip").write_bytes(harmed)
            try:
                unbundle(tmp_path / "x.zip", tmp_path / "two")
            except FileRefused:
                assert not (tmp_path / "two").exists()
            else:  # a date, or the number of a disk that nobody reads: then nothing of the model may differ
                assert len(harmed) == len(data)
                assert content(tmp_path / "two") == content(run)
                shutil.rmtree(tmp_path / "two")
    for text in (b"", b"hello"):
        (tmp_path / "x.zip").write_bytes(text)
        with pytest.raises(FileRefused, match="no sound bundle"):
            unbundle(tmp_path / "x.zip", tmp_path / "two")
    with pytest.raises(FileRefused, match="no file"):
        unbundle(tmp_path / "none.zip", tmp_path / "two")


def test_weights_are_looked_at_by_their_sizes_alone(run, tmp_path, monkeypatch):
    bundle(run, tmp_path / "one.zip")
    monkeypatch.setattr(checkpoint, "read_tensors", lambda path: pytest.fail(f"{path} was read for its sizes"))
    assert checkpoint.load_latest(unbundle(tmp_path / "one.zip", tmp_path / "two").path).iteration == 30


@pytest.mark.parametrize("kind", ["C64", "U64", "F8_E4M3"])
def test_weights_of_a_type_that_no_command_opens_are_refused(tmp_path, kind):
    width = 1 if kind.startswith("F8") else 8
    head = json.dumps({"a": {"dtype": kind, "shape": [8], "data_offsets": [0, 8 * width]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8 * width))
    with pytest.raises(FileRefused, match="Cannot read") as refused:
        read_sizes(tmp_path / "w.safetensors")
    assert kind in refused.value.why


def test_a_damaged_save_is_not_bundled_as_sound(run, tmp_path):
    weights = run / "model/ckpt/000000010/weights.safetensors"
    weights.unlink()
    with pytest.raises(FileRefused, match="missing"):
        bundle(run, tmp_path / "one.zip")
    assert not (tmp_path / "one.zip").exists()


def in_child(limit_bytes, deed):
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        try:
            deed()
        except DiskRefused as error:
            os._exit(3 if "disk is full" in error.what else 4)
        except BaseException:  # noqa: BLE001
            os._exit(5)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, RLIMIT_FSIZE")
@pytest.mark.parametrize("limit_bytes", [100, 30_000, 300_000])
def test_full_disk_leaves_nothing(run, tmp_path, limit_bytes):
    assert in_child(limit_bytes, lambda: bundle(run, tmp_path / "one.zip")) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["one"]
    bundle(run, tmp_path / "one.zip")
    assert in_child(limit_bytes // 2, lambda: unbundle(tmp_path / "one.zip", tmp_path / "two")) == 3
    assert not (tmp_path / "two").exists()
    assert not (tmp_path / ".facewright" / "aside").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_kill_9_leaves_the_whole_run_or_none(run, tmp_path):
    bundle(run, tmp_path / "one.zip")
    whole = picture(unbundle(tmp_path / "one.zip", tmp_path / "whole").path)
    for number in range(12):
        target = tmp_path / f"two{number}"
        pid = os.fork()
        if not pid:
            unbundle(tmp_path / "one.zip", target)
            os._exit(0)
        time.sleep(0.004 * number)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not target.exists() or picture(target) == whole
    unbundle(tmp_path / "one.zip", tmp_path / "last")
    assert not (tmp_path / ".facewright" / "aside").exists()
