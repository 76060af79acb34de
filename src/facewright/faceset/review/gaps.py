"""Step: faces for the frames of a track in which its head was not found, proposed from the frames around them.

A proposed face is flagged "interpolated" (review asks about its frame) and "parked" (training leaves it out until it is
accepted; merging replaces it, so that the old face never shows through). Never beyond a shot. One item is one gap; done
twice, nothing changes. `remove` moves proposed faces to the trash.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from facewright.core.errors import NothingFound
from facewright.core.step import Item, Likeness, Work
from facewright.faces.align import face_from_frame, pose_deg
from facewright.faces.between import SIDE_FACES, between
from facewright.faces.face import Face, SourceRef, face_id
from facewright.faceset import record
from facewright.faceset.cut import PROFILE_YAW_DEG, fixed_point, sharpness
from facewright.faceset.faceset import Faceset
from facewright.faceset.films import Films
from facewright.faceset.index import Row
from facewright.faceset.neighbours import box_of, by_hand, covered, free_ordinal
from facewright.faceset.recut import BORROWED, recut
from facewright.faceset.review import decisions
from facewright.faceset.review.place import coding
from facewright.faceset.review.review import Film
from facewright.faceset.review.review import films as films_of
from facewright.faceset.review.smoothing import INTERPOLATED
from facewright.faceset.settings import GapSettings
from facewright.faceset.store import FACES, Writer
from facewright.faceset.tags import PARKED, is_parked
from facewright.faceset.trash import Taken, take_out
from facewright.media.frame import Frame, Video
from facewright.media.reader import frames as read_frames

_USUAL_RATE = 25.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames of one track without a face. around: rows of the faces on either side, in order; frames: (frame, face id)
    to fill; track: the name its faces will carry."""

    film: Film
    track: str
    around: tuple[Row, ...]
    frames: tuple[tuple[int, str], ...]

    @property
    def id(self) -> str:
        """Stable between runs."""
        return f"{self.frames[0][1]}+{len(self.frames)}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"film": self.film.name, "track": self.track, "first_frame": self.frames[0][0],
                "last_frame": self.frames[-1][0], "frames": len(self.frames)}


