"""What the source shows and lacks, the advice on it, and the picture."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.faceset.clean_set import drawn, good, write
from tests.faceset.cleaning.test_coverage_cells import views

from facewright.core.errors import NothingFound
from facewright.faceset.cleaning import coverage
from facewright.faceset.cleaning.advice import advise
from facewright.faceset.cleaning.coverage import REACH_DEG, compare, facts, portrait, within_reach
from facewright.faceset.cleaning.coverage_cells import Views
from facewright.faceset.cleaning.coverage_map import draw
from facewright.faceset.faceset import Vectors
from facewright.faceset.tags import mark


def turned(frame, yaw_deg, pitch_deg=0.0, **changes):
    face, _ = good(frame, yaw_deg=yaw_deg, **changes)
    face = dataclasses.replace(face, pitch_deg=pitch_deg)
    return face, drawn(face)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A source that looks from -20 to 20 degrees and a target that turns on to 45 in a shot of its own."""
    base = tmp_path_factory.mktemp("pair")
    source = write(base / "src", [turned(n, n % 41 - 20.0, n % 11 - 5.0) for n in range(160)])
    some = [turned(n, n % 21 - 10.0, n % 7 - 3.0) for n in range(120)]
    for n in range(100, 120):
        face, image = turned(n, 45.0)
        some[n] = dataclasses.replace(face, source=dataclasses.replace(face.source, shot=4)), image
    return portrait(source), portrait(write(base / "dst", some))


def test_facts_of_a_set(pair):
    found = facts(pair[0])
    assert (found["faces"], found["parked"]) == (160, 0)
    assert np.array(found["poses"]).sum() == 160
    assert (found["yaw_deg"], found["pitch_deg"]) == ((-20.0, 20.0), (-5.0, 5.0))
    for key in ("mouth", "eyes", "light", "light_height"):
        assert sum(found[key].values()) == 160
    assert sum(sum(v.values()) for v in found["light_by_turn"].values()) == 160
    assert found["films"][0]["faces"] == 160
    assert found["frontal"] >= 10
    assert all(0.3 < v < 5 for v in found["proportions"].values())


def test_what_the_target_shows_and_the_source_lacks(pair):
    found = compare(*pair)
    assert found["out_of_reach"] == 20
    assert found["poses"] == [{"yaw_deg": [45, 60], "pitch_deg": [0, 15], "faces": 20, "of": 20}]
    assert [one["what"] for one in found["beyond"]] == ["turns"]
    assert found["beyond"][0]["by_deg"] == 25.0
    assert found["shots"] == [{
        "file": "film.mp4", "shot": 4, "first_frame": 100, "last_frame": 119, "faces": 20, "profile": 0, "nod": 0,
        "out_of_reach": 20, "yaw_deg": (45.0, 45.0), "pitch_deg": (0.0, 0.0)}]
    assert all(abs(v - 1) < 0.02 for v in found["proportions"].values())
    words = {one["about"]: one for one in advise(facts(pair[0]), found, facts(pair[1]))}
    assert words["pose"]["kind"] == "warning"
    assert "film.mp4, frames 100 to 119" in words["shot"]["text"]
    assert "head" not in words


def test_poses_that_the_target_does_not_have_are_no_concern(pair):
    found = compare(pair[1], pair[0])
    assert [one["what"] for one in found["beyond"]] == ["turns"], "the other way round it would be one"
    ahead = np.abs(pair[0].views.yaw_deg) < 8
    columns = dataclasses.replace(pair[0].columns, rows=[r for r, here in zip(pair[0].columns.rows, ahead) if here])
    quiet = compare(pair[0], dataclasses.replace(
        pair[0], views=pair[0].views.of(ahead), native_px=pair[0].native_px[ahead], columns=columns))
    assert (quiet["out_of_reach"], quiet["beyond"], quiet["poses"], quiet["shots"]) == (0, [], [], [])


