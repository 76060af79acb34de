from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from facewright.core.errors import DiskRefused
from facewright.training import curve


def records(n: int) -> np.ndarray:
    rows = np.empty(n, curve.RECORD)
    rows["iteration"] = np.arange(1, n + 1)
    rows["src"] = 3 * np.exp(-np.arange(n) / (0.3 * n + 1)) + 0.2
    rows["dst"] = rows["src"] + 0.3
    return rows


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def near(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image - np.array(colour)).sum(-1) < 40


def test_losses_grow_and_are_cut_back_on_resume(tmp_path):
    path = tmp_path / "losses.bin"
    file = curve.LossFile(path, 0)
    file.add([1, 2, 3], np.array([[1, 2], [3, 4], [5, 6]]))
    file.add([4], np.array([[7, 8]]))
    assert curve.read_losses(path)["dst"].tolist() == [2, 4, 6, 8]
    with path.open("ab") as torn:
        torn.write(b"half")
    curve.LossFile(path, 2)
    assert curve.read_losses(path)["iteration"].tolist() == [1, 2]
    assert path.stat().st_size == 24


def test_a_loss_file_that_cannot_be_written_is_said(tmp_path):
    file = curve.LossFile(tmp_path / "losses.bin", 0)
    file.path = tmp_path / "gone" / "losses.bin"
    with pytest.raises(DiskRefused):
        file.add([1], np.ones((1, 2)))


@pytest.mark.parametrize("n", [0, 1, 2, 50, 20000])
def test_any_length_is_drawn(n):
    assert pixels(curve.draw_losses(records(n))).shape == (420, 960, 3)


def test_both_lines_fall_in_their_colours_and_the_source_lies_below():
    image = pixels(curve.draw_losses(records(5000)))[30:370, 66:940]
    rows = np.arange(image.shape[0])[:, None]
    heights = {}
    for name, colour in (("src", (214, 69, 65)), ("dst", (24, 143, 167))):
        line = near(image, colour)
        column = [rows[line[:, x]].mean() for x in (20, 430, 860)]
        assert column == sorted(column), "loss falls, so the line goes down the picture"
        heights[name] = column[1]
    assert heights["src"] > heights["dst"]


def test_marks_are_drawn_at_their_iteration():
    plain, marked = (pixels(curve.draw_losses(records(1000), m)) for m in ((), [(500, "lr 0.001")]))
    columns = np.flatnonzero((plain != marked).any(axis=(0, 2)))
    assert abs(columns.min() - (64 + 880 // 2)) <= 2


def test_no_number_and_zero_do_not_break_the_picture():
    rows = records(10)
    rows["src"][3], rows["dst"][5] = np.nan, 0
    curve.draw_losses(rows)


def test_ticks_are_round():
    assert curve.ticks(0, 2714) == [0, 500, 1000, 1500, 2000, 2500]
    assert curve.ticks(5, 6) == [5, 6]
    assert 0.1 in curve.log_ticks(0.05, 2)
