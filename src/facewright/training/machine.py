"""What this machine trains on: device, number format, batch, threads."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from facewright.core.errors import SettingRefused
from facewright.training.settings import TrainSettings

_ROOMY_BYTES = 4 << 30


def device_of(s: TrainSettings) -> torch.device:
    """The device that the settings ask for. Raises SettingRefused when it is not there."""
    return own_device(s.device)


def own_device(name: str) -> torch.device:
    """The device called `name` (see TrainSettings.device), of this process where several learn together: each has its
    own GPU. Raises SettingRefused when it is not there."""
    own = int(os.environ.get("LOCAL_RANK", 0))
    if name == "auto":
        return torch.device("cuda", own) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(name)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", own)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise SettingRefused(
            f"There is no device {name if own == 0 else device} here.", why=f"{count} CUDA devices are usable.",
            remedy="Use --device auto or cpu; `facewright doctor` lists what is there.", where="--device",
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def local_processes(s: TrainSettings) -> int:
    """How many processes learn together on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", s.gpus))


def bf16_pays(device: torch.device) -> bool:
    """Whether bf16 convolutions are computed natively: measured 1.6 to 1.95 times as fast on such processors."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def bf16_wanted(s: TrainSettings, device: torch.device) -> bool:
    """Whether to run the net under bf16 autocast."""
    return s.precision == "bf16" or (s.precision == "auto" and bf16_pays(device))


def batch_of(s: TrainSettings, device: torch.device) -> int:
    """Faces of each side per iteration; the original's rule where the settings leave it open."""
    if s.batch_size:
        return s.batch_size
    roomy = device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory >= _ROOMY_BYTES
    return 8 if roomy else 4


def compiled(net: nn.Module, device: torch.device) -> Callable[..., Any]:
    """What calls the net as translated for this machine; the net itself, its names and its saves stay as they are.

    Raises SettingRefused where no compiler works, which is tried with a little function first.
    """
    try:
        torch.compile(torch.relu, dynamic=False)(torch.zeros(8, device=device))
    except (RuntimeError, OSError, ImportError) as error:
        raise SettingRefused(
            "--compile does not work on this machine.", why=str(error).strip().splitlines()[0][:200],
            remedy="Leave it out; or install a C++ compiler (on a processor), Triton (on a GPU).", where="--compile",
        ) from error
    return torch.compile(net)


def let_go(device: torch.device) -> None:
    """Give memory that nobody uses back to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def borrowed(s: TrainSettings, device: torch.device) -> Iterator[None]:
    """Set the number of threads for the time of a training; give threads and memory back afterwards."""
    before = torch.get_num_threads()
    tuned = torch.backends.cudnn.benchmark
    if s.threads or local_processes(s) > 1:
        torch.set_num_threads(s.threads or max(1, before // local_processes(s)))
    torch.backends.cudnn.benchmark = device.type == "cuda"
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.benchmark = tuned
        let_go(device)