@dataclass(slots=True)
class Result:
    """What one gap gave: (path in the faceset, file), and how many have a picture of their own."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    from_film: int = 0


class GapStep:
    """Propose faces for gaps of up to `settings.up_to` frames, of everybody or one `person`.

    films: places where the films may lie; without its film a face gets the picture of its neighbour.
    """

    stage = "fill_gaps"
    settings: GapSettings

    def __init__(
        self, faceset: str, settings: GapSettings | None = None, person: str = "", films: Sequence[str] = ()
    ) -> None:
        self.folder = Path(faceset).resolve()
        self.settings, self.person = settings or GapSettings(), person
        self.films = [str(Path(place).resolve()) for place in films]
        self._writer = Writer(self.folder)

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "person": self.person, "films": self.films}

    def likenesses(self) -> list[Likeness]:
        """None: no picture of a person is changed."""
        return []

    def inputs(self) -> dict[str, str]:
        """Which gaps."""
        return {"gaps": hashlib.sha256("\n".join(gap.id for gap in self.gaps).encode()).hexdigest()}

    @cached_property
    def gaps(self) -> list[Gap]:
        """The gaps, filled or not. Raises FileRefused."""
        return find(Faceset.open(self.folder), self.settings.up_to, self.person)

    def plan(self) -> list[Item]:
        """One item per gap. Raises FacewrightError."""
        return [Item(gap.id, gap) for gap in self.gaps]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether the faces are still there."""
        return all((self.folder / path).is_file() for path in record["paths"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order."""
        with self._writer as writer:
            writer.sweep()
            faceset = Faceset(self.folder)
            films = Films(faceset, map(Path, self.films))
            for done, item in enumerate(work.until_stopped(todo), 1):
                yield item, self._fill(faceset, films, item.payload)
                work.progress(done, len(todo))

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Write the faces of one gap together."""
        with self._writer as writer:
            writer.add_files(result.files)
        return {"paths": [path for path, _ in result.files], "from_film": result.from_film}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Count, and bring the index in step."""
        Faceset.open(self.folder)
        proposed = sum(len(r["paths"]) for r in records.values())
        own = sum(r["from_film"] for r in records.values())
        return {"faceset": str(self.folder), "gaps": len(self.gaps), "proposed": proposed, "from_film": own,
                "borrowed": proposed - own}

    def _fill(self, faceset: Faceset, films: Films, gap: Gap) -> Result:
        """Faces for the frames of a gap that have none yet."""
        (quality, how), video = coding(faceset, gap.film.sha256), films.find(gap.film.sha256)
        places = {name: _place(faceset, gap, name, quality) for _, name in gap.frames}
        todo = [(frame, name) for frame, name in gap.frames
                if _lacks(self.folder / places[name], picture=video is not None)]
        if not todo:
            return Result()
        around = [record.read_face(self.folder / row.path) for row in gap.around]
        made, result = proposed(around, gap, todo), Result()
        with closing(_pictures(video, todo[0][0], todo[-1][0])) as pictures:
            at: Frame | None = next(pictures, None)
            for face in made:
                while at is not None and at.index < face.source.frame_index:
                    at = next(pictures, None)
                if at is not None and at.index == face.source.frame_index:
                    source = dataclasses.replace(face.source, pts=at.pts, time_base=at.time_base)
                    cut = recut(dataclasses.replace(face, source=source), at.image, None, how)
                    new, image = cut.face, cut.image
                    result.from_film += 1
                else:
                    new, image = self._borrowed(face, around)
                there = self.folder / places[new.face_id]
                if there.exists() and PARKED not in record.read_face(there).flags:  # somebody has accepted it
                    new = dataclasses.replace(new, flags=tuple(word for word in new.flags if word != PARKED))
                data = record.encode_face(new, image, None, quality)
                result.files.append((places[new.face_id], data))
        return result

    def _borrowed(self, face: Face, around: Sequence[Face]) -> tuple[Face, np.ndarray]:
        near = min(around, key=lambda one: abs(one.source.frame_index - face.source.frame_index))
        image = Faceset(self.folder).image(near)
        words = tuple(sorted({*face.flags, BORROWED}))
        matrix = face_from_frame(face.points, near.side_px, face.face_type)
        return dataclasses.replace(face, flags=words, sharpness=sharpness(image), side_px=near.side_px,
                                   face_from_frame=matrix), image


def find(faceset: Faceset, up_to: int, person: str = "") -> list[Gap]:
    """Gaps of 1 to `up_to` frames that were looked at, inside tracks of one shot, in the order of film and time.

    Left alone: damaged frames, those that a person skipped, and places where another face is. Faces that were proposed
    before count as missing, unless a person has moved them: then they are found ones.
    """
    said, name, wholes = decisions.read(faceset.path), faceset.namer(), faceset.header.whole_tracks
    found: list[Gap] = []
    for film in films_of(faceset) if len(faceset) else []:
        rows = list(faceset.rows(source_sha256=film.sha256))
        skipped = {frame for frame, deed in zip(film.looked.tolist(), said.of_frames(film.sha256, film.looked))
                   if deed is not None and deed.do == "skip"}
        tracks: dict[tuple[str, int], list[Row]] = {}
        by_frame: dict[int, list[Row]] = {}
        for row in rows:
            by_frame.setdefault(row.frame_index, []).append(row)
            if row.track and (not person or name(row) == person):
                tracks.setdefault((wholes.get(row.track, row.track), row.shot), []).append(row)
        looked = film.looked[~np.isin(film.looked, [*film.damaged, *skipped])]
        for own in tracks.values():
            found += _gaps(film, own, looked, by_frame, up_to, said.reserved)
    return sorted(found, key=lambda gap: (gap.film.name, gap.frames[0][0], gap.track))


def _gaps(
    film: Film, rows: list[Row], looked: np.ndarray, by_frame: Mapping[int, list[Row]], up_to: int,
    reserved: frozenset[str],
) -> list[Gap]:
    seen = [row for row in rows if not _is_proposed(row)]
    old = {row.frame_index: row.face_id for row in rows if _is_proposed(row)}
    gaps = []
    for at in range(len(seen) - 1):
        a, b = seen[at], seen[at + 1]
        missing = looked[(looked > a.frame_index) & (looked < b.frame_index)]
        if not 0 < len(missing) <= up_to:
            continue
        frames = []
        for frame in missing.tolist():
            share = (frame - a.frame_index) / (b.frame_index - a.frame_index)
            box = tuple(np.array(box_of(a)) * (1 - share) + np.array(box_of(b)) * share)
            here = [row for row in by_frame.get(frame, ()) if row.face_id != old.get(frame)]
            if not covered(cast(Any, box), [box_of(row) for row in here if not _is_proposed(row)]):
                ordinal = free_ordinal(here, film.sha256, frame, reserved)
                frames.append((frame, old.get(frame) or face_id(film.sha256, frame, ordinal)))
        if frames:
            around = seen[max(at + 1 - SIDE_FACES, 0) : at + 1 + SIDE_FACES]
            gaps.append(Gap(film, a.track, tuple(around), tuple(frames)))
    return gaps


def _is_proposed(row: Row) -> bool:
    return INTERPOLATED in row.flags.split() and not by_hand(row)


def proposed(around: Sequence[Face], gap: Gap, todo: Sequence[tuple[int, str]]) -> list[Face]:
    """The faces of a gap, still without pictures; time stamps between those of their neighbours."""
    frames = np.array([face.source.frame_index for face in around], np.float64)
    stamps = np.array([face.source.pts * float(face.source.time_base) for face in around])
    wanted = np.interp([frame for frame, _ in todo], frames, stamps)
    clock = stamps if (np.diff(stamps) > 0).all() else frames / _USUAL_RATE  # stamps of imported faces say nothing
    points, meshes = between(clock, np.stack([f.points for f in around]), np.stack([f.mesh for f in around]),
                             np.interp([frame for frame, _ in todo], frames, clock))
    angles = pose_deg(meshes)
    made = []
    for (frame, name), moment, point, mesh, (yaw, pitch, roll) in zip(todo, wanted, points, meshes, angles):
        before = max((f for f in around if f.source.frame_index < frame), key=lambda f: f.source.frame_index)
        after = min((f for f in around if f.source.frame_index > frame), key=lambda f: f.source.frame_index)
        share = (frame - before.source.frame_index) / (after.source.frame_index - before.source.frame_index)
        box = np.array(before.box_px) * (1 - share) + np.array(after.box_px) * share
        words = {INTERPOLATED, PARKED} | ({"profile"} if abs(yaw) >= PROFILE_YAW_DEG else set())
        stored, scale = fixed_point(mesh)
        x0, y0, x1, y1 = box.tolist()
        source = before.source
        made.append(Face(
            face_id=name, box_px=(x0, y0, x1, y1), score=0.0, presence_01=0.0, mesh_px=stored, mesh_scale=scale,
            source=SourceRef(source.file, source.sha256, frame, round(moment / float(source.time_base)),
                             source.time_base, source.shot),
            points_px=point.astype(np.float32), face_type=before.face_type, side_px=before.side_px,
            face_from_frame=face_from_frame(point, before.side_px, before.face_type), yaw_deg=float(yaw),
            pitch_deg=float(pitch), roll_deg=float(roll), sharpness=0.0, flags=tuple(sorted(words)), track=gap.track,
            person=before.person, consent=before.consent, detector=INTERPOLATED,
        ))
    return made


def remove(folder: Path, person: str = "") -> Taken:
    """Move all proposed faces (of one person) to the trash, but those that a person has moved or accepted. Raises
    NothingFound."""
    faceset = Faceset.open(folder)
    paths = [row.path for row in faceset.rows_of(person) if _is_proposed(row) and is_parked(row)]
    if not paths:
        raise NothingFound(
            f"No face of {folder.name} was put in between others.", where=folder,
            remedy="`facewright faces gaps FACESET` proposes such faces.")
    with Writer(folder) as writer:
        taken = take_out(writer, paths, "proposed faces of gaps")
    faceset.index.refresh()
    return taken


def _place(faceset: Faceset, gap: Gap, name: str, quality: int) -> str:
    """Where a face's file lies (sorting may have put a number before its name), or will lie."""
    there = next(faceset.rows(face_id=name), None)
    if there is not None:
        return there.path
    return f"{FACES}/{gap.film.sha256[:8]}/{INTERPOLATED}/{name}{record.suffix(quality)}"


def _lacks(path: Path, *, picture: bool) -> bool:
    """Whether a face is still to be made: it is not there, or its picture was its neighbour's and can be cut now."""
    return not path.exists() or (picture and BORROWED in record.read_face(path).flags)


def _pictures(video: Video | None, first: int, last: int) -> Generator[Frame, None, None]:
    """The sound frames of a stretch; none where the film is not at hand."""
    damage: dict[int, str] = {}
    if video is not None:
        reading = read_frames(video, first, last + 1, on_damage=damage.__setitem__)
        with closing(cast(Generator[Frame, None, None], reading)):
            yield from (frame for frame in reading if frame.index not in damage)
