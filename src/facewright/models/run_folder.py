"""The folder of one training run: which net it holds, of which shape, where its parts lie.

RUN/run.json (net and locked shape), RUN/model/ckpt/<9 digits>/ and RUN/model/CURRENT (see checkpoint.py),
RUN/history.jsonl, RUN/preview/, RUN/loss.png, RUN/.facewright/.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, SettingRefused
from facewright.core.files import PART, make_folder, read_file, write_atomic
from facewright.core.settings import Settings, merge
from facewright.models.settings import SHAPES, with_dims

FORMAT = 1
_LIMIT_BYTES = 1 << 20
_RECORD = "run.json"
_PRIVATE = {".facewright", ".cache", _RECORD + PART}
"""What may lie in a folder that is no run yet: jobs, caches, and what a start that was killed left."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run that exists. `shape` are its locked settings; `extra` is whatever else its creator noted."""

    path: Path
    net: str
    shape: Settings
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, path: Path, net: str, shape: Settings, extra: Mapping[str, Any] | None = None) -> RunFolder:
        """Start a run in a new or empty folder (jobs and caches may lie there already). Raises DiskRefused when a run
        or something else is there."""
        if any(p.name not in _PRIVATE for p in path.iterdir()) if path.is_dir() else path.exists():
            raise DiskRefused(
                f"{path.name} is not an empty folder.", remedy="Give the new run another name.", where=path
            )
        make_folder(path)
        folder = cls(path, net, shape, dict(extra or {}))
        folder._write()  # first: killed after it, the folder is a run that has learned nothing yet
        make_folder(path / "model" / "ckpt")
        return folder

    @classmethod
    def open(cls, path: Path, net: str = "") -> RunFolder:
        """The run in `path`. Raises FileRefused (no run, damaged), Mismatch when it holds another net than `net`."""
        if not is_run(path):
            raise FileRefused(
                f"{path.name or path} is not a training run.", why="It has no run.json.",
                remedy="Give the folder that `facewright train` made.", where=path,
            )
        content = _parse(path / "run.json")
        if net and content["net"] != net:
            raise Mismatch(
                f"{path.name} is the run of another model: {content['net']}, not {net}.",
                remedy=f"Go on with `facewright train {content['net']} {shlex.quote(str(path))}`, or give a new name.",
                where=path,
            )
        return cls(path, content["net"], content["shape"], content["extra"])

    def shape_with(self, given: Mapping[str, Any]) -> Settings:
        """The stored shape, checked against options given again. Raises SettingRefused when one differs."""
        return merge(type(self.shape), self.shape.model_dump(), given, started=self.shape)

    def note(self, **extra: Any) -> RunFolder:
        """The same run with more notes (JSON-able), written."""
        folder = RunFolder(self.path, self.net, self.shape, {**self.extra, **extra})
        folder._write()
        return folder

    @property
    def history(self) -> Path:
        """The journal of losses and changes."""
        return self.path / "history.jsonl"

    @property
    def preview(self) -> Path:
        """Folder of preview pictures."""
        return self.path / "preview"

    @property
    def loss_picture(self) -> Path:
        """The loss curve."""
        return self.path / "loss.png"

    @property
    def trash(self) -> Path:
        """Where replaced things go."""
        return self.path / ".facewright" / "trash"

    def _write(self) -> None:
        content = {"format": FORMAT, "net": self.net, "shape": self.shape.model_dump(), "extra": dict(self.extra)}
        write_atomic(self.path / "run.json", json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def is_run(path: Path) -> bool:
    """Whether a folder holds a training run."""
    return (path / "run.json").is_file()


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_file(path, limit_bytes=_LIMIT_BYTES))
        if content["format"] > FORMAT:
            raise FileRefused(
                "The run was made by a newer facewright.", remedy="Update facewright.", where=path
            )
        # Channel counts are taken as they are: a model that was brought here may have any.
        dims = {name: value for name, value in content["shape"].items() if name.endswith("_dims")}
        rest = {name: value for name, value in content["shape"].items() if name not in dims}
        shape = with_dims(merge(SHAPES[content["net"]], rest), dims)
        return {"net": content["net"], "shape": shape, "extra": dict(content["extra"])}
    except (ValueError, KeyError, TypeError, SettingRefused) as error:
        raise FileRefused(
            "The run's run.json is damaged.", why=f"{type(error).__name__}: {error}",
            remedy="Restore it from a backup; the checkpoints beside it hold the same settings in state.json.",
            where=path,
        ) from error
