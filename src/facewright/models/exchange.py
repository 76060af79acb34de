"""Models that leave the house: DeepFaceLab's files and ONNX. Each needs the gate's leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import ConsentRefused, DiskRefused, Mismatch, SettingRefused
from facewright.core.files import make_folder, part_file, sha256_of
from facewright.faces.settings import FACE_TYPES
from facewright.models.checkpoint import Checkpoint
from facewright.models.dfl_files import CLASS_OF_NET, OPTIMISER, Family
from facewright.models.dfl_write import adversaries_to_dfl, optimiser_to_dfl, to_dfl, write_dfl
from facewright.models.dfm_facts import to_metadata
from facewright.models.onnx_check import compare, last_bit
from facewright.models.onnx_nets import to_onnx
from facewright.models.opened import newest_save, open_net
from facewright.models.run_folder import RunFolder
from facewright.models.taken_over import players, waiting
from facewright.provenance.permit import Permit

Enter = Callable[[int, Mapping[str, str]], None]
"""(iteration, {file name: SHA-256}): writes the ledger's entry. Called when all is written aside and nothing has
appeared yet, so that no file can be without its entry; killed in between, an entry is without its file."""

Words = Callable[[RunFolder, Checkpoint], tuple[Mapping[str, Any], np.ndarray]]
"""A run at a save -> its options and losses (n, 2) as DeepFaceLab spells them."""

USE = "export_model"
MASK_STAGE = "label"
"""What the leave for a net that shows nobody (XSeg) is called."""

LIMITS = {False: 1e-5, True: 1e-2}
"""half -> largest difference to torch with which a file may appear."""

_ROUNDING, _BITS = 1e-4, 4
"""Where rounding alone makes more of a difference than the limit: up to so many times the net's answer to weights
changed in their last bit, and never more than this."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, of which iteration, how far it is from torch (0 for plain weights), and what to know."""

    files: tuple[Path, ...]
    iteration: int
    difference: float = 0.0
    notes: tuple[str, ...] = ()


def export_onnx(
    run: Path, file: Path, *, permit: Permit, enter: Enter, half: bool = False, raw: bool = False
) -> Exported:
    """A run -> one ONNX file (.dfm of a swapping net, .onnx of XSeg), compared with torch before it appears.

    The running mean of the weights is taken where there is one, as merges do; not with `raw`. Raises FileRefused,
    NothingFound (nothing trained), Mismatch (no ONNX form, or the numbers differ), DiskRefused, ConsentRefused.
    """
    folder = RunFolder.open(run)
    saved = newest_save(folder)
    _require(permit, folder)
    suffix = ".onnx" if folder.net == "xseg" else ".dfm"
    if file.suffix.lower() != suffix:
        raise SettingRefused(
            f"{file.name} is no good name for a {folder.net} export.", why="Programs know such files by their ending.",
            remedy=f"Let it end in {suffix}.", where=file,
        )
    if file.exists():
        raise DiskRefused(f"{file.name} is there already.", remedy="Give another name.", where=file)
    net = open_net(folder, saved.weights() if raw else saved.smooth_weights())
    facts = {
        "net": folder.net, "resolution": net.resolution, "face_type": net.face_type, "iteration": saved.iteration,
        "weights_sha256": saved.digest(ema=not raw), "precision": "float16" if half else "float32",
        "permit": permit.id,
    }
    model = to_onnx(net, to_metadata(facts, folder.extra.get("likenesses", [])), half=half)
    try:
        data = model.SerializeToString()
    except ValueError as error:
        raise Mismatch(
            f"The {folder.net} model of {run.name} is too large for one ONNX file.", why="The format ends at 2 GB.",
            remedy="Export it with --half.", where=run,
        ) from error
    make_folder(file.parent)
    with part_file(file) as part:
        part.write_bytes(data)
        difference, limit = compare(net, part), LIMITS[half]
        if LIMITS[False] < difference <= _ROUNDING and not half:
            # Deep nets with norms of their own (XSeg) magnify the rounding of the sums themselves.
            limit = min(_ROUNDING, _BITS * last_bit(net, net.resolution))
        if not difference <= limit:
            raise Mismatch(
                f"The ONNX form of {run.name} does not give the same faces.",
                why=f"They differ by {difference:.2g}; allowed are {limit:.2g}.",
                remedy="Export it without --half." if half else "Please report this model's settings as a bug.",
                where=run,
            )
        enter(saved.iteration, {file.name: sha256_of(part)})
    return Exported((file,), saved.iteration, difference)


