"""Faces of other programs that know their film: DeepFaceLab's are linked to it, faceswap's are cut out of it; both are
merged."""

from __future__ import annotations

import pickle
import weakref
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faceset.dfl_sets import OpenGate, facts, file_of
from tests.merge.test_run import painted, run_step

from facewright.core.errors import FileRefused, Mismatch, SettingRefused
from facewright.faces.align import crop, face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset.exchange import alignments_import
from facewright.faceset.exchange.alignments import read_alignments
from facewright.faceset.exchange.alignments_import import AlignmentsStep
from facewright.faceset.exchange.dfl_import import ImportStep
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, save
from facewright.jobs.run import run_job
from facewright.media.reader import frames, open_video

__all__ = ["painted"]
CHOSEN = range(2, 96, 3)


@pytest.fixture(scope="module")
def aligned(world, tmp_path_factory) -> Path:
    """DeepFaceLab's folder of every third frame; frames are numbered from 1 there."""
    folder = tmp_path_factory.mktemp("dfl") / "data_dst" / "aligned"
    folder.mkdir(parents=True)
    for frame in frames(open_video(world.film)):
        if frame.index in CHOSEN:
            points, name = world.points(frame.index), f"{frame.index + 1:05d}"
            matrix = face_from_frame(points.astype(np.float64), 96, FaceType.WHOLE)
            image = crop(frame.image, matrix, 96)[..., ::-1]
            data = file_of(cv2.imencode(".jpg", image)[1].tobytes(), facts(points, 96, f"{name}.png"))
            (folder / f"{name}_0.jpg").write_bytes(data)
    return folder


def test_linked_to_their_film_they_are_merged(world, aligned, painted, tmp_path):
    done = run_job(ImportStep(str(aligned), str(tmp_path / "set"), frames=str(world.film)), gate=OpenGate()).result
    assert (done["imported"], done["linked"]) == (len(CHOSEN), True)
    faceset = Faceset.open(tmp_path / "set")
    assert faceset.footage() == {world.sha256: world.film.name}
    for face in faceset:
        assert np.array_equal(face.points, world.points(face.source.frame_index))
        assert face.source.pts * face.source.time_base == Fraction(face.source.frame_index, 25)
    summary = run_step(painted(world.film, tmp_path / "set", tmp_path / "out"))
    assert (summary["frames"], summary["swapped"]) == (100, len(CHOSEN))


def test_a_folder_of_frames_links_by_name(world, aligned, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for frame in frames(open_video(world.film)):
        cv2.imwrite(str(folder / f"{frame.index + 1:05d}.png"), frame.image[..., ::-1])
    (folder / "00003.png").unlink()
    done = run_job(ImportStep(str(aligned), str(tmp_path / "set"), frames=str(folder)), gate=OpenGate()).result
    assert done["imported"] == len(CHOSEN) - 1
    assert done["refused"] == [["00003_0.jpg", "Its frame '00003.png' is not in frames"]]
    for face in Faceset.open(tmp_path / "set"):
        number = round((face.points.mean(0)[0] - world.points(0).mean(0)[0]) / 0.4) + 1
        assert face.source.file == f"frames/{number:05d}.png"


def test_another_film_is_noticed(world, aligned, tmp_path):
    moved = tmp_path / "aligned"
    moved.mkdir()
    for path in aligned.iterdir():  # as if frames had been taken at another rate
        number = int(path.name[:5])
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), 1)
        stated = facts(world.points(number - 1), 96, f"{(number + 49) % 96 + 1:05d}.png")
        data = file_of(cv2.imencode(".jpg", image)[1].tobytes(), stated)
        (moved / path.name).write_bytes(data)
    with pytest.raises(Mismatch, match="does not show these faces"):
        run_job(ImportStep(str(moved), str(tmp_path / "set"), frames=str(world.film)), gate=OpenGate())
    assert not (tmp_path / "set" / "faces").exists()


def alignments(world, path: Path, *, as_lists: bool = False, spoil=lambda data: None, extra: bool = False) -> Path:
    """faceswap's file for the drawn film."""
    data = {}
    for index in range(100):
        name = f"drawn_{index + 1:06d}.png"
        data[name] = {"faces": [], "video_meta": {"pts_time": index / 25, "keyframe": index == 0}}
        if index in CHOSEN:
            points = world.points(index)
            (x0, y0), (x1, y1) = points.min(0), points.max(0)
            face = {"x": int(x0), "w": int(x1 - x0), "y": int(y0), "h": int(y1 - y0),
                    "landmarks_xy": points.tolist() if as_lists else points, "identity": {"vggface2": np.ones(
                        512, np.float32)}, "thumb": np.zeros(900, np.uint8),
                    "mask": {"components": {"mask": zlib.compress(bytes(128 * 128)), "stored_size": 128}}}
            data[name]["faces"].append(face)
    if extra:
        data["drawn_000500.png"] = {"faces": data["drawn_000003.png"]["faces"]}
        data["drawn_000004.png"]["faces"].append({"x": 1, "y": 2, "w": 3, "h": 4, "landmarks_xy": [[1.0, 2.0]] * 4})
        data["drawn_000005.png"]["faces"].append({"x": 1, "y": 2, "w": 3, "h": 4})
    spoil(data)
    path.write_bytes(zlib.compress(pickle.dumps({"__meta__": {"version": 2.4}, "__data__": data})))
    return path


