"""Named saves of a run, kept for ever, and the way back to one. A save's losses go with it.

RUN/model/losses/<serial>.bin is the loss file as it was when that save got its name. Going back is one replaced word
in RUN/model/CURRENT; RUN/model/GOING_BACK exists while the losses follow it, so that a killed restore is ended by the
next command.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

from facewright.core.errors import Mismatch, NothingFound, SettingRefused
from facewright.core.files import make_folder, read_file, write_atomic
from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.models.retention import automatic_name, is_automatic
from facewright.training import history
from facewright.training.curve import LOSSES, read_losses
from facewright.training.history import HISTORY

_NAME = re.compile(r"\w[\w .+-]{0,62}(?<! )")
_FOLDER = re.compile(r"\d{9}(-\d+)?")
_PENDING = "GOING_BACK"


def snapshot(run: Path, name: str, save: str = "") -> Checkpoint:
    """Keep the newest save (or the one called `save`) for ever under `name`.

    Raises SettingRefused (no good name, or taken), Mismatch (that save has a name), NothingFound (nothing saved).
    """
    settle(run)
    _check_name(run, name)
    found = checkpoint.load(run, save) if save else newest(run)
    if found.facts.name and not is_automatic(found.facts.name):
        raise Mismatch(
            f"Iteration {found.iteration:,} is kept already, as {found.facts.name!r}.",
            remedy="Nothing is lost: that name goes back to it. Train on before the next snapshot.",
            where=found.folder,
        )
    _keep(run, found, name)
    journal(run, "snapshot", iteration=found.iteration, name=name, save=found.folder.name)
    return checkpoint.load(run, name)


def restore(run: Path, name: str, reason: str = "before-restore") -> tuple[Checkpoint, Checkpoint]:
    """Go on from the save called `name`: (it, what was current). What was current keeps a name too, from `reason`.

    Raises FileRefused (no such save, damaged), NothingFound (nothing saved), DiskRefused.
    """
    settle(run)
    wanted, current = checkpoint.load(run, name), newest(run)
    if wanted.folder == current.folder:
        return wanted, current
    kept = keep_current(run, reason)
    losses = _losses_of(run, wanted)
    pending = {"to": wanted.folder.name, "from": current.folder.name, "kept_as": kept}
    write_atomic(run / "model" / _PENDING, json.dumps(pending).encode())
    checkpoint.set_current(run, wanted.folder.name)
    _follow(run, pending, wanted, losses)
    return wanted, current


def keep_current(run: Path, reason: str) -> str:
    """Give the current save a name of its own ("before-reset-2") unless it has one; returns its name."""
    current = newest(run)
    if current.facts.name and not is_automatic(current.facts.name):
        return current.facts.name
    taken = {c.facts.name for c in checkpoint.list_all(run)}
    name = next(n for i in range(1, len(taken) + 2) if (n := reason if i == 1 else f"{reason}-{i}") not in taken)
    _keep(run, current, name)
    return name


def due(run: Path, hours: int, now_s: float | None = None) -> bool:
    """Whether `hours` have passed since the last automatic snapshot, or since the run's beginning; 0 = never."""
    if not hours:
        return False
    made = [c.facts.saved_at_s for c in checkpoint.list_all(run) if is_automatic(c.facts.name)]
    since = max(made, default=None) or history.began_s(run / HISTORY)
    return since is not None and (time.time() if now_s is None else now_s) - since >= hours * 3600


def keep_automatically(run: Path, save: str) -> str:
    """Give a save that has none an automatic name; it is kept whole until 24 younger ones have such a name."""
    found = checkpoint.load(run, save)
    if not found.facts.name:
        _keep(run, found, automatic_name(save))
    return found.facts.name or automatic_name(save)


def newest(run: Path) -> Checkpoint:
    """The save that training would go on from. Raises NothingFound when there is none yet."""
    found = checkpoint.load_latest(run)
    if found is None:
        raise NothingFound(
            f"{run.name} has no save yet.", why="It was never trained.", remedy="Train it with `facewright train`.",
            where=run,
        )
    return found


def settle(run: Path) -> None:
    """End a restore that was killed on its way: forward when CURRENT was replaced, else it never happened."""
    path = run / "model" / _PENDING
    if not path.is_file():
        return
    try:
        pending = json.loads(read_file(path, limit_bytes=1 << 16))
        there = read_file(run / "model" / "CURRENT", limit_bytes=100).decode().strip() == pending["to"]
        wanted = checkpoint.load(run, pending["to"]) if there else None
    except (ValueError, KeyError, TypeError):
        wanted, pending = None, {}
    if wanted is not None:
        _follow(run, pending, wanted, _losses_of(run, wanted))
    path.unlink(missing_ok=True)


def journal(run: Path, kind: str, **facts: Any) -> None:
    """A line in the run's history that is no training: when the run was trained last stays what its file says."""
    path = run / HISTORY
    before = path.stat() if path.exists() else None
    history.note(path, kind, **facts)
    if before is not None:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _follow(run: Path, pending: dict[str, Any], wanted: Checkpoint, losses: bytes) -> None:
    """What comes after CURRENT was replaced: the losses, the line in the history, the end. Can be done again."""
    write_atomic(run / LOSSES, losses)
    journal(run, "restore", iteration=wanted.iteration, save=wanted.folder.name, name=wanted.facts.name, **{
        k: pending.get(k) for k in ("from", "kept_as")})
    (run / "model" / _PENDING).unlink(missing_ok=True)


def _keep(run: Path, found: Checkpoint, name: str) -> None:
    # The losses first: a save that has a name has its losses.
    losses = read_losses(run / LOSSES)
    path = _losses_path(run, found)
    make_folder(path.parent)
    write_atomic(path, losses[losses["iteration"] <= found.iteration].tobytes())
    checkpoint.give_name(run, found.folder.name, name)
    _sweep(run)


def _losses_of(run: Path, found: Checkpoint) -> bytes:
    kept = _losses_path(run, found)
    losses = read_losses(kept if kept.is_file() else run / LOSSES)
    return losses[losses["iteration"] <= found.iteration].tobytes()


def _losses_path(run: Path, found: Checkpoint) -> Path:
    return run / "model" / "losses" / f"{found.facts.serial:09d}.bin"


def _sweep(run: Path) -> None:
    """Remove loss files of saves that are no more."""
    there = {_losses_path(run, c) for c in checkpoint.list_all(run)}
    for path in (run / "model" / "losses").glob("*.bin"):
        if path not in there and re.fullmatch(r"\d{9}", path.stem):
            path.unlink(missing_ok=True)


def _check_name(run: Path, name: str) -> None:
    if not _NAME.fullmatch(name) or _FOLDER.fullmatch(name) or is_automatic(name):
        raise SettingRefused(
            f"{name!r} cannot be the name of a snapshot.", why="Nine digits are how saves without a name are called."
            if _FOLDER.fullmatch(name) else "", where="NAME",
            remedy="Use up to 63 letters, digits, spaces and . _ + -, a letter or digit first.",
        )
    if any(c.facts.name == name for c in checkpoint.list_all(run)):
        raise SettingRefused(
            f"There is a snapshot called {name!r} already.", remedy="Choose another name.", where=run
        )
