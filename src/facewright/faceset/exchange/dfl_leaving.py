"""One face file of ours -> one of DeepFaceLab's: its JPEG as it is where the original reads it, else coded anew."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from facewright.core.pickling import dumps
from facewright.faces.face import Face
from facewright.faceset import facejson, record
from facewright.faceset.exchange import dfl_pak
from facewright.faceset.exchange.dfl_facts import digests, facts_of
from facewright.faceset.exchange.dfl_file import PAYLOAD_BYTES, opened, with_payload
from facewright.faceset.exchange.dfl_masks import mask_digest, shrunk
from facewright.faceset.exchange.dfl_records import line_of

_SMALLER_MASKS = (50_000, 30_000, 15_000, 6_000)


@dataclass(frozen=True, slots=True)
class Out:
    """One face ready to leave. entry: its part of a pak's list; line: what the file of records says of it."""

    name: str
    data: bytes
    entry: bytes
    line: bytes
    consent: str


def leaving(
    data: bytes, name: str, consent: str = "", where: object = None, *, pak: bool = False
) -> tuple[Out, bool, bool]:
    """A face file of ours -> (one of DeepFaceLab's, whether its picture was coded anew, whether its mask was).

    Raises FileRefused (damaged), ValueError (more than such a file holds).
    """
    picture, face, mask_png, original = record.undress(data, where)
    if mask_png is not None:
        record.cut(mask_png, where)
    if original is not None and _untouched(face, mask_png):
        picture = opened(original).picture
    elif original is not None:  # our crop leaves, and nothing that was said of the frame holds for it
        assert face.foreign is not None
        face = dataclasses.replace(face, foreign={**face.foreign, "of": {}})
    stated = facts_of(face, mask_png)
    found, anew = opened(picture), False
    if not found.opens_there or picture.rfind(b"\xff\xd9") < 0:
        found, anew = opened(_coded(record.decode_image(picture, where))), True
    payload, smaller = dumps(stated), False
    for limit in _SMALLER_MASKS:
        if len(payload) <= PAYLOAD_BYTES:
            break
        stated, smaller = shrunk(stated, limit), True
        payload = dumps(stated)
    told: dict[str, Any] = {"face_id": face.face_id, "name": name, "consent": consent, "person": face.person,
                            "mask": mask_digest(stated)}
    if face.foreign is None:
        told["face"] = json.loads(facejson.to_json(face))
    person, _, own = name.rpartition("/")
    entry = dfl_pak.entry(own, person, found.size_px, stated) if pak else b""
    return Out(name, with_payload(found, payload), entry, line_of(told), consent), anew, smaller


def _untouched(face: Face, mask_png: bytes | None) -> bool:
    """Whether a face that was cut out of a whole frame is still as it came."""
    assert face.foreign is not None
    now, then = digests(face, mask_png), face.foreign["of"]
    return all(now[aspect] == then[aspect] for aspect in ("cut", "points"))


def _coded(image: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
