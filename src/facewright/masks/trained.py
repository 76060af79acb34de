"""A trained XSeg RUN as a masker: the one place of this room that runs torch, and its colour border."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facewright.core.errors import NothingFound
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face, FaceType
from facewright.image.geometry import invert, scale_of
from facewright.image.warp import resize, warp
from facewright.masks.maskers import picture_from_frame
from facewright.masks.settings import MaskSettings
from facewright.models import checkpoint
from facewright.models.device import device_named
from facewright.models.run_folder import RunFolder
from facewright.models.xseg import XSeg

_AT_ONCE = 8


class XSegMasker:
    """An XSeg net behind the contract of maskers. Faces of another type than the net's are cut for it afresh, and the
    mask is laid back; what the net does not see is outside."""

    def __init__(
        self, net: XSeg, *, identity: str, device: torch.device, iteration: int = 0, bf16: bool = False
    ) -> None:
        self.net = net.to(device).eval().requires_grad_(False)
        self.face_type, self.resolution = FaceType(net.face_type), int(net.resolution)
        self.identity, self.iteration = identity, iteration
        self.device, self.bf16 = device, bf16

    def __call__(self, image: np.ndarray, face: Face, side_px: int = 0) -> np.ndarray:
        """See Masker."""
        return self.many([image], [face], side_px)[0]

    @torch.inference_mode()
    def predict(self, faces: np.ndarray) -> np.ndarray:
        """(B, R, R, 3) float32 RGB 0..1, faces of the net's own type -> masks (B, R, R, 1) float32 0..1."""
        bgr = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1].transpose(0, 3, 1, 2))).to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            mask = self.net.mask(bgr)
        return mask.float().permute(0, 2, 3, 1).cpu().numpy()

    def many(self, images: Sequence[np.ndarray], faces: Sequence[Face], side_px: int = 0) -> list[np.ndarray]:
        """See Masker."""
        found: list[np.ndarray] = []
        for at in range(0, len(images), _AT_ONCE):
            some, theirs = images[at : at + _AT_ONCE], faces[at : at + _AT_ONCE]
            rgb = np.stack([self._seen(image, face) for image, face in zip(some, theirs)])
            masks = self.predict(rgb.astype(np.float32) / np.float32(255))
            found += [self._laid(mask, face, side_px or len(image))
                      for mask, image, face in zip(masks[..., 0], some, theirs)]
        return found

    def _seen(self, image: np.ndarray, face: Face) -> np.ndarray:
        """What the net looks at: (R, R, 3) uint8 RGB."""
        if self.face_type is face.face_type:
            return resize(image, self.resolution, "auto")
        seen_from_picture = self._seen_from_frame(face) @ invert(picture_from_frame(face, len(image)))
        return warp(image, seen_from_picture, self.resolution, "auto")

    def _laid(self, mask: np.ndarray, face: Face, side: int) -> np.ndarray:
        """The net's (R, R) answer in the face's picture of `side` px."""
        if self.face_type is face.face_type:
            return resize(mask, side, "area" if side < self.resolution else "linear")
        picture_from_seen = picture_from_frame(face, side) @ invert(self._seen_from_frame(face))
        how = "area" if scale_of(picture_from_seen) < 0.5 else "linear"
        return np.clip(warp(mask, picture_from_seen, side, how), 0, 1)

    def _seen_from_frame(self, face: Face) -> np.ndarray:
        return face_from_frame(face.points, self.resolution, self.face_type)


def open_xseg(run: Path | None, settings: MaskSettings) -> XSegMasker:
    """MASKERS: xseg. See `trained_masker`."""
    return trained_masker(Path(run or ""), settings.device)


def trained_masker(run: Path, device: str = "auto", *, ema: bool = True, bf16: bool = False) -> XSegMasker:
    """The newest sound checkpoint of an XSeg RUN, by default the running mean of its weights where there is one.

    Raises FileRefused (no run), Mismatch (the run of another net), NothingFound (nothing trained yet), SettingRefused
    (no such device).
    """
    folder = RunFolder.open(run, XSeg.name)
    saved = checkpoint.load_latest(folder.path)
    if saved is None:
        raise NothingFound(
            f"{folder.path.name} holds no trained weights yet.",
            remedy="Train it with `facewright train xseg`, or take a trained one over: `facewright model import-dfl`.",
            where=folder.path,
        )
    net = XSeg(folder.shape)  # type: ignore[arg-type]
    net.load_state_dict(saved.smooth_weights() if ema else saved.weights())
    files = saved.state["files"]
    digest = str(files.get("ema", files["weights"]) if ema else files["weights"])[:12]
    identity = f"xseg:{folder.path.resolve().name}:{saved.iteration}:{digest}"
    return XSegMasker(net, identity=identity, device=device_named(device), iteration=saved.iteration, bf16=bf16)
