"""Records of shipped films: signed by a key that is gone, valid for those films alone."""

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from facewright.core.errors import ConsentRefused
from facewright.core.step import Likeness
from facewright.provenance.permit import allow
from facewright.provenance.store import ConsentStore

TOOL = Path(__file__).resolve().parents[2] / "tools" / "footage_consent.py"
TEXT = "Head {} of the demo film: drawn by a program, shows nobody real."


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("footage_consent", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shipped(tool, tmp_path):
    """Two films with their records; a store that knows them."""
    folder = tmp_path / "footage"
    folder.mkdir()
    words = ["--pinned", str(tmp_path / "pinned.json")]
    for name in ("source", "target"):
        (folder / f"{name}.mp4").write_bytes(name.encode() * 100)
        words += ["--clip", str(folder / f"{name}.mp4"), TEXT.format(name)]
    assert tool.main(words) == 0
    return folder, ConsentStore(tmp_path / "store", shipped=folder, pinned=tmp_path / "pinned.json")


def faces(tool, folder: Path) -> list[Likeness]:
    roles = {"source": "source_likeness", "target": "target_performer"}
    return [Likeness(role, "", "", folder, (tool.sha256_of(folder / f"{name}.mp4"),)) for name, role in roles.items()]


def test_the_demo_asks_nothing(tool, shipped):
    folder, store = shipped
    now = datetime(2026, 6, 1, tzinfo=UTC)
    for stage in ("train", "preview", "merge", "render"):
        permit = allow(stage, faces(tool, folder), store=store, now=now, project="any")
        assert permit.marks == ()
        assert {grant.basis for grant in permit.grants} == {"synthetic"}
    assert all(entry.shipped for entry in store.list())


def test_another_film_is_not_covered(tool, shipped):
    folder, store = shipped
    (folder / "target.mp4").write_bytes(b"another film")
    with pytest.raises(ConsentRefused, match="No record"):
        allow("train", faces(tool, folder), store=store, now=datetime(2026, 6, 1, tzinfo=UTC))


def test_the_private_key_is_nowhere(shipped, tmp_path):
    keys = json.loads((tmp_path / "pinned.json").read_text())["keys"]
    assert len(keys) == 1
    assert set(keys[0]) == {"alg", "pub"}
    assert not any("seed" in p.read_text() for p in tmp_path.rglob("*.json"))
    assert not list(tmp_path.rglob("*.key"))


def test_signing_again_replaces_key_and_records(tool, shipped, tmp_path):
    folder, _ = shipped
    before = json.loads((tmp_path / "pinned.json").read_text())["keys"]
    (tmp_path / "old.json").write_bytes((tmp_path / "pinned.json").read_bytes())
    (folder / "target.mp4").write_bytes(b"a better film")
    tool.issue([(folder / f"{name}.mp4", TEXT.format(name)) for name in ("source", "target")], tmp_path / "pinned.json")
    after = json.loads((tmp_path / "pinned.json").read_text())["keys"]
    assert len(after) == 1
    assert after != before
    fresh = ConsentStore(tmp_path / "store", shipped=folder, pinned=tmp_path / "pinned.json")
    allow("train", faces(tool, folder), store=fresh, now=datetime(2026, 6, 1, tzinfo=UTC))
    stale = ConsentStore(tmp_path / "store", shipped=folder, pinned=tmp_path / "old.json")
    with pytest.raises(ConsentRefused):
        allow("train", faces(tool, folder), store=stale, now=datetime(2026, 6, 1, tzinfo=UTC))


def test_bad_calls_end_with_one_line(tool, tmp_path, capsys):
    film = tmp_path / "a.mp4"
    pinned = ["--pinned", str(tmp_path / "pinned.json")]
    assert tool.main([*pinned, "--clip", str(film), TEXT]) == 2
    film.write_bytes(b"x")
    assert tool.main([*pinned, "--clip", str(film), "too short"]) == 2
    assert tool.main([*pinned, "--clip", str(film), TEXT, "--clip", str(film), TEXT]) == 2
    assert "40 characters" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
