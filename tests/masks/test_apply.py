from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.masks.conftest import head, make_set, pixels
from tests.steps import run

from facewright.core.errors import DiskRefused, NothingFound, SettingRefused
from facewright.core.step import Stop, Work
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.store import Writer
from facewright.jobs.job import list_jobs
from facewright.masks import undo
from facewright.masks.apply import ApplyStep, restore_masks
from facewright.masks.settings import MaskSettings


def stored(folder: Path) -> dict[str, tuple[np.ndarray | None, str]]:
    faceset = Faceset.open(folder)
    return {f.face_id: (record.read_mask(faceset.file(f)), f.mask_by) for f in faceset}


def test_every_face_gets_its_mask_and_no_pixel_changes(faceset):
    before = {p: pixels(p) for p in faceset.rglob("*.jpg")}
    done = run(ApplyStep(str(faceset), "hull"))
    assert done["faces"] == done["changed"] == 70
    assert done["replaced"] == 0
    assert done["masker"] == "hull"
    assert {p: pixels(p) for p in faceset.rglob("*.jpg")} == before
    for mask, by in stored(faceset).values():
        assert mask.shape == (256, 256)
        assert by == "hull"
    assert Faceset.open(faceset).info().masks == 70
    assert [r.mask_by for r in Faceset.open(faceset).rows()] == ["hull"] * 70
    again = run(ApplyStep(str(faceset), "hull"))
    assert again["changed"] == 0, "the same masks are not written again"


def test_earlier_masks_come_back(faceset):
    run(ApplyStep(str(faceset), "hull"))
    hull = stored(faceset)
    run(ApplyStep(str(faceset), "mesh"))
    mesh = stored(faceset)
    run(ApplyStep(str(faceset), "none"))
    assert all(mask is None and by == "" for mask, by in stored(faceset).values())
    for wanted in (mesh, hull):
        assert restore_masks(faceset)["restored"] == 70
        assert {k: (m.tobytes(), b) for k, (m, b) in stored(faceset).items()} == {
            k: (m.tobytes(), b) for k, (m, b) in wanted.items()}
    restore_masks(faceset)  # before the first apply there were none
    assert all(mask is None for mask, _ in stored(faceset).values())
    with pytest.raises(NothingFound, match="no earlier masks"):
        restore_masks(faceset)
    assert len(list((faceset / ".facewright" / "undo" / "used").iterdir())) == 3, "nothing is deleted"
    replaced = sorted((faceset / ".facewright" / "undo").glob("*-masks-replaced"))
    assert [next(undo.read_masks(r)).mask_by for r in replaced] == ["", "mesh", "hull"], "not by a restore either"


def test_what_was_undone_meanwhile_is_done_again_and_every_undo_stays_within_reach(faceset):
    """A stopped apply, undone, and then the same command: it goes on in its old job, whose batches are gone."""
    step = ApplyStep(str(faceset), "hull")
    job, items = faceset / "01AAAAAAAAAAAAAAAAAAAAAAAA-apply_masks", step.plan()
    first = {i.id: step.commit(i, r) for i, r in step.stream(items[:1], Work(folder=job))}
    assert restore_masks(faceset)["restored"] == 64
    again = ApplyStep(str(faceset), "hull")
    assert not again.intact(items[0], first[items[0].id])
    records = {i.id: again.commit(i, r) for i, r in again.stream(again.plan(), Work(folder=job))}
    assert sum(mask is not None for mask, _ in stored(faceset).values()) == 70
    assert all(ApplyStep(str(faceset), "hull").intact(i, records[i.id]) for i in again.plan())
    assert restore_masks(faceset)["restored"] == 70
    assert all(mask is None for mask, _ in stored(faceset).values())
    with pytest.raises(NothingFound, match="no earlier masks"):
        restore_masks(faceset)


def test_labels_stay_and_may_be_the_mask(faceset):
    one = next(iter(Faceset.open(faceset)))
    square = np.array([[30, 30], [90, 30], [90, 90], [30, 90]], np.float32)
    with Writer(faceset) as writer:
        writer.write_face(Faceset.open(faceset).file(one), dataclasses.replace(one, polygons=((1, square),)), None)
    run(ApplyStep(str(faceset), "hull", MaskSettings(drawn=True, side=128, hard=True)))
    mask, by = stored(faceset)[one.face_id]
    assert by == "labels"
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).sum() == 61 * 61
    assert np.array_equal(Faceset.open(faceset).face(one.face_id).polygons[0][1], square)


