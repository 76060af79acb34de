"""Memory does not grow with the number of faces (the slow one: 60,000)."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face

from facewright.faceset import header, record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header


def fill(root: Path, count: int) -> Path:
    plain = record.encode_face(make_face(0), np.zeros((64, 64, 3), np.uint8))
    for start in range(0, count, 500):
        folder = root / "faces" / SHA[:8] / f"{start:07d}"
        folder.mkdir(parents=True)
        for n in range(start, min(count, start + 500)):
            face = make_face(n)
            (folder / f"{face.face_id}.jpg").write_bytes(record.replace_metadata(plain, face))
    header.save(root, Header("whole_face", 64))
    return root


def peak(root: Path) -> int:
    tracemalloc.start()
    faceset = Faceset.open(root)
    assert sum(1 for _ in faceset) == len(faceset) == faceset.info().count
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_is_flat(tmp_path):
    small, large = peak(fill(tmp_path / "a", 500)), peak(fill(tmp_path / "b", 2000))
    assert large < small + 300_000


@pytest.mark.slow
def test_sixty_thousand_faces(tmp_path):
    fill(tmp_path / "set", 60_000)
    code = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from facewright.faceset.faceset import Faceset
        def rss(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before = rss()
        faceset = Faceset.open(Path(sys.argv[1]))
        assert sum(1 for _ in faceset) == 60_000
        faceset.info()
        print(rss() - before)
    """)
    command = [sys.executable, "-c", code, str(tmp_path / "set")]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(told.stdout) < 30  # MiB
