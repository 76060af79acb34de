"""An exported XSeg net (ONNX file) as a maker of masks: ours or DeepFaceLab's. Untrusted, see models/onnx_read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facewright.faces.face import FaceType
from facewright.models.dfm_facts import FACE, MASK
from facewright.models.onnx_read import OnnxFile, read_onnx, session_of
from facewright.models.xseg import FAINT


class ExportedMasks:
    """An ONNX session behind the house's types; RGB in. See Predictor."""

    def __init__(self, session: Any, file: OnnxFile) -> None:
        self.session, self.resolution = session, int(session.get_inputs()[0].shape[1])
        self.face_type: FaceType | None = file.face_type
        self.iteration = file.iteration
        self.identity = f"onnx:{file.sha256}"

    def predict(self, faces: np.ndarray) -> np.ndarray:
        """See Predictor; as the run itself."""
        (soft,) = self.session.run([MASK], {FACE: np.ascontiguousarray(faces[..., ::-1], np.float32)})
        return np.where(soft < FAINT, np.float32(0), np.minimum(soft, np.float32(1)))


def open_exported(path: Path, device: str = "auto") -> ExportedMasks:
    """The net of an .onnx file. Raises FileRefused: no such file, no ONNX, or none that makes masks."""
    file = read_onnx(path, "XSeg model")
    return ExportedMasks(session_of(file, device, _check_borders), file)


def _check_borders(session: Any) -> None:
    """Raise ValueError unless inputs and outputs are those of an exported XSeg."""
    inputs, outputs = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
    if inputs != [FACE] or outputs != [MASK]:
        raise ValueError(f"it has the inputs {inputs} and the outputs {outputs}")
