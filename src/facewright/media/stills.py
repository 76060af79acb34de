"""Pictures: one file safely, a folder of them as a Video, and writing them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from shlex import quote
from types import TracebackType

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from facewright.core.errors import DiskRefused, FileRefused, NothingFound
from facewright.core.files import PART, disk_error, make_folder, read_file, replace_folder, write_atomic
from facewright.media.frame import ColourTags, Frame, Video
from facewright.media.settings import FILM_SUFFIXES

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
MAX_SIDE_PX = 16_384
MAX_PIXELS = 64_000_000
RATE = Fraction(25)
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
_ORIENTATION = 274
# EXIF orientation -> (a, b, c, d) as in pixels.turned: x' = a x + c y, y' = b x + d y.
_TURNS = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip


def is_still(path: Path) -> bool:
    """Whether the name is that of a picture file."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts frame_2 before frame_10."""
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p.casefold()) for p in re.split(r"([0-9]+)", name) if p)


def read_still(path: Path) -> np.ndarray:
    """A picture file -> upright (H, W, 3) RGB, uint8 or uint16 at full range; transparency is dropped.

    Raises FileRefused: missing, not a picture, damaged, over 16,384 px a side or 64 million pixels (told by its
    header, before decoding).
    """
    data = read_file(path)
    turn, _ = _checked(path, data)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise _damaged(path, "The decoder gave up.") from error
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise _damaged(path, "The decoder gave up, or its samples are not 8 or 16 bit.")
    from facewright.media.pixels import turned

    return turned(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), turn)


def upright_from_stored(path: Path) -> np.ndarray:
    """3x3: where a pixel of the file as it is stored lies in what `read_still` gives. Raises FileRefused."""
    (a, b, c, d), (width, height) = _checked(path, path)
    # What lands on the negative side is shifted back: pixel centres lie at integers.
    return np.array([[a, c, max(0, -a) * (width - 1) + max(0, -c) * (height - 1)],
                     [b, d, max(0, -b) * (width - 1) + max(0, -d) * (height - 1)], [0, 0, 1]], np.float64)


def _checked(path: Path, data: bytes | Path) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Check the header against the limits; returns how to turn the pixels upright, and their (width, height)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=_FORMATS) as header:
                width, height = header.size
                turn = _turn(header)
    except Image.DecompressionBombError as error:
        raise _too_large(path, "Its header names hundreds of megapixels") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _damaged(path, "Its header is not that of a picture.") from error
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise _too_large(path, f"It is {width}x{height}")
    return turn, (width, height)


def _too_large(path: Path, what: str) -> FileRefused:
    return FileRefused(
        f"{path.name} is beyond what is read safely.",
        why=f"{what}; the limits are {MAX_SIDE_PX} px a side and {MAX_PIXELS // 10**6} megapixels.",
        remedy="Make it smaller.", where=path,
    )


def _turn(header: Image.Image) -> tuple[int, int, int, int]:
    if header.format == "TIFF":
        return _TURNS[1]  # OpenCV turns TIFF pictures itself, whatever it is told
    if header.format == "PNG" and not header.info.keys() & {"exif", "Raw profile type exif"}:
        return _TURNS[1]  # Pillow would decode all of it, to look behind the picture
    try:
        return _TURNS.get(header.getexif().get(_ORIENTATION, 1), _TURNS[1])
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return _TURNS[1]  # broken EXIF data: the picture itself may be whole


def _damaged(path: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{path.name} is not a picture that can be read.", why=why, remedy="Remove or replace it.", where=path
    )


def open_stills(path: Path, sha256: str = "") -> Video:
    """A folder of pictures (or one picture) as a Video of 25 frames a second; sizes may differ from picture to picture.

    Frame i is the i-th name in natural order. Frames of a film, beside their frames.json, have its times and rate.
    `size_px`, `bit_depth` are those of the first readable picture. Raises NothingFound when none is there, or readable.
    """
    folder = path if path.is_dir() else path.parent
    names = [path.name]
    if path.is_dir():
        names = sorted((p.name for p in folder.iterdir() if is_still(p) and p.is_file()), key=natural_key)
    digest = hashlib.sha256()
    first: np.ndarray | None = None
    for name in names:
        if not sha256:
            data = read_file(folder / name)
            digest.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
        if first is None:
            try:
                first = read_still(folder / name)
            except FileRefused:
                continue  # reported when frames are read
    if first is None:
        what = "no picture" if not names else "no picture that can be read"
        raise NothingFound(
            f"{path.name} holds {what}.", why=f"Looked for {' '.join(SUFFIXES)}.", where=path, remedy=_instead(path))
    height, width = first.shape[:2]
    found = Video(
        path=path, sha256=sha256 or digest.hexdigest(), stream_index=0, size_px=(width, height), rate=RATE,
        frame_count=len(names), duration_s=float(len(names) / RATE), rotation_deg=0,
        bit_depth=8 if first.dtype == np.uint8 else 16, colour=ColourTags(1, 13, 0, True), time_base=1 / RATE,
        codec="stills", stills=tuple(names),
    )
    return _timed(found, folder) if path.is_dir() else found


