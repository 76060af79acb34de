from __future__ import annotations

import io
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.masks.conftest import head, make_set, picture

from facewright.core.errors import DiskRefused, NothingFound
from facewright.faceset.faceset import Faceset
from facewright.masks import check, doubt, export, suggest
from facewright.masks.label import drawn
from facewright.masks.maskers import masker
from facewright.masks.settings import CheckSettings, ExportSettings, SuggestSettings
from facewright.masks.sheet import overlay, sheet

FAULTS = ("holes", "pieces", "blur", "small", "empty", "jump")


def sound(face) -> np.ndarray:
    return masker("mesh")(picture(face), face, 256)


def faulty(mask: np.ndarray, fault: str) -> np.ndarray:
    mask = mask.copy()
    if fault == "holes":
        cv2.circle(mask, (120, 130), 12, 0, -1)
    elif fault == "pieces":
        cv2.circle(mask, (15, 15), 12, 1, -1)
    elif fault == "blur":
        mask = cv2.GaussianBlur(mask, (0, 0), 9)
    elif fault == "small":
        mask[105:] = 0
    elif fault == "large":
        mask[:] = 1
    elif fault == "empty":
        mask[:] = 0
    elif fault == "jump":
        mask = np.roll(mask, 25, 1)
    return mask


@pytest.mark.parametrize("fault", [*FAULTS[:5], "large"])
def test_each_fault_has_its_word(fault):
    face = head(yaw_deg=10.0)
    assert doubt.reasons(doubt.measure(sound(face), face), CheckSettings()) == []
    facts = doubt.measure(faulty(sound(face), fault), face)
    assert doubt.reasons(facts, CheckSettings()) == [fault]
    assert facts.uncertainty_01 > doubt.measure(sound(face), face).uncertainty_01 or fault in ("small", "large")


def test_facts_do_not_depend_on_the_mask_s_size():
    face = head()
    mask = faulty(sound(face), "holes")
    facts = [doubt.measure(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), face)
             for side in (128, 256, 512)]
    for name in ("area_01", "holes_01", "of_hull"):
        values = [getattr(f, name) for f in facts]
        assert max(values) < 1.1 * min(values), name


def test_a_jump_is_told_and_an_occlusion_that_stays_is_not():
    face = head()
    whole = sound(face)
    covered = whole.copy()
    covered[150:] = 0
    line = [whole, whole, np.roll(whole, 25, 1), whole, whole, covered, covered, covered]
    found = dict(doubt.jumps(("t", str(i), mask) for i, mask in enumerate(line)))
    assert found["2"] > 0.1
    assert all(value < 0.02 for name, value in found.items() if name != "2")
    two = [(track, f"{track}{i}", whole if track == "a" else covered) for i in range(4) for track in "ab"]
    assert all(value == 0 for _, value in doubt.jumps(two)), "tracks are kept apart"


@pytest.fixture
def doubtful_set(tmp_path):
    faces = [head(n, yaw_deg=float(n)) for n in range(24)]
    masks = {f.face_id: np.rint(255 * sound(f)).astype(np.uint8) for f in faces}
    for place, fault in zip((2, 5, 8, 11, 14, 17), FAULTS):
        masks[faces[place].face_id] = np.rint(255 * faulty(sound(faces[place]), fault)).astype(np.uint8)
    del masks[faces[20].face_id]
    return make_set(tmp_path / "set", faces, masks), faces


def test_the_set_s_doubtful_masks(doubtful_set, tmp_path):
    folder, faces = doubtful_set
    file = tmp_path / "new" / "sheet.png"
    seen = []
    done = check.doubtful(folder, CheckSettings(), sheet_file=file, progress=lambda a, b: seen.append((a, b)))
    reasons = {row["face_id"]: row["reasons"] for row in done["rows"]}
    for place, fault in zip((2, 5, 8, 11, 14, 17), FAULTS):
        assert fault in reasons[faces[place].face_id]
    assert reasons[faces[20].face_id] == ["missing"]
    assert set(reasons) == {faces[n].face_id for n in (2, 5, 8, 11, 14, 17, 20)}
    assert (done["faces"], done["masks"], done["doubtful"]) == (24, 23, 7)
    assert seen[-1] == (23, 24)
    assert Image.open(file).size[0] > 1000
    assert check.doubtful(folder, CheckSettings(holes=100.0))["reasons"].get("holes") is None
    empty = make_set(tmp_path / "none", [head(0)])
    with pytest.raises(NothingFound, match="has a mask"):
        check.doubtful(empty, CheckSettings())