def export_dfl(
    run: Path, folder: Path, *, permit: Permit, enter: Enter, words: Words, name: str = "",
) -> Exported:
    """A run -> DeepFaceLab's files in `folder`, which it goes on training from: weights as they are (no running mean),
    the optimisers' memories, discriminators, iteration, and what `words` says of options and losses.

    Raises as `export_onnx`, and SettingRefused for a name that the original could not read.
    """
    opened = RunFolder.open(run)
    saved = newest_save(opened)
    _require(permit, opened)
    family = Family(folder, _name(opened, name), CLASS_OF_NET[opened.net])
    net = open_net(opened, saved.weights())
    whole = opened.net == "xseg"
    named = dict(net.named_parameters())
    files = to_dfl(named.items(), whole=whole)
    state, notes = saved.optimiser_state(), []
    memory = optimiser_to_dfl(state, opened.net, named, "XSeg" if whole else "") if state is not None else None
    if memory is not None:
        files[OPTIMISER] = memory
    elif state is not None:
        notes.append(f"The memory of {state.kind} was left out: DeepFaceLab has no such optimiser.")
    files |= adversaries_to_dfl(opened.net, {**waiting(run, saved.iteration), **players(saved)})
    if "ema" in saved.state["files"]:
        notes.append("The running mean of the weights was left out: DeepFaceLab keeps none.")
    options, losses = words(opened, saved)
    data = {
        "iter": saved.iteration, "options": {**options, **_shape_options(opened)},
        "loss_history": losses[:, :1].tolist() if whole else losses.tolist(), "sample_for_preview": None,
        "choosed_gpu_indexes": None,
    }
    written = write_dfl(family, files, data, lambda digests: enter(saved.iteration, digests))
    return Exported(tuple(folder / file for file in written), saved.iteration, 0.0, tuple(notes))


def likenesses_of(run: Path) -> list[dict[str, Any]]:
    """Whose faces a run learned, as it recorded them; [] for a net of masks. Raises ConsentRefused when a net that
    swaps faces does not say it: an empty list would let it pass."""
    folder = RunFolder.open(run)
    if folder.net == "xseg":
        return []
    found = [dict(entry) for entry in folder.extra.get("likenesses", [])]
    if not any(entry["role"] == "source_likeness" for entry in found):
        raise ConsentRefused(
            f"The run {run.name} does not say whose face it learned.",
            why="Without that, no record of consent can be asked.",
            remedy="Go on training it with `facewright train`, which notes the people, then export it.", where=run,
        )
    return found


def _require(permit: Permit, folder: RunFolder) -> None:
    """The gate's leave must be for this, and stand on every record that the run names."""
    if folder.net == "xseg" and permit.covers(MASK_STAGE):
        return
    wanted = {entry["consent"] for entry in likenesses_of(folder.path)} - {""}
    if not permit.covers(USE) or not wanted <= set(permit.records):
        raise ConsentRefused(
            f"There is no leave to give the model {folder.path.name} away.",
            why="The gate was asked for another use or other faces.",
            remedy="Use `facewright model export-dfm` or `export-dfl`, which ask for it.", where=folder.path,
        )


def _name(folder: RunFolder, name: str) -> str:
    """The model's name there: given, else the one it came with, else the run's without what the original reads as the
    end of a name."""
    chosen = name or folder.extra.get("imported", {}).get("name", "") or folder.path.name.replace("_", "-")
    if not chosen or any(c in chosen for c in '_/\\:*?"<>|\0') or chosen.strip(". ") != chosen:
        raise SettingRefused(
            f"{chosen!r} cannot be a model's name in DeepFaceLab.",
            why="It ends a name at the first underscore, and it is part of file names.",
            remedy="Give --name with letters, digits, spaces and -.", where="--name",
        )
    return chosen


def _shape_options(folder: RunFolder) -> dict[str, Any]:
    """The shape as the original spells it."""
    words = {ours: theirs for theirs, ours in FACE_TYPES.items()}
    shape = folder.shape.model_dump()
    if folder.net == "xseg":
        return {"face_type": words[shape["face_type"]]}
    return {key: words[value] if key == "face_type" else value for key, value in shape.items()}
