"""What reading and writing a film costs beside the library alone: `python benchmarks/media.py [--frames 96]` -> JSON.

CPU seconds per 1280x720 frame, process-wide (all threads). Floors: `decode_bare` is the library's decode loop without
conversion; `copy` is one memory copy of the RGB picture; `encode_bare` is the library's encoder on ready YUV frames.
Ratios are ours over floor; `_ms` are for the curious, since machines differ.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from facewright.media.frame import ColourTags, Video
from facewright.media.reader import frames, open_video
from facewright.media.writer import FilmWriter, read_chunk, write_chunk

SIZE = (1280, 720)
RATE = Fraction(25)


def moving(index: int, texture: np.ndarray) -> np.ndarray:
    """A textured picture that pans, so that codecs have something to do."""
    return np.ascontiguousarray(np.roll(texture, (index * 3, index * 5), (0, 1)))


def texture() -> np.ndarray:
    """(720, 1280, 3) uint8: smooth colours plus fine grain."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    waves = [127 + 90 * np.sin(x / (37 + 20 * c) + y / (61 - 12 * c)) for c in range(3)]
    grain = rng.normal(0, 4, (SIZE[1], SIZE[0], 1))
    return np.clip(np.dstack(waves) + grain, 0, 255).astype(np.uint8)


def cpu_ms(work: Callable[[], int], repeats: int) -> float:
    """Least CPU milliseconds per frame of several runs; `work` returns how many frames it handled."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        count = work()
        best = min(best, (time.process_time() - begin) / count)
    return best * 1000


def decode_bare(path: Path) -> int:
    """The floor of reading."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def encode_bare(raws: list[av.VideoFrame], path: Path) -> int:
    """The floor of writing: same codec, preset and quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "medium", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 50
        for index, raw in enumerate(raws):
            raw.pts, raw.time_base = index, 1 / RATE
            container.mux(stream.encode(raw))
        container.mux(stream.encode(None))
    return len(raws)


def write(images: list[np.ndarray], path: Path) -> int:
    """The same film through FilmWriter."""
    like = Video(path, "", 0, SIZE, RATE, None, None, 0, 8, ColourTags(1, 1, 1), time_base=1 / RATE)
    with FilmWriter(path, like) as film:
        for index, image in enumerate(images):
            film.write(image, index)
    return len(images)


def write_piece(path: Path, images: list[np.ndarray], masks: list[np.ndarray]) -> int:
    """A merge's chunk: FFV1 with a mask."""
    write_chunk(path, images, masks, range(len(images)), 1 / RATE)
    return len(images)


def measure(count: int, repeats: int) -> dict[str, object]:
    """All figures."""
    picture = texture()
    images = [moving(i, picture) for i in range(count)]
    raws = [av.VideoFrame.from_ndarray(i).reformat(format="yuv420p") for i in images]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film, chunk = folder / "a.mp4", folder / "c.mkv"
        write(images, film)
        video = open_video(film)
        few = images[: min(count, 24)]
        masks = [i[..., 0] for i in few]
        write_piece(chunk, few, masks)
        ms = {
            "copy": cpu_ms(lambda: len([i.copy() for i in images]), repeats),
            "decode_bare": cpu_ms(lambda: decode_bare(film), repeats),
            "decode": cpu_ms(lambda: sum(1 for _ in frames(video)), repeats),
            "seek_32": cpu_ms(lambda: sum(1 for s in range(0, count, 32) for _ in frames(video, s, s + 32)), repeats),
            "encode_bare": cpu_ms(lambda: encode_bare(raws, folder / "b.mp4"), repeats),
            "encode": cpu_ms(lambda: write(images, folder / "d.mp4"), repeats),
            "chunk_write": cpu_ms(lambda: write_piece(chunk, few, masks), repeats),
            "chunk_read": cpu_ms(lambda: sum(1 for _ in read_chunk(chunk)), repeats),
        }
    ratios = {
        "decode_over_bare": ms["decode"] / ms["decode_bare"],
        "chunks_of_32_over_whole": ms["seek_32"] / ms["decode"],
        "conversion_over_copy": (ms["decode"] - ms["decode_bare"]) / ms["copy"],
        "encode_over_bare": ms["encode"] / ms["encode_bare"],
    }
    return {
        "size_px": SIZE, "frames": count, "cpu_ms_per_frame": {k: round(v, 3) for k, v in ms.items()},
        "ratios": {k: round(v, 3) for k, v in ratios.items()}, "library": av.__version__,
    }  # fmt: skip


def main() -> None:
    """One JSON document on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(measure(options.frames, options.repeats), indent=2))


if __name__ == "__main__":
    main()
