"""A trained RUN as a swapper: the one place of the merge that runs torch, and its colour border."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facewright.faces.face import FaceType
from facewright.merge.predict import Prediction, is_dfm
from facewright.merge.settings import MergeSettings
from facewright.models.amp import Amp
from facewright.models.device import device_named
from facewright.models.net import Net
from facewright.models.opened import newest_save, open_net
from facewright.models.run_folder import RunFolder


class NetSwapper:
    """A Net behind the house's types. RGB in, RGB out: the BGR of the nets does not leave this class."""

    def __init__(
        self, net: Net, *, identity: str, iteration: int, device: torch.device, bf16: bool = False, morph: float = 1.0
    ) -> None:
        # Only AMP can dose the likeness; another dose is another prediction.
        self.morph, self.takes_morph = morph, isinstance(net, Amp)
        identity = f"{identity}:{morph:g}" if self.takes_morph else identity
        self.net = net.to(device).eval().requires_grad_(False)
        self.resolution, self.face_type = net.resolution, FaceType(net.face_type)
        self.identity, self.iteration = identity, iteration
        self.device, self.bf16 = device, bf16

    def __call__(
        self, images: np.ndarray, *, face_ids: Sequence[str] = (), points_px: np.ndarray | None = None
    ) -> Prediction:
        """(B, R, R, 3) float32 RGB 0..1 -> Prediction, clipped to 0..1. Landmarks are not used."""
        return self.predict(images, self.morph, face_ids=face_ids)

    @torch.inference_mode()
    def predict(self, faces: np.ndarray, morph: float = 1.0, *, face_ids: Sequence[str] = ()) -> Prediction:
        """The same with another dose of the source's likeness, which only AMP can take."""
        dose = (morph,) if self.takes_morph else ()
        bgr = np.ascontiguousarray(faces[..., ::-1].transpose(0, 3, 1, 2))
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            swap = self.net.swap(torch.from_numpy(bgr).to(self.device), *dose)
        image, mask_swap, mask_own = (
            t.float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy() for t in (swap.image, swap.mask_swap, swap.mask_own)
        )
        rgb = np.ascontiguousarray(image[..., ::-1])
        ids = tuple(face_ids) or ("",) * len(faces)
        return Prediction(ids, self.face_type, rgb, np.ascontiguousarray(mask_swap), np.ascontiguousarray(mask_own))


def open_run(run: Path | str, settings: MergeSettings) -> NetSwapper:
    """The newest sound checkpoint of a RUN, by default the running mean of its weights.

    Raises FileRefused (no run), NothingFound (nothing trained yet), Mismatch (weights of another shape), SettingRefused
    (no such device).
    """
    folder = RunFolder.open(Path(run))
    saved = newest_save(folder)
    net = open_net(folder, saved.smooth_weights() if settings.ema else saved.weights())
    device = device_named(settings.device)
    identity = f"{folder.net}:{saved.iteration}:{saved.digest(settings.ema)}"
    return NetSwapper(
        net, identity=identity, iteration=saved.iteration, device=device, bf16=settings.precision == "bfloat16",
        morph=settings.morph,
    )


def run_record(run: Path) -> dict[str, Any]:
    """What training noted in RUN/run.json beside the shape (likenesses, data), or what a .dfm file says of itself.
    Raises FileRefused."""
    if is_dfm(run):
        from facewright.merge.dfm import dfm_record

        return dfm_record(run)
    return dict(RunFolder.open(run).extra)
