"""Contact sheets: every picture is on them, whole; words fit; thousands make pages."""

from __future__ import annotations

import numpy as np
from PIL import Image

from facewright.faceset import sheet as sheets


def _tile(colour: tuple[int, int, int], shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    return np.full((*shape, 3), colour, np.uint8)


def test_pictures_stand_in_their_order_and_proportions():
    tiles = [_tile((255, 0, 0), (50, 100)), _tile((0, 255, 0)), _tile((0, 0, 255), (100, 50))]
    page = sheets.sheet(tiles, ["one", "two", "three"], columns=2, side_px=80)
    red, green, blue = ((page == colour).all(-1) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    assert (np.ptp(np.argwhere(red), axis=0) + 1).tolist() == [40, 80]  # wide stays wide, nothing is cut off
    assert (np.ptp(np.argwhere(blue), axis=0) + 1).tolist() == [80, 40]
    assert np.argwhere(green)[:, 1].min() > np.argwhere(red)[:, 1].max()  # beside
    assert np.argwhere(blue)[:, 0].min() > np.argwhere(green)[:, 0].max()  # below


def test_words_stay_under_their_own_picture():
    long = "clip_with_a_very_long_name_that_never_ends.mp4 and some words that need several lines to be read in full"
    page = sheets.sheet([_tile((9, 9, 9))] * 2, [long, ""], columns=2, side_px=96)
    below = page[8 + 96 :].astype(int)
    inked = np.abs(below - np.array(sheets.PAPER)).sum(-1) > 60
    assert inked[:, : 8 + 96].any()
    assert not inked[:, 8 + 96 :].any(), "a caption runs into its neighbour"


def test_a_long_name_keeps_both_its_ends():
    line = sheets._squeezed("a_film_name_of_many_letters_00123.mp4", 120, 13)
    assert line.startswith("a_fi")
    assert line.endswith("3.mp4")
    assert "..." in line
    assert sheets._length(line, 13) <= 120


def test_no_picture_and_sixteen_bit_pictures_have_their_place():
    page = sheets.sheet([None, np.full((8, 8, 3), 65535, np.uint16)], ["none", "white"], side_px=64, edges=[sheets.RED])
    assert (page == 255).all(-1).sum() > 60 * 60
    assert (page == sheets.RED).all(-1).sum() > 4 * 60  # the frame of the first


def test_thousands_become_pages_without_being_held(tmp_path):
    read = 0

    def tiles():
        nonlocal read
        for _ in range(2500):
            read += 1
            yield _tile((1, 2, 3), (8, 8))

    found = sheets.pages(tiles(), ["x"] * 2500, 50, 16, per_page=1000)
    first = next(found)
    assert read == 1000
    rest = list(found)
    assert len(rest) == 2
    assert rest[0].shape[0] == first.shape[0] > rest[1].shape[0]
    written = sheets.save([first, *rest], tmp_path / "sub" / "out.png")
    assert [p.name for p in written] == ["out.png", "out-2.png", "out-3.png"]
    assert np.array_equal(np.asarray(Image.open(written[2])), rest[1])


def test_nothing_at_all_is_one_page():
    pages = list(sheets.pages([], [], headline="nothing doubtful"))
    assert len(pages) == 1
    assert pages[0].shape[0] < 80
