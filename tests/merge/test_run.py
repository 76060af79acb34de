"""The merge step end to end on a drawn film: what it writes, what it leaves alone, how it resumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facewright.core.errors import ConsentRefused, FileRefused, Mismatch, NothingFound
from facewright.core.step import Work
from facewright.media.reader import frames, open_video, read_still
from facewright.merge import line as line_file
from facewright.merge.predict import NullSwapper, Prediction
from facewright.merge.result import Merged
from facewright.merge.run import MergeStep
from facewright.merge.settings import MergeSettings
from facewright.merge.summary import spans_of

RUN = "null:64:full_face"


class Painter(NullSwapper):
    """Paints every face red, as a real net would change it; counts what it is asked."""

    asked = 0
    mask = 1.0

    def __call__(self, images, *, face_ids=(), points_px=None):
        type(self).asked += len(images)
        made = NullSwapper.__call__(self, images, face_ids=face_ids, points_px=points_px)
        red = np.zeros_like(images) + np.float32([1, 0, 0])
        return Prediction(made.face_ids, made.face_type, red, made.mask_swap * self.mask, made.mask_own)


def run_step(step: MergeStep, *, only: int | None = None, work: Work | None = None, records=None) -> dict:
    work = work or Work()
    records = {} if records is None else records
    todo = [item for item in step.plan() if item.id not in records]
    stream = step.stream(todo, work)
    for count, (item, result) in enumerate(stream, 1):
        records[item.id] = step.commit(item, result)
        if only is not None and count == only:
            stream.close()
            return {}
    return step.finish(records, work)


@pytest.fixture
def painted(monkeypatch):
    """A MergeStep whose net paints red."""
    Painter.asked, Painter.mask = 0, 1.0

    def make(film, faceset, out, **settings) -> MergeStep:
        step = MergeStep(str(film), str(faceset), RUN, str(out), MergeSettings(colour="none", **settings))
        step.__dict__["swapper"] = Painter(64)
        return step

    return make


@pytest.fixture(scope="module")
def faceset(world) -> Path:
    return world.fill("run_faces", frames=[i for i in range(100) if not 50 <= i < 55])


def test_every_frame_comes_out_once_and_only_the_face_changes(world, faceset, painted, tmp_path):
    summary = run_step(painted(world.film, faceset, tmp_path / "out"))
    assert (summary["frames"], summary["swapped"], summary["unchanged"]) == (100, 95, 5)
    assert summary["reasons"] == {"no_face": 5}
    assert not summary["warnings"]
    merged = Merged.open(tmp_path / "out")
    assert len(merged) == 100
    video = open_video(world.film)
    for source, made in zip(frames(video), merged.composites(), strict=True):
        assert (source.index, source.pts) == (made.frame_index, made.pts)
        untouched = made.alpha == 0
        assert np.array_equal(made.image[untouched], source.image[untouched])
        if 50 <= source.index < 55:
            assert np.array_equal(made.image, source.image)
        else:
            x, y = np.rint(world.points(source.index).mean(0)).astype(int)
            assert tuple(made.image[y, x]) == (255, 0, 0), "red in RGB stays red"
            assert made.alpha[y, x] == 1
    part = list(merged.composites(40, 60, masks=False))
    assert [c.frame_index for c in part] == list(range(40, 60))


def test_killed_and_resumed_equals_undisturbed(world, faceset, painted, tmp_path):
    run_step(painted(world.film, faceset, tmp_path / "whole"))
    records: dict = {}
    run_step(painted(world.film, faceset, tmp_path / "cut"), only=1, records=records)
    assert list(records) == ["0000000"]
    with pytest.raises(NothingFound, match="unfinished"):
        Merged.open(tmp_path / "cut")
    assert not list((tmp_path / "cut" / "chunks").glob(".*")), "no half-written chunk is left"
    run_step(painted(world.film, faceset, tmp_path / "cut"), records=records)
    for a, b in zip(Merged.open(tmp_path / "whole").composites(), Merged.open(tmp_path / "cut").composites()):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.alpha, b.alpha)


def test_other_blend_settings_need_no_net(world, faceset, painted, tmp_path):
    run_step(painted(world.film, faceset, tmp_path / "out"))
    assert Painter.asked == 95
    first = next(Merged.open(tmp_path / "out").composites())
    run_step(painted(world.film, faceset, tmp_path / "out", erode_permille=300.0))
    assert Painter.asked == 95
    second = next(Merged.open(tmp_path / "out").composites())
    assert second.alpha.sum() < first.alpha.sum()
    for stored in (tmp_path / "out" / "predictions").rglob("*.npz"):
        stored.write_bytes(stored.read_bytes()[:100])
    run_step(painted(world.film, faceset, tmp_path / "out"))
    assert Painter.asked == 190, "a torn cache is made anew"


def test_an_intact_chunk_is_known(world, faceset, painted, tmp_path):
    step = painted(world.film, faceset, tmp_path / "out")
    records: dict = {}
    run_step(step, records=records)
    item = step.plan()[1]
    assert step.intact(item, records[item.id])
    file = tmp_path / "out" / "chunks" / "0000048.mkv"
    file.write_bytes(file.read_bytes()[:-10])
    assert not step.intact(item, records[item.id])


def test_stop_ends_after_the_chunk_in_hand(world, faceset, painted, tmp_path):
    work = Work()
    work.progress = lambda done, total=None, note="", **facts: work.stop.ask() if done == 8 else None
    step = painted(world.film, faceset, tmp_path / "out")
    items = [item.id for item, _ in step.stream(step.plan(), work)]
    assert items == ["0000000"]


def test_a_second_request_drops_the_chunk_in_hand(world, faceset, painted, tmp_path):
    work = Work()
    work.progress = lambda done, total=None, note="", **facts: work.stop.ask()
    step = painted(world.film, faceset, tmp_path / "out")
    assert not list(step.stream(step.plan(), work))
    assert not any((tmp_path / "out" / "chunks").iterdir())


def test_an_untrained_model_is_named(world, faceset, painted, tmp_path):
    Painter.mask = 0.0
    notes = []
    work = Work(note=lambda kind, **facts: notes.append((kind, facts)))
    summary = run_step(painted(world.film, faceset, tmp_path / "out"), work=work)
    assert summary["swapped"] == 0
    assert summary["reasons"]["empty_mask"] == 95
    assert "untrained" in summary["warnings"][0]
    assert notes[0][0] == "warning"


def test_nothing_swapped_says_why(world, painted, tmp_path):
    turned = world.fill("run_profiles", flags=("profile_unaligned",))
    summary = run_step(painted(world.film, turned, tmp_path / "out"))
    assert "turned too far" in summary["warnings"][0]
    assert summary["reasons"] == {"profile_unaligned": 100}


def test_bystanders_stay_bit_identical(world, tmp_path):
    both = world.fill("run_two", second=range(100), people=True)
    with pytest.raises(Mismatch, match="Ada, Bob"):
        MergeStep(str(world.film), str(both), RUN, str(tmp_path / "x")).plan()
    step = MergeStep(
        str(world.film), str(both), RUN, str(tmp_path / "out"), MergeSettings(colour="none"), person="Ada")
    step.__dict__["swapper"] = Painter(64)
    run_step(step)
    source, made = next(frames(open_video(world.film))), next(Merged.open(tmp_path / "out").composites())
    x, y = np.rint(world.points(0).mean(0) + np.array([70, 0])).astype(int)
    assert np.array_equal(made.image[y - 20 : y + 20, x - 10 :], source.image[y - 20 : y + 20, x - 10 :])
    assert made.alpha[:, x - 10 :].max() == 0


def test_stills_are_written_too(world, faceset, painted, tmp_path):
    run_step(painted(world.film, faceset, tmp_path / "out", stills=True))
    made = list(Merged.open(tmp_path / "out").composites(0, 2))
    assert np.array_equal(read_still(tmp_path / "out" / "merged" / "0000001.png"), made[1].image)
    mask = read_still(tmp_path / "out" / "mask" / "0000001.png")[..., 0]
    assert np.array_equal(mask, np.rint(made[1].alpha * 255))


def test_raw_predict_shows_the_net_s_square(world, faceset, painted, tmp_path):
    run_step(painted(world.film, faceset, tmp_path / "out", mode="raw-predict"))
    merged = Merged.open(tmp_path / "out")
    assert merged.size_px == (64, 64)
    pictures = list(merged.composites())
    assert tuple(pictures[0].image[32, 32]) == (255, 0, 0)
    assert not pictures[52].image.any()


def test_the_record_says_what_was_done(world, faceset, painted, tmp_path):
    run_step(painted(world.film, faceset, tmp_path / "out"))
    record = json.loads((tmp_path / "out" / "merge.json").read_text())
    assert record["video"]["sha256"] == world.sha256
    assert [c["file"] for c in record["chunks"]] == ["0000000.mkv", "0000048.mkv", "0000096.mkv"]
    assert record["settings"]["mode"] == "overlay"
    assert record["likenesses"][0]["role"] == "target_performer"
    merged = Merged.open(tmp_path / "out")
    (target,) = merged.likenesses()
    assert target.footage_sha256 == (world.sha256,)
    assert target.where == faceset.resolve() or target.where == faceset


def test_a_forged_record_reads_no_other_files(world, faceset, painted, tmp_path):
    run_step(painted(world.film, faceset, tmp_path / "out"))
    record = json.loads((tmp_path / "out" / "merge.json").read_text())
    record["chunks"][0]["file"] = "../../elsewhere.mkv"
    (tmp_path / "out" / "merge.json").write_text(json.dumps(record))
    with pytest.raises(FileRefused, match="not safe"):
        list(Merged.open(tmp_path / "out").composites())


def test_a_folder_of_stills_with_a_damaged_one(world, faceset, tmp_path):
    from facewright.media.writer import write_stills

    folder = tmp_path / "stills"
    write_stills(folder, (f for f in frames(open_video(world.film), 0, 6)))
    (folder / "0000003.png").write_bytes(b"\x89PNG broken")
    sha = open_video(folder).sha256
    place = world.fill("stills_faces", frames=[0, 1, 2, 4, 5], sha=sha)
    step = MergeStep(str(folder), str(place), RUN, str(tmp_path / "out"))
    summary = run_step(step)
    assert (summary["frames"], summary["damaged"], summary["swapped"]) == (6, 1, 5)
    made = list(Merged.open(tmp_path / "out").composites())
    assert np.array_equal(made[3].image, next(frames(open_video(world.film), 2, 3)).image)


def test_sixteen_bit_pictures_stay_sixteen_bit(world, tmp_path):
    from facewright.media.frame import Frame
    from facewright.media.writer import write_stills

    folder = tmp_path / "deep"
    deep = [Frame(f.index, f.pts, f.time_base, f.image.astype(np.uint16) * 257 - f.index)
            for f in frames(open_video(world.film), 10, 13)]
    write_stills(folder, deep)
    place = world.fill("deep_faces", frames=range(3), sha=open_video(folder).sha256)
    summary = run_step(MergeStep(str(folder), str(place), RUN, str(tmp_path / "out")))
    assert summary["swapped"] == 3
    for source, made in zip(deep, Merged.open(tmp_path / "out").composites(), strict=True):
        assert made.image.dtype == np.uint16
        assert np.array_equal(made.image[made.alpha == 0], source.image[made.alpha == 0])


def test_a_job_can_be_resumed_from_any_folder(world, faceset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = MergeStep("film.mp4", "faces", "run", "out", person="Ada").args()
    assert args == {**{n: str(tmp_path / v) for n, v in
                       (("input", "film.mp4"), ("faceset", "faces"), ("run", "run"), ("out", "out"))}, "person": "Ada"}
    assert MergeStep("f", "s", RUN, "o").args()["run"] == RUN


def test_a_run_that_names_no_source_is_refused(world, faceset, tmp_path):
    from facewright.models.run_folder import RunFolder
    from facewright.models.settings import SaehdSettings

    RunFolder.create(tmp_path / "run", "saehd", SaehdSettings())
    step = MergeStep(str(world.film), str(faceset), str(tmp_path / "run"), str(tmp_path / "out"))
    with pytest.raises(ConsentRefused, match="whose face"):
        step.likenesses()


def test_only_the_person_s_own_faces_are_compared_with_the_record(world, monkeypatch, tmp_path):
    from facewright.faceset.faceset import Faceset
    from facewright.merge.result import likeness_from, likeness_record

    both = world.fill("vectors_two", second=range(20, 30), people=True)
    asked = []
    monkeypatch.setattr(Faceset, "vectors", lambda self, ids=None, **_: asked.append(ids))
    step = MergeStep(str(world.film), str(both), RUN, str(tmp_path / "out"), person="Bob")
    (target,) = step.likenesses()
    target.vectors()
    likeness_from(likeness_record(target)).vectors()
    assert asked[0] == asked[1]
    assert len(asked[0]) == 10
    assert all(face_id.endswith("_1") for face_id in asked[0])


def test_a_likeness_is_found_from_any_folder(world, monkeypatch, tmp_path):
    from facewright.merge.result import likeness_record

    place = world.fill("elsewhere")
    monkeypatch.chdir(place.parent)
    (target,) = MergeStep(str(world.film), "elsewhere", RUN, str(tmp_path / "out")).likenesses()
    assert likeness_record(target)["where"] == str(place)


def test_runs_as_a_job(world, faceset, painted, tmp_path):
    from facewright.jobs.run import run_job

    class Open:
        def allow(self, step):
            return "permit"

        def record(self, step, job, summary, state):
            self.state = state

    events = []
    gate = Open()
    summary = run_job(painted(world.film, faceset, tmp_path / "out"), gate=gate, on_event=events.append)
    assert gate.state == "done"
    assert summary.result["swapped"] == 95
    assert {e["kind"] for e in events} >= {"started", "progress", "item", "done"}
    assert len(Merged.open(tmp_path / "out")) == 100


def test_a_full_disk_ends_clearly_and_leaves_no_half_chunk(world, faceset, painted, tmp_path, monkeypatch):
    from facewright.core.errors import DiskRefused
    from facewright.merge import chunks

    def full(path, images, masks, pts, base):
        next(iter(images))
        raise DiskRefused("Cannot write: the disk is full.", remedy="Free space.")

    monkeypatch.setattr(chunks, "write_chunk", full)
    with pytest.raises(DiskRefused):
        run_step(painted(world.film, faceset, tmp_path / "out"))


def test_huge_frames_are_taken_a_few_at_a_time(world, faceset, painted, tmp_path, monkeypatch):
    monkeypatch.setattr(line_file, "_GROUP_BYTES", 1)
    assert run_step(painted(world.film, faceset, tmp_path / "out"))["frames"] == 100


def test_refusals(world, faceset, tmp_path):
    onto_itself = MergeStep(str(world.film), str(faceset), "somewhere", str(world.film))
    with pytest.raises(Mismatch, match="OUT is the film"):
        onto_itself.plan()
    with pytest.raises(FileRefused):
        MergeStep(str(tmp_path / "none.mp4"), str(faceset), RUN, str(tmp_path)).plan()
    with pytest.raises(FileRefused):
        MergeStep(str(world.film), str(tmp_path), RUN, str(tmp_path / "o")).plan()
    with pytest.raises(NothingFound, match="no merge"):
        Merged.open(tmp_path)


def test_spans():
    assert spans_of([5, 1, 2, 3, 9]) == [[1, 3], [5, 5], [9, 9]]
    assert spans_of([]) == []
