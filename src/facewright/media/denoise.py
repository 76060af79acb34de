"""Noise taken out of frames by FFmpeg's filters nlmeans and atadenoise, through the video library's filter graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, groupby

import av
import av.error
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from facewright.core.errors import SettingRefused
from facewright.media.frame import Video
from facewright.media.pixels import planes_of
from facewright.media.settings import DenoiseSettings

TEMPORAL_FRAMES = 9
MARGIN_FRAMES = TEMPORAL_FRAMES // 2


def margin(settings: DenoiseSettings) -> int:
    """How many frames before and after a frame its result depends on."""
    return MARGIN_FRAMES if settings.filter == "atadenoise" else 0


def check_depth(video: Video, settings: DenoiseSettings) -> None:
    """Raises SettingRefused where the filter would lose depth."""
    if video.bit_depth > 8 and settings.filter == "nlmeans":
        raise SettingRefused(
            f"{video.path.name} has {video.bit_depth} bit, nlmeans keeps 8.",
            remedy="Use --filter atadenoise, which keeps the depth.", where="--filter",
        )


def arguments(settings: DenoiseSettings) -> str:
    """The filter's own words for a strength of 1..20.

    nlmeans: s = 3/4 strength (1 at least), which takes away noise of up to about that many grey levels (standard
    deviation): 7 is the noise of a webcam at night. atadenoise: a pixel is averaged over those of nine frames that
    differ by less than 0.008 strength of white at once and twice that in sum.
    """
    if settings.filter == "nlmeans":
        return f"s={max(1.0, 0.75 * settings.strength):g}"
    once = 0.008 * settings.strength
    parts = [f"{plane}a={once:.4f}:{plane}b={2 * once:.4f}" for plane in range(3)]
    return ":".join([f"s={TEMPORAL_FRAMES}", *parts])


def denoised(images: Iterable[np.ndarray], settings: DenoiseSettings) -> Iterator[np.ndarray]:
    """RGB pictures (H, W, 3) uint8 or uint16 in order -> as many, of the same kind.

    Where size or depth changes (a folder of photos), the filter starts afresh.
    """
    for (_, dtype), group in groupby(images, key=lambda image: (image.shape, str(image.dtype))):
        run = iter(group)
        first = next(run)
        yield from _filtered(chain([first], run), first.shape, dtype, settings)


def _filtered(
    images: Iterable[np.ndarray], shape: tuple[int, ...], dtype: str, settings: DenoiseSettings
) -> Iterator[np.ndarray]:
    layout = "gbrp" if dtype == "uint8" else "gbrp16le"
    graph = Graph()
    source = graph.add_buffer(
        width=shape[1], height=shape[0], format=av.VideoFormat(layout, shape[1], shape[0]), time_base=Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add(settings.filter, arguments(settings)), graph.add("buffersink")).configure()
    for place, image in enumerate(images):
        raw = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24" if dtype == "uint8" else "rgb48le")
        raw = raw.reformat(format=layout)
        raw.pts, raw.time_base = place, Fraction(1, 25)
        graph.vpush(raw)
        yield from _pulled(graph, dtype)
    graph.vpush(None)
    yield from _pulled(graph, dtype)


def _pulled(graph: Graph, dtype: str) -> Iterator[np.ndarray]:
    while True:
        try:
            raw = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        green, blue, red = planes_of(raw, np.uint8 if dtype == "uint8" else np.uint16)
        yield np.stack([red, green, blue], axis=-1)
