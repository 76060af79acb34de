"""Which encoders work on this machine: a listed codec may still miss its device, so each encodes one picture."""

from __future__ import annotations

from fractions import Fraction

import av
import av.error

from facewright.media.encoders import ENCODERS, Preset

_SIZE_PX = (256, 144)


def probe_encoders() -> dict[str, bool]:
    """Preset name -> whether it encoded a grey picture of 256x144 px in memory."""
    return {plug.name: _works(ENCODERS.load(plug.name)) for plug in ENCODERS}


def _works(preset: Preset) -> bool:
    try:
        codec = av.CodecContext.create(preset.codec, "w")
        codec.width, codec.height = _SIZE_PX
        codec.pix_fmt = preset.pixels
        codec.time_base, codec.framerate = Fraction(1, 25), Fraction(25)
        codec.options = dict(preset.options)
        picture = av.VideoFrame(*_SIZE_PX, preset.pixels)
        picture.pts = 0
        return bool([*codec.encode(picture), *codec.encode(None)])
    except (av.error.FFmpegError, ValueError, OSError):
        return False
