"""The net of a trained XSeg RUN: the one place of this room that runs torch, and its colour border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from facewright.faces.face import FaceType
from facewright.models.device import device_named
from facewright.models.opened import newest_save, open_net
from facewright.models.run_folder import RunFolder
from facewright.models.xseg import XSeg


class TrainedNet:
    """An XSeg net on a device; RGB in. See Predictor."""

    def __init__(
        self, net: XSeg, *, identity: str, device: torch.device, iteration: int = 0, bf16: bool = False
    ) -> None:
        self.net = net.to(device).eval().requires_grad_(False)
        self.face_type: FaceType | None = FaceType(net.face_type)
        self.resolution = int(net.resolution)
        self.identity, self.iteration = identity, iteration
        self.device, self.bf16 = device, bf16

    @torch.inference_mode()
    def predict(self, faces: np.ndarray) -> np.ndarray:
        """See Predictor."""
        bgr = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1].transpose(0, 3, 1, 2))).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            mask = self.net.mask(bgr)
        return mask.float().permute(0, 2, 3, 1).cpu().numpy()


def trained_net(run: Path, device: str = "auto", *, ema: bool = True, bf16: bool = False) -> TrainedNet:
    """The newest sound checkpoint of an XSeg RUN, by default the running mean of its weights where there is one.

    Raises FileRefused (no run), Mismatch (the run of another net), NothingFound (nothing trained yet), SettingRefused
    (no such device).
    """
    folder = RunFolder.open(run, XSeg.name)
    saved = newest_save(folder)
    net = open_net(folder, saved.smooth_weights() if ema else saved.weights())
    identity = f"xseg:{folder.path.resolve().name}:{saved.iteration}:{saved.digest(ema)[:12]}"
    return TrainedNet(net, identity=identity, device=device_named(device), iteration=saved.iteration, bf16=bf16)
