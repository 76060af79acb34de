from __future__ import annotations

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face, same_face

from facewright.core.errors import NothingFound
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.store import Writer
from facewright.faceset.tags import PARKED, chosen, is_parked, mark


@pytest.fixture
def faceset(tmp_path, picture) -> Faceset:
    mask = np.full((16, 16), 200, np.uint8)
    faces = [make_face(i, flags=("obstructed",) if i in (1, 3) else ("profile",) if i == 4 else (),
                       person="Ada" if i < 3 else "Bea") for i in range(6)]
    with Writer(tmp_path / "set") as writer:
        writer.add_chunk(SHA, 0, [(f"{f.face_id}.jpg", record.encode_face(f, picture, mask)) for f in faces])
    return Faceset.open(tmp_path / "set")


def test_faces_by_flag_name_and_person(faceset):
    ids = [row.face_id for row in faceset.rows()]
    assert [r.face_id for r in chosen(faceset, flags=["obstructed"])] == [ids[1], ids[3]]
    assert [r.face_id for r in chosen(faceset, flags=["obstructed"], person="Bea")] == [ids[3]]
    assert [r.face_id for r in chosen(faceset, [ids[5], f"some/where/{ids[0]}.jpg"])] == [ids[0], ids[5]]
    assert [r.face_id for r in chosen(faceset, [ids[5]], ["profile"])] == [ids[4], ids[5]]
    assert len(chosen(faceset)) == 6
    for wrong in ({"faces": ["nobody"]}, {"flags": ["blurry"]}, {"faces": [ids[0]], "person": "Bea"}):
        with pytest.raises(NothingFound):
            chosen(faceset, **wrong)


def test_marking_changes_flags_and_nothing_else(faceset):
    before = {face.face_id: (face, faceset.image(face), faceset.mask(face)) for face in faceset}
    rows = chosen(faceset, flags=["obstructed"])
    assert mark(faceset, rows, add=[PARKED]) == 2
    assert mark(faceset, list(faceset.rows(face_id=rows[0].face_id)), add=[PARKED]) == 0
    assert [r.face_id for r in faceset.rows() if is_parked(r)] == [r.face_id for r in rows]
    for face in faceset:
        old, image, mask = before[face.face_id]
        assert same_face(face, record.Face(**{n: getattr(old, n) for n in old.__slots__} | {"flags": face.flags}))
        assert np.array_equal(faceset.image(face), image)
        assert np.array_equal(faceset.mask(face), mask)
    assert faceset.info().flags == {"obstructed": 2, "parked": 2, "profile": 1}
    assert mark(faceset, list(faceset.rows()), remove=[PARKED]) == 2
    assert faceset.info().flags == {"obstructed": 2, "profile": 1}
