"""Verbs about footage before faces are looked for: what it is, pieces, shots, frames, less noise, other light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform, silent, telling
from facewright.core.errors import NothingFound, SettingRefused
from facewright.core.settings import merge as layered
from facewright.project import stored_settings

SHEET_SHOTS = 500


def video_info(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What each film or folder of pictures is, JSON-able. Raises FileRefused, NothingFound."""
    from facewright.media.facts import facts
    from facewright.media.reader import open_video

    return [facts(open_video(path)) for path in paths]


def video_cut(
    film: Path, out: Path, ranges: Sequence[str], *, settings: Mapping[str, Any], copy: bool = False,
    on_event: OnEvent = silent,
) -> list[dict[str, Any]]:
    """Pieces `A-B` of a film into OUT; several get -1, -2 ... behind its name. What was really cut, one row each.

    copy: never encode; begin at the key frame at or before A. Raises SettingRefused, DiskRefused (OUT is there),
    NothingFound.
    """
    from facewright.media.cut import check_out, cut
    from facewright.media.reader import open_video
    from facewright.media.settings import CutSettings

    chosen = layered(CutSettings, stored_settings(out, "cut"), settings)
    spans = [_span(text) for text in ranges]
    places = [out] if len(spans) == 1 else [out.with_stem(f"{out.stem}-{at}") for at in range(1, len(spans) + 1)]
    for place in places:
        check_out(place)
    video, pieces = open_video(film), []
    for place, (start_s, end_s) in zip(places, spans):
        piece = cut(video, place, start_s, end_s, chosen, nearest=copy, on_progress=telling(on_event, "frame"))
        pieces.append(asdict(piece) | {"out": str(place), "asked_start_s": start_s, "notes": list(piece.notes)})
    return pieces


def _span(text: str) -> tuple[float, float]:
    """`A-B` -> seconds; A or B may be left out. Raises SettingRefused."""
    from facewright.media.settings import seconds

    parts = text.split("-")
    try:
        if len(parts) != 2:
            raise ValueError("Two times with a dash between")
        start, end = seconds(parts[0]), seconds(parts[1])
    except ValueError as error:
        raise SettingRefused(
            f"{text!r} is no range of time.", why=f"{error}.",
            remedy="Write A-B, as 62.5-70 or 00:01:02.500-00:01:10; without B to the end.", where=text,
        ) from None
    span = (start or 0.0, float("inf") if end is None else end)
    if span[0] >= span[1]:
        raise SettingRefused(f"{text!r} ends before it begins.", remedy="Write the earlier time first.", where=text)
    return span


def video_scenes(
    film: Path, *, settings: Mapping[str, Any], sheet: Path | None = None, export: str = "", out: Path | None = None,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """The shots of a film, counted from 1. sheet: a PNG of the middle of each. export, out: `3,5-7` and the folder that
    gets their frames, one folder each, named after the film. Raises SettingRefused, NothingFound, FileRefused."""
    from facewright.media.moments import clock
    from facewright.media.reader import open_video
    from facewright.media.scenes import find_shots
    from facewright.media.settings import FramesSettings, ShotSettings

    chosen = layered(ShotSettings, stored_settings(film, "scenes"), settings)
    if bool(export) != (out is not None):
        raise SettingRefused(
            "--export and --out belong together.", remedy="For example: --export 3,5-7 --out frames", where="--export"
        )
    video = open_video(film)
    shots = find_shots(video, chosen.threshold, on_progress=telling(on_event, "frame"))
    answer: dict[str, Any] = {"film": str(film), "sha256": video.sha256, "threshold": chosen.threshold, "scenes": [
        {"scene": s.index + 1, "first_frame": s.first, "last_frame": s.stop - 1, "frames": s.frame_count,
         "start_s": s.start_s, "end_s": s.end_s, "start": clock(s.start_s), "end": clock(s.end_s)} for s in shots
    ]}
    if sheet is not None:
        answer["sheet"] = [str(page) for page in _sheet(video, answer["scenes"], sheet)]
    if out is not None:
        from facewright.media.steps import FramesStep

        numbers = _numbers(export, len(shots))
        digits = len(str(len(shots)))
        spans = [(f"scene{n:0{digits}d}", shots[n - 1].first, shots[n - 1].stop) for n in numbers]
        values = layered(FramesSettings, chosen.model_dump(exclude={"threshold"}))
        step = FramesStep([str(film)], str(out), values, spans)
        answer["export"] = perform(step, background=False, on_event=on_event)
    return answer


def _sheet(video: Any, scenes: list[dict[str, Any]], path: Path) -> list[Path]:
    """A tile for the middle of each of the first 500 shots."""
    from facewright.faceset.sheet import pages, save
    from facewright.media.reader import frames
    from facewright.media.scenes import small_size

    scenes = scenes[:SHEET_SHOTS]
    small, names = small_size(video.size_px, 320), []
    for scene in scenes:
        names.append(f"{scene['scene']}   {scene['start']}\n{scene['frames']:,} frames from {scene['first_frame']:,}")

    def tiles() -> Any:
        for scene in scenes:
            middle = (scene["first_frame"] + scene["last_frame"]) // 2
            found = next(iter(frames(video, middle, middle + 1, size_px=small)), None)
            yield None if found is None else found.image

    count = f"{len(scenes):,} scene" + "s" * (len(scenes) != 1)
    made = pages(tiles(), names, side_px=240, headline=f"{video.path.name}: {count}",
                 tall=min(small[1] / small[0], 1.4))
    return save(made, path)


def _numbers(text: str, count: int) -> list[int]:
    """`3,5-7` -> [3, 5, 6, 7]; `all`. Raises SettingRefused: not such a list, or no such scene."""
    if text.strip() == "all":
        return list(range(1, count + 1))
    found: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if not 1 <= low <= high:
                raise ValueError
            if high > count:
                raise NothingFound(
                    f"There is no scene {high}.", why=f"The film has {count}.", remedy="Correct --export.",
                    where="--export",
                )
            found |= set(range(low, high + 1))
    except ValueError:
        raise SettingRefused(
            f"{text!r} names no scenes.", remedy="Write numbers and ranges, as 3,5-7; or all.", where="--export"
        ) from None
    return sorted(found)


def video_extract(
    inputs: Sequence[Path], out: Path, *, settings: Mapping[str, Any], background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Frames of films as pictures: OUT/NAME/NAME_0000012.png, each film in a folder of its own."""
    from facewright.media.settings import FramesSettings
    from facewright.media.steps import FramesStep

    values = layered(FramesSettings, stored_settings(out, "frames"), settings)
    return perform(FramesStep([str(p) for p in inputs], str(out), values), background=background, on_event=on_event)


def video_denoise(
    source: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False, on_event: OnEvent = silent
) -> dict[str, Any]:
    """A film or folder of pictures without its noise, as a new film or folder."""
    from facewright.media.settings import DenoiseSettings
    from facewright.media.steps import DenoiseStep

    values = layered(DenoiseSettings, stored_settings(out, "denoise"), settings)
    return perform(DenoiseStep(str(source), str(out), values), background=background, on_event=on_event)


def video_grade(
    source: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False, on_event: OnEvent = silent
) -> dict[str, Any]:
    """A film or folder of pictures in another light and colour, as a new film or folder."""
    from facewright.media.settings import GradeSettings
    from facewright.media.steps import GradeStep

    values = layered(GradeSettings, stored_settings(out, "grade"), settings)
    return perform(GradeStep(str(source), str(out), values), background=background, on_event=on_event)
