from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face
from tests.faceset.sets import contents, head_of, make_set

from facewright.core.errors import NothingFound
from facewright.core.step import Stop, Work
from facewright.faces.align import face_from_frame, template_3d
from facewright.faces.face import FaceType
from facewright.faces.find import FaceFinder
from facewright.faces.settings import DetectSettings
from facewright.faces.smooth import jitter, smoothed
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Person
from facewright.faceset.people import persons
from facewright.faceset.recut import MOST_MOVED, OTHER_POINTS, crop_shift, kept
from facewright.faceset.review.smoothing import SmoothStep, with_smoothed
from facewright.faceset.settings import SmoothSettings
from facewright.media.reader import frames, open_video

SHAPE = template_3d()[:, :2].astype(np.float64) * 0.6


def _face(frame, who="a", *, at=(200.0, 200.0), noise=0.2, shot=0, **more):
    rng = np.random.default_rng(frame * 7 + ord(who[0]))
    points = (SHAPE + at + rng.normal(size=(68, 2)) * noise).astype(np.float32)
    more.setdefault("points_px", points)
    face = make_face(frame, "abc".index(who), track=f"{SHA[:8]}_{frame // 32 * 32:07d}_{shot}{who}", yaw_deg=0.0,
                     face_from_frame=face_from_frame(points, 64, FaceType.WHOLE),
                     box_px=(at[0] - 60, at[1] - 60, at[0] + 60, at[1] + 60), **more)
    source = dataclasses.replace(face.source, pts=frame, time_base=Fraction(1, 25), shot=shot)
    return dataclasses.replace(face, source=source)


def _set(place: Path, faces, picture) -> Faceset:
    made = make_set(place, faces, picture, head_of(SHA))
    persons.tell_apart(place, lambda ids: None)
    return made


def _run(folder, strength=0.75, person="", work=None, most=1000):
    step = SmoothStep(str(folder), SmoothSettings(strength=strength), person)
    records = {}
    for done, (item, result) in enumerate(step.stream(step.plan(), work or Work())):
        if done < most:
            records[item.id] = step.commit(item, result)
    return step.finish(records, Work())


def test_a_track_is_smoothed_over_the_borders_of_its_chunks(tmp_path, picture):
    faceset = _set(tmp_path / "set", [_face(frame) for frame in range(80)], picture)
    done = _run(faceset.path)
    assert (done["tracks"], done["faces"], done["smoothed"], done["changed"]) == (1, 80, 80, 80)
    assert done["jitter_after"] < 0.4 * done["jitter_before"]
    faces = list(Faceset.open(faceset.path))
    raw = np.stack([face.points_px for face in faces])
    whole = smoothed(np.arange(80) / 25, raw, 0.75).points_px
    assert np.abs(np.stack([face.points for face in faces]) - whole).max() < 1e-4
    assert not any(OTHER_POINTS in face.flags for face in faces)


def test_strength_nought_brings_every_byte_back_and_again_writes_nothing(tmp_path, picture):
    faceset = _set(tmp_path / "set", [_face(frame, mask_by="hull") for frame in range(40)], picture)
    before = contents(faceset)
    _run(faceset.path)
    assert contents(faceset) != before
    assert _run(faceset.path)["changed"] == 0
    assert _run(faceset.path, 0)["smoothed"] == 0
    assert contents(faceset) == before


def test_shots_and_people_are_apart(tmp_path, picture):
    faces = [_face(f, shot=0 if f < 20 else 1) for f in range(40)]
    faces += [_face(f, "b", at=(420.0, 200.0)) for f in range(40)]
    faceset = _set(tmp_path / "set", faces, picture)
    assert len(faceset.people()) == 3  # no vectors: behind a cut nobody is believed to be the same
    _run(faceset.path, person="person-1")
    found = Faceset.open(faceset.path)
    assert {face.track[-1] for face in found if face.smoothed_px is not None} == {"b"}
    _run(faceset.path)
    for start, shot in ((0, 0), (20, 1)):
        own = [f for f in Faceset.open(faceset.path) if f.track.endswith("a") and f.source.shot == shot]
        alone = smoothed((np.arange(20) + start) / 25, np.stack([f.points_px for f in own]), 0.75).points_px
        assert np.abs(np.stack([f.points for f in own]) - alone).max() < 1e-4


def test_points_of_a_person_stay_and_count_for_their_neighbours(tmp_path, picture):
    right = (SHAPE + 200).astype(np.float32)
    faces = [_face(f, noise=0.02) for f in range(20)]
    faces[9:11] = [dataclasses.replace(face, points_px=face.points_px + 15) for face in faces[9:11]]
    faces[10] = dataclasses.replace(faces[10], edited_px=right)
    faceset = _set(tmp_path / "set", faces, picture)
    _run(faceset.path)
    found = list(Faceset.open(faceset.path))
    assert found[10].smoothed_px is None
    assert np.array_equal(found[10].points, right)
    assert max(np.linalg.norm(face.points - right, axis=-1).max() for face in found) < 0.2


