"""A DFM file (ONNX) as a swapper: ours or that of others. Untrusted, see models/onnx_read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from facewright.core.errors import FileRefused
from facewright.faces.face import FaceType
from facewright.merge.predict import Prediction
from facewright.merge.settings import MergeSettings
from facewright.models.dfm_facts import FACE, MORPH, OUTPUTS, read_note
from facewright.models.onnx_read import OnnxFile, read_onnx, session_of


class DfmSwapper:
    """An ONNX session behind the house's types; RGB in and out. `morph`: share of the source's likeness (AMP); `net`:
    the one that the file was exported from, "dfm" where it does not say."""

    def __init__(
        self, session: Any, *, face_type: FaceType, identity: str, iteration: int, morph: float = 1.0, net: str = "dfm"
    ) -> None:
        shapes = {i.name: i.shape for i in session.get_inputs()}
        self.session, self.face_type, self.iteration, self.morph = session, face_type, iteration, morph
        self.net = net
        self.resolution = int(shapes[FACE][1])
        self.takes_morph = MORPH in shapes
        self.identity = f"{identity}:{morph:g}" if self.takes_morph else identity

    def __call__(
        self, images: np.ndarray, *, face_ids: Sequence[str] = (), points_px: np.ndarray | None = None
    ) -> Prediction:
        """(B, R, R, 3) float32 RGB 0..1 -> Prediction, clipped to 0..1. Landmarks are not used."""
        return self.predict(images, self.morph, face_ids=face_ids)

    def predict(self, faces: np.ndarray, morph: float = 1.0, *, face_ids: Sequence[str] = ()) -> Prediction:
        """The same with another dose of the source's likeness, which only files of AMP models can take."""
        feed = {FACE: np.ascontiguousarray(faces[..., ::-1], np.float32)}
        if self.takes_morph:
            feed[MORPH] = np.array([morph], np.float32)
        mask_own, image, mask_swap = (np.clip(x, 0, 1) for x in self.session.run(list(OUTPUTS), feed))
        ids = tuple(face_ids) or ("",) * len(faces)
        return Prediction(ids, self.face_type, np.ascontiguousarray(image[..., ::-1]), mask_swap, mask_own)


def open_dfm(run: Path | str, settings: MergeSettings) -> DfmSwapper:
    """The swapper of a .dfm file. Raises FileRefused: no such file, no DFM, or it is not known which part of the head
    its faces show."""
    file = _read(Path(run))
    if file.face_type is None:
        raise FileRefused(
            f"{file.path.name} does not say which part of the head its faces show.",
            why="Files of other programs do not say it.",
            remedy=f"Say it: `facewright model import-dfm {run} --record RECORD --face-type whole_face`.",
            where=file.path,
        )
    return DfmSwapper(
        session_of(file, settings.device, _check_borders), face_type=file.face_type, identity=f"dfm:{file.sha256}",
        morph=settings.morph, iteration=file.iteration, net=str(file.facts.get("net", "dfm")),
    )


def dfm_record(file: Path) -> dict[str, Any]:
    """What a DFM says beside its numbers, as `trained.run_record` does of a run: likenesses, face_type. Raises
    FileRefused."""
    return _read(file).facts


def held(file: Path) -> object:
    """The file is read once for all that is asked of it, and for its net, as long as the caller keeps the answer: some
    have 2 GB. Raises FileRefused."""
    return _bytes_of(file)


_held: WeakValueDictionary[tuple[object, ...], OnnxFile] = WeakValueDictionary()
"""Files that somebody holds, by place and moment."""


def _bytes_of(path: Path) -> OnnxFile:
    facts = path.stat() if path.is_file() else None  # of no file, reading says it in the house's words
    key = (path.absolute(), facts and (facts.st_ino, facts.st_size, facts.st_mtime_ns))
    file = _held.get(key) or read_onnx(path, "DFM")
    _held[key] = file
    return file


def _read(path: Path) -> OnnxFile:
    """A note beside the file comes before what the file says itself."""
    file = _bytes_of(path)
    return replace(file, facts={**file.facts, **read_note(path, file.sha256)})


def _check_borders(session: Any) -> None:
    """Raise ValueError unless inputs and outputs are those of a DFM."""
    inputs, outputs = {i.name for i in session.get_inputs()}, {o.name for o in session.get_outputs()}
    if not inputs <= {FACE, MORPH} or not outputs >= set(OUTPUTS):
        raise ValueError(f"it has the inputs {sorted(inputs)} and the outputs {sorted(outputs)}")
