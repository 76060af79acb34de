"""Which encoders work on this machine: a listed codec may still miss its device, so each encodes one picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np

from facewright.media.encoders import ENCODERS, Preset

_SIZE_PX = (256, 144)


def probe_encoders() -> dict[str, bool]:
    """Preset name -> whether it encoded a grey picture of 256x144 px in memory."""
    return {plug.name: _works(ENCODERS.load(plug.name)) for plug in ENCODERS}


def _works(preset: Preset) -> bool:
    try:
        codec: Any = av.CodecContext.create(preset.codec, "w")
        codec.width, codec.height = _SIZE_PX
        codec.pix_fmt = preset.pixels
        codec.time_base, codec.framerate = Fraction(1, 25), Fraction(25)
        codec.options = dict(preset.options)
        codec.colorspace = preset.matrix or 1
        # Real samples: memory left as it was can hold values beyond the bit depth, on which some encoders abort.
        grey = np.full((_SIZE_PX[1], _SIZE_PX[0], 3), 128, np.uint8)
        picture = av.VideoFrame.from_ndarray(grey, "rgb24").reformat(format=preset.pixels)
        picture.pts = 0
        return bool([*codec.encode(picture), *codec.encode(None)])
    except (av.error.FFmpegError, ValueError, OSError):
        return False
