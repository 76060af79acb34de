"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import statistics
from importlib.metadata import distributions
from pathlib import Path

import pytest

from facewright import __version__

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "facewright").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "src")))
def test_a_file_stays_in_its_room(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500, "500 lines is the hard limit of a file"
    assert path.stem not in FORBIDDEN_NAMES
    for node in functions(path):
        assert length(node) <= 80, f"{node.name} is longer than 80 lines"


def test_functions_are_short():
    lengths = sorted(length(node) for path in SOURCES for node in functions(path))
    assert statistics.median(lengths) <= 12
    assert lengths[int(0.9 * len(lengths))] <= 40


def test_exactly_one_opencv_is_installed():
    found = [d.metadata["Name"] for d in distributions() if (d.metadata["Name"] or "").lower().startswith("opencv")]
    assert len(found) == 1, found


def test_version_equals_the_changelog():
    top = next(l for l in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if l.startswith("## ["))
    assert f"[{__version__}]" in top


def test_no_file_is_too_large_and_no_weights_are_kept():
    for path in (ROOT / "src").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.stat().st_size <= 8 << 20
            assert path.suffix not in {".onnx", ".tflite", ".pth", ".pt", ".h5"}
