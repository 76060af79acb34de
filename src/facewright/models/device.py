"""Where a trained net runs."""

from __future__ import annotations

import torch

from facewright.core.errors import SettingRefused


def device_named(name: str) -> torch.device:
    """`auto` (the first GPU, else the CPU) or a torch device. Raises SettingRefused when it is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingRefused(
            f"--device {name} is not to be had here.", why=str(error).splitlines()[0][:200],
            remedy="Use auto or cpu; `facewright doctor` lists the devices.", where="--device",
        ) from error
    return device
