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
    columns = np.flatnonzero((plain[-380:] != marked[-380:]).any(axis=(0, 2)))
    assert abs(columns.min() - (64 + 880 // 2)) <= 2


def test_no_number_and_zero_do_not_break_the_picture():
    rows = records(10)
    rows["src"][3], rows["dst"][5] = np.nan, 0
    curve.draw_losses(rows)


def test_ticks_are_round():
    assert curve.ticks(0, 2714) == [0, 500, 1000, 1500, 2000, 2500]
    assert curve.ticks(5, 6) == [5, 6]
    assert 0.1 in curve.log_ticks(0.05, 2)


STAGES = [(0, "warp"), (100, "eyes"), (110, "turns"), (115, "lr 3e-05"), (115, "clipgrad True"),
          (900, "straight-settle"), (990, "gan"), (1000, "flat")]


def boxes(monkeypatch, marks) -> list[tuple[str, float, float, float, float]]:
    """Where each text of the picture is drawn: (text, left, top, right, bottom)."""
    found = []
    real = curve.ImageDraw.ImageDraw.text

    def text(self, xy, words, *args, **named):
        font = named.get("font") or args[1]
        found.append((words, *self.textbbox(xy, words, font=font, anchor=named.get("anchor"))))
        return real(self, xy, words, *args, **named)

    with monkeypatch.context() as m:
        m.setattr(curve.ImageDraw.ImageDraw, "text", text)
        curve.draw_losses(records(1000), marks)
    return found


@pytest.mark.parametrize("marks", [STAGES, [(k * 30, f"uniform_yaw {k}") for k in range(30)]])
def test_labels_stand_side_by_side_within_the_picture(monkeypatch, marks):
    found = boxes(monkeypatch, marks)
    size = Image.open(io.BytesIO(curve.draw_losses(records(1000), marks))).size
    labels = [b for b in found if any(b[0].startswith(text.split(" ")[0]) for _, text in marks)]
    assert len(labels) >= 6
    for i, (_, l, t, r, b) in enumerate(labels):
        assert 0 <= l <= r <= size[0]
        assert 0 <= t <= b <= size[1]
        for _, l2, t2, r2, b2 in labels[i + 1 :]:
            assert r <= l2 or r2 <= l or b <= t2 or b2 <= t, "two labels collide"
    assert all(r <= size[0] for _, _, _, r, _ in found)


def test_changes_of_one_iteration_share_a_label_and_what_finds_no_place_is_counted(monkeypatch):
    texts = [b[0] for b in boxes(monkeypatch, STAGES)]
    assert {"warp", "lr 3e-05, clipgrad True"} <= set(texts)
    texts = [b[0] for b in boxes(monkeypatch, [(k, "a long name of a setting") for k in range(500, 520)])]
    assert any("more in the history" in text for text in texts)
