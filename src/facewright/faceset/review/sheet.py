"""Contact sheets of frames under review, and of aligned faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from facewright.core.errors import FileRefused
from facewright.faces.face import Face
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import read_head
from facewright.faceset.films import Films
from facewright.faceset.index import Row
from facewright.faceset.review.drawing import crop_picture, frame_picture, with_inset
from facewright.faceset.review.reasons import WORDS, flag_doubts
from facewright.faceset.review.review import FrameState, State
from facewright.faceset.sheet import AMBER, BLUE, GREEN, GREY, RED, Colour, pages, save
from facewright.media.frame import Frame

COLOURS: dict[State, Colour] = {
    "no_face": RED, "doubtful": AMBER, "several": BLUE, "accepted": GREEN, "skipped": GREY, "damaged": RED,
}
_FRAME_PX, _FACE_PX, _SMALL_PX = 320, 160, 70

OnTile = Callable[[int, int], None]


def frame_sheets(
    faceset: Faceset, found: Sequence[FrameState], films: Films, out: Path, headline: str,
    progress: OnTile = lambda done, total: None,
) -> list[Path]:
    """Write the frames as pages: from the film where it is at hand, else their first face's crop; what is seen of them
    drawn in. The frame around each picture has its state's colour."""
    captions = [f"{_origin(one)}\n{said(one)}" for one in found]
    wide = any(films.find(sha256) is not None for sha256 in dict.fromkeys(one.sha256 for one in found))

    def tiles() -> Iterator[np.ndarray | None]:
        frames = films.walk((one.sha256, one.frame) for one in found)
        for place, (one, frame) in enumerate(zip(found, frames)):
            progress(place, len(found))
            yield _frame_tile(faceset, one, frame)

    sheets = pages(tiles(), captions, 0, _FRAME_PX if wide else _FACE_PX, headline=headline, tall=_tall(found, films),
                   edges=[COLOURS[one.state] for one in found], per_page=60 if wide else 120)
    return save(sheets, out)


def face_sheets(
    faceset: Faceset, rows: Sequence[Row], out: Path, headline: str, *, landmarks: bool = False,
    side_px: int = _FACE_PX, captions: Sequence[str] = (), progress: OnTile = lambda done, total: None,
) -> tuple[list[Path], dict[str, str]]:
    """Write aligned faces as pages, in the order of `rows`; returns the pages and path -> why of those that could not
    be read. landmarks: with points, mask edge and arrow drawn in."""
    refused: dict[str, str] = {}

    def tiles() -> Iterator[np.ndarray | None]:
        for place, row in enumerate(rows):
            progress(place, len(rows))
            try:
                yield _drawn(faceset, row) if landmarks else faceset.load(row)[1]
            except FileRefused as error:
                refused[row.path] = error.why or error.what
                yield None

    flags = [", ".join(row.flags.split()).replace("_", " ") for row in rows]
    words = captions or [f"{row.origin}\n{has}".strip() for row, has in zip(rows, flags)]
    return save(pages(tiles(), words, 0, side_px, headline=headline), out), refused


def said(one: FrameState) -> str:
    """State and reasons in words."""
    state = one.state.replace("_", " ") + (f" ({len(one.rows)} faces)" if one.state == "several" else "")
    reasons = ", ".join(WORDS.get(word, word) for word in one.reasons if word != state)
    return state + (f": {reasons}" if reasons else "") + (" (by hand)" if one.by and one.state == "accepted" else "")


def _origin(one: FrameState) -> str:
    """Film, frame and time; of a picture its name, and the number that `faces accept` and the others take."""
    if one.picture:
        return f"{one.film}/{one.picture}  frame {one.frame}"
    clock = "" if np.isnan(one.time_s) else f"  {int(one.time_s // 60)}:{one.time_s % 60:05.2f}"
    return f"{one.film}  frame {one.frame}{clock}"


def _frame_tile(faceset: Faceset, one: FrameState, frame: Frame | None) -> np.ndarray | None:
    faces = list(_faces(faceset, one.rows))
    if frame is not None:
        return _with_smallest(faceset, one, faces, frame_picture(frame.image, faces, 2 * _FRAME_PX), frame.image.shape)
    for row in one.rows:
        try:
            return _drawn(faceset, row)
        except FileRefused:
            continue
    return None


def _with_smallest(
    faceset: Faceset, one: FrameState, faces: Sequence[Face], picture: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Where the face in doubt (or the first) is too small to be judged there, its crop is put into a corner."""
    row = next((row for row in one.rows if flag_doubts(row)), one.rows[0] if one.rows else None)
    face = next((face for face in faces if row is not None and face.face_id == row.face_id), None)
    if row is None or face is None:
        return picture
    factor = picture.shape[1] / shape[1]
    boxes = [(x0 * factor, y0 * factor, x1 * factor, y1 * factor) for x0, y0, x1, y1 in (one.box_px for one in faces)]
    x0, y0, x1, y1 = face.box_px
    if max(x1 - x0, y1 - y0) * factor > _SMALL_PX:
        return picture
    try:
        return with_inset(picture, _drawn(faceset, row), boxes)
    except FileRefused:
        return picture


def _faces(faceset: Faceset, rows: Iterable[Row]) -> Iterator[Face]:
    for row in rows:
        try:
            yield read_head(faceset.files, row.path)[0]
        except FileRefused:  # the listing names it as damaged; the frame is still worth a look
            continue


def _drawn(faceset: Faceset, row: Row) -> np.ndarray:
    face, image, mask = faceset.load(row)
    return crop_picture(image, face, mask, 2 * _FACE_PX if image.shape[0] > 2 * _FACE_PX else 0)


def _tall(found: Sequence[FrameState], films: Films) -> float:
    """Height over width that suits most films; crops are square."""
    shapes = [video.size_px for sha256 in dict.fromkeys(one.sha256 for one in found)
              if (video := films.find(sha256)) is not None]
    return float(np.median([height / width for width, height in shapes])) if shapes else 1.0
