from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).with_name("fake_step.py")


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_step", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_step"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start() -> Callable[..., subprocess.Popen]:
    running: list[subprocess.Popen] = []

    def run(output: Path, items: int, **values: object) -> subprocess.Popen:
        pairs = [f"{k}={v}" for k, v in values.items()]
        process = subprocess.Popen([sys.executable, str(PROGRAM), str(output), str(items), *pairs],
                                   stdout=subprocess.PIPE, text=True, env=os.environ.copy())
        running.append(process)
        return process

    yield run
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