@pytest.mark.parametrize("as_lists", [False, True])
def test_faceswap_s_alignments_are_cut_and_merged(world, painted, tmp_path, as_lists):
    file = alignments(world, tmp_path / "drawn_alignments.fsa", as_lists=as_lists)
    record = "sha256:" + "1" * 64
    step = AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film), person="Ada", consent=record)
    done = run_job(step, gate=OpenGate()).result
    assert (done["imported"], done["refused"], done["side_px"]) == (len(CHOSEN), [], 512)
    assert "32 masks of faceswap" in done["notes"][0]
    faceset = Faceset.open(tmp_path / "set")
    for face in faceset:
        assert np.array_equal(face.points, world.points(face.source.frame_index))
        assert (face.person, face.consent) == ("Ada", record)
        assert faceset.image(face).shape == (512, 512, 3)
    assert not faceset.index.select("SELECT * FROM vectors"), "vectors that identify people stay behind"
    again = run_job(AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film), person="Ada",
                                   consent=record), gate=OpenGate()).result
    assert again["already_there"] == [world.film.name]
    summary = run_step(painted(world.film, tmp_path / "set", tmp_path / "out"))
    assert summary["swapped"] == len(CHOSEN)


def test_frames_are_cut_one_by_one(world, tmp_path, monkeypatch):
    """Thirty-two frames of 4K are 800 MB: only the one in hand and the next are held."""
    seen: list[weakref.ref[np.ndarray]] = []
    most = 0

    def watched(*arguments, **words):
        nonlocal most
        for frame in frames(*arguments, **words):
            seen.append(weakref.ref(frame.image))
            most = max(most, sum(one() is not None for one in seen))
            yield frame
            del frame

    monkeypatch.setattr(alignments_import, "read_frames", watched)
    file = alignments(world, tmp_path / "a.fsa")
    done = run_job(AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film)), gate=OpenGate()).result
    assert done["imported"] == len(CHOSEN)
    assert most <= 4


def test_frames_that_cannot_be_read_are_told_by_name(world, tmp_path, monkeypatch):
    def damaged(video, start, stop, *, on_damage):
        for frame in frames(video, start, stop):
            if frame.index == 5:
                on_damage(5, "torn")
            if frame.index not in (8, 95, 92):
                yield frame

    monkeypatch.setattr(alignments_import, "read_frames", damaged)
    file = alignments(world, tmp_path / "a.fsa")
    done = run_job(AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film)), gate=OpenGate()).result
    names = [f"drawn_{number:06d}.png#0" for number in (6, 9, 93, 96)]
    assert done["refused"] == [[name, "Its frame cannot be read"] for name in names]
    for face in Faceset.open(tmp_path / "set"):
        assert np.array_equal(face.points, world.points(face.source.frame_index))
    assert done["imported"] == len(CHOSEN) - 4


def test_alignments_do_not_slip_under_the_record_of_a_set(world, tmp_path):
    (tmp_path / "set").mkdir()
    save(tmp_path / "set", Header("whole_face", 512, consent="sha256:" + "1" * 64))
    file = alignments(world, tmp_path / "a.fsa")
    with pytest.raises(Mismatch, match="are under the consent"):
        AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film)).plan()
    assert AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film), consent="sha256:" + "1" * 64).plan()


def test_what_does_not_fit_is_named(world, tmp_path):
    file = alignments(world, tmp_path / "a.fsa", extra=True)
    done = run_job(AlignmentsStep(str(file), str(tmp_path / "set"), frames=str(world.film)), gate=OpenGate()).result
    assert done["imported"] == len(CHOSEN)
    assert sorted(done["refused"]) == [
        ["drawn_000004.png#0", "Its landmarks are 4 x 2, not 68 points"], ["drawn_000005.png#0", "'landmarksXY'"],
        ["drawn_000500.png#0", "Its frame is not in drawn.mkv"]]
    with pytest.raises(SettingRefused, match="no pictures"):
        AlignmentsStep(str(file), str(tmp_path / "set"))


class Evil:
    def __reduce__(self):
        return print, ("HACKED",)


@pytest.mark.parametrize(("data", "why"), [
    (b"junk", "incorrect header"), (zlib.compress(pickle.dumps({"a": Evil()})), "asks for"),
    (zlib.compress(pickle.dumps([1])), "no attribute"), (zlib.compress(pickle.dumps({"a": 1})), "subscriptable"),
    (zlib.compress(bytes(1000))[:-8], "cut short"),
    (zlib.compress(pickle.dumps({"f": {"faces": [1]}})), None),
])
def test_hostile_alignments_are_refused(tmp_path, data, why, capsys):
    path = tmp_path / "x.fsa"
    path.write_bytes(data)
    if why is None:
        assert read_alignments(path)[0] == []
        assert len(read_alignments(path)[1]) == 1
        return
    with pytest.raises(FileRefused) as caught:
        read_alignments(path)
    assert why in caught.value.why
    assert "HACKED" not in capsys.readouterr().out
