"""Faces placed or moved by hand: what is written, what comes back, what no extraction takes away."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.faceset import fake_finder
from tests.faceset.review_world import EMPTY, SureFinder, extract

from facewright import api
from facewright.core.errors import FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.faces.align import face_from_frame
from facewright.faces.landmark import corrected_points
from facewright.faceset import record
from facewright.faceset.cut import cut_crop
from facewright.faceset.faceset import Faceset
from facewright.faceset.films import frame_of
from facewright.faceset.review import decisions, review
from facewright.faceset.sorting.sort import numbered
from facewright.faceset.store import Writer
from facewright.image.geometry import apply_affine
from facewright.media.reader import open_video


@pytest.fixture
def film(world) -> str:
    return str(world[0])


def points_at(x: float, y: float, size: float = 50.0) -> list[list[float]]:
    return corrected_points(fake_finder.mesh_at(x, y, size)).tolist()


def id_of(folder: Path, frame: int, ordinal: int = 0) -> str:
    return f"{Faceset.open(folder, refresh=False).header.sources[0].sha256[:8]}_{frame:07d}_{ordinal}"


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted((folder / "faces").rglob("*.jpg"))}


def test_a_face_placed_where_none_was_found(folder, film):
    wanted = points_at(62.5, 60)
    done = api.faces_place(folder, 10, points=wanted, footage=[film])
    face = Faceset.open(folder).face(done["face_id"])
    assert done["added"]
    assert done["crop_cut"]
    assert face.flags == ("placed",)
    assert np.allclose(face.edited_px, wanted, atol=1e-4)
    assert np.allclose(face.face_from_frame, face_from_frame(np.float32(wanted), 128, face.face_type))
    assert (face.source.file, face.source.frame_index, face.detector) == ("film.mp4", 10, "hand")
    near = Faceset.open(folder).face(id_of(folder, 9))
    assert face.track == near.track  # so it is the same person's
    assert face.source.pts == near.source.pts * 10 // 9
    assert abs(face.yaw_deg) < 2
    frame = frame_of(open_video(Path(film)), 10)
    shown = cut_crop(frame.image, face.face_from_frame, 128, "cubic").astype(int)
    assert np.abs(Faceset.open(folder).image(face).astype(int) - shown).mean() < 3
    one = next(s for s in review.states(Faceset.open(folder)) if s.frame == 10)
    assert (one.state, one.by) == ("accepted", "user")


def test_five_and_three_points_place_a_head(folder, film, tmp_path):
    points = np.array(points_at(62.5, 60))
    five = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
    file = tmp_path / "five.json"
    file.write_text(json.dumps({"points": np.array(five).tolist()}))
    found = np.array(api.faces_place(folder, 10, points=file, footage=[film])["points_px"])
    assert np.abs(found - points).max() < 2
    three = np.array([five[0], five[1], (five[3] + five[4]) / 2])
    found = np.array(api.faces_place(folder, 17, points=three.tolist(), footage=[film])["points_px"])
    assert np.abs(found - points).max() < 4


@pytest.mark.parametrize("text", ["[]", "[[1,2]]", "{}", "[[1,2],[3,4],[5,6]", '{"points": 7}', "[[1,1],[2,2],[3,3]]",
                                  "[" * 5000, '[["a","b"]]', "[[1e400,2],[3,4],[0,9]]"])
def test_points_that_place_no_face_are_refused(folder, film, tmp_path, text):
    file = tmp_path / "points.json"
    file.write_text(text)
    before = files_of(folder)
    with pytest.raises(FileRefused):
        api.faces_place(folder, 10, points=file, footage=[film])
    assert files_of(folder) == before
    assert not (folder / "review.jsonl").exists()


def test_moving_points_cuts_the_crop_anew_and_takes_labels_along(folder, film):
    name = id_of(folder, 21)
    path = Faceset.open(folder).file(name)
    old = record.read_face(path)
    labelled = dataclasses.replace(
        old, polygons=((1, np.float32([[20, 20], [100, 20], [60, 100]])),), flags=(*old.flags, "low_presence"))
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    path.write_bytes(record.replace_metadata(path.read_bytes(), labelled, mask))
    before = path.read_bytes()
    moved = (old.points + np.float32([6, -4])).tolist()
    done = api.faces_place(folder, 21, points=moved, face=name, footage=[film])
    assert not done["added"]
    face = record.read_face(path)
    assert np.allclose(face.points, moved, atol=1e-4)
    assert np.array_equal(face.points_px, old.points_px)  # raw points stay
    assert "low_presence" not in face.flags
    frame = np.linalg.inv(old.face_from_frame), np.linalg.inv(face.face_from_frame)
    assert np.allclose(apply_affine(frame[1], face.polygons[0][1]), apply_affine(frame[0], labelled.polygons[0][1]),
                       atol=1e-3)  # the same place of the frame
    inside = record.read_mask(path) > 127
    centre = np.argwhere(inside).mean(0)[::-1] * 2 + 0.5  # 64 px mask of a 128 px crop
    assert np.allclose(apply_affine(frame[1], [centre])[0], apply_affine(frame[0], [[63.5, 63.5]])[0], atol=1.0)
    assert abs(face.mesh[:, 0].mean() - old.mesh[:, 0].mean() - 6) < 0.5
    assert api.faces_undo(folder)["undo"] == "place"
    assert path.read_bytes() == before
    api.faces_redo(folder)
    assert np.allclose(record.read_face(path).points, moved, atol=1e-4)


def test_without_its_film_a_face_keeps_its_crop(folder):
    name = id_of(folder, 21)
    path = Faceset.open(folder).file(name)
    image, old = record.read_image(path), record.read_face(path)
    done = api.faces_place(folder, 21, points=(old.points + np.float32([6, -4])).tolist(), face=name)
    face = record.read_face(path)
    assert not done["crop_cut"]
    assert "crop_of_other_points" in face.flags
    assert np.array_equal(record.read_image(path), image)
    assert np.array_equal(face.face_from_frame, old.face_from_frame)
    with pytest.raises(NothingFound, match="not at hand"):
        api.faces_place(folder, 10, points=points_at(60, 60))
    with pytest.raises(Mismatch):
        api.faces_place(folder, 22, points=points_at(60, 60), face=name)


def test_undo_and_redo_of_everything_leave_every_byte(folder, film):
    before = files_of(folder)
    for frame in (10, 11, 17):
        api.faces_place(folder, frame, points=points_at(62, 60), footage=[film])
    api.faces_place(folder, 11, points=points_at(70, 66), face=id_of(folder, 11), footage=[film])
    api.faces_accept(folder, ["11"])
    after = files_of(folder)
    for _ in range(5):
        api.faces_undo(folder)
    assert files_of(folder) == before
    for _ in range(5):
        api.faces_redo(folder)
    assert files_of(folder) == after
    for _ in range(5):
        api.faces_undo(folder)
    assert files_of(folder) == before
    again = api.faces_place(folder, 10, points=points_at(62, 60), footage=[film])["face_id"]
    assert again not in {Path(name).stem for name in after}  # an id is never given twice


def test_edits_are_never_overwritten_by_an_extraction(world, tmp_path):
    """Half extracted, a face placed in either half and one moved; then the extraction goes on, and once more."""
    film, folder = world[0], tmp_path / "set"
    extract(film, folder, only=lambda item: item.payload.start == 0)
    placed = [api.faces_place(folder, frame, points=points_at(60 + frame / 4, 60), footage=[film]) for frame in (3, 40)]
    name = id_of(folder, 5)
    api.faces_place(folder, 5, points=points_at(68, 64), face=name, footage=[film])
    api.faces_skip(folder, ["6"])
    kept = {path: data for path, data in files_of(folder).items()
            if Path(path).stem in {name, *(one["face_id"] for one in placed)}}
    assert len(kept) == 3
    for _ in range(2):
        extract(film, folder)
        assert kept.items() <= files_of(folder).items()
    found = {one.frame: one for one in review.states(Faceset.open(folder))}
    assert [row.face_id for row in found[40].rows] == [placed[1]["face_id"]]  # the head is not there twice
    assert found[6].state == "skipped"
    assert [found[n].state for n in EMPTY] == ["accepted", *["no_face"] * (len(EMPTY) - 1)]
    sure = SureFinder()
    assert {n: len(one.rows) for n, one in found.items() if n > 3} == {n: len(sure.faces(n)) for n in found if n > 3}


class FakeLandmarker:
    """Sees a head of 50 px at (62, 60) if it looks there."""

    net = "fake:1"

    def __call__(self, images, detections):
        found = fake_finder.found(0, 62, 60, 50, 1.0).landmarks
        far = [abs((d.box_px[0] + d.box_px[2]) / 2 - 62) > 30 for d in detections]
        return [dataclasses.replace(found, presence_01=0.01, presence_logit=-4.0) if away else found for away in far]


def test_a_rectangle_is_looked_in(folder, film, monkeypatch):
    from facewright.faceset.review.place import Nets

    monkeypatch.setattr("facewright.api.review._nets", lambda: Nets(FakeLandmarker()))
    done = api.faces_place(folder, 10, rect="30,20,100,110", footage=[film])
    face = Faceset.open(folder).face(done["face_id"])
    assert np.allclose(face.points, points_at(62, 60), atol=0.01)
    assert face.nets == (("landmarks", "fake:1"),)
    with pytest.raises(NothingFound, match="sees no face"):
        api.faces_place(folder, 10, rect=(120, 20, 180, 90), footage=[film])
    forced = api.faces_place(folder, 10, rect=(120, 20, 180, 90), footage=[film], force=True)
    x0, y0, x1, y1 = forced["box_px"]
    assert 118 < x0 < x1 < 182
    assert 18 < y0 < y1 < 92
    for rect in ("1,2,3", "a,b,c,d", "50,50,40,40", "500,500,600,600", "nan,0,9,9"):
        with pytest.raises(SettingRefused):
            api.faces_place(folder, 10, rect=rect, footage=[film])
    with pytest.raises(SettingRefused):
        api.faces_place(folder, 10, footage=[film])


def test_undo_finds_files_that_sorting_renamed(folder, film):
    before = sorted(files_of(folder).values())
    api.faces_place(folder, 10, points=points_at(62, 60), footage=[film])
    api.faces_place(folder, 11, points=points_at(70, 66), face=id_of(folder, 11), footage=[film])
    after = sorted(files_of(folder).values())
    with Writer(folder) as writer:
        faceset = Faceset.open(folder)
        numbered(writer, faceset, [row.face_id for row in faceset.rows()])
    for _ in range(2):
        for _ in range(2):
            api.faces_undo(folder)
        assert sorted(files_of(folder).values()) == before
        for _ in range(2):
            api.faces_redo(folder)
        assert sorted(files_of(folder).values()) == after


@pytest.mark.parametrize("facts", [
    {"path": "../../x.jpg", "before": "faces/a.jpg", "after": "faces/b.jpg"}, {"new": ["/etc/passwd"], "undone": "a-b"},
    {"new": ["faces/../../x"], "undone": "a-b"}, {"new": ["faceset.json"], "undone": "a-b"}, {"new": 7, "undone": "a"},
])  # fmt: skip
def test_a_hostile_review_file_moves_no_file(folder, facts):
    with decisions.deciding(folder) as desk:
        desk.add("place", {"f" * 64: [1]}, [], facts)
    before = files_of(folder), sorted(p.name for p in folder.parent.iterdir())
    with pytest.raises(FileRefused):
        api.faces_undo(folder)
    assert (files_of(folder), sorted(p.name for p in folder.parent.iterdir())) == before


def test_killed_while_placing_nothing_is_lost(folder, film):
    code = ("import sys; from facewright import api; from pathlib import Path\n"
            "import tests.faceset.fake_finder as f; from facewright.faces.landmark import corrected_points as c\n"
            "for n in range(400):\n"
            "    p = c(f.mesh_at(60 + n % 9, 60, 50)).tolist()\n"
            "    api.faces_place(Path(sys.argv[1]), 21, points=p, footage=[sys.argv[2]], face=sys.argv[3]);\n"
            "    print(n, flush=True)\n")
    name = id_of(folder, 21)
    before = set(files_of(folder))
    for pause in (0.013, 0.047, 0.111):
        child = subprocess.Popen([sys.executable, "-c", code, str(folder), film, name], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(pause)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert set(files_of(folder)) == before
        record.read_face(Faceset.open(folder).file(name))
        record.read_image(Faceset.open(folder).file(name))
    while decisions.read(folder).deeds:
        api.faces_undo(folder)
    assert record.read_face(Faceset.open(folder).file(name)).edited_px is None


@pytest.mark.shared
def test_the_landmark_net_places_a_face_in_a_loose_rectangle(shared, weights, tmp_path):
    film = shared / "footage" / "synthetic_person_a.mp4"
    truth = np.load(shared / "footage" / "synthetic_person_a.npz")
    folder = extract(film, tmp_path / "set", finder=lambda settings: Everywhere(truth["landmarks68"]), fps=1.0)
    poses = np.abs(truth["yaw_pitch_roll_deg"][:, 0])
    frames = [int(np.flatnonzero((poses > low) & (poses < low + 12))[0]) for low in (0, 15, 30)]
    for frame in frames:
        points = truth["landmarks68"][frame]
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        w, h = x1 - x0, y1 - y0
        rect = (x0 - 0.5 * w, y0 - 0.4 * h, x1 + 0.3 * w, y1 + 0.2 * h)
        done = api.faces_place(folder, frame, rect=rect, footage=[film])
        eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
        error = np.linalg.norm(np.array(done["points_px"])[17:] - points[17:], axis=1).mean()
        assert error < 0.12 * max(eyes, 0.3 * h), frame
        assert done["presence_01"] > 0.99


class Everywhere(fake_finder.FakeFinder):
    """Finds the face of the first frame everywhere."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__()
        self._at = points[0].mean(0)

    def faces(self, index):
        return [fake_finder.found(index, float(self._at[0]), float(self._at[1]), 100)]
