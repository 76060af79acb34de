"""Checkpoints: whole folders, written aside, synced, renamed; then CURRENT is replaced.

RUN/model/ckpt/<9 digits>/ holds weights.safetensors, ema.safetensors, optimiser.safetensors and state.json
(iteration, settings, random states, loss tail, SHA-256 of each file): all of one iteration. A second save of the
same iteration gets the suffix -2: a folder is never replaced. RUN/model/CURRENT names the one to go on from.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facewright.core.errors import DiskRefused, FileRefused
from facewright.core.files import (
    PART,
    disk_error,
    free_bytes,
    make_folder,
    read_file,
    replace_folder,
    sha256_of,
    write_atomic,
)
from facewright.models.memory import OptimiserState, decode, encode, pack, restore_memory
from facewright.models.retention import Facts, Keep, best_of, plan
from facewright.models.tensors import read_sizes, read_tensors, size_of, write_tensors

FORMAT = 1
SPARE_BYTES = 64 << 20
"""What a save leaves free on the disk for journals and previews."""

_NAME = re.compile(r"\d{9}(-\d+)?")
PLAYERS = ("true_face", "gan")
"""Nets that learn beside the model (training/adversaries); they come with their optimisers."""
_MEMORY = ("optimiser", *(f"{p}_optimiser" for p in PLAYERS))
_FILES = ("weights", "ema", *PLAYERS, *_MEMORY)
_KNOWN = {f"{f}.safetensors" for f in _FILES} | {"state.json", f"state.json{PART}"}
_STATE_LIMIT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One intact save. `damaged` names newer ones that were passed over to find it."""

    folder: Path
    iteration: int
    net: str
    settings: Mapping[str, Any]
    extra: Mapping[str, Any]
    state: Mapping[str, Any] = field(repr=False, default_factory=dict)
    damaged: tuple[str, ...] = ()

    def weights(self) -> dict[str, Tensor]:
        """Parameter name -> value, on the CPU."""
        return read_tensors(self.folder / "weights.safetensors")

    def sizes(self) -> dict[str, torch.Size]:
        """Parameter name -> size, without reading the values."""
        return read_sizes(self.folder / "weights.safetensors")

    def ema(self) -> dict[str, Tensor] | None:
        """The running mean of the weights, or None when none was kept."""
        return read_tensors(self.folder / "ema.safetensors") if "ema" in self.state["files"] else None

    def digest(self, ema: bool) -> str:
        """SHA-256 of the file of weights: of their running mean, where it is wanted and kept."""
        files = self.state["files"]
        return str(files.get("ema", files["weights"]) if ema else files["weights"])

    def smooth_weights(self) -> dict[str, Tensor]:
        """What preview and merge use: the running mean where there is one."""
        mean = self.ema()
        return {**self.weights(), **mean} if mean is not None else self.weights()

    @property
    def rng(self) -> dict[str, Tensor]:
        """Random states as given to `save`, uint8 tensors."""
        return {name: decode(text) for name, text in self.state["rng"].items()}

    @property
    def facts(self) -> Facts:
        """For retention and lists."""
        s = self.state
        return Facts(self.folder.name, s["serial"], s["saved_at_s"], s["name"], s["loss"], s["loss_key"])

    @property
    def resumable(self) -> bool:
        """Whether the optimiser's state is still there."""
        return "optimiser" in self.state["files"]

    def optimiser_state(self) -> OptimiserState | None:
        """The optimiser's memory, on the CPU; None when it is not there any more."""
        if not self.resumable:
            return None
        return OptimiserState.of(self.state["optimiser"], read_tensors(self.folder / "optimiser.safetensors"))

    def restore(self, net: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> None:
        """Load weights, and where asked the optimiser with its generator, in place and on their devices."""
        net.load_state_dict(self.weights())
        if optimiser is not None and self.resumable:
            tensors = read_tensors(self.folder / "optimiser.safetensors")
            restore_memory(optimiser, tensors, self.state["optimiser"])

    def restore_player(self, name: str, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Load one of PLAYERS that this save holds (its name is in state["files"]), in place and on its device."""
        module.load_state_dict(read_tensors(self.folder / f"{name}.safetensors"))
        if f"{name}_optimiser" in self.state["files"]:
            tensors = read_tensors(self.folder / f"{name}_optimiser.safetensors")
            restore_memory(optimiser, tensors, self.state["players"][name])


def save(
    run: Path, iteration: int, net: nn.Module, optimiser: torch.optim.Optimizer | OptimiserState | None = None,
    ema: Mapping[str, Tensor] | None = None, *, net_name: str = "", settings: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None, rng: Mapping[str, Tensor] | None = None, loss: float | None = None,
    loss_key: str = "", name: str = "", keep: Keep | None = None, now_s: float | None = None,
    players: Mapping[str, tuple[nn.Module, torch.optim.Optimizer]] | None = None,
) -> Path:
    """Write a checkpoint and return its folder; when it returns, the save survives kill -9 and a power cut.

    optimiser: built with named parameters, an attribute `generator` is kept too; or its memory as data. ema: name ->
    mean (`Ema.tensors()`). settings, extra: JSON-able. rng: uint8 tensors (`torch.get_rng_state()`). loss: smoothed
    reconstruction loss; loss_key: digest of the settings that make losses comparable. name: keeps this one for ever.
    players: those of PLAYERS that have learned something.
    Raises DiskRefused (would not fit, cannot be written); the earlier checkpoint is then still whole and current.
    """
    packed, plain = pack(optimiser) if optimiser is not None else ({}, {})
    parts: dict[str, Mapping[str, Tensor]] = {"weights": net.state_dict()}
    if ema is not None:
        parts["ema"] = ema
    if optimiser is not None:
        parts["optimiser"] = packed
    memories = {}
    for player, (module, theirs) in (players or {}).items():
        parts[player] = module.state_dict()
        parts[f"{player}_optimiser"], memories[player] = pack(theirs)
    state = {
        "iteration": iteration, "net": net_name or getattr(net, "name", ""), "name": name, "loss": loss,
        "loss_key": loss_key, "settings": dict(settings or {}), "extra": dict(extra or {}), "optimiser": plain,
        "players": memories, "rng": {n: encode(t) for n, t in (rng or {}).items()},
    }
    return _put(run, state, parts, keep or Keep(), now_s)


def save_changed(
    run: Path, found: Checkpoint, tensors: Mapping[str, Mapping[str, Tensor]], extra: Mapping[str, Any],
    keep: Keep | None = None, iteration: int | None = None,
) -> Path:
    """A new save of `found`'s iteration (or of another), current from now on, with `tensors` (file -> its content:
    "weights" ...) in the place of its own, and notes `extra` added to its own. The rest is copied; the loss counts as
    unknown.

    Raises DiskRefused, FileRefused; the earlier save is then still whole and current.
    """
    parts = {
        name: tensors[name] if name in tensors else read_tensors(found.folder / f"{name}.safetensors")
        for name in found.state["files"]
    }
    state = {**found.state, "name": "", "loss": None, "extra": {**found.extra, **extra}}
    state["iteration"] = found.iteration if iteration is None else iteration
    return _put(run, state, parts, keep or Keep(), None)


def give_name(run: Path, folder_name: str, name: str) -> None:
    """Keep a save for ever under a name. Raises FileRefused (no such save), DiskRefused."""
    folder = run / "model" / "ckpt" / folder_name
    state = _state(folder)
    if state is None:
        raise FileRefused(f"{run.name} has no save {folder_name}.", remedy="List them: `facewright model info RUN`.",
                          where=folder)
    write_atomic(folder / "state.json", json.dumps({**state, "name": name}).encode())


def _put(
    run: Path, known_state: Mapping[str, Any], parts: Mapping[str, Mapping[str, Tensor]], keep: Keep,
    now_s: float | None,
) -> Path:
    """Write one save whole, make it the current one, thin out the others."""
    iteration = known_state["iteration"]
    root = make_folder(run / "model" / "ckpt")
    _sweep(root)
    known = _all_states(root)
    _require_room(root, iteration, sum(size_of(p) for p in parts.values()), known)
    state = {
        **known_state, "format": FORMAT, "serial": max((s["serial"] for s in known.values()), default=0) + 1,
        "saved_at_s": time.time() if now_s is None else now_s,
    }
    final = _free_name(root, iteration)
    part = final.with_name(final.name + PART)
    try:
        part.mkdir()
        state["files"] = {n: write_tensors(part / f"{n}.safetensors", tensors) for n, tensors in parts.items()}
        (part / "state.json").write_text(json.dumps(state))
        replace_folder(part, final)
    except OSError as error:
        raise disk_error(error, final) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    set_current(run, final.name)
    prune(run, keep)
    return final


def load_latest(run: Path) -> Checkpoint | None:
    """The current checkpoint, or the next older intact one; None when there is none at all.

    `Checkpoint.damaged` says what was passed over. Raises FileRefused when every one is damaged.
    """
    root = run / "model" / "ckpt"
    states = _all_states(root)
    current = _current(run)
    # Saves newer than the current one are those that somebody went back from.
    before = states[current]["serial"] if current in states else math.inf
    serial = {name: state["serial"] for name, state in states.items()}
    order = sorted(states, key=lambda n: (n == current, serial[n] < before, serial[n]), reverse=True)
    unreadable = sorted((n for n in _folders(root) if n not in states), reverse=True)
    damaged = [f"{n}/state.json" for n in unreadable]
    for folder_name in order:
        broken = _broken_file(root / folder_name, states[folder_name])
        if broken is None:
            return _checkpoint(root / folder_name, states[folder_name], damaged)
        damaged.append(f"{folder_name}/{broken}")
    if damaged:
        raise FileRefused(
            f"No checkpoint of {run.name} is intact.", why=f"Damaged: {', '.join(damaged)}.",
            remedy="Restore the folder model/ckpt from a backup, or start the run afresh under a new name.", where=root,
        )
    return None


def load(run: Path, folder_name: str) -> Checkpoint:
    """One checkpoint by given name, folder name or its number in short ("612"), verified. Raises FileRefused."""
    number = f"{int(folder_name):09d}" if folder_name.isascii() and folder_name.isdigit() else folder_name
    for found in list_all(run):
        if folder_name and (found.state["name"] == folder_name or found.folder.name == number):
            broken = _broken_file(found.folder, found.state)
            if broken is None:
                return found
            raise FileRefused(
                f"The save {folder_name} is damaged.", why=f"{broken} is missing or altered.",
                remedy="Use another one of this run.", where=found.folder,
            )
    raise FileRefused(
        f"{run.name} has no save called {folder_name!r}.",
        remedy=f"There are: {', '.join(c.state['name'] or c.folder.name for c in list_all(run)) or 'none'}.", where=run,
    )


def list_all(run: Path) -> list[Checkpoint]:
    """Every checkpoint whose state.json is readable, oldest save first; data not verified."""
    root = run / "model" / "ckpt"
    states = _all_states(root)
    return [_checkpoint(root / n, states[n], []) for n in sorted(states, key=lambda n: states[n]["serial"])]


def best(run: Path) -> Checkpoint | None:
    """The one with the lowest smoothed loss at the newest one's loss settings."""
    found = {c.folder.name: c for c in list_all(run)}
    facts = best_of([c.facts for c in found.values()])
    return None if facts is None else found[facts.folder_name]


def set_current(run: Path, folder_name: str) -> None:
    """Go on from this checkpoint the next time (after a rollback, or by the user's choice)."""
    write_atomic(run / "model" / "CURRENT", folder_name.encode() + b"\n")


def prune(run: Path, keep: Keep) -> None:
    """Thin out and drop what `retention.plan` says. Files and folders that are not ours are never touched."""
    root = run / "model" / "ckpt"
    states = _all_states(root)
    facts = [_checkpoint(root / n, s, []).facts for n, s in states.items()]
    decision = plan(facts, keep, current=_current(run))
    for folder_name in decision.thin:
        _thin(root / folder_name, states[folder_name])
    for folder_name in decision.drop:
        _drop(root / folder_name)


def _thin(folder: Path, state: Mapping[str, Any]) -> None:
    # First the word, then the deed: killed in between, the file is a stray that the next call removes.
    if set(_MEMORY) & set(state["files"]):
        slim = {**state, "optimiser": {}, "players": {},
                "files": {n: h for n, h in state["files"].items() if n not in _MEMORY}}
        write_atomic(folder / "state.json", json.dumps(slim).encode())
    for name in _MEMORY:
        (folder / f"{name}.safetensors").unlink(missing_ok=True)


def _drop(folder: Path) -> None:
    if folder.is_symlink() or not {f.name for f in folder.iterdir()} <= _KNOWN:
        return  # somebody keeps something of their own in there
    dying = folder.with_name(f"{folder.name}.old{PART}")
    folder.rename(dying)  # at once no checkpoint any more, whatever happens next
    shutil.rmtree(dying, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what a killed save or prune left behind."""
    for left in root.glob(f"*{PART}"):
        stem = left.name.removesuffix(PART).removesuffix(".old")
        if _NAME.fullmatch(stem) and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _require_room(root: Path, iteration: int, need_bytes: int, known: Mapping[str, Any]) -> None:
    free = free_bytes(root)
    if need_bytes + SPARE_BYTES <= free:
        return
    newest = max((s["iteration"] for s in known.values()), default=None)
    safe = "" if newest is None else f" Nothing is lost: iteration {newest:,} is intact."
    raise DiskRefused(
        f"Cannot save iteration {iteration:,}.",
        why=f"{need_bytes / 1e9:.2f} GB are needed and some spare room, {free / 1e9:.2f} GB are free.",
        remedy=f"Free space or move the run, then start it again.{safe}", where=root,
    )


def _free_name(root: Path, iteration: int) -> Path:
    plain = root / f"{iteration:09d}"
    folder, version = plain, 1
    while folder.exists():
        version += 1
        folder = plain.with_name(f"{plain.name}-{version}")
    return folder


def _folders(root: Path) -> list[str]:
    return [f.name for f in root.iterdir() if _NAME.fullmatch(f.name) and f.is_dir()] if root.is_dir() else []


def _all_states(root: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for name in _folders(root):
        state = _state(root / name)
        if state is not None:
            found[name] = state
    return found


_KINDS: dict[str, Any] = {
    "iteration": int, "serial": int, "files": dict, "net": str, "rng": dict, "name": str, "saved_at_s": int | float,
    "loss": int | float | None, "loss_key": str, "settings": dict, "extra": dict,
}


def _state(folder: Path) -> dict[str, Any] | None:
    """state.json, or None when it is missing or damaged (a checkpoint that cannot be used)."""
    try:
        state = json.loads(read_file(folder / "state.json", limit_bytes=_STATE_LIMIT_BYTES))
        whole = all(isinstance(state[key], kind) for key, kind in _KINDS.items()) and state["format"] <= FORMAT
        return state if whole and set(state["files"]) <= set(_FILES) else None
    except (FileRefused, ValueError, KeyError, TypeError):
        return None


def _broken_file(folder: Path, state: Mapping[str, Any]) -> str | None:
    for name, wanted in state["files"].items():
        path = folder / f"{name}.safetensors"
        if not path.is_file() or sha256_of(path) != wanted:
            return path.name
    return None


def _current(run: Path) -> str:
    path = run / "model" / "CURRENT"
    return read_file(path, limit_bytes=100).decode("ascii", "replace").strip() if path.is_file() else ""


def _checkpoint(folder: Path, state: Mapping[str, Any], damaged: list[str]) -> Checkpoint:
    return Checkpoint(
        folder, state["iteration"], state["net"], state["settings"], state["extra"], state, tuple(damaged)
    )