@given(st.lists(st.tuples(st.floats(-89, 89), st.floats(-60, 60)), min_size=1, max_size=30),
       st.tuples(st.floats(-89, 89), st.floats(-60, 60)))
def test_reach_is_a_disc_to_the_fineness_of_its_raster(poses, one):
    source = views([p[0] for p in poses], [p[1] for p in poses])
    near = int(within_reach(source, views([one[0]], [one[1]]))[0])
    apart = np.hypot(source.yaw_deg - one[0], source.pitch_deg - one[1])
    fine = 2.5 * np.sqrt(2)
    assert (apart <= REACH_DEG - fine).sum() <= near <= (apart <= REACH_DEG + fine).sum()


@pytest.mark.parametrize(("shift", "warns"), [(4.0, False), (7.0, True)])
def test_five_degrees_are_the_limit(shift, warns):
    base = np.linspace(-20, 20, 200)
    far = coverage._beyond(views(base), views(base + shift))
    assert bool(far) is warns
    stray = np.append(base, [80.0])
    assert not coverage._beyond(views(base), views(stray)), "a single stray does not count"


def test_parked_faces_count_for_the_target_alone(tmp_path):
    faceset = write(tmp_path / "set", [turned(n, float(n)) for n in range(20)])
    mark(faceset, list(faceset.rows(yaw_deg=(15, 99))), add=["parked"])
    assert (portrait(faceset).count, portrait(faceset, parked=False).count) == (20, 15)
    assert facts(portrait(faceset, parked=False))["parked"] == 5
    mark(faceset, list(faceset.rows()), add=["parked"])
    with pytest.raises(NothingFound):
        portrait(faceset, parked=False)


def test_films_that_do_not_look_alike(tmp_path):
    def of(n, sha256, **changes):
        face, image = turned(n, 0.0, box_px=(0.0, 0.0, 90.0, 90.0), **changes)
        source = dataclasses.replace(face.source, sha256=sha256)
        return dataclasses.replace(face, source=source, face_id=f"{sha256[:8]}_{n:07d}_0"), image

    faces = [of(n, film * 64) for film, count in (("a", 30), ("b", 20), ("c", 12)) for n in range(count)]
    axis = {"a": [1, 0, 0], "b": [0.8, 0.6, 0], "c": [0, 0, 1]}
    asked = []

    def vectors(ids):
        asked.extend(ids)
        return Vectors(tuple(ids), np.array([axis[i[0]] for i in ids], np.float32), "net")

    faceset = write(tmp_path / "set", faces)
    found = portrait(faceset, vectors_of=vectors)
    assert found.alike == {"a" * 64: 1.0, "b" * 64: 0.8, "c" * 64: 0.0}
    assert len(asked) <= 36
    assert [one["alike"] for one in facts(found)["films"]] == [1.0, 0.8, 0.0]
    assert portrait(faceset, vectors_of=lambda ids: None).alike == {}


def test_heads_of_other_shapes(pair):
    wide = dataclasses.replace(pair[1], proportions=pair[0].proportions * [1.0, 0.85, 1.0])
    found = compare(pair[0], wide)
    (said,) = [one for one in advise(facts(pair[0]), found, facts(wide)) if one["about"] == "head"]
    assert said["kind"] == "warning"
    assert "length -15 %" in said["text"]
    blind = compare(pair[0], dataclasses.replace(pair[1], proportions=np.full(3, np.nan), frontal=0))
    assert "were not compared" in "".join(one["text"] for one in advise(facts(pair[0]), blind, facts(pair[1])))


def made_up(**changes):
    lights = {"lit from image left": 1000, "lit evenly": 1000, "lit from image right": 1000}
    found = {
        "faces": 4000, "blurry": 10, "obstructed": 0, "bad_exposure": 0, "enlarged": 0, "harsh": 0,
        "films": [{"file": "a.mp4", "faces": 4000, "sharpness": 50.0, "colour": [60.0, 15.0, 15.0], "alike": None}],
        "light_by_turn": {"looking ahead": lights},
    }
    return found | changes


