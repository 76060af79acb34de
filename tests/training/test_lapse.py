from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from facewright.core.errors import NothingFound, SettingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.training import lapse, preview
from facewright.training.settings import SaehdTrain
from facewright.training.swap_step import TrainStep

TINY = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


def test_faces_are_those_next_to_the_named_frames():
    frames = np.array([0, 10, 20, 30])
    assert preview.at_frames(frames, "21, 3,19,29").tolist() == [2, 0, 3]
    assert preview.at_frames(frames, "").tolist() == preview.pick(4).tolist()
    for wrong in ("a", "1,-2", "1.5", ",".join("123456789")):
        with pytest.raises(SettingRefused, match="preview-dst"):
            check(SaehdTrain, {"preview_dst": wrong})


def test_one_face_over_the_course_of_a_training(tmp_path):
    run, side = tmp_path / "run", 128
    (run / "preview").mkdir(parents=True)
    for iteration in range(0, 2000, 100):
        tiles = np.zeros((2, 2, 5, side, side, 3), np.uint8)
        tiles[1, 1, 4] = iteration // 10
        (run / "preview" / f"{iteration:09d}.png").write_bytes(preview.sheet(tiles, "run"))
    (run / "preview" / "latest.png").write_bytes(b"no sheet")
    (run / "preview" / "000000050.png").write_bytes(b"no sheet")
    picture = np.array(Image.open(io.BytesIO(lapse.lapse(run, face=2))))
    assert picture.shape == (22 + 12 * 160, 90 + 5 * 160, 3)
    last_column = picture[22 + 80 :: 160, 90 + 4 * 160 + 80, 0].tolist()
    assert (last_column[0], last_column[-1]) == (0, 190)
    assert last_column == sorted(last_column)
    with pytest.raises(SettingRefused, match="shows 2 faces"):
        lapse.lapse(run, face=3)
    with pytest.raises(NothingFound, match="kept no preview"):
        lapse.lapse(tmp_path / "other")


def test_chosen_faces_can_change_while_it_learns(pair, tmp_path):
    shown, run = [], tmp_path / "run"
    values = {"batch_size": 2, "precision": "float32", "iterations": 3, "preview_seconds": 0, "threads": 1,
              "preview_history": True, "preview_src": "1,5,9", "preview_dst": "2,4"}
    step = TrainStep(str(run), str(pair[0]), str(pair[1]), "saehd", check(SaehdTrain, values), shape=TINY)
    asks = {2: [{"set": {"preview_dst": "7"}}, {"do": "preview"}]}

    def changes():
        shown.append(1)
        return asks.pop(len(shown) - 1, [])

    list(step.stream(step.plan(), Work(progress=lambda *a, **k: None, changes=changes, note=lambda k, **f: None)))
    found = dict(lapse.kept(run))
    assert list(found) == [1, 2, 3]
    rows = [Image.open(found[at]).size[1] for at in (1, 2)]
    assert rows == [26 + 22 + 2 * 128, 26 + 22 + 128]