def test_keep_leaves_masks_and_person_chooses(faceset):
    run(ApplyStep(str(faceset), "hull"))
    done = run(ApplyStep(str(faceset), "mesh", MaskSettings(only_new=True)))
    assert (done["kept"], done["changed"]) == (70, 0)
    assert {by for _, by in stored(faceset).values()} == {"hull"}
    with pytest.raises(NothingFound, match="Ada"):
        ApplyStep(str(faceset), "hull", person="Ada").plan()


def test_what_cannot_be_a_masker_is_refused_early(faceset, tmp_path):
    with pytest.raises(SettingRefused, match="no masker 'bull'"):
        ApplyStep(str(faceset), "bull").plan()
    with pytest.raises(SettingRefused, match="Name the trained XSeg"):
        ApplyStep(str(faceset), "xseg").plan()
    from facewright.core.errors import FileRefused

    (tmp_path / "empty").mkdir()
    with pytest.raises(FileRefused, match="not a training run"):
        ApplyStep(str(faceset), str(tmp_path / "empty")).plan()


def test_a_damaged_picture_is_told_and_passed_over(faceset):
    path = sorted(faceset.rglob("*.jpg"))[3]
    path.write_bytes(path.read_bytes()[:-300])
    done = run(ApplyStep(str(faceset), "hull"))
    assert done["changed"] == 69
    ((name, why),) = done["refused"]
    assert name.endswith(path.name)
    assert why


def test_a_file_that_the_index_knows_as_damaged_is_told(faceset):
    path = sorted(faceset.rglob("*.jpg"))[3]
    path.write_bytes(b"no picture")
    done = run(ApplyStep(str(faceset), "hull"))
    assert done["changed"] == 69
    ((name, why),) = done["refused"]
    assert name.endswith(path.name)
    assert why


def test_stops_after_the_batch_in_hand(faceset):
    step, work = ApplyStep(str(faceset), "hull"), Work(stop=Stop())
    work.stop.ask()
    assert len(list(step.stream(step.plan(), work))) == 1


def test_one_writer(faceset):
    step = ApplyStep(str(faceset), "hull")
    with Writer(faceset), pytest.raises(DiskRefused):
        list(step.stream(step.plan(), Work()))


def test_a_batch_done_again_keeps_what_was_there_first(faceset):
    run(ApplyStep(str(faceset), "hull"))
    first = stored(faceset)
    job = faceset / ".facewright" / "jobs" / "7ZZ000000000000000000000ZZ-apply_masks"  # begun after the first
    job.mkdir(parents=True)
    for _ in range(2):  # killed before the journal's line: the same job, the same batches
        run(ApplyStep(str(faceset), "mesh"), work=Work(folder=job))
    kept = {b.face_id: b for b in undo.read_masks(undo.folder_of(faceset, job.name[:26], undo.MASKS))}
    assert all(np.array_equal(kept[k].mask, m) and kept[k].mask_by == "hull" for k, (m, _) in first.items())


PROGRAM = """
import sys
from tests.jobs.fake_step import OpenGate
from facewright.jobs.run import run_job
from facewright.masks.apply import ApplyStep
run_job(ApplyStep(sys.argv[1], sys.argv[2]), gate=OpenGate(), on_event=lambda e: print(e["kind"], flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_kill_minus_nine(tmp_path):
    place = make_set(tmp_path / "set", [head(n, side=64) for n in range(320)])
    before = {p: pixels(p) for p in place.rglob("*.jpg")}
    run(ApplyStep(str(place), "hull"))
    first = stored(place)
    rng, kills = random.Random(5), 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(place), "mesh"], stdout=subprocess.PIPE,
                                   text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        while (line := process.stdout.readline()) and line.strip() not in ("item", "done"):
            pass
        if kills < 4:
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        code = process.wait(120)
        process.stdout.close()
        kills += code != 0
        if code == 0:
            break
    assert kills >= 2
    (job,) = list_jobs(place)
    assert job.state() == "done"
    assert {p: pixels(p) for p in place.rglob("*.jpg")} == before
    now = stored(place)
    assert {by for _, by in now.values()} == {"mesh"}
    assert all(mask is not None for mask, _ in now.values())
    assert not list(place.rglob("*.part"))
    kept = list(undo.read_masks(undo.folder_of(place, job.id, undo.MASKS)))
    assert sorted(b.face_id for b in kept) == sorted(first)
    assert all(b.mask_by == "hull" and np.array_equal(b.mask, first[b.face_id][0]) for b in kept)


def test_damaged_undo_is_told(faceset):
    from facewright.core.errors import FileRefused

    run(ApplyStep(str(faceset), "hull"))
    (entry,) = (faceset / ".facewright" / "undo").glob("*-masks")
    next(iter(entry.glob("*.zip"))).write_bytes(b"PK" + json.dumps({}).encode())
    with pytest.raises(FileRefused, match="kept of the earlier masks"):
        restore_masks(faceset)
