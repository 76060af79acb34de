"""The assembly line of a merge: decode, net, compositing and encoding overlap."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import Mismatch
from facewright.core.files import make_folder
from facewright.core.step import Item, Work
from facewright.media.frame import Frame, Video
from facewright.media.reader import frame_times, frames
from facewright.merge import result
from facewright.merge.cache import ChunkCache, cache_key
from facewright.merge.cast import Cast, FramePlan
from facewright.merge.chunks import ChunkWriter, Finished, Place
from facewright.merge.composite import composite
from facewright.merge.paste import Target
from facewright.merge.predict import Swapper, net_input
from facewright.merge.settings import MergeSettings
from facewright.merge.summary import spans_of

_GROUP_BYTES = 128 << 20


class Line:
    """The assembly line: decoded frames in, finished chunks out."""

    def __init__(
        self, video: Video, who: Cast, swapper: Swapper, out: Path, settings: MergeSettings, work: Work
    ) -> None:
        self.video, self.cast, self.swapper, self.out = video, who, swapper, out
        self.settings, self.work = settings, work
        self.dtype = np.dtype(np.uint8 if self.video.bit_depth <= 8 else np.uint16)
        self.times = frame_times(self.video)
        workers = self.settings.workers or min(os.cpu_count() or 1, 4)
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="compose")
        self.encoder = ThreadPoolExecutor(1, thread_name_prefix="encode")
        width, height = self.video.size_px
        frame_bytes = max(width * height * 3 * self.dtype.itemsize, 1)
        # Enough frames to fill a batch of faces, few enough to fit in memory whatever their size.
        self.group = max(1, min(max(self.settings.batch_size, 8), _GROUP_BYTES // frame_bytes))
        self.damaged: dict[int, str] = {}
        self.open: list[ChunkWriter] = []
        self.frames_done, self.frames_total = 0, 0
        self.key = cache_key(self.swapper.identity, self.settings.precision, self.settings.crop, self.settings.ema)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self.open:
            writer.abandon()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.encoder.shutdown(wait=True, cancel_futures=True)

    def run(self, todo: list[Item]) -> Iterator[tuple[Item, dict[str, Any]]]:
        """Yield (item, record) in order; the newest chunk is composed while the one before it is encoded."""
        self.frames_total = sum(i.payload["stop"] - i.payload["start"] for i in todo)
        waiting: deque[tuple[Item, ChunkWriter, dict[str, Any]]] = deque()
        for run in _contiguous(todo):
            first, stop = run[0].payload["start"], run[-1].payload["stop"]
            decoded = frames(self.video, first, stop, on_damage=self._damage)
            with closing(decoded):  # type: ignore[type-var]  # a generator: ends its decoding thread
                source = _every_index(decoded, first, stop, self.video, self.dtype)
                for item in run:
                    if self.work.stop.asked:
                        break
                    waiting.append((item, *self._chunk(item, source)))
                    if len(waiting) > 1:
                        yield self._finished(*waiting.popleft())
            if self.work.stop.asked:
                break
        while waiting and not self.work.stop.at_once:
            yield self._finished(*waiting.popleft())

    def _damage(self, index: int, text: str) -> None:
        self.damaged[index] = text

    def _chunk(self, item: Item, source: Iterator[Frame]) -> tuple[ChunkWriter, dict[str, Any]]:
        start, stop = item.payload["start"], item.payload["stop"]
        out = self.out
        plans = self.cast.plan(start, stop, with_motion=bool(self.settings.motion_blur))
        store = ChunkCache.open(out / result.PREDICTIONS / self.key / f"{start:07d}.npz", self.dtype)
        stills = None
        if self.settings.stills:
            stills = make_folder(out / "merged"), make_folder(out / "mask")
        pts = tuple(int(t) for t in self.times[start:stop])
        place = Place(out / result.CHUNKS / result.chunk_name(start), pts, self.video.time_base, stills)
        writer = ChunkWriter(self.encoder, place, ahead=2 * self.group)
        self.open.append(writer)
        masks: list[float] = []
        remaining = stop - start
        while remaining:
            group = list(islice(source, min(self.group, remaining)))
            remaining -= len(group)
            self._predict(group, plans, store)
            for frame in group:
                targets = _plan_of(plans, frame).targets
                masks.extend(store.mask_mean(t) for t in targets)
                writer.put(self.pool.submit(self._compose, frame, targets, store))
            self.frames_done += len(group)
            self.work.progress(self.frames_done, self.frames_total)
            if self.work.stop.at_once:
                break
        else:
            writer.put(None)
            store.save()
        record = {
            "start": start, "stop": stop, "faces": len(masks), "mask_sum": round(float(sum(masks)), 4),
            "reasons": _by_reason(plans, start, stop),
        }
        return writer, record

    def _predict(self, group: list[Frame], plans: Mapping[int, FramePlan], store: ChunkCache) -> None:
        """Crops on the pool, then the net in batches across frames; what is stored already is not asked again."""
        todo = [(f, t) for f in group for t in _plan_of(plans, f).targets if not store.has(t)]
        side, kind, crop = self.swapper.resolution, self.swapper.face_type, self.settings.crop
        cuts = list(self.pool.map(lambda job: net_input(job[0].image, job[1].points_px, side, kind, crop), todo))
        size = self.settings.batch_size
        for at in range(0, len(todo), size):
            some = [target for _, target in todo[at : at + size]]
            images, points = (np.stack(parts) for parts in zip(*cuts[at : at + size]))
            store.put(some, self.swapper(images, face_ids=[t.face_id for t in some], points_px=points))

    def _compose(self, frame: Frame, targets: tuple[Target, ...], store: ChunkCache) -> Finished:
        prediction = store.get(targets, self.swapper.face_type) if targets else None
        made = composite(frame, targets, prediction, self.settings)
        if not targets and self.settings.mode == "raw-predict":
            side = self.swapper.resolution
            black = np.zeros((side, side, 3), frame.image.dtype)
            return Finished(frame.index, black, np.zeros((side, side), np.uint8), False)
        mask = cv2.convertScaleAbs(np.maximum(made.alpha, 0), alpha=255.0)
        return Finished(frame.index, made.image, mask, bool(mask.any()))

    def _finished(self, item: Item, writer: ChunkWriter, record: dict[str, Any]) -> tuple[Item, dict[str, Any]]:
        swapped = writer.done.result()
        self.open.remove(writer)
        named = {i for spans in record["reasons"].values() for a, b in spans for i in range(a, b + 1)}
        empty = [i for i, yes in swapped.items() if not yes and i not in named]
        reasons = {**record["reasons"], **({"empty_mask": spans_of(empty)} if empty else {})}
        damaged = sorted(i for i in self.damaged if record["start"] <= i < record["stop"])
        full = {**record, "reasons": reasons, "swapped": sum(swapped.values()), "damaged": spans_of(damaged)}
        full["bytes"] = (self.out / result.CHUNKS / result.chunk_name(record["start"])).stat().st_size
        return item, full


def _plan_of(plans: Mapping[int, FramePlan], frame: Frame) -> FramePlan:
    return plans.get(frame.index, FramePlan((), "no_face"))


def _by_reason(plans: Mapping[int, FramePlan], start: int, stop: int) -> dict[str, list[list[int]]]:
    found: dict[str, list[int]] = {}
    for index in range(start, stop):
        plan = plans.get(index)
        reason = "no_face" if plan is None else plan.reason
        if reason:
            found.setdefault(reason, []).append(index)
    return {reason: spans_of(indices) for reason, indices in found.items()}


def _contiguous(todo: list[Item]) -> Iterator[list[Item]]:
    """Runs of neighbouring chunks: each is decoded in one pull."""
    run: list[Item] = []
    for item in todo:
        if run and run[-1].payload["stop"] != item.payload["start"]:
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _every_index(decoded: Iterator[Frame], start: int, stop: int, video: Video, dtype: np.dtype) -> Iterator[Frame]:
    """Every index from start to stop once, in the film's size and depth; what was passed over (a damaged still)
    repeats the picture before it."""
    width, height = video.size_px
    last = np.zeros((height, width, 3), dtype)
    expected = start
    for frame in decoded:
        while expected < frame.index:
            yield Frame(expected, expected, frame.time_base, last)
            expected += 1
        last = _same_kind(frame, (height, width), dtype)
        yield Frame(frame.index, frame.pts, frame.time_base, last)
        expected += 1
    while expected < stop:
        yield Frame(expected, expected, video.time_base, last)
        expected += 1


def _same_kind(frame: Frame, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    image = frame.image
    if image.shape[:2] != shape:
        raise Mismatch(
            f"Picture {frame.index} has another size than the first: {image.shape[1]}x{image.shape[0]} instead of "
            f"{shape[1]}x{shape[0]}.",
            why="A film has one size.", remedy="Give pictures of one size, or merge them in separate folders.",
        )
    if image.dtype == dtype:
        return image
    return image.astype(np.uint16) * np.uint16(257) if dtype == np.uint16 else (image // 257).astype(np.uint8)
