"""A project is a folder with a `project.toml`; this file knows its places and finds things in it.

It knows files only: records and ledger are opened by the api.
"""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from facewright.core.errors import FacewrightError, FileRefused, NothingFound
from facewright.core.files import make_folder, read_file, write_atomic

FILE = "project.toml"
Side = Literal["src", "dst"]

_TEMPLATE = """\
# A facewright project. Settings that differ from the defaults go below, one table a stage, for example
# [extract]
# resolution = 768
[project]
name = "{name}"
format = 1
"""

_README = """\
footage/src   films or photos of the person whose face is put in (src)
footage/dst   the film whose face is replaced (dst)
facesets      faces found in them
runs          models in training
merged        composed frames
films         signed results
"""


@dataclass(frozen=True, slots=True)
class Project:
    """The folder and what its project.toml says. `settings` maps a stage to its deviating values."""

    root: Path
    name: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def footage(self, side: Side) -> list[Path]:
        """Films (files) of one side, or the folder itself where it holds stills. Raises NothingFound."""
        folder = self.root / "footage" / side
        films = sorted(p for p in folder.glob("*") if p.is_file() and p.suffix.lower() not in _STILLS)
        stills = [p for p in folder.glob("*") if p.is_file() and p.suffix.lower() in _STILLS]
        found = films + ([folder] if stills else [])
        if not found:
            raise NothingFound(
                f"There is no footage of the {_WHO[side]} yet.",
                remedy=f"Put a film or photos into {folder}.",
                where=folder,
            )
        return found

    def faceset(self, side: Side) -> Path:
        """Where that side's faces live."""
        return self.root / "facesets" / side

    def faces(self, side: Side) -> Path:
        """That side's faceset to read from: the folder, or `src.faces` beside it where only the packed one is there."""
        folder = self.faceset(side)
        packed = folder.with_name(f"{side}.faces")
        return packed if packed.is_file() and not folder.exists() else folder

    def facesets(self) -> list[Path]:
        """Both sides' facesets, those that exist. Raises NothingFound."""
        found = [path for path in (self.faces("src"), self.faces("dst")) if path.exists()]
        if not found:
            raise NothingFound(
                "There is no faceset in this project yet.", remedy="Run `facewright extract` first.", where=self.root
            )
        return found

    def run(self, name: str) -> Path:
        """The folder of a model in training; a net's own name unless the user gives another."""
        return self.root / "runs" / name

    def latest_run(self) -> Path:
        """The run of a swapping net that was trained last. Raises NothingFound with the step that is missing."""
        runs = sorted(filter(_swaps, (self.root / "runs").glob("*/run.json")), key=_last_trained)
        if not runs:
            raise NothingFound(
                "There is no trained model in this project yet.",
                remedy="Run `facewright train quick96` (or `saehd`) first.",
                where=self.root / "runs",
            )
        return runs[-1].parent

    def merged(self, film: Path) -> Path:
        """Where the composed frames of a film lie."""
        return self.root / "merged" / film.stem

    def film(self, merged: Path) -> Path:
        """Where the finished film goes."""
        return self.root / "films" / f"{merged.name}.mp4"


_WHO = {"src": "source person (src)", "dst": "target film (dst)"}
_STILLS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".exr"}


def _swaps(run_json: Path) -> bool:
    """Whether a run is not one of a mask net; a damaged one counts, so that using it says what is wrong."""
    try:
        return json.loads(read_file(run_json, limit_bytes=1 << 20)).get("net") != "xseg"
    except (ValueError, AttributeError, FacewrightError):
        return True


def _last_trained(record: Path) -> float:
    """When the run of this run.json last learned something: every start and end is a line in its history."""
    history = record.with_name("history.jsonl")
    return max(p.stat().st_mtime for p in (record, history) if p.exists())


def new(root: Path) -> Project:
    """Make a project. Raises FileRefused when the folder already is one, or a model or faceset; DiskRefused when it
    cannot be written."""
    for file, word in (("run.json", "model"), ("faceset.json", "faceset")):
        if (root / file).exists():
            raise FileRefused(
                f"{root.name} is the folder of a {word}.", remedy="Choose another folder for the project.", where=root
            )
    if (root / FILE).exists():
        raise FileRefused(
            f"{root.name} is a facewright project already.",
            remedy="Go on with it, or choose another folder.",
            where=root,
        )
    for place in ("footage/src", "footage/dst", "facesets", "runs", "merged", "films", "consent"):
        make_folder(root / place)
    plain = unicodedata.normalize("NFD", root.resolve().name).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "project"
    write_atomic(root / "footage" / "README.txt", _README.encode())
    write_atomic(root / FILE, _TEMPLATE.format(name=name).encode())
    return load(root)


def load(root: Path) -> Project:
    """Read a project's file. Raises FileRefused when it is damaged."""
    path = root / FILE
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileRefused(
            "The project file cannot be read.",
            why=str(error),
            remedy="Correct that line, or restore a backup.",
            where=path,
        ) from error
    head = data.pop("project", {})
    if not isinstance(head, dict) or not all(isinstance(v, dict) for v in data.values()):
        raise FileRefused(
            "The project file has a value outside of a table.",
            remedy="Put settings under [stage] headings.",
            where=path,
        )
    return Project(root.resolve(), str(head.get("name", root.name)), data)


def find(start: Path) -> Project | None:
    """The project whose folder is `start` or the nearest one above it."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).is_file():
            return load(candidate)
    return None


def stored_settings(place: Path, stage: str) -> Mapping[str, Any]:
    """What the project.toml around `place` says for a stage, {} outside of a project."""
    project = find(place)
    return project.settings.get(stage, {}) if project is not None else {}


def run_place(run: Path) -> Path:
    """What RUN means: the model or file there; a bare name, inside a project, the model of that name in its runs/."""
    if len(run.parts) != 1 or run.name == ".." or run.is_file() or (run / "run.json").exists():
        return run
    project = find(Path.cwd())
    return run if project is None else project.run(run.name)


def here_or_refuse(what: str) -> Project:
    """The project around the working folder; raises FileRefused: `what` was left out and there is none."""
    found = find(Path.cwd())
    if found is None:
        raise FileRefused(
            f"{what} is missing.",
            why="Paths may be left out only inside a project.",
            remedy="Name it, or make a project with `facewright new DIR` and work inside.",
        )
    return found
