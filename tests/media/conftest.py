"""Small films made on the spot, every frame telling its own number."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

NTSC = Fraction(30000, 1001)
PATCHES = np.array(
    [[200, 30, 60], [20, 210, 40], [16, 30, 235], [255, 255, 255], [0, 0, 0], [128, 128, 128], [230, 210, 30]], np.uint8
)


@dataclass(frozen=True)
class Clip:
    """One kind of film of the contract suite. tolerance: of flat colours, in 1/255."""

    name: str
    codec: str
    pixels: str
    rate: Fraction = NTSC
    options: dict[str, str] = field(default_factory=dict, hash=False)
    tolerance: float = 3
    size: tuple[int, int] = (128, 96)
    matrix: int = 1
    full_range: bool = False

    def __str__(self) -> str:
        return self.name


def picture(index: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: colour patches above, a grey level that names the frame below."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    for i, colour in enumerate(PATCHES):
        image[: height // 2, i * width // 7 : (i + 1) * width // 7] = colour
    image[height // 2 :] = level(index)
    return image


def level(index: int) -> int:
    """Neighbouring frames differ by at least 40 grey levels."""
    return 20 + (index * 5) % 6 * 40


def named_index(image: np.ndarray) -> int:
    """The grey level found, 0..5: index * 5 % 6."""
    scale = 257.0 if image.dtype == np.uint16 else 1.0
    height, width = image.shape[:2]
    found = image[height * 5 // 8 : height * 7 // 8, width // 4 : width * 3 // 4].astype(float).mean() / scale
    return round((found - 20) / 40)


def patch_error(image: np.ndarray) -> float:
    """Largest difference of the patch centres to what was drawn, in 1/255."""
    scale = 257.0 if image.dtype == np.uint16 else 1.0
    height, width = image.shape[:2]
    rows = slice(height // 4 - 4, height // 4 + 5)
    centres = [(2 * i + 1) * width // 14 for i in range(7)]
    found = np.array([image[rows, c - 3 : c + 4].astype(float).mean((0, 1)) / scale for c in centres])
    return float(np.abs(found - PATCHES).max())


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a film with the video library alone (not with the code under test)."""
    folder = tmp_path_factory.mktemp("clips")

    def make(
        clip: Clip,
        *,
        count: int = 18,
        pts: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        tagged: bool = True,
        rotation: tuple[float, bool] | None = None,
        metadata: dict[str, str] | None = None,
        muxer: dict[str, str] | None = None,
        aspect: Fraction | None = None,
        name: str = "",
    ) -> Path:
        path = folder / (name or clip.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return path
        base = time_base or 1 / clip.rate
        matrix, full_range = clip.matrix, clip.full_range
        with av.open(f"file:{path}", "w", container_options=muxer or {}) as container:
            stream = container.add_stream(clip.codec, rate=clip.rate, options=clip.options)
            stream.width, stream.height = clip.size
            stream.pix_fmt = clip.pixels
            context = stream.codec_context
            context.time_base = base
            if aspect:
                context.sample_aspect_ratio = aspect
            stream.metadata.update(metadata or {})
            rgb = clip.pixels.startswith(("rgb", "bgr", "gbr"))
            if tagged and not rgb:
                context.color_primaries, context.color_trc, context.colorspace = matrix, matrix, matrix
            if not rgb:
                context.color_range = 2 if full_range else 1
            if rotation:
                stream.set_display_rotation(rotation[0], hflip=rotation[1])
            for index in range(count):
                raw = av.VideoFrame.from_ndarray(picture(index, clip.size), format="rgb24")
                if not rgb:
                    raw = raw.reformat(
                        format=clip.pixels, dst_colorspace=5 if matrix == 6 else matrix, src_color_range=2,
                        dst_color_range=2 if full_range else 1, interpolation="AREA",
                    )
                raw.pts, raw.time_base = (pts[index] if pts else index), base
                container.mux(stream.encode(raw))
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture
def plain(make_clip: Callable[..., Path]) -> Path:
    """18 frames of H.264 with B-frames, several groups of pictures, 29.97 frames a second."""
    return make_clip(Clip("plain.mp4", "libx264", "yuv420p", options={"bf": "2", "g": "6", "crf": "4"}))


def sound_clip(
    path: Path, codec: str, *, sample_rate: int = 48_000, layout: str = "stereo", count: int = 20,
    click_s: float = 0.4, start_s: float = 0.0, rate: Fraction = NTSC, video: bool = True,
) -> Path:
    """A film of `count` dark frames with one click in the sound at `click_s` and a flash in the frame of that time."""
    with av.open(str(path), "w") as container:
        if video:
            stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.time_base = 1 / rate
        sound = container.add_stream(codec, rate=sample_rate, layout=layout)
        if video:
            for index in range(count):
                bright = abs(float(index / rate) - click_s) < 0.5 / float(rate)
                raw = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 220 if bright else 30, np.uint8))
                raw.pts, raw.time_base = index, 1 / rate
                container.mux(stream.encode(raw))
            container.mux(stream.encode(None))
        length = int(sample_rate * count / rate)
        channels = {"mono": 1, "stereo": 2}[layout]
        wave = np.zeros((channels, length), np.float32)
        at = int((click_s - start_s) * sample_rate)
        wave[:, at : at + sample_rate // 50] = 0.9 * np.sin(np.arange(sample_rate // 50) * 0.3)
        for begin in range(0, length, 1024):
            piece = np.ascontiguousarray(wave[:, begin : begin + 1024])
            raw = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            raw.sample_rate, raw.time_base = sample_rate, Fraction(1, sample_rate)
            raw.pts = begin + round(start_s * sample_rate)
            container.mux(sound.encode(raw))
        container.mux(sound.encode(None))
    return path


def sound_packets(path: Path) -> list[bytes]:
    """The sound as stored."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams.audio[0]) if p.size]


def click_time_s(path: Path) -> float:
    """When the click is heard."""
    with av.open(str(path)) as container:
        for raw in container.decode(container.streams.audio[0]):
            wave = raw.to_ndarray()
            if wave.dtype != np.float32:
                wave = wave / float(np.iinfo(wave.dtype).max)
            if not raw.format.is_planar:
                wave = wave.reshape(-1, len(raw.layout.channels)).T
            loud = np.flatnonzero(np.abs(wave[0]) > 0.3)
            if len(loud):
                return float(raw.pts * raw.time_base) + loud[0] / raw.sample_rate
    raise AssertionError("no click")


def patch_edit_list(path: Path, target: Path, *, skip: int, cut_ms: int) -> Path:
    """Move the start of an mp4's only edit by `skip` media units and shorten it by `cut_ms` movie units."""
    data = bytearray(path.read_bytes())
    at = data.find(b"elst")
    duration, start, rate = struct.unpack(">IiI", data[at + 12 : at + 24])
    struct.pack_into(">IiI", data, at + 12, duration - cut_ms, start + skip, rate)
    target.write_bytes(data)
    return target


def packet_places(path: Path) -> list[tuple[int, int]]:
    """(position, size) of the picture's packets in the file."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
