"""The page on the Python API: every example runs, in order, and what it names exists."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.api.shelves import entry, make_run, record
from tests.conftest import REPOSITORY
from tests.training.conftest import DrawnFaceset, write_faceset

import facewright
from facewright import api
from facewright.faceset.index import EQUALS, RANGES
from facewright.merge.settings import MergeSettings
from facewright.models import checkpoint

PAGE = (REPOSITORY / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page takes for granted."""
    monkeypatch.chdir(tmp_path)
    source, target = record("Ada"), record("Bob", role="target_performer")
    people = [entry(source), entry(target, "target_performer")]
    for name, case in (("ada", "saehd"), ("amp", "amp"), ("xseg", "xseg")):
        make_run(tmp_path / "runs" / name, case, [] if case == "xseg" else people)
    api.model_export_dfm(tmp_path / "runs" / "ada", tmp_path / "ada.dfm")
    write_faceset(tmp_path / "facesets" / "src", DrawnFaceset(4, name="a"), consent=source)
    write_faceset(tmp_path / "facesets" / "dst", DrawnFaceset(4, (120, 80, 60), "b"), consent=target)
    return tmp_path


def test_every_example_runs(folder, capsys):
    assert len(BLOCKS) == 14
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"python.md, example {number + 1}", "exec"), names)
    said = capsys.readouterr().out
    assert "saehd 64 full_face 7" in said
    assert "4 faces, whole_face, 160 px" in said
    assert " of 4 faces; columns: path, face_id" in said
    assert re.search(r"8: losses \d", said)
    assert "look at" in said
    assert "uint8" in said or "shape" in said
    assert np.asarray(Image.open(folder / "swapped.png")).shape == (64, 64, 3)
    assert names["masks"].shape == (2, 256, 256, 1)
    saved = checkpoint.load_latest(folder / "runs" / "ada")
    assert saved is not None
    assert saved.iteration == 9, "seven, one until the preview, one until it was closed"


def test_what_it_lists_is_there():
    first_cells = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    kinds = {kind for cell in first_cells for kind in re.findall(r"\w+", cell)}
    described = set(re.findall(r'"(\w+)"', facewright.TrainEvent.__doc__ or ""))
    options = {"device", "ema", "precision", "batch_size"}
    assert kinds == described | options
    for name in (*RANGES, *EQUALS):
        assert f"`{name}`" in PAGE
    assert options <= MergeSettings.model_fields.keys()
    for name in re.findall(r"`event\.(\w+)`|event\.(\w+)", PAGE):
        assert {n for n in name if n} <= {f.name for f in dataclasses.fields(facewright.TrainEvent)}
    for name in facewright.__all__:
        if name not in ("MaskNet", "Swapper", "Prediction", "TrainEvent"):
            assert name in PAGE
