"""Orders equal the original's; written, numbered and taken back without losing a face."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face
from tests.faceset.golden_set import golden_faceset, set_of_pictures
from tests.faceset.sets import write_set

from facewright.core.errors import DiskRefused, FileRefused, NothingFound, SettingRefused
from facewright.core.registry import Plug
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import FolderFiles
from facewright.faceset.sorting import sort as sorting
from facewright.faceset.sorting.measures import measures
from facewright.faceset.sorting.orders import Ranking
from facewright.faceset.sorting.settings import ORDERS, SortSettings
from facewright.faceset.sorting.sort import ALIASES, ranked, read_order, readable, sort, unnumbered
from facewright.faceset.store import Writer


@pytest.fixture(scope="module")
def numbers(golden):
    return json.loads((golden / "data" / "sort.json").read_text())


@pytest.fixture(scope="module")
def drawn(golden, tmp_path_factory):
    return golden_faceset(golden, tmp_path_factory.mktemp("drawn") / "set")


@pytest.fixture(scope="module")
def pictures(golden, tmp_path_factory):
    found = np.load(golden / "data" / "sort_pics.npz")["pics"]
    return set_of_pictures(
        tmp_path_factory.mktemp("pics") / "set", {f"p{i:02d}": p[..., ::-1] for i, p in enumerate(found)})


@pytest.mark.parametrize(("order", "key"), [
    ("hist", "hist_order"), ("brightness", "brightness_order"), ("hue", "hue_order"), ("black", "black_order"),
    ("absdiff", "absdiff_similar_order"), ("absdiff-dissim", "absdiff_dissimilar_order"),
])
def test_orders_of_pictures_equal_the_original(order, key, pictures, numbers):
    faceset, names = pictures
    assert [names[i] for i in ranked(faceset, order)] == numbers["pics"][key]


@pytest.mark.parametrize(("order", "key"), [
    ("face-yaw", "yaw_order"), ("face-pitch", "pitch_order"), ("face-source-rect-size", "rect_size_order"),
    ("origname", "origname_order"), ("hist", "hist_order"),
])
def test_orders_of_faces_equal_the_original(order, key, drawn, numbers):
    faceset, names = drawn
    assert [names[i] for i in ranked(faceset, order)] == numbers["faces"][key]


@pytest.mark.parametrize(("order", "key", "descending", "near"), [
    ("blur", "blur", True, 1e-9), ("motion-blur", "motion_blur", True, None),
    ("hist-dissim", "hist_dissim", True, 1e-3),
    ("black", "black", False, 0), ("hue", "hue", True, 1e-9), ("brightness", "brightness", True, 1e-9),
    ("size", "rect_size", True, 0),
])
def test_scores_of_faces_equal_the_original(order, key, descending, near, drawn, numbers):
    faceset, names = drawn
    made, wanted = ranked(faceset, order), numbers["faces"][key]
    assert [names[i] for i in made] == sorted(sorted(wanted), key=lambda n: -wanted[n] if descending else wanted[n])
    for face_id, score in zip(made, made.scores):
        limit = 1e-6 * wanted[names[face_id]] if near is None else near
        assert abs(score - wanted[names[face_id]]) <= limit


def test_faces_alone_in_their_frame_equal_the_original(drawn, numbers):
    faceset, names = drawn
    made = ranked(faceset, "oneface")
    found = [names[i] for i in made]
    assert found[: len(made) - made.rest] == numbers["faces"]["oneface_keep"]
    assert found[len(made) - made.rest :] == numbers["faces"]["oneface_trash"]


def test_all_fifteen_of_the_original_are_there():
    theirs = ("blur", "motion-blur", "face-yaw", "face-pitch", "face-source-rect-size", "hist", "hist-dissim",
              "brightness", "hue", "black", "origname", "oneface", "absdiff", "final", "final-fast", "final-by-blur",
              "final-by-size")
    for name in theirs:
        assert ALIASES.get(name, name) in ORDERS.names()


def test_unknown_orders_are_refused_with_the_names(drawn):
    with pytest.raises(SettingRefused) as caught:
        ranked(drawn[0], "beauty")
    assert "quality" in caught.value.remedy


def backwards(faceset):
    return [row.face_id for row in faceset.rows()][::-1]


def careless(faceset):
    """Leaves one out, names one twice and a stranger."""
    ids = [row.face_id for row in faceset.rows()]
    return [ids[3], "nobody", ids[2], ids[3], *ids[4:]]


def test_an_outside_order_may_be_a_plain_list(drawn, monkeypatch):
    monkeypatch.setitem(ORDERS.plugs, "backwards", Plug("backwards", f"{__name__}:backwards", "the last one first"))
    made = ranked(drawn[0], "backwards")
    assert isinstance(made, Ranking)
    assert made.face_ids == tuple(r.face_id for r in drawn[0].rows())[::-1]


def test_a_careless_order_from_outside_loses_no_face(drawn, monkeypatch):
    monkeypatch.setitem(ORDERS.plugs, "careless", Plug("careless", f"{__name__}:careless", "a mess"))
    ids = [row.face_id for row in drawn[0].rows()]
    assert list(ranked(drawn[0], "careless")) == [ids[3], ids[2], *ids[4:], ids[0], ids[1]]


def small_set(folder, count=6, **changes):
    rng = np.random.default_rng(4)
    return write_set(folder, [
        (make_face(n, person="Ada" if n % 2 else "Bo", **changes), rng.integers(0, 40 * (n + 1), (64, 64, 3), np.uint8))
        for n in range(count)])


def test_a_sort_writes_an_order_and_renames_nothing(tmp_path):
    faceset = small_set(tmp_path / "set")
    before = {p.name: p.read_bytes() for p in (tmp_path / "set" / "faces").rglob("*.png")}
    done = sort(tmp_path / "set", "brightness", sheet_file=tmp_path / "out" / "sheet.png")
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "set" / "faces").rglob("*.png")}
    stored = json.loads((tmp_path / "set" / "orders" / "brightness.json").read_text())
    assert stored["format"] == "facewright.order/1"
    assert [face["face_id"] for face in stored["faces"]] == [f"{SHA[:8]}_{n:07d}_0" for n in (5, 4, 3, 2, 1, 0)]
    scores = [face["score"] for face in stored["faces"]]
    assert scores == sorted(scores, reverse=True)
    assert done["scores"]["1"] == scores[0]
    assert done["first"][0]["path"] == next(r.path for r in faceset.rows() if r.frame_index == 5)
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 1000
    assert done["renamed"] == 0
    text = (tmp_path / "set" / "orders" / "brightness.json").read_bytes()
    sort(tmp_path / "set", "brightness")
    assert (tmp_path / "set" / "orders" / "brightness.json").read_bytes() == text, "the same order, the same bytes"
    assert read_order(faceset, "brightness").face_ids == tuple(face["face_id"] for face in stored["faces"])


def test_reversed_and_one_person(tmp_path):
    small_set(tmp_path / "set")
    done = sort(tmp_path / "set", "brightness", reverse=True, person="Ada")
    assert [int(one["face_id"][9:16]) for one in done["first"]] == [1, 3, 5]
    with pytest.raises(NothingFound):
        sort(tmp_path / "set", "brightness", person="Nobody")


def test_without_a_score_a_face_stays_last_both_ways(tmp_path):
    faceset = write_set(tmp_path / "set", [
        (make_face(n, side_px=side), np.random.default_rng(n).integers(0, 256, (side, side, 3), np.uint8))
        for n, side in enumerate((128, 32, 128))])
    ids = [row.face_id for row in faceset.rows()]
    for reverse in (False, True):
        done = sort(tmp_path / "set", "blur", reverse=reverse)
        assert done["last"][-1] == {"face_id": ids[1], "path": done["last"][-1]["path"], "score": None}
        assert done["faces"] == 3, "too small to judge is no reason to lose it"


def test_what_an_order_sets_aside_is_counted_with_a_person_too(tmp_path):
    faces = [(make_face(n, o, person="Ada" if o else "Bo"), np.zeros((8, 8, 3), np.uint8))
             for n in range(3) for o in range(1 + n % 2)]
    write_set(tmp_path / "set", faces)
    assert sort(tmp_path / "set", "oneface")["rest"] == 2
    assert sort(tmp_path / "set", "oneface", person="Ada")["rest"] == 1


def test_orders_forget_faces_that_are_gone(tmp_path):
    faceset = small_set(tmp_path / "set")
    sort(tmp_path / "set", "brightness")
    ids = list(read_order(faceset, "brightness"))
    faceset.file(ids[0]).unlink()
    assert list(read_order(Faceset.open(tmp_path / "set"), "brightness")) == ids[1:]


DAMAGED = ["", "[]", "{}", '{"format": "facewright.order/9"}', '{"format": "facewright.order/1"}']


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_orders_are_refused(text, tmp_path):
    faceset = small_set(tmp_path / "set", 2)
    (tmp_path / "set" / "orders").mkdir()
    (tmp_path / "set" / "orders" / "hue.json").write_text(text)
    with pytest.raises(FileRefused):
        read_order(faceset, "hue")
    with pytest.raises(NothingFound):
        read_order(faceset, "blur")


def names(folder):
    return sorted(p.name for p in (folder / "faces").rglob("*.png"))


def test_numbered_and_back(tmp_path):
    folder = tmp_path / "set"
    faceset = small_set(folder)
    before = {p.relative_to(folder): p.read_bytes() for p in (folder / "faces").rglob("*.png")}
    own = next(iter(sorted((folder / "faces").rglob("*.png"))))
    own.rename(own.with_name("my favourite.png"))
    plain = names(folder)
    for by, changed in (("brightness", 6), ("origname", 6)):  # twice: a number takes the place of an earlier one
        assert sort(folder, by, rename=True)["renamed"] == changed
        order = list(read_order(Faceset.open(folder), by))
        assert [n[:7] for n in names(folder)] == [f"{n:06d}-" for n in range(1, 7)]
        assert [Faceset.open(folder).file(face_id).name for face_id in order] == names(folder)
    assert unnumbered(folder) == 6
    assert names(folder) == plain
    assert unnumbered(folder) == 0
    own.with_name("my favourite.png").rename(own)
    assert before == {p.relative_to(folder): p.read_bytes() for p in (folder / "faces").rglob("*.png")}
    assert len(Faceset.open(folder)) == len(faceset)


def test_numbering_keeps_what_was_measured(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    small_set(folder)
    sort(folder, "brightness", rename=True)
    monkeypatch.setattr(FolderFiles, "read", lambda *a: pytest.fail("a picture is read again"))
    faceset = Faceset.open(folder)
    assert np.isfinite(measures(faceset, ["brightness"])["brightness"]).all()
    monkeypatch.undo()
    assert faceset.image(next(iter(faceset.rows())).face_id).shape == (64, 64, 3)


@pytest.mark.parametrize("after", range(6))
def test_killed_while_numbering_no_face_is_lost(after, tmp_path, monkeypatch):
    folder = tmp_path / "set"
    small_set(folder)
    plain = names(folder)
    done = []

    class Killed(BaseException):
        pass

    rename = sorting.Path.rename

    def dying(path, new):
        if len(done) == after:
            raise Killed
        done.append(path)
        return rename(path, new)

    monkeypatch.setattr(sorting.Path, "rename", dying)
    with pytest.raises(Killed):
        sort(folder, "brightness", rename=True)
    monkeypatch.undo()
    faceset = Faceset.open(folder)
    assert len(faceset) == 6
    assert sum(name[:3] == "000" for name in names(folder)) == after
    assert sort(folder, "brightness", rename=True)["renamed"] == 6 - after
    assert unnumbered(folder) == 6
    assert names(folder) == plain


def test_a_name_that_is_taken_is_left_alone(tmp_path):
    folder = tmp_path / "set"
    faceset = small_set(folder, 2)
    first, second = (faceset.path / row.path for row in faceset.rows())
    second.rename(second.with_name(f"000007-{first.name}"))
    assert unnumbered(folder) == 0
    assert first.exists()
    assert len(names(folder)) == 2


def test_another_writer_is_respected(tmp_path):
    small_set(tmp_path / "set", 2)
    with Writer(tmp_path / "set"), pytest.raises(DiskRefused):
        sort(tmp_path / "set", "hue")


def test_unreadable_pictures_are_told_and_kept(tmp_path):
    faceset = small_set(tmp_path / "set", 3)
    path = faceset.file(f"{SHA[:8]}_0000001_0")
    path.write_bytes(path.read_bytes()[:-2000])
    done = sort(tmp_path / "set", "brightness")
    assert [name for name, _ in done["refused"]] == [path.relative_to(tmp_path / "set").as_posix()]
    assert done["faces"] == 3
    assert done["last"][-1]["score"] is None


def test_settings_reach_the_order(tmp_path):
    small_set(tmp_path / "set")
    done = sort(tmp_path / "set", "best-fast", SortSettings(count=2))
    assert done["rest"] == 4


def test_groups_shrink_with_a_person():
    made = Ranking(tuple("abcdef"), (1.0,) * 6, "x", 0, (("one", 2), ("two", 3), ("three", 1)))
    assert sorting._of(made, {"a", "d", "e"}) == dataclasses.replace(
        made, face_ids=("a", "d", "e"), scores=(1.0,) * 3, groups=(("one", 1), ("two", 2)))
    assert made[1:3] == ("b", "c")
    assert "c" in made
    assert "z" not in made


@pytest.mark.parametrize(("score", "lowest", "highest", "text"), [
    (15249.2, 6887.0, 17600.5, "15,249"), (0.39131, 0.3913, 0.5176, "0.391"), (-0.0001, -9.7, 19.8, "0.0"),
    (2.0, 1.0, 3.0, "2"), (0.5, 0.5, 0.5, "0.500"), (1751, 0, 2408, "1,751"), (None, 0.0, 1.0, ""),
])  # fmt: skip
def test_scores_are_rounded_to_what_tells_faces_apart(score, lowest, highest, text):
    assert readable(score, lowest, highest) == text


def test_a_ranking_says_which_end_comes_first():
    assert Ranking(("a", "b", "c"), (3.0, 1.0, None)).direction == "highest first"
    assert Ranking(("a", "b"), (1.0, 2.0)).direction == "lowest first"
    assert Ranking(("a", "b"), (1.0, 1.0)).direction == Ranking(("a", "b")).direction == ""
