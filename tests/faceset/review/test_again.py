"""A second look at chosen frames: what it replaces, what it leaves, what comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.faceset import fake_finder
from tests.faceset.review_world import EMPTY, FRAMES, TWO, extract
from tests.steps import run

from facewright import api
from facewright.core.errors import Mismatch, NothingFound, SettingRefused
from facewright.core.step import Work
from facewright.faceset import record, trash
from facewright.faceset.faceset import Faceset
from facewright.faceset.review import decisions, review
from facewright.faceset.review.again import AgainStep
from facewright.faceset.settings import AgainSettings


class Shifted(fake_finder.FakeFinder):
    """Sees one head in every frame, 5 px to the right of where the extraction saw it; nothing in frame 12."""

    def faces(self, index):
        return [] if index == 12 else [fake_finder.found(index, 65 + index * 0.25, 60, 50)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted((folder / "faces").rglob("*.jpg"))}


def step_for(world, folder, *runs, finder=Shifted, **settings) -> AgainStep:
    return AgainStep(str(folder), str(world[0]), [list(run) for run in runs], AgainSettings(**settings),
                     make_finder=finder)


def by_frame(folder: Path) -> dict[int, list]:
    return {one.frame: list(one.rows) for one in review.states(Faceset.open(folder))}


def test_wrong_faces_are_replaced_and_come_back(world, folder):
    before = files_of(folder)
    done = run(step_for(world, folder, (8, 14)))
    assert (done["frames"], done["new"], done["without_face"]) == (7, 6, [])
    found = by_frame(folder)
    assert [len(found[n]) for n in range(8, 15)] == [1] * 4 + [2] + [1] * 2  # 12: nothing was found, its faces stay
    assert np.isclose(found[8][0].x0_px, 65 + 2 - 25)
    assert found[8][0].track == before_track(before, 8)
    assert found[8][0].ordinal >= 1000
    untouched = {path: data for path, data in before.items() if not any(f"_{n:07d}_" in path for n in range(8, 15))}
    assert untouched.items() <= files_of(folder).items()
    assert len(trash.held(folder)) == 1
    after = files_of(folder)
    assert api.faces_undo(folder)["frames"] == 6
    assert files_of(folder) == before
    api.faces_redo(folder)
    assert files_of(folder) == after


def before_track(files: dict[str, bytes], frame: int) -> str:
    return next(record.decode_face(data).track for path, data in files.items() if f"_{frame:07d}_0" in path)


def test_the_same_find_changes_nothing(world, folder):
    before = files_of(folder)
    done = run(step_for(world, folder, (0, 20), finder=fake_finder.FakeFinder))
    assert done["new"] == done["replaced"] == 0
    assert files_of(folder) == before
    assert not decisions.read(folder).deeds


def test_faces_by_hand_stay_and_get_no_second(world, folder):
    points = fake_finder.found(9, 68, 60, 50).landmarks.points_px.tolist()
    sha = Faceset.open(folder).header.sources[0].sha256
    api.faces_place(folder, 9, points=points, face=f"{sha[:8]}_0000009_0", footage=[world[0]])
    placed = api.faces_place(folder, 10, points=points, footage=[world[0]])["face_id"]
    kept = {path: data for path, data in files_of(folder).items() if "_0000009_0" in path or placed in path}
    done = run(step_for(world, folder, (9, 11)))
    assert kept.items() <= files_of(folder).items()
    found = by_frame(folder)
    assert [row.face_id for row in found[10]] == [placed]
    assert [row.face_id for row in found[9] if row.x0_px < 100] == [f"{sha[:8]}_0000009_0"]
    assert done["by_hand"] == 2
    assert found[11][0].ordinal >= 1000


def test_keep_adds_where_nothing_is(world, folder):
    before = files_of(folder)
    done = run(step_for(world, folder, (0, FRAMES - 1), only_new=True))
    assert before.items() <= files_of(folder).items()
    assert (done["new"], done["replaced"]) == (len(EMPTY), 0)
    found = by_frame(folder)
    assert all(len(found[n]) == 1 for n in EMPTY)
    assert all(len(found[n]) == 2 for n in TWO)


def test_many_items_are_undone_together_and_an_accepted_frame_opens(world, folder):
    api.faces_accept(folder, ["0-69"])
    before = files_of(folder)
    run(step_for(world, folder, (0, FRAMES - 1)))
    deeds = decisions.read(folder).deeds
    assert len(deeds) == 4
    assert {one.state for one in review.states(Faceset.open(folder)) if one.frame not in (12, 20)} == {"accepted"}
    assert next(one for one in review.states(Faceset.open(folder)) if one.frame == 8).by == ""
    api.faces_undo(folder)
    assert files_of(folder) == before
    assert len(decisions.read(folder).deeds) == 1


@pytest.mark.parametrize("killed_at", ["deed", "files", "trash"])
def test_killed_in_a_commit_the_next_run_ends_alike(world, folder, tmp_path, monkeypatch, killed_at):
    job = tmp_path / "01ARZ3NDEKTSV4RRFFQ69G5FAV-again"
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    run(step_for(world, whole, (0, 69)), work=Work(folder=job))

    class Killed(BaseException):
        pass

    def kill(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        target = {"deed": "facewright.faceset.store.Writer.add_files", "files": "facewright.faceset.trash.take_out",
                  "trash": "facewright.faceset.review.again.Looked.__init__"}[killed_at]
        step = step_for(world, folder, (0, 69))
        if killed_at == "trash":
            for item, result in step.stream(step.plan()[:1], Work(folder=job)):
                step.commit(item, result)  # done, but the job's journal has no line of it
        else:
            patch.setattr(target, kill)
            with pytest.raises(Killed):
                run(step, work=Work(folder=job))
    run(step_for(world, folder, (0, 69)), work=Work(folder=job))
    assert files_of(folder) == files_of(whole)
    assert len(decisions.read(folder).deeds) == len(decisions.read(whole).deeds)
    api.faces_undo(folder)
    assert files_of(folder) == files_of(world[1])


def test_the_command_s_verb_finds_film_and_frames(world, folder, monkeypatch):
    monkeypatch.setattr("facewright.faceset.review.again.house_finder", Shifted)
    with pytest.raises(NothingFound, match="not at hand"):
        api.faces_again(folder, ["8"], settings={})
    done = api.faces_again(folder, settings={"detector": "yunet"}, state="no-face", footage=[world[0]])
    assert (done["frames"], done["new"]) == (len(EMPTY), len(EMPTY))
    done = api.faces_again(folder, ["8", "40-41"], settings={"max_faces": 1}, film="film.mp4")
    assert done["frames"] == 3  # found again by the job that looked before
    for frames, state in (([], ""), (["8"], "no-face")):
        with pytest.raises(SettingRefused):
            api.faces_again(folder, frames, settings={}, state=state, footage=[world[0]])
    with pytest.raises(NothingFound):
        api.faces_again(folder, settings={}, state="damaged", footage=[world[0]])


def test_an_unfinished_extraction_comes_first(world, tmp_path):
    folder = extract(world[0], tmp_path / "set", only=lambda item: item.payload.start == 0)
    with pytest.raises(Mismatch, match="not finished"):
        step_for(world, folder, (3, 3)).plan()
