"""Where a film changes from one shot to the next. PySceneDetect judges; pictures and their numbers are our reader's.

Its own video backends are not used: they count frames by rate, know no rotation, and turn FFmpeg's log on for the
whole process. It is handed small pictures one by one, so that cuts are exact frame indices at any frame rate.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from facewright.media.frame import Video
from facewright.media.reader import count_frames, frame_times, frames

THRESHOLD = 3.0
SIDE_PX = 128
# Measured on 192 hard cuts between real clips, some of them jump cuts within one room: these miss 4 (of the same film
# at a fifth of its light 7) and find none where none is; the detector's usual least change of 15 misses 16. Another 192
# cuts, a fifth of them jumps within one film: pictures of 128 px miss the same 13 as those of 256 (17 and 17 at a fifth
# of the light) at a third of the cost, pictures of 64 px one or two more.
LEAST_CHANGE = 8.0
LEAST_DIFFERENCE = 2.0
DARK = 12
WINDOW = 2
FLASH_FRAMES = 3

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames first .. stop - 1, taken in one go. Seconds count from the film's first frame; end_s is that of `stop`."""

    index: int
    first: int
    stop: int
    start_s: float
    end_s: float

    @property
    def frame_count(self) -> int:
        """How many frames."""
        return self.stop - self.first


def find_shots(
    video: Video, threshold: float = THRESHOLD, *, on_progress: OnProgress | None = None
) -> tuple[Shot, ...]:
    """The shots of a film, which meet and cover every frame; of a folder of photos, each picture is one.

    threshold: how many times more than its neighbours (two on each side) a change between frames must be (3 finds
    hard cuts and leaves pans and handheld cameras whole; smaller finds more). A flash of up to three frames is no
    cut; a fade through black is one, in its middle. on_progress(done, frames). Reads the film once, at 128 px.
    Raises FileRefused when not one frame can be decoded.
    """
    count = count_frames(video)
    if not video.moves:
        cuts: list[int] = list(range(1, count))
    else:
        cuts = find_cuts(_small(video, count, on_progress), threshold)
    return _shots(video, [0, *cuts, count])


def find_cuts(pictures: Iterable[np.ndarray], threshold: float = THRESHOLD) -> list[int]:
    """Small pictures (H, W, 3) RGB uint8 in order -> ascending indices of those that begin a new shot (0 is not told).

    Holds seven pictures at a time.
    """
    search = CutSearch(threshold)
    for picture in pictures:
        search.see(picture)
    search.end()
    return search.cuts()


