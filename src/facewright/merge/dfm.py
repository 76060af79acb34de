"""A DFM file (ONNX) as a swapper: ours or that of others. Untrusted: nothing outside of the file is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import read_file
from facewright.faces.face import FaceType
from facewright.merge.predict import Prediction
from facewright.merge.settings import MergeSettings
from facewright.models.dfm_facts import from_metadata, read_note

_FACE, _MORPH = "in_face:0", "morph_value:0"
_OUTPUTS = ("out_celeb_face:0", "out_celeb_face_mask:0", "out_face_mask:0")
_LIMIT_BYTES = 2 << 30
_LARGEST_SIDE = 2048


class DfmSwapper:
    """An ONNX session behind the house's types; RGB in and out. `morph`: share of the source's likeness (AMP)."""

    def __init__(
        self, session: Any, *, face_type: FaceType, identity: str, iteration: int, morph: float = 1.0
    ) -> None:
        shapes = {i.name: i.shape for i in session.get_inputs()}
        self.session, self.face_type, self.iteration, self.morph = session, face_type, iteration, morph
        self.resolution = int(shapes[_FACE][1])
        self.takes_morph = _MORPH in shapes
        self.identity = f"{identity}:{morph:g}" if self.takes_morph else identity

    def __call__(
        self, images: np.ndarray, *, face_ids: Sequence[str] = (), points_px: np.ndarray | None = None
    ) -> Prediction:
        """(B, R, R, 3) float32 RGB 0..1 -> Prediction, clipped to 0..1. Landmarks are not used."""
        return self.predict(images, self.morph, face_ids=face_ids)

    def predict(self, faces: np.ndarray, morph: float = 1.0, *, face_ids: Sequence[str] = ()) -> Prediction:
        """The same with another dose of the source's likeness, which only files of AMP models can take."""
        feed = {_FACE: np.ascontiguousarray(faces[..., ::-1], np.float32)}
        if self.takes_morph:
            feed[_MORPH] = np.array([morph], np.float32)
        image, mask_swap, mask_own = (np.clip(x, 0, 1) for x in self.session.run(list(_OUTPUTS), feed))
        ids = tuple(face_ids) or ("",) * len(faces)
        return Prediction(ids, self.face_type, np.ascontiguousarray(image[..., ::-1]), mask_swap, mask_own)


def open_dfm(run: Path | str, settings: MergeSettings) -> DfmSwapper:
    """The swapper of a .dfm file. Raises FileRefused: no such file, no DFM, or it is not known which part of the head
    its faces show."""
    import onnxruntime

    file = Path(run)
    data = read_file(file, limit_bytes=_LIMIT_BYTES)
    digest = hashlib.sha256(data).hexdigest()
    facts = _facts(file, data, digest)
    if facts.get("face_type") not in list(FaceType):
        raise FileRefused(
            f"{file.name} does not say which part of the head its faces show.",
            why="Files of other programs do not say it.",
            remedy=f"Say it: `facewright model import-dfm {file} --record RECORD --face-type whole_face`.", where=file,
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=_providers(settings.device))
        _check_borders(session)
    except FileRefused:
        raise
    except Exception as error:  # the runtime raises types of its own, and plain ones
        raise _no_dfm(file, str(error).splitlines()[0][:200] if str(error) else type(error).__name__) from error
    iteration = str(facts.get("iteration", ""))
    return DfmSwapper(
        session, face_type=FaceType(facts["face_type"]), identity=f"dfm:{digest}", morph=settings.morph,
        iteration=int(iteration) if iteration.isdigit() else 0,
    )


def dfm_record(file: Path) -> dict[str, Any]:
    """What a DFM says beside its numbers, as `trained.run_record` does of a run: likenesses, face_type. Raises
    FileRefused."""
    data = read_file(file, limit_bytes=_LIMIT_BYTES)
    return _facts(file, data, hashlib.sha256(data).hexdigest())


def _facts(file: Path, data: bytes, digest: str) -> dict[str, Any]:
    """A note beside the file comes before what the file says itself. Parses the file, and refuses what reaches out."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # the parser's own type belongs to a package that comes along with onnx
        raise _no_dfm(file, "it is no ONNX file") from error
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise _no_dfm(file, "its weights lie in another file")
    domains = {entry.domain for entry in model.opset_import} | {n.domain for n in _nodes(model.graph)}
    if not domains <= {"", "ai.onnx"} or model.functions:
        raise _no_dfm(file, "it asks for operations outside of the ONNX standard")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return {**from_metadata(metadata, file), **read_note(file, digest)}


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every constant of a graph and of the graphs within it."""
    for graph_there in (graph, *(g for n in _nodes(graph) for a in n.attribute for g in (a.g, *a.graphs))):
        yield from graph_there.initializer
        for sparse in graph_there.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(graph):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _check_borders(session: Any) -> None:
    """Raise ValueError unless inputs and outputs are those of a DFM."""
    inputs = {i.name: i for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    if _FACE not in inputs or not inputs.keys() <= {_FACE, _MORPH} or not outputs >= set(_OUTPUTS):
        raise ValueError(f"it has the inputs {sorted(inputs)} and the outputs {sorted(outputs)}")
    face = inputs[_FACE]
    sides = face.shape[1:3]
    if face.type != "tensor(float)" or len(face.shape) != 4 or face.shape[3] != 3 or sides[0] != sides[1]:
        raise ValueError(f"it wants faces of the shape {face.shape}")
    if type(sides[0]) is not int or not 16 <= sides[0] <= _LARGEST_SIDE:
        raise ValueError(f"it wants faces of the side {sides[0]}")


def _providers(device: str) -> list[str]:
    import onnxruntime

    gpu = "CUDAExecutionProvider"
    wanted = device == "auto" or device.startswith("cuda")
    return [p for p in (gpu,) if wanted and p in onnxruntime.get_available_providers()] + ["CPUExecutionProvider"]


def _no_dfm(file: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{file.name} is no DFM that facewright runs.", why=f"{why}.".replace("..", "."),
        remedy="Give a .dfm file that facewright or DeepFaceLab exported.", where=file,
    )
