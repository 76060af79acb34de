"""Merged frames -> a film with sound: looked at by the content gate, marked where it must be, signed, in the ledger.

Order: encode aside while the gate samples what passes; only a film that passed is signed; only a signed film gets
its name. A kill leaves at most hidden files that the next run writes over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from facewright.core.errors import ConsentRefused, FacewrightError, FileRefused, Mismatch
from facewright.core.files import disk_error, make_folder, read_file, sha256_of, to_trash
from facewright.core.step import Item, Likeness, Work
from facewright.faceset.ahead import ahead
from facewright.media.frame import Video
from facewright.media.reader import frame_times, frames, open_video
from facewright.media.writer import FilmWriter
from facewright.merge.result import NAME, Merged
from facewright.provenance import mark, sensitive
from facewright.provenance.certificate import local_identity
from facewright.provenance.ledger import Entry, Ledger
from facewright.provenance.moment import utc_now
from facewright.provenance.permit import Permit
from facewright.provenance.visible import visible_mark
from facewright.render.settings import RenderSettings


@dataclass(frozen=True, slots=True)
class Film:
    """What was delivered. manifest: the file that holds it (the film, or a sidecar). ledger: the entry's id."""

    path: Path
    sha256: str
    frame_count: int
    manifest: Path
    ledger: str
    notes: tuple[str, ...]

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> Film:
        """From what RenderStep.finish returned."""
        return cls(Path(summary["film"]), summary["sha256"], summary["frames"], Path(summary["manifest"]),
                   summary["ledger"], tuple(summary["notes"]))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A film on disk that is neither signed nor delivered yet."""

    path: Path
    frames: int
    marks: tuple[str, ...]
    verdicts: tuple[sensitive.Verdict, ...]
    head: tuple[int, str]
    notes: tuple[str, ...]


T = TypeVar("T")


class _Stopped(Exception):
    """The film was given up because somebody asked: what was encoded is removed, merged frames stay."""


@dataclass
class RenderStep:
    """merged: OUT of a merge. video: the film to write. audio_from: whose sound; "" = the merged film's own.

    The runner sets `permit`. `likenesses` are those of the merge, so the permit asks each person's record again.
    """

    merged: str
    video: str
    audio_from: str = ""
    settings: RenderSettings = field(default_factory=RenderSettings)
    stage: str = "render"
    permit: Permit | None = field(default=None, repr=False, compare=False)

    def home(self) -> Path:
        """The merge's folder: project, ledger and lock are its."""
        return Path(self.merged)

    def args(self) -> dict[str, Any]:
        """The constructor's arguments without settings; paths absolute, so that a job resumes from any folder."""
        paths = {"merged": self.merged, "video": self.video, "audio_from": self.audio_from}
        return {name: str(Path(path).absolute()) if path else "" for name, path in paths.items()}

    def likenesses(self) -> list[Likeness]:
        """Whose faces are in the film."""
        return self.source.likenesses()

    def inputs(self) -> dict[str, str]:
        """Digests of the merge's record, the film it replaced faces in, and the sound."""
        sound = self.sound
        return {
            "merged": hashlib.sha256(read_file(self.home() / NAME)).hexdigest(), "video": self.source.video_sha256,
            "sound": sound.sha256 if sound is not None else "",
        }

    @cached_property
    def source(self) -> Merged:
        """The merge. Raises NothingFound, FileRefused."""
        return Merged.open(self.home())

    @cached_property
    def like(self) -> Video:
        """The film that was merged: its times, rate and colour are the result's. Raises FileRefused when it is gone."""
        wanted = self.source.video_sha256
        places = [Path(p) for p in (self.audio_from, self.source.video_path) if p and Path(p).exists()]
        found = next((video for video in map(open_video, places) if video.sha256 == wanted), None)
        if found is None:
            raise FileRefused(
                f"The film that was merged, {self.source.video_path.name}, is no longer there or was changed.",
                why="Its times and colours are needed.", remedy="Put it back, or name its new place with --audio-from.",
                where=self.source.video_path,
            )
        return found

    @cached_property
    def sound(self) -> Video | None:
        """The film whose sound is taken, or None. Raises FileRefused."""
        if self.settings.audio == "none":
            return None
        return open_video(Path(self.audio_from)) if self.audio_from else self.like

    def plan(self) -> list[Item]:
        """One item. Raises early: name that cannot be signed, encoder that does not fit, target = source."""
        target = Path(self.video)
        mark.check_name(target)
        if any(target.resolve() == v.path.resolve() for v in (self.like, self.sound) if v is not None):
            raise Mismatch(
                f"{target.name} is the film that is worked on.", why="It would be overwritten.",
                remedy="Give the result a name of its own.", where=target,
            )
        self._writer([])
        return [Item("film")]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether a film that an earlier session finished is still as it was."""
        return Path(record["film"]).is_file() and sha256_of(Path(record["film"])) == record["sha256"]

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Encoded]]:
        """Encode aside, with the gate looking on. Ends without a result when asked to stop.

        Raises ConsentRefused (no permit for this), ContentRefused (the gate), FileRefused (a chunk), DiskRefused.
        """
        for item in todo:
            try:
                yield item, self._encode(work)
            except _Stopped:
                return

    def commit(self, item: Item, result: Encoded) -> dict[str, Any]:
        """Sign, give the film its name, write the ledger. Raises TraceBroken; the film is then `NAME.unsigned`."""
        permit, target, now = self._permit(), Path(self.video), utc_now()
        identity = local_identity()
        trace = mark.Trace(permit.records, result.head, permit.binding, [v.as_dict() for v in result.verdicts],
                           result.marks)
        try:
            if target.exists():  # an earlier film of that name is the user's: kept, never written over
                to_trash(target, target.parent / ".facewright" / "trash")
            manifest = mark.sign(result.path, target, trace, identity, now, parent=self.like.path)
        except FacewrightError as error:
            self._keep_unsigned(result.path, error)
            raise
        result.path.unlink(missing_ok=True)
        digest = sha256_of(target)
        entry = self._note("output.signed", {
            "signed": True, "sha256": digest, "frames": result.frames, "marks": list(result.marks),
            "video_sha256": self.source.video_sha256, "permit": permit.as_dict(),
        })
        notes = [*result.notes, *filter(None, [identity.warning(now)])]
        return {
            "film": str(target), "sha256": digest, "frames": result.frames, "manifest": str(manifest),
            "ledger": entry.id, "marks": list(result.marks), "binding": permit.binding,
            "content_gate": sorted({v.state for v in result.verdicts}), "notes": notes,
        }

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """The summary: the film's record."""
        return dict(records["film"])

    def _permit(self) -> Permit:
        if self.permit is None or not self.permit.covers("render"):
            raise ConsentRefused(
                "A film leaves the house with a permit only.", why="This render was not allowed by anybody.",
                remedy="Run it with `facewright render`, which asks for the records of consent.", where=self.video,
            )
        return self.permit

    def _note(self, kind: str, body: Mapping[str, Any]) -> Entry:
        permit = self._permit()
        if permit.ledger is None:
            raise ConsentRefused(
                "A film leaves the house with an entry in the ledger only.", why="The permit names no ledger.",
                remedy="Run it with `facewright render`, which opens the project's ledger.", where=self.video,
            )
        return Ledger(permit.ledger, project=permit.project).append(kind, body)

    def _encode(self, work: Work) -> Encoded:
        permit, net = self._permit(), sensitive.classifier()
        classify, net_sha256 = net if net is not None else (None, "")
        unsigned = _aside(Path(self.video))
        make_folder(unsigned.parent)
        times_s = self._times_s()
        # The target first: it is refused before any work is done, and without the net the marks are known.
        target = sensitive.screen(self._read_target, self._target_times_s(), classify, subject="target",
                                  seed=self._seed("target"), net_sha256=net_sha256)
        notes: list[str] = []
        if classify is None:
            result = sensitive.screen(self._read_merged, times_s, None, subject="result", seed=0)
            marks = self._judged([target, result], permit)
            for _ in self._write(unsigned, [], marks, notes, work):
                pass
        else:
            self._judged([target], permit)
            passing = self._first_pass(unsigned, permit.marks, notes, work)
            try:
                result = sensitive.screen(passing, times_s, classify, subject="result", seed=self._seed("result"),
                                          net_sha256=net_sha256)
                marks = self._judged([target, result], permit)
            except BaseException:
                unsigned.unlink(missing_ok=True)
                raise
        said = [verdict.as_dict() for verdict in (target, result)]
        entry = self._note("gate.verdict", {"verdicts": said, "marks": list(marks)})
        return Encoded(unsigned, len(self.source), marks, (target, result), (entry.seq, entry.hash), tuple(notes))

    def _judged(self, verdicts: list[sensitive.Verdict], permit: Permit) -> tuple[str, ...]:
        """The marks that permit and gate demand; a refusal is in the ledger before it is raised."""
        try:
            return (*permit.marks, *sensitive.marks_for(verdicts))
        except FacewrightError as error:
            self._note("gate.verdict", {"verdicts": [v.as_dict() for v in verdicts], "refused": error.what})
            raise

    def _first_pass(self, path: Path, marks: tuple[str, ...], notes: list[str], work: Work) -> sensitive.Reader:
        """A reader for the gate whose first run encodes the whole film and shows the gate what it asked for."""
        runs = iter([lambda plan: self._write(path, plan, marks, notes, work)])
        return lambda plan: next(runs, self._read_merged)(plan)

    def _write(
        self, path: Path, plan: list[int], marks: tuple[str, ...], notes: list[str], work: Work
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Encode all frames, burning the marks in; yields (index, unmarked picture) of those in `plan`."""
        total, wanted, done = len(self.source), set(plan), 0
        text = " ".join(marks)
        merged = ahead(iter(self.source.composites(masks=False)), depth=4)
        with closing(merged), self._writer(notes, path) as writer:
            for frame in merged:
                if work.stop.asked:
                    raise _Stopped
                writer.write(visible_mark(frame.image, text) if text else frame.image, frame.pts)
                done += 1
                if frame.frame_index in wanted:
                    yield frame.frame_index, frame.image
                work.progress(done, total, "encode")
            if done != total:
                raise FileRefused(
                    f"The merge holds {done} of {total} frames.", why="A part of it was removed.",
                    remedy="Run `facewright merge` again: it makes what is missing.", where=self.home(),
                )
        notes += [note for note in writer.notes if note not in notes]

    def _writer(self, notes: list[str], path: Path | None = None) -> FilmWriter:
        """Raises SettingRefused when codec, container or size do not go together; writes nothing yet."""
        return FilmWriter(
            path if path is not None else _aside(Path(self.video)), self.like, encoder=self.settings.codec,
            crf=self.settings.crf, audio_from=self.sound, size_px=self.source.size_px,
        )

    def _read_target(self, plan: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        return _picked(frames(self.like, plan[0], plan[-1] + 1), plan, lambda frame: (frame.index, frame.image))

    def _read_merged(self, plan: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        found = self.source.composites(plan[0], plan[-1] + 1, masks=False)
        return _picked(found, plan, lambda frame: (frame.frame_index, frame.image))

    def _target_times_s(self) -> np.ndarray:
        return frame_times(self.like) * float(self.like.time_base)

    def _times_s(self) -> np.ndarray:
        """Seconds of the merged frames: the source's own times, one by one."""
        return self._target_times_s()[: len(self.source)]

    def _seed(self, subject: str) -> int:
        digest = hashlib.sha256(f"{subject}:{self.source.video_sha256}".encode()).digest()
        return int.from_bytes(digest[:8], "big")

    def _keep_unsigned(self, path: Path, error: FacewrightError) -> None:
        """The work is kept under a name that says what it lacks; the ledger hears why."""
        kept = Path(self.video).with_name(Path(self.video).name + ".unsigned")
        try:
            os.replace(path, kept)
        except OSError as failure:
            raise disk_error(failure, kept) from error
        self._note("output.signed", {"signed": False, "file": kept.suffix, "why": error.what})


def _picked(
    found: Iterator[T], plan: list[int], pair: Callable[[T], tuple[int, np.ndarray]]
) -> Iterator[tuple[int, np.ndarray]]:
    """The (index, picture) pairs that are in the plan; closes the reader behind it."""
    wanted = set(plan)
    with closing(found):  # type: ignore[type-var]
        for item in found:
            index, image = pair(item)
            if index in wanted:
                yield index, image


def _aside(video: Path) -> Path:
    """Where a film lies while it is not signed: hidden, beside its place, in its own container."""
    return video.with_name(f".{video.stem}.unsigned{video.suffix}")

