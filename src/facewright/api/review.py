"""Verbs of the review queue: what every frame's state is, a person's word about it, contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.api.steering import OnEvent, perform, silent, telling
from facewright.core.errors import FacewrightError, NothingFound, SettingRefused
from facewright.core.settings import merge as layered


def faces_review(
    faceset: Path, *, state: str = "", film: str = "", person: str = "", after: int = -1, limit: int = 0,
    sheet: Path | None = None, footage: Sequence[Path] = (), on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Every frame's state, counted; the frames of one state (or `open`, `unaccepted`, `all`) as rows.

    film: a name, or the beginning of a digest. after, limit: the next so many frames behind a frame number. sheet: a
    PNG to draw the rows on; more pages lie beside it. footage: where films lie now, beside the places that extraction
    knew. Raises Mismatch (none of the set's films lies there).
    """
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.review import decisions, review

    wanted = review.wanted_states(state)
    faces = Faceset.open(faceset)
    films = films_at_hand(faceset, footage)
    decided = decisions.read(faceset)
    found, counts = review.counted(review.states(faces, film=film, person=person, decided=decided), wanted)
    found = [one for one in found if one.frame > after]
    shown = found[:limit] if limit else found
    answer: dict[str, Any] = {
        "faceset": str(faceset), "states": list(wanted), "films": counts, "frames": sum(
            n for count in counts.values() for n in count.values()),
        "matching": len(found), "rows": [one.as_dict() for one in shown],
        "decisions": len(decided.deeds), "decisions_lost": decided.lost, "refused": [
            list(pair) for pair in faces.damaged().items()],
    }
    if sheet is not None and shown:
        from facewright.faceset.review.sheet import frame_sheets

        head = f"{faceset.name}: {len(shown):,} of {answer['frames']:,} frames ({', '.join(wanted).replace('_', ' ')})"
        written = frame_sheets(faces, shown, films, sheet, head, telling(on_event, "frame"))
        answer |= {"sheets": [str(path) for path in written],
                   "from_film": sorted({one.film for one in shown if films.find(one.sha256) is not None})}
    return answer


def faces_accept(
    faceset: Path, frames: Sequence[str] = (), *, film: str = "", all_doubtful: bool = False, all_several: bool = False
) -> dict[str, Any]:
    """The faces of these frames (7, 120-130, names of photos) are right. `faces_undo` takes it back."""
    from facewright.faceset.review.actions import accept, frames_of

    every = "doubtful" if all_doubtful else "several" if all_several else None
    return accept(faceset, frames_of(faceset, frames, film=film), film=film, every=every)


def faces_skip(
    faceset: Path, frames: Sequence[str] = (), *, film: str = "", all_no_face: bool = False
) -> dict[str, Any]:
    """These frames are asked about no more; their faces stay and are used as ever. `faces_undo` takes it back."""
    from facewright.faceset.review.actions import frames_of, skip

    frames_wanted = frames_of(faceset, frames, film=film)
    return skip(faceset, frames_wanted, film=film, every="no_face" if all_no_face else None)


def faces_undo(faceset: Path) -> dict[str, Any]:
    """Take the latest decision or edit of the review back. Raises NothingFound."""
    from facewright.faceset.review.actions import undo

    return undo(faceset)


def faces_redo(faceset: Path) -> dict[str, Any]:
    """What was undone last holds again. Raises NothingFound."""
    from facewright.faceset.review.actions import redo

    return redo(faceset)


def faces_place(
    faceset: Path, frame: int, *, points: Path | Sequence[Sequence[float]] | None = None,
    rect: str | Sequence[float] | None = None, face: str = "", film: str = "", footage: Sequence[Path] = (),
    person: str = "", looks: int = 4, force: bool = False,
) -> dict[str, Any]:
    """Put a face into a frame, or (`face`) move the points of one. What it changed comes back with `faces_undo`.

    points: 68, 5 or 3 of them in frame px, or a JSON file of them. rect: x0, y0, x1, y1 that the landmark net looks in.
    """
    import numpy as np

    from facewright.faceset.review.place import Where, place, read_points

    marks = read_points(points) if isinstance(points, Path) else None if points is None else np.array(points, float)
    where = Where(marks, None if rect is None else _rect(rect), looks, force)
    films = films_at_hand(faceset, footage)
    return place(faceset, frame, where, films, film=film, face=face, person=person, nets=_nets)


