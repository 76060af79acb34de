"""ONNX files as nets: ours or those of others. Untrusted: nothing outside of the file is read, and only operations of
the standard run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused, SettingRefused
from facewright.core.files import read_file
from facewright.faces.face import FaceType
from facewright.models.dfm_facts import FACE, from_metadata

_CPU, _GPU = "CPUExecutionProvider", "CUDAExecutionProvider"
_LIMIT_BYTES = 2 << 30
_LARGEST_SIDE = 2048


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class OnnxFile:
    """A file that was looked through. `facts`: what our metadata say of it, {} in a file of others; `kind`: what it is
    taken for, for refusals."""

    path: Path
    kind: str
    data: bytes
    sha256: str
    facts: dict[str, Any]

    @property
    def face_type(self) -> FaceType | None:
        """Which part of the head its faces show, where it says so."""
        found = self.facts.get("face_type")
        return FaceType(found) if found in list(FaceType) else None

    @property
    def iteration(self) -> int:
        """Iterations of the training that it comes from; 0 where it does not say."""
        text = str(self.facts.get("iteration", ""))
        return int(text) if text.isascii() and text.isdigit() else 0


def read_onnx(path: Path, kind: str) -> OnnxFile:
    """Read and parse a file. Raises FileRefused: none there, no ONNX, or it reaches outside of itself."""
    import onnx

    data = read_file(path, limit_bytes=_LIMIT_BYTES)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # the parser's own type belongs to a package that comes along with onnx
        raise _refused(path, kind, "it is no ONNX file") from error
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise _refused(path, kind, "its weights lie in another file")
    domains = {entry.domain for entry in model.opset_import} | {n.domain for n in _nodes(model.graph)}
    if not domains <= {"", "ai.onnx"} or model.functions:
        raise _refused(path, kind, "it asks for operations outside of the ONNX standard")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return OnnxFile(path, kind, data, hashlib.sha256(data).hexdigest(), from_metadata(metadata, path))


def session_of(file: OnnxFile, device: str, check: Callable[[Any], None]) -> Any:
    """An onnxruntime session on a device (auto, cpu, cuda ...). `check` looks at its inputs and outputs, and raises
    ValueError where they are not those of the file's kind. Raises FileRefused, SettingRefused (no such device)."""
    import onnxruntime

    providers = _providers(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(file.data, options, providers=providers)
        check_face(session)
        check(session)
    except Exception as error:  # the runtime raises types of its own, and plain ones
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise _refused(file.path, file.kind, why) from error
    return session


def check_face(session: Any) -> None:
    """Raise ValueError unless the net takes square RGB-sized faces, by our name, of a side that makes sense."""
    inputs = {i.name: i for i in session.get_inputs()}
    if FACE not in inputs:
        raise ValueError(f"it has the inputs {sorted(inputs)}")
    face = inputs[FACE]
    sides = face.shape[1:3]
    if face.type != "tensor(float)" or len(face.shape) != 4 or face.shape[3] != 3 or sides[0] != sides[1]:
        raise ValueError(f"it wants faces of the shape {face.shape}")
    if type(sides[0]) is not int or not 16 <= sides[0] <= _LARGEST_SIDE:
        raise ValueError(f"it wants faces of the side {sides[0]}")


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
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _providers(device: str) -> list[Any]:
    import onnxruntime

    has_gpu = _GPU in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_gpu):
        return [_CPU]
    kind, _, number = device.partition(":")
    if not has_gpu or kind not in ("auto", "cuda") or not (number or "0").isdigit():
        raise SettingRefused(
            f"--device {device} is not to be had here.",
            why=f"Files run on onnxruntime, which has {'CUDA and the CPU' if has_gpu else 'the CPU only'} here.",
            remedy="Use auto or cpu.", where="--device",
        )
    return [(_GPU, {"device_id": int(number or 0)}), _CPU]


def _refused(path: Path, kind: str, why: str) -> FileRefused:
    return FileRefused(
        f"{path.name} is no {kind} that facewright runs.", why=f"{why}.".replace("..", "."),
        remedy=f"Give a {kind} that facewright or DeepFaceLab exported.", where=path,
    )
