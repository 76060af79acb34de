from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core import files
from facewright.core.errors import DiskRefused, FileRefused


def test_write_atomic_leaves_old_or_new(tmp_path, monkeypatch):
    path = tmp_path / "Größe 写真.bin"
    files.write_atomic(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(DiskRefused):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="file-size limits are POSIX")
def test_a_full_disk_is_a_clear_end(tmp_path):
    code = (
        "import resource,sys,signal;from pathlib import Path;signal.signal(signal.SIGXFSZ,signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE,(1000,1000));from facewright.core.files import write_atomic\n"
        "try: write_atomic(Path(sys.argv[1]),b'x'*5000)\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, check=True)
    assert "DiskRefused" in done.stdout
    assert "disk is full" in done.stdout
    assert not list(tmp_path.iterdir())


def test_files_are_written_together_or_not_at_all(tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "a" / "b" / "new"
    old.write_bytes(b"1")
    assert files.write_all([]) == 0
    assert files.write_all([(old, b"2"), (new, b"3")]) == 2
    assert (old.read_bytes(), new.read_bytes()) == (b"2", b"3")

    def torn():
        yield old, b"4"
        raise ValueError("damaged")

    def full(parts):
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(ValueError, match="damaged"):
        files.write_all(torn())
    monkeypatch.setattr(files, "replace_files", full)
    with pytest.raises(DiskRefused, match="disk is full"):
        files.write_all([(old, b"5"), (tmp_path / "other", b"6")])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "old"]
    assert old.read_bytes() == b"2"


def test_what_is_occupied_is_refused(tmp_path):
    files.refuse_occupied(tmp_path / "new", "it")
    files.refuse_occupied(tmp_path, "it")
    (tmp_path / "ours.part").touch()
    files.refuse_occupied(tmp_path, "it", {"ours"}.__contains__)
    for place, why in ((tmp_path, "It holds ours."), (tmp_path / "ours.part", "It is a file.")):
        with pytest.raises(DiskRefused, match="not an empty") as told:
            files.refuse_occupied(place, "it")
        assert told.value.why.startswith(why[:12])


def test_part_file_vanishes_on_error(tmp_path):
    path = tmp_path / "film.mp4"
    with pytest.raises(ZeroDivisionError), files.part_file(path) as part:
        part.write_bytes(b"x" * (1 // 0))
    assert not list(tmp_path.iterdir())
    with files.part_file(path) as part:
        assert part.suffix == ".mp4"
        part.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"


def test_lock_is_held_once_and_freed_by_death(tmp_path):
    code = (
        "import sys,time;from pathlib import Path;from facewright.core.files import FolderLock\n"
        "l=FolderLock(Path(sys.argv[1]));print(l.acquire(),flush=True);time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline().strip() == "True"
    lock = files.FolderLock(tmp_path / "lock")
    assert lock.held_by_other()
    assert not lock.acquire()
    with pytest.raises(DiskRefused, match="in use"), lock:
        pass
    other.kill()
    other.wait()
    assert lock.acquire()
    lock.release()


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../../b", "C:\\x", "a\0", "", "nul", "COM1.txt", "a.", "a ", "//h/s"]
)
def test_unsafe_names_are_refused(tmp_path, name):
    with pytest.raises(FileRefused):
        files.safe_join(tmp_path, name)


@given(st.text(min_size=1, max_size=30))
def test_a_safe_name_never_leaves_the_folder(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp()
    with contextlib.suppress(FileRefused):
        assert files.safe_join(root, name).resolve().is_relative_to(root.resolve())


def test_trash_keeps_the_data(tmp_path):
    (tmp_path / "a.txt").write_text("precious")
    kept = files.to_trash(tmp_path / "a.txt", tmp_path / "trash")
    assert kept.read_text() == "precious"
    assert not (tmp_path / "a.txt").exists()


def test_reading_refuses_in_words(tmp_path):
    with pytest.raises(FileRefused):
        files.read_file(tmp_path / "none")
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(FileRefused, match="too large"):
        files.read_file(tmp_path / "big", limit_bytes=10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileRefused, match="no plain file"):
        files.read_file(tmp_path / "pipe")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells of itself in such files")
def test_a_file_that_does_not_say_how_large_it_is_is_read_whole_up_to_the_limit():
    status = Path("/proc/self/status")
    assert b"VmHWM" in files.read_file(status)
    with pytest.raises(FileRefused, match="too large"):
        files.read_file(status, limit_bytes=100)


@given(st.text(max_size=300), st.sampled_from("_-"), st.integers(20, 240))
def test_any_text_becomes_a_name_that_every_system_takes(text, fill, most_bytes):
    name = files.plain_name(text, fill=fill, most_bytes=most_bytes)
    assert not name or (files.is_safe_name(name) and "/" not in name and "\\" not in name)
    assert len(name.encode()) <= most_bytes + 1
    assert files.plain_name(name, fill=fill, most_bytes=most_bytes + 1) == name, "a plain name stays as it is"


@pytest.mark.parametrize(("text", "name"), [
    ("Ada & Bob", "Ada & Bob"), ("e\u0301", "\u00e9"), ("a<<b", "a_b"), ("CON.jpg", "_CON.jpg"), (" x. ", "x"),
    ("...", ""), (".hidden", "_.hidden"), ("a\udc80b", "a_b"), ("nul .txt", "_nul .txt"),
    ("\u00e9" * 200, "\u00e9" * 120),
])
def test_plain_names(text, name):
    assert files.plain_name(text) == name


def test_a_folder_in_a_file_s_place_and_the_other_way_round_are_said(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskRefused) as caught:
        files.write_atomic(tmp_path / "folder", b"x")
    assert "name a file" in caught.value.remedy
    with pytest.raises(DiskRefused) as caught:
        files.make_folder(tmp_path / "file" / "under")
    assert "another place" in caught.value.remedy