def faces_again(
    faceset: Path, frames: Sequence[str] = (), *, settings: Mapping[str, Any], state: str = "", film: str = "",
    footage: Sequence[Path] = (), background: bool = False, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Look again at chosen frames of one film (7, 120-130, or all of a state), with other settings of detection.

    Settings that are not given are those that the film was extracted with. Faces by hand stay; `faces_undo` takes all
    of it back. Raises NothingFound (no such frame; the film is not at hand), SettingRefused.
    """
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.review import decisions
    from facewright.faceset.review.actions import frames_of, known_frames
    from facewright.faceset.review.again import AgainStep
    from facewright.faceset.review.review import one_film, states, wanted_states
    from facewright.faceset.settings import AgainSettings

    faces = Faceset.open(faceset)
    one = one_film(faces, film)
    if bool(frames) == bool(state):
        raise SettingRefused(
            "It is not clear which frames are meant.", remedy="Name frames (7, 120-130) or a state (--state no-face).")
    if state:
        wanted = wanted_states(state)
        chosen = [found.frame for found in states(faces, film=one.sha256) if found.state in wanted]
    else:
        chosen = known_frames(one, frames_of(faceset, frames, film=one.sha256))
    if not chosen:
        raise NothingFound(f"No frame of {one.name} is {state}.", remedy="There is nothing to look at.", where=faceset)
    source = faces.header.source(one.sha256)
    stored = source.settings if source is not None else {}
    names = set(AgainSettings.model_fields)
    values = layered(AgainSettings, {key: value for key, value in stored.items() if key in names}, settings)
    video = films_at_hand(faceset, footage).need(one.sha256)
    step = AgainStep(str(faceset), str(video.path), [list(run) for run in decisions.spans(chosen)], values)
    return perform(step, background=background, on_event=on_event)


def _nets() -> Any:
    from facewright.faces.detectors import make_detector
    from facewright.faces.landmark import make_landmarker
    from facewright.faceset.review.place import Nets

    return Nets(make_landmarker(), make_detector()[1])


def _rect(rect: str | Sequence[float]) -> tuple[float, float, float, float]:
    """Raises SettingRefused."""
    try:
        x0, y0, x1, y1 = (float(part) for part in (rect.split(",") if isinstance(rect, str) else rect))
    except ValueError:
        raise SettingRefused(
            f"{str(rect)[:60]!r} is no rectangle.", remedy="Write x0,y0,x1,y1 in frame pixels.", where="rect") from None
    return x0, y0, x1, y1


def faces_sheet(
    faceset: Path, out: Path, *, order: str = "", person: str = "", flag: str = "", landmarks: bool = False,
    limit: int = 0, side_px: int = 160, on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Aligned faces as contact sheets: OUT.png, OUT-2.png and so on. flag: only faces that carry this word.

    order: a stored one (`faces_sort`), else by film and frame. limit: at most so many, spread evenly.
    landmarks: with landmarks, mask edges and an arrow toward the top.
    """
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.review.sheet import face_sheets

    faces = Faceset.open(faceset)
    rows = _flagged(faces, person, flag)
    if order:
        from facewright.faceset.sorting.sort import read_order

        place = {face_id: at for at, face_id in enumerate(read_order(faces, order))}
        rows = sorted((row for row in rows if row.face_id in place), key=lambda row: place[row.face_id])
    if limit and len(rows) > limit:
        rows = [rows[round(i * (len(rows) - 1) / max(limit - 1, 1))] for i in range(limit)]
    head = f"{faceset.name}: {len(rows):,} faces" + (f" by {order}" if order else "")
    written, refused = face_sheets(
        faces, rows, out, head, landmarks=landmarks, side_px=side_px, progress=telling(on_event, "face"))
    return {"faceset": str(faceset), "faces": len(rows), "sheets": [str(path) for path in written],
            "refused": [list(pair) for pair in refused.items()]}


def faces_debug(
    faceset: Path, out: Path, *, person: str = "", flag: str = "", frames: bool = False, film: str = "",
    footage: Sequence[Path] = (), on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Pictures of every face with landmarks, mask edge and arrow drawn in, into a folder of their own.

    frames: whole frames instead, where the film is at hand. flag: only faces that carry this word.
    """
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.review.debug import write

    faces = Faceset.open(faceset)
    rows = _flagged(faces, person, flag)
    if film:
        from facewright.faceset.review.review import one_film

        sha256 = one_film(faces, film).sha256
        rows = [row for row in rows if row.source_sha256 == sha256]
    films = films_at_hand(faceset, footage) if frames else None
    return write(faces, rows, out, films, telling(on_event, "frame" if frames else "face"))


def _flagged(faces: Any, person: str, flag: str) -> list[Any]:
    """Rows of one person's faces ("": all) that carry a flag ("": whatever they carry). Raises NothingFound."""
    rows = [row for row in faces.rows_of(person) if not flag or flag in row.flags.split()]
    if not rows:
        raise NothingFound(f"No face of {faces.path.name} is asked for.", remedy="Choose others.", where=faces.path)
    return rows


def films_at_hand(faceset: Path, given: Sequence[Path] = ()) -> Any:
    """The films that are at hand: those given, and those that extractions of this faceset were made from.

    Raises Mismatch (one given is none of the set's), FileRefused.
    """
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.films import Films

    return Films(Faceset.open(faceset), places_at_hand(faceset), given)


def places_at_hand(faceset: Path) -> list[Path]:
    """Where the films lay that extractions of this faceset were made from.

    A set that was copied, moved, merged or cut from others knows no extraction of its own: films of the same name count
    that any extraction was made from. Whether they are the same by content is for `Films` to see.
    """
    from facewright.faceset.faceset import Faceset
    from facewright.jobs.job import list_jobs

    own, others = list[Path](), list[Path]()
    try:
        home = faceset.resolve()
        names = {source.file for source in Faceset.open(faceset, refresh=False).header.sources}
        for job in reversed(list_jobs(faceset, everywhere=True)):
            inputs = job.data["args"].get("inputs") or [job.data["args"].get("film")]
            if isinstance(inputs, list):
                paths = [Path(path) for path in inputs if isinstance(path, str)]
                own += paths if job.home == home else []
                others += [path for path in paths if job.home != home and path.name in names]
    except FacewrightError:  # jobs that cannot be read: then only what the user gave is at hand
        return own
    return list(dict.fromkeys([*own, *others]))
