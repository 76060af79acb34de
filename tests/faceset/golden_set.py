"""The drawn faces of tests/golden as a faceset of ours, and pictures as faces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from tests.faceset.conftest import SHA, make_face
from tests.faceset.sets import write_set

from facewright.faces.face import face_id
from facewright.faceset.faceset import Faceset

IDENTITY = np.eye(3)


def golden_faceset(golden: Path, folder: Path) -> tuple[Faceset, dict[str, str]]:
    """The 12 drawn faces; their landmarks lie in the crop, so frame and crop are one. (set, face id -> golden name)."""
    expected = json.loads((golden / "data" / "faceset_expected.json").read_text())
    faces, names = [], {}
    for name in sorted(expected):
        facts, stem = expected[name], Path(name).stem
        frame, ordinal = map(int, stem.split("_"))
        image = cv2.cvtColor(cv2.imread(str(golden / "data" / "faceset" / name)), cv2.COLOR_BGR2RGB)
        face = make_face(
            frame, ordinal, points_px=np.asarray(facts["landmarks"], np.float64), face_from_frame=IDENTITY,
            side_px=image.shape[1], box_px=tuple(map(float, facts["source_rect"])))
        faces.append((face, image))
        names[face_id(SHA, frame, ordinal)] = stem
    return write_set(folder, faces), names


def set_of_pictures(folder: Path, pictures: Mapping[str, np.ndarray]) -> tuple[Faceset, dict[str, str]]:
    """Name -> (S, S, 3) RGB, in this order, one a frame."""
    faces, names = [], {}
    for frame, (name, image) in enumerate(pictures.items()):
        face = make_face(frame, side_px=image.shape[0], face_from_frame=IDENTITY)
        faces.append((face, image))
        names[face.face_id] = name
    return write_set(folder, faces), names
