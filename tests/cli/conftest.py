"""The command line in this process, and a small world of real facesets and a run to point it at."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.nets import environment, nets_folder

from facewright import demo
from facewright.cli.app import main

TINY = (
    "--archi", "df-ud", "--resolution", "64", "--ae-dims", "32", "--e-dims", "16", "--d-dims", "16",
    "--d-mask-dims", "16", "--precision", "float32", "--threads", "1", "--batch-size", "2",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a command did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


Cli = Callable[..., Said]


def call(capture: pytest.CaptureFixture[str], *words: object) -> Said:
    capture.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    said = capture.readouterr()
    code = end.value.code
    assert isinstance(code, int)
    return Said(code, said.out, said.err)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """cli(word, ...) -> Said."""
    return lambda *words: call(capsys, *words)


@pytest.fixture
def refused(cli: Cli) -> Callable[..., dict[str, str]]:
    """Run a command twice, for a person and with --json: both times exit code 2 and a whole error. Gives its keys."""

    def run(*words: object) -> dict[str, str]:
        plain = cli(*words)
        assert plain.code == 2, plain
        assert "Traceback" not in plain.out + plain.err
        assert plain.out == "", "results belong on stdout, errors do not"
        found = cli(*words, "--json")
        assert found.code == 2, found
        assert list(found.json()) == ["error"]
        error = found.json()["error"]
        assert set(error) == {"code", "what", "why", "remedy", "where"}
        assert re.fullmatch(r"FW-\d{3}", error["code"])
        one_sentence(error["what"])
        assert error["remedy"]
        assert "\n" not in error["remedy"]
        assert f"Error {error['code']}: {error['what']}" in plain.err
        assert f"do:    {error['remedy']}" in plain.err
        return error

    return run


def one_sentence(text: str) -> None:
    assert re.fullmatch(r"[^\n]+[.?!]", text), text
    assert not re.search(r"[.?!] +[A-Z]", text), text


@dataclass(frozen=True)
class World:
    """folder with: src, dst (6 faces each, full_face), other (whole_face), run (saehd, 1 iteration)."""

    folder: Path

    @property
    def src(self) -> Path:
        return self.folder / "src"

    @property
    def dst(self) -> Path:
        return self.folder / "dst"

    @property
    def whole(self) -> Path:
        return self.folder / "whole"

    @property
    def run(self) -> Path:
        return self.folder / "run"


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the nets that real commands need."""
    return nets_folder(tmp_path_factory)


@pytest.fixture(autouse=True)
def _offline(nets: Path, _private_user_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """These nets, no network, no identity vectors: the same on every machine."""
    for name, value in environment(Path(os.environ["FACEWRIGHT_HOME"]), nets).items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, nets: Path) -> World:
    folder, clips = tmp_path_factory.mktemp("world"), demo.footage()
    made = World(folder)

    def go(*words: object) -> None:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code == 0

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder / "home", nets).items():
            patch.setenv(name, value)
        for clip, out, kind in ((clips.source, made.src, "full_face"), (clips.target, made.dst, "full_face"),
                                (clips.target, made.whole, "whole_face")):
            go("extract", clip, out, "--face-type", kind, "--resolution", "128", "--end", "0.2")
        go("train", "saehd", made.run, "--src", made.src, "--dst", made.dst, *TINY, "--iterations", "1")
    return made


@pytest.fixture(scope="session")
def cut_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of the shipped source, packets copied: a film that no record covers."""
    path = tmp_path_factory.mktemp("cut") / "private.mp4"
    with av.open(str(demo.footage().source)) as before, av.open(str(path), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.dts is not None and packet.pts * packet.time_base < 0.4:
                packet.stream = stream
                after.mux(packet)
    return path


def write_film(path: Path, pictures: list[np.ndarray], size: tuple[int, int] = (160, 120)) -> Path:
    """RGB uint8 pictures as an mp4 at 25 fps; none: a film without a frame."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        film.start_encoding()
        for picture in pictures:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode(None))
    return path


@pytest.fixture
def faces(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the target's faces: these commands write."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(world.whole, tmp_path / "faces"))
