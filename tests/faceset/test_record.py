from __future__ import annotations

import dataclasses
import io
import json
import re
import struct
import time
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from tests.faceset.conftest import SHA, make_face, same_face

from facewright.core.errors import FileRefused
from facewright.faces.face import FaceType, SourceRef
from facewright.faceset import facejson, record, segments

finite32 = st.floats(-1e6, 1e6, width=32, allow_nan=False)
points = hnp.arrays(np.float32, (68, 2), elements=finite32)
text = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.mark.parametrize("quality", [95, 60, 0])
def test_round_trip(picture, quality):
    mask = (picture[..., 0] > 100).astype(np.uint8) * 255
    face = make_face(flags=("profile", "second_look"), person="Zoë", polygons=((1, np.ones((4, 2), np.float32)),))
    data = record.encode_face(face, picture, mask, quality)
    assert same_face(record.decode_face(data), face)
    assert np.array_equal(record.decode_mask(data), mask)
    image = record.decode_image(data)
    assert np.abs(image.astype(int) - picture).max() <= (0 if quality == 0 else 40)
    viewer = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert viewer.shape == picture.shape
    assert record.decode_mask(record.replace_metadata(data, face)) is None


@given(points, st.none() | points, text, text, st.fractions(), st.sampled_from(FaceType),
       hnp.arrays(np.float64, (3, 3), elements=st.floats(-1e12, 1e12)),
       st.lists(st.tuples(st.sampled_from([0, 1]), hnp.arrays(np.float32, (5, 2), elements=finite32)), max_size=3),
       st.integers(-(2**62), 2**62))
def test_any_face_survives(raw, edited, name, person, base, kind, matrix, polygons, pts):
    face = make_face(points_px=raw, edited_px=edited, person=person, face_type=kind, face_from_frame=matrix,
                     polygons=tuple(polygons), source=SourceRef(name, SHA, 7, pts, base))
    assert same_face(facejson.from_json(facejson.to_json(face)), face)


@given(st.binary(max_size=400_000))
def test_parts_round_trip(data):
    payloads = segments.split_parts(b"J", data)
    assert all(len(p) <= 65_000 for p in payloads)
    assert segments.join_parts(tuple(payloads)) == {b"J": data}


@pytest.mark.parametrize("quality", [95, 0])
def test_editing_metadata_keeps_every_pixel_byte(picture, quality):
    data = record.encode_face(make_face(), picture, None, quality)
    edited = record.replace_metadata(data, make_face(person="Ada"), np.zeros((512, 512), np.uint8))
    assert record.decode_face(edited).person == "Ada"
    assert segments.cut(edited).after == segments.cut(data).after
    assert segments.cut(edited).before == segments.cut(data).before
    again = record.replace_metadata(edited, make_face())
    assert again == data


def test_other_peoples_segments_stay(picture):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    Image.fromarray(picture).save(buffer, "JPEG", exif=exif, comment=b"a comment", icc_profile=b"profile" * 20)
    foreign = b"\xff\xe4\x00\x08OTHER\0"
    plain = buffer.getvalue()
    plain = plain[:2] + foreign + plain[2:]
    data = record.replace_metadata(plain, make_face())
    assert record.decode_face(data).face_id == make_face().face_id
    pieces = segments.cut(data)
    assert pieces.before + pieces.after == plain
    opened = Image.open(io.BytesIO(data))
    assert opened.getexif()[0x010E] == "a description"
    assert opened.info["comment"] == b"a comment"
    assert opened.info["icc_profile"] == b"profile" * 20


