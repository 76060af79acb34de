"""The mask net that comes with the package: for any face, trained on drawn heads alone. Its card: MODEL_CARDS.md."""

from __future__ import annotations

from importlib.resources import as_file, files

from facewright.core.files import sha256_of
from facewright.masks.trained import TrainedNet
from facewright.models.device import device_named
from facewright.models.settings import XSegSettings
from facewright.models.tensors import read_tensors
from facewright.models.xseg import XSeg

SHAPE = XSegSettings(base_dims=12, face_type="whole_face")
WEIGHTS = "generic.safetensors"


def generic_net(device: str = "auto") -> TrainedNet:
    """The file holds half-precision numbers; the net runs in float32. Raises SettingRefused (no such
    device), FileRefused (the package is damaged)."""
    with as_file(files("facewright.masks") / WEIGHTS) as path:
        tensors, digest = read_tensors(path), sha256_of(path)
    net = XSeg(SHAPE)
    net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return TrainedNet(net, identity=f"generic:{digest[:12]}", device=device_named(device))
