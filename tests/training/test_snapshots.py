"""Snapshots: kept for ever, the way there and back, killed at any moment."""

from __future__ import annotations

import contextlib
import os

import pytest
import torch
from tests.tiny_run import grow, make

from facewright.core.errors import FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.settings import check
from facewright.models import checkpoint
from facewright.models.run_folder import RunFolder
from facewright.models.settings import Quick96Settings
from facewright.training import history, snapshots
from facewright.training.curve import read_losses
from facewright.training.settings import SaehdTrain
from facewright.training.snapshots import restore, settle, snapshot


@pytest.fixture
def run(tmp_path):
    make(tmp_path / "one", (10, 20))
    return tmp_path / "one"


def state(run):
    current = checkpoint.load_latest(run)
    return current.iteration, round(float(sum(w.double().sum() for w in current.weights().values())), 6), len(
        read_losses(run / "losses.bin"))


def test_a_snapshot_outlives_all_pruning(run):
    net = make(run.parent / "other", (1,))
    snapshot(run, "before gan")
    grow(run, net, tuple(range(30, 90, 10)), check(SaehdTrain, {}))
    assert checkpoint.load(run, "before gan").iteration == 20
    assert checkpoint.load(run, "before gan").resumable


def test_there_and_back_with_weights_and_losses(run):
    late = state(run)
    snapshot(run, "early", "000000010")
    now, before = restore(run, "early")
    assert (now.iteration, before.iteration) == (10, 20)
    assert state(run)[0::2] == (10, 10)
    assert {c.facts.name for c in checkpoint.list_all(run)} == {"early", "before-restore"}
    restore(run, "before-restore")
    assert state(run) == late
    kinds = [e["kind"] for e in history.events(run / "history.jsonl")]
    assert kinds == ["start", "end", "snapshot", "restore", "restore"]


def test_losses_of_a_branch_are_its_own(run):
    """Back to 10, learned on differently to 15: going to 20 and back again gives each its own curve."""
    settings = check(SaehdTrain, {})
    snapshot(run, "trunk")
    restore(run, "000000010")
    grow(run, make(run.parent / "other", (1,)), (15,), settings, level=7.0)
    branch = read_losses(run / "losses.bin")
    restore(run, "trunk")
    trunk = read_losses(run / "losses.bin")
    assert len(trunk) == 20
    assert trunk["src"][12] < 2
    restore(run, "before-restore")
    assert (read_losses(run / "losses.bin") == branch).all()
    assert branch["src"][12] > 3


def test_the_current_one_again_is_nothing_to_do(run):
    now, before = restore(run, "000000020")
    assert now.folder == before.folder
    assert [c.facts.name for c in checkpoint.list_all(run)] == ["", ""]


def test_refusals(run, tmp_path):
    snapshot(run, "a")
    with pytest.raises(Mismatch, match="kept already"):
        snapshot(run, "b")
    with pytest.raises(SettingRefused, match="already"):
        snapshot(run, "a", "000000010")
    for name in ("", "000000010", "000000010-2", "../x", "a/b", "x" * 64, "a\n", "a "):
        with pytest.raises(SettingRefused, match="name of a snapshot"):
            snapshot(run, name, "000000010")
    with pytest.raises(FileRefused, match="no save called"):
        restore(run, "nothing")
    RunFolder.create(tmp_path / "bare", "quick96", Quick96Settings())
    with pytest.raises(NothingFound, match="no save"):
        snapshot(tmp_path / "bare", "a")


def test_when_it_was_trained_last_stays_what_the_files_say(run):
    path = run / "history.jsonl"
    os.utime(path, (1e9, 1e9))
    snapshot(run, "a")
    restore(run, "000000010")
    assert path.stat().st_mtime == 1e9
    assert history.events(path)[-1]["kind"] == "restore"


class Killed(BaseException):
    pass


def test_killed_at_any_write_a_restore_is_the_old_or_the_new(run, monkeypatch):
    snapshot(run, "late")
    snapshot(run, "early", "000000010")
    both = {}
    for name in ("early", "late"):
        restore(run, name)
        both[name] = state(run)
    outcomes = set()
    for target in ("early", "late"):
        other = "late" if target == "early" else "early"
        for skip in range(8):
            restore(run, other)
            acts = iter([None] * skip)

            def last(real, acts=acts):
                def act(*a, **k):
                    if next(acts, Killed) is Killed:
                        raise Killed
                    return real(*a, **k)
                return act

            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                patch.setattr(snapshots, "write_atomic", last(snapshots.write_atomic))
                patch.setattr(checkpoint, "write_atomic", last(checkpoint.write_atomic))
                patch.setattr(history, "note", last(history.note))
                restore(run, target)
            settle(run)
            assert state(run) in both.values()
            assert not (run / "model" / "GOING_BACK").exists()
            outcomes.add(state(run) == both[target])
            checkpoint.load(run, "early")
    assert outcomes == {True, False}


def test_a_killed_restore_does_not_undo_what_was_trained_since(run):
    (run / "model" / "GOING_BACK").write_text('{"to": "000000010", "from": "000000020", "kept_as": "x"}')
    before = state(run)
    settle(run)
    assert state(run) == before
    (run / "model" / "GOING_BACK").write_text("{torn")
    settle(run)
    assert state(run) == before


def test_loss_files_of_saves_that_are_gone_go(run):
    losses = run / "model" / "losses"
    losses.mkdir()
    (losses / "000000099.bin").write_bytes(b"")
    (losses / "mine.bin").write_bytes(b"")
    snapshot(run, "a")
    assert sorted(p.name for p in losses.iterdir()) == ["000000002.bin", "mine.bin"]


def test_weights_come_back_bit_equal(run):
    before = checkpoint.load_latest(run)
    restore(run, "000000010")
    restore(run, "before-restore")
    after = checkpoint.load_latest(run)
    assert all(torch.equal(a, after.weights()[n]) for n, a in before.weights().items())