def test_png_chunks_stay(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", dpi=(72, 72))
    data = record.replace_metadata(buffer.getvalue(), make_face())
    pieces = segments.cut(data)
    assert pieces.before + pieces.after == buffer.getvalue()
    Image.open(io.BytesIO(data)).verify()
    Image.open(io.BytesIO(data)).load()


def test_a_large_mask_is_read_too(tmp_path, picture):
    mask = np.random.default_rng(1).integers(0, 256, (700, 700)).astype(np.uint8)
    path = tmp_path / "Gesicht ünï.jpg"
    path.write_bytes(record.encode_face(make_face(), picture, mask))
    face, has_mask = record.read_head(path)
    assert same_face(face, make_face())
    assert has_mask
    assert np.array_equal(record.read_mask(path), mask)


def _read_all(path: Path) -> None:
    record.read_face(path)
    record.read_mask(path)
    record.read_image(path)


def _with_parts(data: bytes, payloads: list[bytes]) -> bytes:
    return segments.join(segments.cut(data), payloads)


def _part(body: bytes, number: int = 1, count: int = 1, version: int = 1, kind: bytes = b"J") -> bytes:
    head = struct.pack(">BBHH", version, kind[0], number, count)
    return segments.MAGIC + head + struct.pack(">I", zlib.crc32(head + body)) + body


def _hostile(data: bytes) -> dict[str, bytes]:
    good = segments.cut(data).ours[0]
    body = json.loads(facejson.to_json(make_face()))
    flipped = bytearray(good)
    flipped[60] ^= 1

    def changed(**values: object) -> bytes:
        return _with_parts(data, [_part(json.dumps(body | values).encode())])

    bomb = io.BytesIO()
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(bomb, "PNG")
    wide = bytearray(bomb.getvalue())
    wide[16:24] = struct.pack(">II", 60_000, 60_000)
    wide[29:33] = struct.pack(">I", zlib.crc32(bytes(wide[12:29])))
    huge = bytearray(data)
    at = re.search(rb"\xff\xc0\x00\x11\x08", data).end()
    huge[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    return {
        "empty": b"", "text": b"hello", "soi": b"\xff\xd8", "no end": b"\xff\xd8\xff\xe0\xff\xff",
        "zero length": b"\xff\xd8\xff\xe0\x00\x00" + data[2:], "cut head": data[:300],
        "flipped": _with_parts(data, [bytes(flipped)]),
        "no metadata": _with_parts(data, []), "missing part": _with_parts(data, [_part(b"{}", 1, 2)]),
        "part order": _with_parts(data, [_part(b"{}", 2, 2)]),
        "huge count": _with_parts(data, [_part(b"{}", 1, 65535)]),
        "many parts": _with_parts(data, [_part(b"x", i % 65535 + 1, 65535) for i in range(70_000)]),
        "short part": _with_parts(data, [segments.MAGIC + b"\x01"]), "not json": _with_parts(data, [_part(b"\xff{")]),
        "deep": _with_parts(data, segments.split_parts(b"J", b"[" * 500_000)),
        "deep pairs": _with_parts(data, segments.split_parts(b"J", b'{"a":' * 300_000)),
        "long number": _with_parts(data, segments.split_parts(b"J", b"1" * 1_000_000)),
        "too large": _with_parts(data, segments.split_parts(b"J", b" " * (3 << 20))),
        "list": _with_parts(data, [_part(b"[1]")]),
        "nan": changed(score=float("nan")), "infinite": changed(yaw_deg=1e999), "points": changed(points_px=[[1, 2]]),
        "empty row": changed(points_px=[[]]), "texts": changed(points_px=[["1", "2"]] * 68),
        "ragged": changed(points_px=[[1, 2], [3]]), "objects": changed(points_px=[{}] * 68),
        "bool": changed(side_px=True),
        "big int": changed(side_px=10**40), "mesh": changed(mesh_px={"shape": [10**9, 3], "int16_le_base64": ""}),
        "base": changed(source=body["source"] | {"time_base": "1/0"}), "type": changed(face_type="torso"),
        "scale": changed(mesh_scale=0), "picture size": bytes(huge), "png size": bytes(wide),
        "mask size": _with_parts(data, [_part(facejson.to_json(make_face())), _part(bytes(wide), kind=b"M")]),
        "truncated": data[:-40],
    }


@pytest.mark.parametrize("name", sorted(_hostile(record.encode_face(make_face(), np.zeros((64, 64, 3), np.uint8)))))
def test_hostile_files_are_refused_at_once(name, tmp_path):
    data = _hostile(record.encode_face(make_face(), np.zeros((64, 64, 3), np.uint8)))[name]
    path = tmp_path / "face.jpg"
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(FileRefused) as caught:
        _read_all(path)
    assert time.process_time() - began < 1.0
    assert caught.value.remedy
    assert caught.value.what.endswith(".")


def test_a_newer_version_is_refused_with_the_remedy(picture):
    data = _with_parts(record.encode_face(make_face(), picture), [_part(b"{}", version=9)])
    with pytest.raises(FileRefused, match="newer facewright") as caught:
        record.decode_face(data)
    assert caught.value.remedy == "Update facewright."


@given(st.integers(0, 2**30), st.integers(1, 255))
def test_a_flipped_byte_never_gives_another_face(where, change):
    data = record.encode_face(make_face(), np.zeros((64, 64, 3), np.uint8))
    start = data.index(segments.MAGIC)
    at = start + where % (len(segments.cut(data).ours[0]) - 1)
    broken = bytearray(data)
    broken[at] ^= change
    with pytest.raises(FileRefused):
        record.decode_face(bytes(broken))


def test_nothing_that_is_not_a_number_is_written(picture):
    broken = make_face().points_px.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError):
        record.encode_face(make_face(points_px=broken), picture)


@pytest.mark.parametrize("change", [
    {"face_id": "../../away"}, {"face_id": "/etc/x"}, {"face_id": "a\\b"}, {"face_id": ".."}, {"face_id": ""},
    {"sha256": "../../x"},
])
def test_names_that_lead_elsewhere_are_refused(change):
    face = make_face()
    if "sha256" in change:
        face = dataclasses.replace(face, source=dataclasses.replace(face.source, **change))
    else:
        face = dataclasses.replace(face, **change)
    with pytest.raises(FileRefused):
        facejson.from_json(facejson.to_json(face))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(FileRefused, match="Cannot read"):
        record.read_face(tmp_path / "gone.jpg")


def test_the_reader_in_the_docs_reads_our_files(tmp_path, picture):
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.S).group(1)
    assert len(code.splitlines()) <= 24
    assert "facewright" not in re.findall(r"^(?:import|from) (\w+)", code, re.M)
    space: dict = {}
    exec(code, space)
    mask = np.full((40, 40), 7, np.uint8)
    for quality in (95, 0):
        path = tmp_path / f"face{record.suffix(quality)}"
        path.write_bytes(record.encode_face(make_face(person="Zoë"), picture, mask, quality))
        facts, png = space["read_face_file"](path)
        assert facts["person"] == "Zoë"
        assert facts["points_px"][5] == pytest.approx(make_face().points_px[5].tolist())
        assert np.array_equal(space["mesh"](facts), make_face().mesh_px)
        assert np.array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), 0), mask)
    assert Fraction(facts["source"]["time_base"]) == Fraction(1, 12800)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_the_shortest_decimals_are_those_that_numpy_spells(values):
    from facewright.faceset.facejson import shortest

    array = np.array(values, np.float32)
    assert np.array_equal(shortest(array), array.astype(np.str_).astype(np.float64))