def test_a_sheet_is_drawn_of_the_faces_that_can_be_read(doubtful_set, tmp_path):
    folder, faces = doubtful_set
    bad = Faceset.open(folder).file(faces[2])
    bad.write_bytes(bad.read_bytes()[:-200])
    done = check.doubtful(folder, CheckSettings(), sheet_file=tmp_path / "sheet.png")
    assert done["doubtful"] == 7
    assert done["refused"] == [[str(bad.relative_to(folder)), "Its picture is cut short."]]
    assert (tmp_path / "sheet.png").is_file()
    bad.write_bytes(b"no picture")
    done = check.doubtful(folder, CheckSettings())
    assert [path for path, _ in done["refused"]] == [str(bad.relative_to(folder))]
    assert done["faces"] == 23


def test_a_sheet_darkens_what_is_outside():
    face = head(side=256)
    mask = np.zeros((64, 64), np.float32)
    mask[:, 32:] = 1
    shown = overlay(np.full((256, 256, 3), 90, np.uint8), mask, 128)
    assert shown[64, 20].tolist() == [30, 30, 30]
    assert shown[64, 100].tolist() == [90, 90, 90]
    assert (overlay(picture(face), None) > 0).any()
    for many in (1, 7, 100):
        data = sheet("ünï" * 100, ((picture(face), mask, ("a" * 200, "ж")) for _ in range(many)))
        assert Image.open(io.BytesIO(data)).size[1] < 3000


def test_pictures_of_masks(doubtful_set, tmp_path):
    folder, faces = doubtful_set
    out = tmp_path / "png"
    assert export.export(folder, out, ExportSettings())["written"] == 23
    picture_of = cv2.imread(str(out / f"{faces[0].face_id}.png"), cv2.IMREAD_UNCHANGED)
    assert picture_of.shape == (128, 128)
    assert abs(picture_of.mean() / 255 - Faceset.open(folder).mask(faces[0]).mean()) < 0.01
    again = export.export(folder, out, ExportSettings(hard=True, side=64))
    assert again["without"] == 1
    assert set(np.unique(cv2.imread(str(out / f"{faces[0].face_id}.png"), cv2.IMREAD_UNCHANGED))) == {0, 255}
    (out / "letter.txt").write_text("x")
    with pytest.raises(DiskRefused, match="not an empty folder"):
        export.export(folder, out, ExportSettings())


def test_labels_are_drawn_where_there_is_no_mask(tmp_path):
    triangle = ((1, np.array([[20, 20], [100, 20], [60, 100]], np.float32)),)
    place = make_set(tmp_path / "set", [head(0, polygons=triangle), head(1)])
    done = export.export(place, tmp_path / "out", ExportSettings())
    assert (done["written"], done["from labels"], done["without"]) == (1, 1, 1)
    (file,) = (tmp_path / "out").iterdir()
    assert np.array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), drawn(triangle, 128) * 255)


def test_suggestions_are_diverse_doubtful_first_and_say_why(tmp_path):
    triangle = ((1, np.array([[20, 20], [100, 20], [60, 100]], np.float32)),)
    faces = [head(n, yaw_deg=float(3 * (n // 4)), polygons=triangle if n == 0 else ()) for n in range(60)]
    masks = {f.face_id: np.rint(255 * sound(f)).astype(np.uint8) for f in faces}
    masks[faces[1].face_id] = np.rint(255 * faulty(sound(faces[1]), "blur")).astype(np.uint8)
    place = make_set(tmp_path / "set", faces, masks)
    done = suggest.suggest(place, SuggestSettings(number=12))
    ids = [row["face_id"] for row in done["rows"]]
    assert len(set(ids)) == 12
    assert faces[0].face_id not in ids, "labelled already"
    assert faces[1].face_id == ids[0]
    assert all(row["why"] for row in done["rows"])
    assert "doubtful (blur)" in next(row["why"] for row in done["rows"] if row["face_id"] == faces[1].face_id)
    yaws = sorted(row["yaw_deg"] for row in done["rows"])
    assert yaws[0] <= 3
    assert yaws[-1] == 42
    assert max(b - a for a, b in pairwise(yaws)) <= 15, "no pose is left out"
    assert suggest.suggest(place, SuggestSettings(number=12)) == done, "repeatable"
    assert len(suggest.suggest(place, SuggestSettings(number=500))["rows"]) == 59
    labelled = make_set(tmp_path / "all", [head(0, polygons=triangle)])
    with pytest.raises(NothingFound, match="Every face"):
        suggest.suggest(labelled, SuggestSettings())