def _instead(path: Path) -> str:
    """What to name in the place of a folder without pictures."""
    inside = sorted(path.iterdir()) if path.is_dir() else []
    if any(one.suffix.lower() in FILM_SUFFIXES for one in inside):
        return f"Name the films in it, not the folder: {path.name}/*.mp4 and the like."
    folders = [one for one in inside if one.is_dir() and any(is_still(file) for file in one.iterdir())]
    if folders:
        return f"Name the folders in it that hold pictures: {quote(str(folders[0]))}" + (
            f" and {len(folders) - 1} more." if folders[1:] else ".")
    return "Choose a folder with pictures, or a video file."


def _timed(video: Video, folder: Path) -> Video:
    """With the times of the film that its pictures came from, where a frames.json tells them."""
    from facewright.media.sidecar import read_sidecar

    told = read_sidecar(folder)
    pts = told.times_of(video.stills) if told is not None else None
    if told is None or pts is None:
        return video
    gaps = [b - a for a, b in pairwise(pts)]
    rate = (len(gaps) / (sum(gaps) * told.time_base)).limit_denominator(100_000) if gaps else told.rate
    even = not gaps or (max(gaps) - min(gaps)) * told.time_base <= max(told.time_base, Fraction(1, 1000))
    if even and abs(rate - told.rate) < told.rate / 1000:
        rate = told.rate  # of every frame: the film's own, exactly
    length = (pts[-1] - pts[0]) * told.time_base + 1 / rate
    return dataclasses.replace(
        video, still_pts=pts, rate=rate, time_base=told.time_base, variable_rate=not even, duration_s=float(length)
    )


def still_frames(
    video: Video, start: int, stop: int, step: int, on_damage: Callable[[int, str], None] | None,
    size_px: tuple[int, int] | None = None,
) -> Iterator[Frame]:  # fmt: skip
    """Pictures start, start + step, ...; a damaged one is told and passed over."""
    folder = video.path if video.path.is_dir() else video.path.parent
    for index in range(start, stop, step):
        try:
            image = read_still(folder / video.stills[index])
        except FileRefused as error:
            if on_damage is not None:
                on_damage(index, f"{error.what} {error.why}".strip())
            continue
        if size_px is not None:
            image = np.asarray(cv2.resize(image, size_px, interpolation=cv2.INTER_AREA))
        yield Frame(index, video.still_pts[index] if video.still_pts else index, video.time_base, image)


def encode_still(image: np.ndarray, suffix: str = ".png", quality: int = 100) -> bytes:
    """RGB uint8 or uint16 -> the bytes of a PNG (fast compression) or TIFF file, exact; or of a JPEG of 8 bit."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if suffix == ".png" else []
    if suffix == ".jpg":
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        if quality >= 90:
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        image = image if image.dtype == np.uint8 else np.asarray(cv2.convertScaleAbs(image, alpha=1 / 257))
    done, data = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"cannot encode {image.shape} {image.dtype} as {suffix}")
    return data.tobytes()


def write_stills(folder: Path, frames: Iterable[Frame], *, suffix: str = ".png") -> int:
    """Write frames as `<index, 7 digits>.png` (or .tif), each whole or not at all; returns how many."""
    make_folder(folder)
    count = 0
    for frame in frames:
        write_atomic(folder / f"{frame.index:07d}{suffix}", encode_still(frame.image, suffix), sync=False)
        count += 1
    return count


class StillsFolder:
    """A new folder of pictures, written aside and renamed at the end."""

    def __init__(self, path: Path, suffix: str) -> None:
        if path.exists():
            raise DiskRefused(
                f"{path.name} is there already.", why="A folder of pictures is never replaced.",
                remedy="Choose a new name, or move the old folder away.", where=path,
            )
        self._path, self._suffix, self._count = path, suffix, 0
        self._part = path.with_name(path.name + PART)
        _empty(self._part)
        make_folder(self._part)

    def write(self, image: np.ndarray, pts: int) -> None:
        """One more picture, numbered from 0; `pts` is not kept. Raises DiskRefused."""
        file = self._part / f"{self._count:07d}{self._suffix}"
        try:
            file.write_bytes(encode_still(image, self._suffix))
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._count += 1

    def end(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Rename, or, after an error, leave nothing."""
        if error is None:
            replace_folder(self._part, self._path)
        else:
            _empty(self._part)


def _empty(part: Path) -> None:
    if part.is_dir():
        for file in part.iterdir():
            file.unlink()
        part.rmdir()
