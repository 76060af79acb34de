"""How a finished film is written. No setting turns off the signature, the content gate or a visible mark."""

from __future__ import annotations

from typing import Literal

from facewright.core.settings import Settings, knob


class RenderSettings(Settings):
    """Codec, quality and sound of the film."""

    codec: Literal[
        "h264", "h264-444", "h265", "h265-10bit", "av1", "vp9", "prores-hq", "prores-4444", "dnxhr-hqx", "ffv1"
    ] = knob("h264", "Video codec of the film.")
    crf: int = knob(
        18, "Quality of h264, h265, av1 and vp9 on one scale: lower is better and larger.", low=0, high=51
    )
    audio: Literal["keep", "none"] = knob(
        "keep", "Sound: keep every track of the film named by --audio-from, or none."
    )
