"""Frames of footage in batches: how many go together, and how they are read and treated in one pass of the film."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np

from facewright.core.step import Item
from facewright.media.frame import Frame, Video
from facewright.media.parts import Part
from facewright.media.reader import count_frames, frames

ITEM_FRAMES = 32
_ITEM_BYTES = 128 << 20
_LEAST_FRAMES = 4
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)

Treat = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one part that are made together."""

    part: int
    indices: tuple[int, ...]


def batches_of(part: Part, number: int) -> Iterator[Batch]:
    """The batches of the part of that number, in order."""
    size = _together(part.video)
    for at in range(0, len(part.indices), size):
        yield Batch(number, tuple(part.indices[at : at + size].tolist()))


def runs_of(todo: list[Item], parts: list[Part]) -> Iterator[list[Item]]:
    """Items that follow each other in their film, so that each run is read in one go."""
    group: list[Item] = []
    for item in todo:
        if group:
            before, now = group[-1].payload, item.payload
            indices = parts[now.part].indices
            follows = now.part == before.part and np.searchsorted(indices, now.indices[0]) == 1 + np.searchsorted(
                indices, before.indices[-1])
            if not follows:
                yield group
                group = []
        group.append(item)
    if group:
        yield group


def treated(
    run: list[Item], part: Part, treat: Treat, around: int
) -> Generator[tuple[Item, list[Frame], list[tuple[int, str]]], None, None]:
    """Batches of a part that follow each other, read in one pass of the film with the `around` neighbours on each side
    that a treated picture depends on: (item, its frames, (index, why) of damaged ones)."""
    wanted = [index for item in run for index in item.payload.indices]
    step = math.gcd(*(b - a for a, b in pairwise(wanted))) or 1
    first = max(0, wanted[0] - around) if step == 1 else wanted[0]
    stop = min(count_frames(part.video), wanted[-1] + 1 + around)
    damage: dict[int, str] = {}
    read = cast(Generator[Frame, None, None],
                frames(part.video, first, stop, step=step, on_damage=damage.__setitem__))
    passing: list[Frame] = []

    def images() -> Iterator[np.ndarray]:
        for frame in read:
            passing.append(dataclasses.replace(frame, image=_NO_IMAGE))
            yield frame.image

    with closing(read):
        rest = iter(run)
        item, got = next(rest), list[Frame]()
        for image in treat(images()):
            frame = passing.pop(0)
            while frame.index > item.payload.indices[-1]:
                yield item, *_without_damage(item, got, damage, part)
                following = next(rest, None)
                if following is None:
                    return
                item, got = following, []
            if frame.index in item.payload.indices:
                got.append(dataclasses.replace(frame, image=image))
        for last in (item, *rest):
            yield last, *_without_damage(last, got, damage, part)
            got = []


def _together(video: Video) -> int:
    """How many frames make an item: two items are held at once, and frames may be large."""
    each = video.size_px[0] * video.size_px[1] * (3 if video.bit_depth <= 8 else 6)
    return max(_LEAST_FRAMES, min(ITEM_FRAMES, _ITEM_BYTES // each))


def _without_damage(
    item: Item, got: list[Frame], damage: dict[int, str], part: Part
) -> tuple[list[Frame], list[tuple[int, str]]]:
    """A picture that could not be decoded is left out of a folder; a film keeps the repeated one, to keep its times."""
    kept = got if part.is_film else [frame for frame in got if frame.index not in damage]
    there = {frame.index for frame in kept}
    hurt = [index for index in item.payload.indices if index in damage or index not in there]
    return kept, [(index, damage.get(index, "It cannot be read.")) for index in hurt]
