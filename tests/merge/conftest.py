"""A drawn film of 100 frames with its faceset: a plain oval as face, no person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewright.faces.face import Face, FaceType, SourceRef, face_id
from facewright.faceset import record
from facewright.faceset.header import Header, Person
from facewright.faceset.store import Writer
from facewright.media.frame import ColourTags, Video
from facewright.media.reader import open_video
from facewright.media.writer import FilmWriter

FRAMES, WIDTH, HEIGHT = 100, 192, 144
BASE = Fraction(1, 25)


@dataclass(frozen=True)
class World:
    """A film, and a way to fill a faceset for it."""

    film: Path
    sha256: str
    points: Callable[[int], np.ndarray]
    fill: Callable[..., Path]


@pytest.fixture(scope="session")
def world(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    shape = np.load(golden / "data" / "merge_inputs.npz")["landmarks1"] - 48

    def points(index: int) -> np.ndarray:
        return (shape + np.array([70 + 0.4 * index, 72])).astype(np.float32)

    film = folder / "drawn.mkv"
    like = Video(film, "", 0, (WIDTH, HEIGHT), Fraction(25), FRAMES, 4.0, 0, 8, ColourTags(1, 1, 1), BASE)
    background = _background()
    with FilmWriter(film, like, encoder="ffv1") as writer:
        for index in range(FRAMES):
            image = background.copy()
            centre = tuple(int(v) for v in points(index).mean(0))
            cv2.ellipse(image, centre, (30, 38), 0, 0, 360, (210, 160, 130), -1)
            writer.write(image, index)
    sha256 = open_video(film).sha256

    def fill(
        name: str, *, frames: range | list[int] = range(FRAMES), second: range | list[int] = (), people: bool = False,
        person: str = "", flags: tuple[str, ...] = (), sha: str = sha256, consent: str = "",
    ) -> Path:
        place = folder / name
        place.mkdir()
        (place / "faces").mkdir()
        files = [_file(i, 0, points(i), sha, flags) for i in frames]
        files += [_file(i, 1, points(i) + np.float32([70, 0]), sha, ()) for i in second]
        tracks = (Person("Ada", (f"{sha[:8]}:0",)), Person("Bob", (f"{sha[:8]}:1",))) if people else ()
        with Writer(place) as store:
            store.add_chunk(sha, 0, files)
            store.update_header(lambda _: Header(
                face_type="whole_face", side_px=32, person=person, people=tracks, consent=consent))
        return place

    return World(film, sha256, points, fill)


def _background() -> np.ndarray:
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH, 3), np.float32)
    return (np.clip((cv2.GaussianBlur(noise, (0, 0), 3) - 0.5) * 6 + 0.5, 0, 1) * 255).astype(np.uint8)


def _file(index: int, ordinal: int, points: np.ndarray, sha: str, flags: tuple[str, ...]) -> tuple[str, bytes]:
    x0, y0 = points.min(0)
    x1, y1 = points.max(0)
    face = Face(
        face_id=face_id(sha, index, ordinal), source=SourceRef("drawn.mkv", sha, index, index, BASE),
        box_px=(float(x0), float(y0), float(x1), float(y1)), score=0.9, presence_01=0.99,
        mesh_px=np.zeros((468, 3), np.int16), mesh_scale=16.0, points_px=points.astype(np.float32),
        face_type=FaceType.WHOLE, side_px=32, face_from_frame=np.eye(3), yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0,
        sharpness=1.0, flags=flags, track=f"{sha[:8]}:{ordinal}",
    )
    return f"{face.face_id}.jpg", record.encode_face(face, np.zeros((32, 32, 3), np.uint8), None, 90)
