"""Named tensors in a file: the safetensors format, streamed out tensor by tensor with its SHA-256 on the way.

The format is a 64-bit header length, a JSON header and raw little-endian data, so any safetensors reader opens
it. Writing it here costs no second copy of the weights in memory and no second read for the digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from facewright.core.errors import FileRefused
from facewright.core.files import disk_error

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}
_CHUNK_BYTES = 16 << 20


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes that `write_tensors` will need, within a percent."""
    return sum(t.numel() * t.element_size() + len(name) + 120 for name, t in tensors.items())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a new file and return its hex SHA-256. Tensors of any device and stride.

    Not synced and not atomic: callers write into a `.part` folder. Raises DiskRefused.
    """
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    try:
        with open(path, "wb") as file:
            for piece in (len(text).to_bytes(8, "little"), text):
                digest.update(piece)
                file.write(piece)
            for tensor in tensors.values():
                data = _bytes_of(tensor)
                for start in range(0, len(data), _CHUNK_BYTES):
                    chunk = data[start : start + _CHUNK_BYTES].data
                    digest.update(chunk)
                    file.write(chunk)
    except OSError as error:
        raise disk_error(error, path) from error
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU. Raises FileRefused."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def read_sizes(path: Path) -> dict[str, torch.Size]:
    """Name -> size of every tensor of a file, from its header alone. Raises FileRefused, also for a type of numbers
    that `write_tensors` does not write."""
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            slices = {name: file.get_slice(name) for name in names}
            odd = {found.get_dtype() for found in slices.values()} - set(_DTYPES.values())
            sizes = {name: torch.Size(found.get_shape()) for name, found in slices.items()}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    if odd:
        raise _unreadable(path, f"It holds numbers of the type {min(odd)}.")
    return sizes


def _unreadable(path: Path, why: object) -> FileRefused:
    return FileRefused(
        f"Cannot read {path.name}.", why=str(why), remedy="Use an earlier checkpoint of this run.", where=path
    )


def _bytes_of(tensor: Tensor) -> np.ndarray:
    """(N,) uint8, a view where the tensor is on the CPU and contiguous."""
    return tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy()
