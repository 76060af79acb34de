"""What this machine can do: one finding per check, each with a remedy."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from facewright.core.errors import FacewrightError
from facewright.core.files import free_bytes
from facewright.core.places import cache_folder, data_folder

State = Literal["ok", "warn", "fail"]
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings; `state` is the worst of them."""

    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """fail > warn > ok."""
        states = {f.state for f in self.findings}
        return "fail" if "fail" in states else "warn" if "warn" in states else "ok"

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"state": self.state, "findings": [asdict(f) for f in self.findings]}


def examine(where: Path | None = None) -> Report:
    """Every check in turn; a check that itself breaks is a finding, never a crash."""
    place = where or Path.cwd()
    checks: list[Callable[[Path], Iterator[Finding]]] = [
        _python,
        _packages,
        _processor,
        _memory,
        _devices,
        _encoders,
        _weights,
        _disk,
        _model,
    ]
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check(place))
        except (OSError, ImportError, RuntimeError, ValueError, FacewrightError) as error:
            name = check.__name__.removeprefix("_")
            found.append(Finding(name, "fail", f"the check could not run: {error}", "Run `make setup` again."))
    return Report(tuple(found))


def _python(where: Path) -> Iterator[Finding]:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(
        "python",
        "ok" if good else "fail",
        f"{version} on {platform.system()} {platform.release()}",
        "" if good else "Use Python 3.11 or 3.12.",
    )


def _packages(where: Path) -> Iterator[Finding]:
    wanted = ("torch", "numpy", "opencv-python-headless", "av", "onnxruntime", "ai-edge-litert", "c2pa-python")
    missing = [n for n in wanted if not _version(n)]
    cv = [
        d.metadata["Name"] for d in metadata.distributions() if (d.metadata["Name"] or "").lower().startswith("opencv")
    ]
    text = ", ".join(f"{n} {_version(n)}" for n in wanted if n not in missing)
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", "Run `make setup`.")
    elif len(cv) != 1 or _version(cv[0]).startswith("5."):
        yield Finding(
            "packages",
            "fail",
            f"OpenCV is installed as {', '.join(cv)}",
            "Keep only opencv-python-headless 4.x: two builds overwrite each other, 5.x interpolates differently.",
        )
    else:
        yield Finding("packages", "ok", text)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _processor(where: Path) -> Iterator[Finding]:
    import torch

    cores = os.cpu_count() or 1
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    text = f"{cores} cores, {torch.backends.cpu.get_cpu_capability()}, bfloat16 {'yes' if bf16 else 'no'}"
    few = cores < 4
    yield Finding("processor", "warn" if few else "ok", text, "4 cores or more are advised." if few else "")


def memory_bytes() -> int:
    """Physical memory, 0 when unknown."""
    if os.name == "nt":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (n, ctypes.c_ulonglong)
                for n in ("total", "free", "page", "page_free", "virtual", "virtual_free", "extra")
            ]

        status = Status(length=ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
        return int(status.total)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _memory(where: Path) -> Iterator[Finding]:
    total = memory_bytes() / GIB
    swap = _swap_gib()
    text = f"{total:.0f} GiB" + ("" if swap is None else f", swap {swap:.0f} GiB")
    small = 0 < total < 8
    yield Finding("memory", "warn" if small else "ok", text, "16 GiB are advised, 8 the least." if small else "")


def _swap_gib() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / (1 << 20) for line in lines if line.startswith("SwapTotal:")), None)


def _devices(where: Path) -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        yield Finding("gpu", "warn", "none that torch can use: training runs on the processor", _gpu_remedy())
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        yield Finding(
            f"gpu cuda:{index}",
            "ok",
            f"{facts.name}, {total / GIB:.0f} GiB ({free / GIB:.0f} free), CUDA {torch.version.cuda}",
        )


def _gpu_remedy() -> str:
    import torch

    if torch.version.cuda is None:
        return "With an NVIDIA card: `make setup TORCH=cuda` in a fresh checkout."
    return "Check the driver with nvidia-smi."


def _encoders(where: Path) -> Iterator[Finding]:
    from facewright.media.trial import probe_encoders

    states = probe_encoders()
    good = [name for name, works in states.items() if works]
    bad = [name for name, works in states.items() if not works]
    text = ", ".join(good) + (f"; not here: {', '.join(bad)}" if bad else "")
    state: State = "ok" if "h264" in good else "fail"
    yield Finding("encoders", state, text, "" if state == "ok" else "Install the av package from its wheel.")


def _weights(where: Path) -> Iterator[Finding]:
    from facewright.core.weights import WEIGHTS, available

    for name in ("yunet_n", "blazeface_full", "face_mesh", "mobileface_v2", "nsfwjs"):
        weight = WEIGHTS[name]
        if available(name) is not None:
            yield Finding(f"net {name}", "ok", f"{weight.used_for} ({weight.licence})")
        else:
            yield Finding(
                f"net {name}",
                "warn",
                f"{weight.used_for}: not here",
                f"Run `facewright weights fetch {name}`, or put {weight.file} into {cache_folder() / 'weights'}.",
            )


def _disk(where: Path) -> Iterator[Finding]:
    for name, folder in (("disk here", where), ("disk of the user data", data_folder())):
        free = free_bytes(folder) / GIB
        state: State = "fail" if free < 1 else "warn" if free < 20 else "ok"
        yield Finding(name, state, f"{free:.0f} GiB free at {folder}", "" if state == "ok" else "Free some space.")


def _model(where: Path) -> Iterator[Finding]:
    yield Finding("largest practical model", "ok", practical_model())


def practical_model() -> str:
    """Words for the largest model that trains in days, by memory (table of features.md G001)."""
    import torch

    if torch.cuda.is_available():
        gib = max(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())) / GIB
        table = (
            (23, "saehd liae-udt 384, batch 8"),
            (15, "saehd liae-udt 320, batch 8"),
            (10.5, "saehd df-udt 288"),
            (7.5, "saehd df-ud 256"),
            (5.5, "saehd df-ud 192"),
            (3.5, "saehd df-ud 128"),
            (0, "quick96"),
        )
        return next(name for least, name in table if gib >= least)
    cores, total = os.cpu_count() or 1, memory_bytes() / GIB
    if cores >= 16 and total >= 30:
        return "saehd df-ud 128 (dims 256/64/64, batch 8): about a day on this processor"
    if cores >= 4 and total >= 14:
        return "saehd df-ud 128 with small dims, or quick96, overnight on this processor"
    return "saehd df-ud 96 by `--recipe quick` (minutes), quick96 (overnight) on this processor"