def film(name, **changes):
    return {"file": name, "faces": 600, "sharpness": 50.0, "colour": [60.0, 15.0, 15.0], "alike": None,
            **changes}


@pytest.mark.parametrize(("changes", "about", "kind", "text"), [
    ({}, None, None, None),
    ({"faces": 300}, "number", "warning", "few"), ({"faces": 2000}, "number", "note", "will do"),
    ({"faces": 10_000}, "number", "note", "enough"), ({"faces": 20_000}, "number", "warning", "thin them out"),
    ({"blurry": 400}, "blurry", "warning", "10 %"), ({"obstructed": 400}, "obstructed", "warning", "covered"),
    ({"bad_exposure": 400}, "bad_exposure", "warning", "tinted"), ({"enlarged": 2000}, "size", "note", "50 %"),
    ({"harsh": 1000}, "light", "note", "harshly"),
    ({"light_by_turn": {"turned to image left": {"lit from image left": 0, "lit evenly": 900, "lit from image right": 0
                                                 }}}, "light", "note", "or lit from image right"),
    ({"films": [film(f"{i}.mp4") for i in range(7)]}, "films", "note", "7 films"),
    ({"films": [film("a"), film("b", sharpness=10.0)]}, "films", "note", "b is far softer than a"),
    ({"films": [film("a", alike=1.0), film("b", alike=0.3)]}, "films", "warning", "b looks unlike"),
    ({"films": [film("a"), film("b", colour=[60.0, 40.0, 15.0])]}, "films", "note", "differ much in colour"),
])
def test_advice_says_what_is_the_matter_and_nothing_else(changes, about, kind, text):
    said = advise(made_up(**changes))
    if about is None:
        assert said == []
        return
    (one,) = said
    assert (one["about"], one["kind"]) == (about, kind)
    assert text in one["text"]


def test_warnings_come_first():
    said = advise(made_up(faces=100, harsh=90, blurry=50))
    assert [one["kind"] for one in said] == sorted((one["kind"] for one in said), reverse=True)


@pytest.mark.parametrize("both", [True, False])
def test_the_picture_shows_where_the_source_lacks(pair, both):
    ours, theirs = facts(pair[0]), facts(pair[1])
    compared = compare(*pair) if both else None
    data = draw(ours, theirs if both else None, compared, advise(ours, compared, theirs if both else None))
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    red = (image == [200, 0, 60]).all(-1).sum()
    assert (red > 1000) == both
    assert (image == [255, 255, 255]).all(-1).mean() > 0.5
    assert image[-1].min() == 255, "nothing is cut off at the bottom"


def test_empty_measures_do_not_hurt():
    nan = np.full((3, 2), np.nan)
    some = Views(np.zeros(3), np.zeros(3), nan, nan)
    assert some.mouth.tolist() == [1, 1, 1]
    assert some.eyes.tolist() == [2, 2, 2]


def test_where_eyes_look(pair):
    def looking(one, degrees):
        return dataclasses.replace(one, gaze_deg=np.resize(np.asarray(degrees, float), one.count))

    source, target = looking(pair[0], [0, 1, np.nan]), looking(pair[1], [0, 20, 0, 0])
    assert facts(source)["gaze"] == {"eyes to image left": 0, "eyes ahead": 107, "eyes to image right": 0}
    words = [one["what"] for one in compare(source, target)["expressions"]]
    assert words == ["eyes to image right"]
    assert compare(source, looking(pair[1], [*[0] * 19, 20]))["expressions"] == [], "one in twenty may be a mistake"
    assert compare(source, looking(pair[1], [np.nan]))["expressions"] == []
    assert draw(facts(source), facts(target), compare(source, target), [])[:4] == b"\x89PNG"
