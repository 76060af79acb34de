"""Clips: frames and sound into a film file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tools.footage.film import Shot
from tools.footage.voice import RATE_HZ


def write(
    path: Path, shots: Iterator[Shot], fps: int, sound: np.ndarray | None, crf: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Encode a clip (H.264, BT.709, AAC); gives (N, 68, 2) landmarks in pixels and (N, 3) pose in degrees."""
    marks, poses = [], []
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    with av.open(str(part), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "slow"}
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound is not None else None
        if audio is not None:
            audio.bit_rate = 64_000
        for shot in shots:
            if not marks:
                stream.height, stream.width = shot.picture.shape[:2]
            picture = av.VideoFrame.from_ndarray(shot.picture, "rgb24")
            picture = picture.reformat(
                format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            picture.pts = len(marks)
            container.mux(stream.encode(picture))
            marks.append(shot.landmarks_px)
            poses.append(shot.pose_deg)
        container.mux(stream.encode())
        if audio is not None and sound is not None:
            _write_sound(container, audio, sound[: round(len(marks) / fps * RATE_HZ)])
    part.replace(path)
    return np.stack(marks).astype(np.float32), np.stack(poses).astype(np.float32)


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, sound: np.ndarray) -> None:
    for start in range(0, len(sound), 1024):
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, start : start + 1024]), "fltp", "mono")
        block.sample_rate = RATE_HZ
        block.pts = start
        container.mux(stream.encode(block))
    container.mux(stream.encode())
