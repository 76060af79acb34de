"""Runs on their shelf: one rename a deed, nothing lost, nothing half."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil

import pytest
from tests.tiny_run import make, picture

from facewright.core.errors import DiskRefused, FileRefused, NothingFound, SettingRefused
from facewright.models import checkpoint, shelf
from facewright.models.run_folder import is_run
from facewright.project import new


@pytest.fixture
def run(tmp_path):
    place = tmp_path / "runs" / "one"
    place.parent.mkdir()
    make(place)
    (place / ".cache").mkdir()
    (place / ".cache" / "faces.u8").write_bytes(b"x" * 1000)
    (place / ".facewright" / "jobs").mkdir(parents=True)
    return place


def test_rename_and_what_lies_there(run):
    before = picture(run)
    two = shelf.rename(run, "zwei ünd")
    assert picture(two) == before
    assert not run.exists()
    assert shelf.runs_in(two.parent) == [two]
    assert shelf.runs_in(two) == [two]
    assert shelf.runs_in(two / "nowhere") == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "/etc", "x.part", ".hidden", "con", "a:b", "x. "])
def test_a_name_that_leaves_the_shelf_is_refused(run, name):
    with pytest.raises(SettingRefused, match="name of a run"):
        shelf.rename(run, name)
    assert is_run(run)


def test_a_taken_name_is_refused(run):
    shelf.duplicate(run, run.parent / "two")
    for deed in (lambda: shelf.rename(run, "two"), lambda: shelf.duplicate(run, run.parent / "two")):
        with pytest.raises(FileRefused, match="exists already"):
            deed()


def test_a_copy_leaves_jobs_and_caches(run):
    made = shelf.duplicate(run, run.parent / "two")
    assert {k: v for k, v in picture(run).items() if not k.startswith((".cache", ".facewright"))} == picture(made)
    assert checkpoint.load_latest(made).iteration == 20
    assert not (run.parent / ".facewright" / "aside").exists()


def test_a_copy_without_room_is_refused_before_it_begins(run, monkeypatch):
    monkeypatch.setattr(shelf, "free_bytes", lambda _: 1000)
    with pytest.raises(DiskRefused, match="disk is full"):
        shelf.duplicate(run, run.parent / "two")
    assert shelf.runs_in(run.parent) == [run]


def test_trash_and_back(run):
    before = picture(run)
    gone = shelf.discard(run)
    assert shelf.runs_in(run.parent) == []
    (found,) = shelf.trashed(run.parent)
    assert (found.name, found.folder) == ("one", gone)
    assert shelf.bring_back(run.parent, "one") == run
    assert picture(run) == before
    assert shelf.trashed(run.parent) == []


def test_the_one_deleted_last_comes_back_and_names_do_not_clash(run):
    shelf.duplicate(run, run.parent / "two")
    shelf.discard(run)
    shelf.rename(run.parent / "two", "one")
    (run / "note").write_text("second")
    shelf.discard(run)
    assert len(shelf.trashed(run.parent)) == 2
    assert (shelf.bring_back(run.parent, "one") / "note").read_text() == "second"
    with pytest.raises(FileRefused, match="exists already"):
        shelf.bring_back(run.parent, "one")
    assert not (shelf.bring_back(run.parent, "one", "first") / "note").exists()
    with pytest.raises(NothingFound, match="no run called"):
        shelf.bring_back(run.parent, "one")


def test_empty_takes_what_was_asked_and_nothing_else(run):
    shelf.duplicate(run, run.parent / "two")
    shelf.discard(run)
    shelf.discard(run.parent / "two")
    (run.parent / ".facewright" / "trash" / "mine.part").mkdir()
    assert [t.name for t in shelf.empty(run.parent, "two")] == ["two"]
    assert [t.name for t in shelf.trashed(run.parent)] == ["one"]
    assert [t.name for t in shelf.empty(run.parent)] == ["one"]
    assert shelf.trashed(run.parent) == []
    assert [p.name for p in (run.parent / ".facewright" / "trash").iterdir()] == ["mine.part"]


class Killed(BaseException):
    pass


def own(files):
    return {k: v for k, v in files.items() if k.split("/")[0] not in (".cache", ".facewright")}


@pytest.mark.parametrize("deed", ["rename", "duplicate", "discard", "bring_back"])
def test_killed_at_any_call_it_is_the_old_or_the_new(run, monkeypatch, deed):
    """Every call that this file makes to the disk is the last one once."""
    if deed == "bring_back":
        shelf.discard(run)
    parent = run.parent
    whole = picture(shelf.trashed(parent)[0].folder if deed == "bring_back" else run)
    deeds = {
        "rename": lambda: shelf.rename(run, "two"), "duplicate": lambda: shelf.duplicate(run, parent / "two"),
        "discard": lambda: shelf.discard(run), "bring_back": lambda: shelf.bring_back(parent, "one"),
    }
    for step in range(12):
        for name in ("make_folder", "replace_folder", "sync_folder", "to_trash", "_move"):
            left = iter([getattr(shelf, name)] * step)

            def once(*a, left=left, **k):
                act = next(left, None)
                if act is None:
                    raise Killed
                return act(*a, **k)

            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                patch.setattr(shelf, name, once)
                if deed == "duplicate":
                    patch.setattr(shelf.shutil, "rmtree", lambda *a, **k: None)  # a killed process tidies nothing
                deeds[deed]()
            seen = {p.name: picture(p) for p in shelf.runs_in(parent)}
            for one in shelf.trashed(parent):
                seen["trash"] = picture(one.folder)
            assert seen
            assert all(own(s) == own(whole) for s in seen.values())
            if deed == "duplicate" and "two" in seen:
                shutil.rmtree(parent / "two")
            elif deed == "rename" and "two" in seen:
                shelf.rename(parent / "two", "one")
            elif deed == "discard" and "trash" in seen:
                shelf.bring_back(parent, "one")
            elif deed == "bring_back" and "one" in seen:
                shelf.discard(run)


def test_a_half_copy_is_no_run_and_goes_with_the_next(run):
    project = new(run.parent.parent / "project")
    target = project.root / "runs"
    shelf.duplicate(run, target / "one")
    aside = target / ".facewright" / "aside" / "two"
    shutil.copytree(run, aside)
    assert shelf.runs_in(target) == [target / "one"]
    assert project.latest_run() == target / "one"
    shelf.duplicate(run, target / "three")
    assert not aside.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, RLIMIT_FSIZE")
def test_full_disk_while_copying(run):
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            shelf.duplicate(run, run.parent / "two")
        except DiskRefused as error:
            os._exit(3 if "disk is full" in error.what else 4)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert shelf.runs_in(run.parent) == [run]
    assert not (run.parent / ".facewright" / "aside").exists()


def test_two_processes_do_not_work_on_one_shelf(run):
    with shelf.shelf(run.parent), pytest.raises(DiskRefused, match="Another facewright"):
        shelf.rename(run, "two")
