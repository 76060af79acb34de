"""What every road is measured by: frames, times, sound."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.nets import nets_folder

from facewright.media.reader import frame_times, frames, open_video


def packets_of(path: Path) -> list[tuple[int | None, int | None, str]]:
    """(pts, duration, digest) of every audio packet."""
    with av.open(str(path)) as film:
        return [(p.pts, p.duration, hashlib.sha256(bytes(p)).hexdigest()) for p in film.demux(audio=0) if p.size]


def same_time_and_sound(result: Path, source: Path) -> None:
    """Frame count, every frame's time, and every audio packet are the source's."""
    ours, theirs = open_video(result), open_video(source)
    assert ours.frame_count == theirs.frame_count
    assert ours.rate == theirs.rate
    assert ours.size_px == theirs.size_px
    a, b = frame_times(ours) * ours.time_base, frame_times(theirs) * theirs.time_base
    assert list(a) == list(b)
    assert len(ours.audio) == len(theirs.audio)
    if theirs.audio:
        assert packets_of(result) == packets_of(source)


def pictures(path: Path, wanted: list[int]) -> np.ndarray:
    """(N, H, W, 3) uint8 RGB of the frames `wanted`."""
    video = open_video(path)
    return np.stack([next(frames(video, n, n + 1)).image for n in wanted])


def altered(path: Path, copy: Path) -> Path:
    """A copy with one byte changed in the middle of its pictures."""
    data = bytearray(path.read_bytes())
    data[data.find(b"mdat") + (len(data) - data.find(b"mdat")) // 2] ^= 0x10
    copy.write_bytes(data)
    return copy


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the nets that the road needs."""
    return nets_folder(tmp_path_factory)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Any:
    """cli(word, ...) -> (exit code, stdout, stderr)."""
    from facewright.cli.app import main

    def run(*words: object) -> tuple[Any, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return run
