"""Install facewright and its pinned dependencies into the environment of this interpreter.

`--torch cpu|cuda` prefers that build where the configured package index offers both; `auto` takes what the pin
gives. A second run with everything in place changes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pip(*words: str) -> int:
    """Run pip quietly; its own messages go through on failure."""
    return subprocess.call([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], cwd=ROOT)


def torch_pin() -> str:
    """`torch==X.Y.Z` as constraints.txt says."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("torch=="))


def main() -> int:
    """0 when the environment is complete and consistent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", choices=["auto", "cpu", "cuda"], default="auto")
    choice = parser.parse_args().torch
    if choice != "auto":
        # A build with a local suffix sorts above the plain pin; where none is offered the plain one is taken.
        suffix = {"cpu": "+cpu", "cuda": ""}[choice]
        if pip("install", "-q", torch_pin() + suffix) and suffix and pip("install", "-q", torch_pin()):
            return 1
    if pip("install", "-q", "-c", "constraints.txt", "-e", ".[dev,footage,cluster]"):
        return 1
    return pip("check")


if __name__ == "__main__":
    sys.exit(main())