class CutSearch:
    """The same for pictures that come one by one. Cuts below `settled` are known; what comes changes them no more."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        from scenedetect.detectors import AdaptiveDetector, ThresholdDetector

        self._sharp = AdaptiveDetector(threshold, min_scene_len=0, window_width=WINDOW, min_content_val=LEAST_CHANGE)
        self._slow = ThresholdDetector(DARK, min_scene_len=0)
        self._hard: list[int] = []
        self._fades: list[tuple[int, int, int]] = []
        self._seen: deque[tuple[int, np.ndarray]] = deque(maxlen=WINDOW + FLASH_FRAMES + 2)
        self._fed, self._dark_from, self._settled, self._ended = 0, -1, 0, False

    @property
    def settled(self) -> int | float:
        """Every cut before the picture of this index is known; infinite behind the end."""
        return float("inf") if self._ended else self._settled

    def see(self, picture: np.ndarray) -> None:
        """The next picture."""
        # The detector needs neighbours on both sides: the film's first and last picture stand still at its ends.
        for _ in range(1 if self._fed else 1 + WINDOW):
            self._feed(picture)
        sure = self._fed - 3 * WINDOW - FLASH_FRAMES - 2
        open_fades = [dark for dark, _, light in self._fades[-2:] if light + WINDOW >= sure]
        now = min([sure, *open_fades, *([self._dark_from] if self._dark_from >= 0 else [])])
        self._settled = max(now, self._settled)  # a fade's beginning is rounded, to the picture before it at times

    def end(self) -> None:
        """There is no further picture."""
        for _ in range(WINDOW if self._seen else 0):
            self._feed(self._seen[-1][1])
        self._ended = True

    def cuts(self) -> list[int]:
        """Ascending indices of the cuts that are known; only those below `settled` stay what they are."""
        soft = [
            cut for dark, cut, light in self._fades
            # Dark from the beginning is a fade in; a black card between two hard cuts is a shot of its own.
            if dark > 0 and bisect_left(self._hard, dark - WINDOW) == bisect_right(self._hard, light + WINDOW)
        ]
        return sorted({*self._hard, *soft})

    def _feed(self, picture: np.ndarray) -> None:
        from scenedetect.common import FrameTimecode

        at = self._fed - WINDOW
        now, bgr = FrameTimecode(self._fed, 25.0), np.ascontiguousarray(picture[..., ::-1])
        self._fed += 1
        self._seen.append((at, picture))
        # A little more than the detector calls dark, so that none of its fades comes as a surprise.
        self._dark_from = -1 if picture.mean() >= DARK + 1 else max(at, 0) if self._dark_from < 0 else self._dark_from
        for found in self._sharp.process_frame(now, bgr):
            self._add(found.frame_num - WINDOW)
        for found in self._slow.process_frame(now, bgr):
            cut = found.frame_num - WINDOW  # the middle of the dark; this is the first light picture
            self._fades.append((2 * cut - at, cut, at))

    def _add(self, cut: int) -> None:
        held = dict(self._seen)
        before, after = held[cut - 1], held[cut]
        # Hue and saturation, which the detector weighs as much as light, leap where black gets its first colour.
        if _difference(before, after) < LEAST_DIFFERENCE or max(before.mean(), after.mean()) < DARK:
            return
        if self._hard and cut - self._hard[-1] <= FLASH_FRAMES:
            before, flash, after = held[self._hard[-1] - 1], held[self._hard[-1]], held[cut]
            if _difference(before, after) < _difference(before, flash) / 2:
                self._hard.pop()
                return
        self._hard.append(cut)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.int16) - b).mean())


def _small(video: Video, count: int, on_progress: OnProgress | None) -> Iterator[np.ndarray]:
    for done, picture in enumerate(small_pictures(video, 0, count), 1):
        yield picture
        if on_progress is not None:
            on_progress(done, count)


def small_pictures(video: Video, first: int, stop: int) -> Iterator[np.ndarray]:
    """(H, W, 3) RGB uint8 of at most 128 px, one for each frame first .. stop - 1 in order, so that their number is the
    frame's: for a picture of a folder that cannot be read, the one before it, or behind it."""
    at, last = first, None
    for frame in frames(video, first, stop, size_px=small_size(video.size_px, SIDE_PX)):
        image = frame.image if frame.image.dtype == np.uint8 else (frame.image >> 8).astype(np.uint8)
        yield from [image if last is None else last] * (frame.index - at)
        yield image
        at, last = frame.index + 1, image


def small_size(size_px: tuple[int, int], side_px: int) -> tuple[int, int]:
    """(width, height) scaled so that the longer side is at most `side_px`; never enlarged, never below 1."""
    scale = min(1.0, side_px / max(size_px))
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))


def _shots(video: Video, edges: list[int]) -> tuple[Shot, ...]:
    pts = frame_times(video)
    times = (pts - pts[0]) * float(video.time_base)
    length = video.duration_s or float(times[-1]) + float(1 / video.rate)
    ends = np.append(times, max(length, float(times[-1])))
    return tuple(
        Shot(number, first, stop, round(float(ends[first]), 6), round(float(ends[stop]), 6))
        for number, (first, stop) in enumerate(pairwise(edges))
    )
