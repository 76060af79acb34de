"""The run's folder: one net, one shape, clear refusals."""

from __future__ import annotations

import contextlib
import json

import pytest

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, SettingRefused
from facewright.models.run_folder import RunFolder, is_run
from facewright.models.settings import Quick96Settings, SaehdSettings


def test_round_trip(tmp_path):
    made = RunFolder.create(tmp_path / "ünïcode run", "saehd", SaehdSettings(archi="df-ud", d_dims=48), {"src": "a"})
    opened = RunFolder.open(made.path, "saehd")
    assert opened == made
    assert is_run(made.path)
    assert opened.note(dst="b").extra == {"src": "a", "dst": "b"}
    assert RunFolder.open(made.path).extra == {"src": "a", "dst": "b"}


def test_a_start_that_was_killed_is_no_stranger(tmp_path, monkeypatch):
    """Whatever instant of `create` the kill hit, the same command starts the run."""
    from facewright.models import run_folder

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    for name in ("write_atomic", "make_folder"):
        for skip in range(3):
            folder, acts = tmp_path / f"{name}{skip}", iter([getattr(run_folder, name)] * skip)
            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                patch.setattr(run_folder, name, lambda *a, left=acts, **k: next(left, killed)(*a, **k))
                RunFolder.create(folder, "saehd", SaehdSettings())
            if folder.is_dir():
                (folder / "run.json.part").write_text("{")
            if not is_run(folder):
                RunFolder.create(folder, "saehd", SaehdSettings())
            assert RunFolder.open(folder, "saehd").net == "saehd"


def test_another_net_is_refused(tmp_path):
    RunFolder.create(tmp_path / "run", "quick96", Quick96Settings())
    with pytest.raises(Mismatch, match="another model"):
        RunFolder.open(tmp_path / "run", "saehd")


def test_locked_shape(tmp_path):
    run = RunFolder.create(tmp_path / "run", "saehd", SaehdSettings(archi="df", d_dims=48))
    assert run.shape_with({}) == run.shape
    assert run.shape_with({"d_dims": 48, "ae_dims": None}) == run.shape
    with pytest.raises(SettingRefused, match="locked"):
        run.shape_with({"d_dims": 64})


def test_not_a_run(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileRefused, match="not a training run"):
        RunFolder.open(tmp_path)
    with pytest.raises(DiskRefused, match="not an empty folder"):
        RunFolder.create(tmp_path, "saehd", SaehdSettings())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1, "net": "x"}', '{"format": 9, "net": "saehd"}'])
def test_damaged_run_json(content, tmp_path):
    RunFolder.create(tmp_path / "run", "saehd", SaehdSettings())
    (tmp_path / "run/run.json").write_text(content)
    with pytest.raises(FileRefused):
        RunFolder.open(tmp_path / "run")


def test_shape_out_of_range_is_damage(tmp_path):
    run = RunFolder.create(tmp_path / "run", "saehd", SaehdSettings())
    content = json.loads((run.path / "run.json").read_text())
    content["shape"]["resolution"] = 77
    (run.path / "run.json").write_text(json.dumps(content))
    with pytest.raises(FileRefused, match="damaged"):
        RunFolder.open(run.path)
