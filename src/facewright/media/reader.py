"""A file or a folder of pictures -> Video -> Frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from facewright.core.errors import FileRefused, SettingRefused
from facewright.media.frame import Frame, Video
from facewright.media.stills import is_still, open_stills, read_still, still_frames

__all__ = ["count_frames", "frame_times", "frames", "open_video", "read_still"]


def open_video(path: Path, *, sha256: str = "") -> Video:
    """What a film or a folder of pictures is; its frames are counted, headers are distrusted.

    sha256: its digest where that is known already; "" = find it.
    Raises FileRefused (missing, not a video, damaged, hostile, over a limit) and NothingFound (no frame at all).
    """
    path = Path(path)
    if path.is_dir() or (path.is_file() and is_still(path)):
        return open_stills(path, sha256)
    if not path.exists():
        raise FileRefused(f"There is nothing at {path}.", remedy="Correct the path: a film, or a folder of pictures.",
                          where=path)
    from facewright.media.probe import probe

    return probe(path, sha256)


def frames(
    video: Video,
    start: int = 0,
    stop: int | None = None,
    *,
    step: int = 1,
    on_damage: Callable[[int, str], None] | None = None,
    size_px: tuple[int, int] | None = None,
) -> Iterator[Frame]:
    """Upright RGB frames start, start + step, ... below stop (None: the end), in order, as a generator.

    Decoding runs ahead on its own thread (8 frames, fewer when they are huge); closing the generator ends it.
    A film always yields each index once: a frame that cannot be decoded repeats the picture before it, and
    `on_damage(index, text)` is told (in the caller's thread). A damaged still is told and passed over.
    size_px: (width, height) to which pictures are scaled down, for looking at many of them cheaply.
    """
    count = count_frames(video)
    if start < 0 or step < 1 or (stop is not None and stop < 0):
        raise SettingRefused(
            f"There is no frame range {start}:{stop}:{step}.", remedy="Start and stop count from 0, step from 1.",
            where=video.path,
        )
    stop = count if stop is None else min(stop, count)
    if start >= stop:
        return
    if video.stills:
        yield from still_frames(video, start, stop, step, on_damage, size_px)
        return
    from facewright.media.decode import film_frames

    yield from film_frames(video, start, stop, step, on_damage, size_px)


def count_frames(video: Video) -> int:
    """How many frames there are, counted by packets."""
    if video.stills:
        return len(video.stills)
    return len(frame_times(video))


def frame_times(video: Video) -> np.ndarray:
    """(N,) int64: the pts of every frame in units of `video.time_base`, strictly ascending."""
    if video.stills:
        return np.array(video.still_pts or range(len(video.stills)), np.int64)
    from facewright.media.timeline import timeline

    return timeline(video.path, video.stream_index).pts
