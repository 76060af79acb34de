"""A warm process that forks one `facewright` command after another: real processes without the start-up of torch.

Run as a program it reads orders (one JSON line: words, environment, limit of a file's size) and answers with lines;
`Forge` is the other end. `Started` is one running command, forked here or started as `python -m facewright`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM = (
    "torch", "cv2", "av", "onnxruntime", "ai_edge_litert.interpreter", "c2pa", "cryptography.x509", "safetensors.torch",
    "PIL.Image", "facewright.api", "facewright.faceset.extraction.extract", "facewright.faces.find",
    "facewright.training.loop",
    "facewright.merge.run", "facewright.merge.trained", "facewright.render.film", "facewright.jobs.run",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), what it wrote, processor seconds."""

    code: int
    out: str
    err: str
    cpu_s: float

    @property
    def said(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Started:
    """A running command. `base_s`: its processor time when it began to work (0 for a forked one)."""

    def __init__(self, pid: int, poll: Any, end: Any) -> None:
        self.pid, self._poll, self._end = pid, poll, end

    def running(self) -> bool:
        return self._poll()

    def cpu_s(self) -> float:
        """Processor time of the process so far, to the nanosecond (Linux' clock of another process)."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def signal(self, number: int) -> None:
        """Never hits a stranger: the process stays a zombie until `end`."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def end(self) -> Ended:
        return self._end()


class Forge:
    """The warm process. One command at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._answer()

    def close(self) -> None:
        self._in.close()
        self._process.wait(60)
        self._out.close()

    def start(self, words: Sequence[str], env: Mapping[str, str], limit: int = 0) -> Started:
        self._ask({"words": list(map(str, words)), "env": dict(env), "limit": limit})
        pid = int(self._answer()["pid"])
        done: dict[str, Any] = {}
        reader = threading.Thread(target=lambda: done.update(self._answer()), daemon=True)
        reader.start()

        def end() -> Ended:
            reader.join()
            self._ask("reap")
            return Ended(**done, **self._answer())

        return Started(pid, reader.is_alive, end)

    def run(self, words: Sequence[str], env: Mapping[str, str], limit: int = 0) -> Ended:
        return self.start(words, env, limit).end()

    def _ask(self, order: Any) -> None:
        self._in.write(json.dumps(order) + "\n")
        self._in.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._out.readline()
        assert line, "the forge died"
        return json.loads(line)


def real(words: Sequence[str], env: Mapping[str, str]) -> Started:
    """The same command as `python -m facewright`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "facewright", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.read()), daemon=True)
    reader.start()

    def end() -> Ended:
        reader.join()
        _, status, used = os.wait4(process.pid, 0)
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(process.returncode, said[0], "", used.ru_utime + used.ru_stime)

    return Started(process.pid, reader.is_alive, end)


def _serve() -> None:
    import importlib

    for name in WARM:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    answer(ready=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        pipes = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            answers.close()
            _child(order, pipes)
        for _, write in pipes:
            os.close(write)
        answer(pid=pid)
        texts = _read_all([read for read, _ in pipes])
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # stays a zombie: nobody else gets its number
        assert info is not None
        code = info.si_status if info.si_code == os.CLD_EXITED else -info.si_status
        answer(code=code, out=texts[0], err=texts[1])
        sys.stdin.readline()
        _, _, used = os.wait4(pid, 0)
        answer(cpu_s=used.ru_utime + used.ru_stime)


def _child(order: Mapping[str, Any], pipes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    code = 99
    try:
        for number, (read, write) in enumerate(pipes, 1):
            os.dup2(write, number)
            os.close(read)
            os.close(write)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(order["env"])
        if order["limit"]:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], order["limit"]))
        from facewright.cli.app import main

        sys.argv = ["facewright", *order["words"]]
        main(order["words"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001  (told through the pipe)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read_all(handles: list[int]) -> list[str]:
    texts: list[bytes] = [b"" for _ in handles]

    def read(at: int) -> None:
        with os.fdopen(handles[at], "rb") as file:
            texts[at] = file.read()

    threads = [threading.Thread(target=read, args=(at,)) for at in range(len(handles))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [text.decode("utf-8", "replace") for text in texts]


if __name__ == "__main__":
    _serve()
