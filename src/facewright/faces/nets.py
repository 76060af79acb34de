"""Run a net file: ONNX by onnxruntime, TFLite by LiteRT; one thread and an explicit provider by default."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused

_ONE_LOADS = threading.Lock()
"""File descriptor 2 is turned away while a net is loaded: two at once would not find it again."""


class OnnxNet:
    """An ONNX file with one input, for any thread. Call: float32 array -> list of arrays, in the order of `outputs`.
    `shape`: of the input, as the file says it (a number, or a word where any number goes)."""

    def __init__(self, path: Path, *, threads: int = 1, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Idle threads must sleep, not spin: other workers use the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
        except Exception as error:  # the library raises plain classes of its own
            raise _broken(path, error) from error
        source = self._session.get_inputs()[0]
        self._input, self.shape = source.name, tuple(source.shape)
        self.outputs = tuple(o.name for o in self._session.get_outputs())

    def __call__(self, data: np.ndarray) -> list[np.ndarray]:
        """See the class."""
        return [np.asarray(r) for r in self._session.run(None, {self._input: data})]


class LiteNet:
    """A TFLite file with one input of a fixed size, for any thread. Call: (N, H, W, 3) float32 -> list of (N, ...)
    arrays.

    Pictures go through one at a time: on a CPU a batch of four costs as much as four single calls (measured 6.3
    against 5.8 ms for the mesh), and some files are fixed to one picture.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with _ONE_LOADS, _without_native_chatter():
                self._net: Any = Interpreter(str(path), num_threads=threads)
                self._net.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise _broken(path, error) from error
        self._one_at_a_time = threading.Lock()
        source = self._net.get_input_details()[0]
        self._input = source["index"]
        self.side = int(source["shape"][1])
        self._results = [d["index"] for d in self._net.get_output_details()]

    def __call__(self, data: np.ndarray) -> list[np.ndarray]:
        """See the class."""
        found: list[list[np.ndarray]] = [[] for _ in self._results]
        for picture in data:
            with self._one_at_a_time:  # its tensors are the net's own
                self._net.set_tensor(self._input, picture[None])
                self._net.invoke()
                for row, index in zip(found, self._results):
                    row.append(self._net.get_tensor(index)[0])
        return [np.stack(row) if row else np.zeros((0,), np.float32) for row in found]


@contextmanager
def _without_native_chatter() -> Iterator[None]:
    """LiteRT's C++ part announces its delegate on file descriptor 2 and offers no way to ask it not to."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all: nothing to keep quiet
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _broken(path: Path, error: Exception) -> FileRefused:
    return FileRefused(
        f"The net {path.name} cannot be loaded.", why=str(error).splitlines()[0] if str(error) else "",
        remedy="Run `facewright weights verify`, then fetch it again.", where=path,
    )
