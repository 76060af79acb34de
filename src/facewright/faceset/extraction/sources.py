"""Films and folders of pictures -> named sources with their chunks; checked against what the faceset holds."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np

from facewright.core.errors import Mismatch, NothingFound
from facewright.faces.face import SourceRef
from facewright.faceset.header import Header, Source, refuse_others
from facewright.faceset.selection import Chunk, chunks, select
from facewright.faceset.settings import ExtractSettings
from facewright.media.frame import Frame, Video
from facewright.media.reader import count_frames, frame_times, open_video


@dataclass(frozen=True, slots=True)
class Footage:
    """One input: its film, its readable name in the faceset, and the chunks that are looked at."""

    video: Video
    name: str
    chunks: tuple[Chunk, ...]

    @property
    def sha256(self) -> str:
        """Digest of the film."""
        return self.video.sha256

    @property
    def frames(self) -> int:
        """How many frames are looked at."""
        return sum(len(chunk.frames) for chunk in self.chunks)

    def ref(self, frame: Frame, shot: int = 0) -> SourceRef:
        """Where a face of this frame came from; a picture of a folder keeps its own name behind the folder's."""
        name = f"{self.name}/{self.video.stills[frame.index]}" if self.video.stills else self.name
        return SourceRef(name, self.sha256, frame.index, frame.pts, frame.time_base, shot)

    def source(self, settings: ExtractSettings, done: bool, facts: dict[str, object]) -> Source:
        """What faceset.json says about it. pictures: names of those that no face names."""
        video = self.video
        noted = [index for key in ("no_face", "damaged") for index, _ in cast(list[list[Any]], facts.get(key, []))]
        if video.stills and noted:
            facts = {**facts, "pictures": {str(index): video.stills[index] for index in sorted(noted)}}
        return Source(
            file=self.name, sha256=self.sha256, rate=str(video.rate), size_px=video.size_px,
            frame_count=int(video.frame_count or 0), settings=settings.deciding(), done=done, facts=facts,
        )


def open_footage(
    inputs: list[str], settings: ExtractSettings, header: Header | None, digests: Mapping[str, str] | None = None
) -> list[Footage]:
    """Open every input. Raises FileRefused, NothingFound (no input, no frame, nothing between start and end).

    Several inputs with one content count once. A name that is taken by another film gets its folder's name added.
    digests: SHA-256 of inputs that were hashed a moment ago.
    """
    if not inputs:
        raise NothingFound("There is no film to look at.", remedy="Name films or folders of pictures.")
    found: dict[str, Footage] = {}
    names = {source.file: source.sha256 for source in header.sources} if header else {}
    for text in inputs:
        path = Path(text)
        video = open_video(path, sha256=(digests or {}).get(text, ""))
        if video.sha256 in found:
            continue
        known = header.source(video.sha256) if header else None
        name = known.file if known else _free_name(path, video.sha256, names)
        names[name] = video.sha256
        picked = _picked(video, settings)
        if len(picked) == 0:
            raise NothingFound(
                f"No frame of {path.name} lies between --start and --end.",
                why=f"It has {count_frames(video)} frames.", remedy="Correct --start and --end.", where=path,
            )
        found[video.sha256] = Footage(video, name, tuple(chunks(video.sha256, picked)))
    _refuse_twins(found)
    return list(found.values())


def check_header(header: Header | None, footage: list[Footage], step: ExtractArguments) -> None:
    """Whether these films may join that faceset. Raises Mismatch: face type, settings of a film, person, consent."""
    if header is None:
        return
    if header.face_type and header.face_type != step.settings.face_type:
        raise Mismatch(
            f"{step.folder.name} holds {header.face_type} crops, not {step.settings.face_type}.",
            remedy=f"Add --face-type {header.face_type}, or extract into another folder.", where=step.folder,
        )
    for one in footage:
        known = header.source(one.sha256)
        # What an older version did not let choose is no difference.
        if known is not None and {**step.settings.deciding(), **known.settings} != step.settings.deciding():
            now = step.settings.deciding()
            changed = [f"{k} ({_said(known.settings[k])} then, {_said(now[k])} now)"
                       for k in sorted(now) if known.settings.get(k, now[k]) != now[k]]
            own, both = (shlex.quote(str(_free_folder(step.folder, word))) for word in ("more", "all"))
            raise Mismatch(
                f"{one.name} is already in {step.folder.name}, extracted with other settings.",
                why=f"Different: {', '.join(changed) or 'settings that this version does not know'}.",
                remedy=f"Use the same settings; or extract into a set of its own, such as {own}, and join the two: "
                f"`facewright faces merge {both} {shlex.quote(str(step.folder))} {own}`.", where=step.folder,
            )
    if any(header.source(one.sha256) is None for one in footage):
        refuse_others(header, step.consent, step.person, step.folder)


def _free_folder(folder: Path, word: str) -> Path:
    """A name beside a folder that is not taken: src-more, src-more-2 ..."""
    names = (f"{folder.name}-{word}" + (f"-{n}" if n > 1 else "") for n in count(1))
    return next(folder.with_name(name) for name in names if not folder.with_name(name).exists())


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


@dataclass(frozen=True, slots=True)
class ExtractArguments:
    """What check_header needs of the step."""

    folder: Path
    settings: ExtractSettings
    person: str
    consent: str


def _picked(video: Video, settings: ExtractSettings) -> np.ndarray:
    frames = count_frames(video)
    if not video.moves or (settings.fps == 0 and not settings.start and not settings.end):
        return np.arange(frames)  # pictures have no clock
    times = frame_times(video) * float(video.time_base)
    return select(times, settings.fps, settings.start_s, settings.end_s)


def _free_name(path: Path, sha256: str, names: dict[str, str]) -> str:
    whole = path.resolve()
    for name in (whole.name, f"{whole.stem} ({whole.parent.name}){whole.suffix}"):
        if name and names.get(name, sha256) == sha256:
            return name
    return f"{whole.stem} ({sha256[:8]}){whole.suffix}"


def _refuse_twins(found: dict[str, Footage]) -> None:
    """Folders and face ids carry 8 digits of the digest; two films that share them cannot live in one set."""
    short: dict[str, Footage] = {}
    for one in found.values():
        other = short.setdefault(one.sha256[:8], one)
        if other is not one:
            raise Mismatch(
                f"{one.name} and {other.name} cannot share a faceset.", why="Their digests begin alike.",
                remedy="Extract one of them into another folder.", where=one.video.path,
            )