def test_what_is_put_in_between_follows_its_neighbours(tmp_path, picture):
    faces = [_face(f, noise=0.02) for f in range(20)]
    wrong = faces[10].points_px + 5
    faces[10] = dataclasses.replace(faces[10], points_px=wrong, flags=("interpolated",))
    faceset = _set(tmp_path / "set", faces, picture)
    _run(faceset.path)
    assert np.linalg.norm(list(Faceset.open(faceset.path))[10].points - SHAPE - 200, axis=-1).max() < 0.2


def test_a_crop_that_would_lie_elsewhere_says_so():
    face = _face(5)
    near, far = face.points_px + np.float32(0.5), face.points_px + np.float32(12)
    assert crop_shift(face) < 1e-6
    assert crop_shift(dataclasses.replace(face, smoothed_px=near)) < MOST_MOVED
    assert crop_shift(dataclasses.replace(face, smoothed_px=far)) > MOST_MOVED
    flagged = with_smoothed(face, far)
    assert flagged.flags == (OTHER_POINTS,)
    assert with_smoothed(flagged, near).flags == ()
    assert with_smoothed(flagged, None).flags == ()
    edited = dataclasses.replace(flagged, edited_px=far)
    assert with_smoothed(edited, near).flags == (OTHER_POINTS,)
    assert with_smoothed(edited, near).smoothed_px is None
    assert kept(dataclasses.replace(face, edited_px=near)).flags == (), "a hair's breadth, whoever moved it"
    of_smoothed = dataclasses.replace(face, face_from_frame=face_from_frame(far, 64, FaceType.WHOLE))
    assert with_smoothed(of_smoothed, far).flags == ()
    assert with_smoothed(of_smoothed, None).flags == (OTHER_POINTS,)


def test_stopped_it_goes_on_and_damaged_files_are_named(tmp_path, picture):
    faceset = _set(tmp_path / "set", [_face(frame) for frame in range(150)], picture)
    stop = Stop()
    work = Work(stop=stop, progress=lambda *a, **k: None)
    step = SmoothStep(str(faceset.path))
    stream = step.stream(step.plan(), work)
    item, result = next(stream)
    record = step.commit(item, result)
    stop.ask()
    assert next(stream, None) is None
    again = SmoothStep(str(faceset.path))
    items = again.plan()
    assert again.intact(items[0], record)
    assert not again.intact(items[1], record)
    path = faceset.path / items[1].payload[3].path
    path.write_bytes(b"damaged")
    done = _run(faceset.path)
    assert done["smoothed"] == 149
    assert Faceset.open(faceset.path).damaged()


def test_nobody(tmp_path, picture):
    faceset = _set(tmp_path / "set", [_face(1)], picture)
    with pytest.raises(NothingFound):
        SmoothStep(str(faceset.path), person="Zoe").plan()
    assert _run(faceset.path)["smoothed"] == 0


def test_faces_without_a_track_and_twice_in_a_frame_are_let_alone(tmp_path, picture):
    faces = [_face(f) for f in range(10)] + [dataclasses.replace(_face(f, "b"), track="") for f in range(10)]
    twice = dataclasses.replace(_face(3, "c"), track=_face(3).track)
    faceset = make_set(tmp_path / "set", [*faces, twice], picture, head_of(SHA, people=(Person("A", ("x",)),)))
    assert _run(faceset.path)["smoothed"] == 10


def _mouth(points):
    def between(a, b):
        return np.linalg.norm(points[:, a] - points[:, b], axis=-1)

    return (between(61, 67) + between(62, 66) + between(63, 65)) / (3 * between(60, 64))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("clip", "most"), [("franck_conversation", 0.25), ("webcam_man_take2", 0.18), ("glasses_man_expressions", 0.5)])
def test_real_film_trembles_half_as_much_and_speaks_as_before(shared, weights, clip, most):
    """The plate's floors: raw .5 .5 .7 % of the eyes' distance, a Savitzky-Golay 7/2 gives .19 .15 .38."""
    video = open_video(shared / "footage" / f"{clip}.mp4")
    finder, points, times = FaceFinder(DetectSettings(net_threads=1)), [], []
    some = list(frames(video, 100, 190))
    for row, frame in zip(finder.find(some), some):
        points.append(row[0].landmarks.points_px)
        times.append(float(frame.pts * frame.time_base))
    points, times = np.stack(points), np.array(times)
    steady = smoothed(times, points, SmoothSettings().strength).points_px
    before, after = np.median(jitter(times, points)), np.median(jitter(times, steady))
    assert after < most
    assert after < 0.72 * before
    eyes = np.linalg.norm(points[:, 36:42].mean(1) - points[:, 42:48].mean(1), axis=-1)[:, None]
    assert np.median(np.linalg.norm(steady - points, axis=-1) / eyes) < 0.005
    raw, kept = _mouth(points), _mouth(steady)
    assert np.corrcoef(raw, kept)[0, 1] > 0.98
    assert 0.95 < np.ptp(kept) / np.ptp(raw) < 1.05
    speed = [np.corrcoef(np.diff(points[5:-5, 30, 0]), np.diff(np.roll(steady[:, 30, 0], lag)[5:-5]))[0, 1]
             for lag in (-2, -1, 0, 1, 2)]
    assert int(np.argmax(speed)) == 2
