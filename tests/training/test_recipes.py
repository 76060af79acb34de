"""Recipes: what is shipped equals the facts it was taken from; a file of anybody's is data or is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import FacewrightError, FileRefused, SettingRefused
from facewright.core.settings import check, merge
from facewright.models.settings import SHAPES
from facewright.training import recipe_file, recipes
from facewright.training.reset import part_names
from facewright.training.settings import TRAIN_SETTINGS, SaehdTrain
from facewright.training.stages import Plan, Recipe, Stage


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_can_be_trained_by_each_of_its_nets(name):
    recipe = recipes.checked(name)
    for net in recipe.nets or TRAIN_SETTINGS:
        recipe.serves(net)
        shape = check(SHAPES[net], recipe.shape)
        start = check(TRAIN_SETTINGS[net], {"minutes": 7} | recipe.start())
        # The standard recipe has stages for both; a reset names a part that is there.
        recipe.plan().check(start, shape, lambda: part_names(net, shape))  # noqa: B023
    assert all(stage.why for stage in recipe.stages)


def final(name: str, upto: str) -> SaehdTrain:
    """The settings in force in stage `upto`."""
    recipe = recipes.recipe(name)
    start = check(SaehdTrain, recipe.start())
    return next(s for stage, s in recipe.plan().courses(start) if stage.name == upto)


def facts(s: SaehdTrain) -> tuple:
    """Random warp, eyes-mouth priority, uniform yaw, dropout, blur-out mask, discriminator."""
    return s.random_warp, s.eyes_mouth_prio, s.uniform_yaw, s.lr_dropout, s.blur_out_mask, s.gan_power


def test_quick_is_the_measured_recipe_and_arguments_win():
    quick = recipes.recipe("quick")
    s = merge(SaehdTrain, quick.start(), {"minutes": 7, "lr": 1e-3})
    assert (s.lr, s.batch_size, s.optimiser, s.rotation_deg, s.warp_strength) == (1e-3, 8, "adamw", 3, 0.5)
    assert (quick.shape["archi"], quick.shape["resolution"]) == ("df-ud", 96)
    hour = recipes.recipe("hour")
    assert {k for k in hour.start() if hour.start()[k] != quick.start()[k]} == {
        "rotation_deg", "scale", "shift", "warp_strength"}
    assert not quick.stages
    assert quick.plan().as_json() == {}
    assert recipes.recipe("original").start() == {}


def test_standard_is_the_guide_s():
    """G236 to G240."""
    order = [stage.name for stage in recipes.recipe("standard").stages]
    assert order == ["warp", "eyes", "turns", "settle", "straight", "straight-eyes", "straight-turns",
                     "straight-settle", "gan"]
    assert [facts(final("standard", name)) for name in order] == [
        (True, False, False, 1, False, 0), (True, True, False, 1, False, 0), (True, False, True, 1, False, 0),
        (True, False, True, 0.3, False, 0), (False, False, False, 1, False, 0), (False, True, False, 1, False, 0),
        (False, False, True, 1, False, 0), (False, False, True, 0.3, False, 0), (False, False, True, 0.3, False, 0.1)]
    assert recipes.recipe("standard").stages[-1].iterations == 80_000


def test_ready_to_merge_is_the_guide_s():
    """G242 to G246, and the older one, G248 to G251."""
    rtm = recipes.recipe("rtm")
    assert [(s.iterations, s.reset, s.reset_every) for s in rtm.stages] == [
        (2_000_000, "inter_AB", 500_000), (500_000, "inter_AB", 0), (500_000, "", 0), (800_000, "", 0)]
    assert rtm.shape == {"archi": "liae-udt", "resolution": 224, "face_type": "whole_face", "ae_dims": 512,
                         "e_dims": 64, "d_dims": 64, "d_mask_dims": 32}
    last = final("rtm", "gan")
    assert facts(last) == (False, True, True, 0.3, True, 0.1)
    assert (last.gan_dims, last.batch_size, last.ct_mode) == (32, 8, "rct")
    old = [s.name for s in recipes.recipe("rtm-old").stages]
    assert [facts(final("rtm-old", n)) for n in old] == [
        (True, False, True, 1, True, 0), (True, False, True, 0.3, True, 0), (True, False, False, 0.3, True, 0),
        (False, False, False, 0.3, True, 0), (False, False, False, 0.3, True, 0.1)]


@pytest.mark.parametrize(("name", "stages"), [
    ("one-day", [(25_000, ""), (30_000, "inter_AB"), (0, "")]),
    ("live-performer", [(500_000, ""), (500_000, ""), (700_000, "")]),
    ("live-performer-scratch", [(1_000_000, "inter_AB"), (500_000, ""), (700_000, "")]),
    ("live-any", [(500_000, "inter_AB"), (700_000, "")]),
    ("live-any-scratch", [(2_000_000, "inter_AB"), (500_000, ""), (700_000, "")]),
])
def test_the_live_tool_s_recipes(name, stages):
    """G256 to G259, G289."""
    found = recipes.recipe(name)
    assert [(s.iterations, s.reset) for s in found.stages] == stages
    assert facts(final(name, found.stages[0].name)) == (True, False, True, 0.3, True, 0)
    last = final(name, "last")
    assert (facts(last), last.gan_dims) == ((False, False, True, 0.3, True, 0.1), 32)
    assert bool(found.stages[1].stop) == ("performer" in name)
    assert found.stages[-1].total_hours == (24 if name == "one-day" else 0)


GOOD = """
help: A recipe of mine
nets: [saehd]
settings: {batch-size: 4, random_warp: yes}
stages:
  - {name: first, iterations: 1000, settings: {lr: 1e-4}}
  - {name: flat, plateau: true, hold: 50}
  - name: last
    why: sharpness
    settings: {gan-power: 0.1}
    reset: inter_AB
    reset_every: 5000
"""


@pytest.fixture
def write(tmp_path):
    def put(text: str | bytes, name: str = "mine.yaml"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return put


def test_a_file_of_one_s_own(write):
    path = write(GOOD)
    mine = recipes.recipe(str(path))
    assert (mine.name, mine.where) == ("mine", str(path))
    assert mine.start() == {"batch_size": 4, "random_warp": "yes", "lr": 1e-4}
    assert check(SaehdTrain, mine.start()).random_warp is True
    assert mine.stages[1] == Stage("flat", plateau=0.02, hold=50)
    assert mine.stages[2].settings == {"gan_power": 0.1}
    assert recipes.checked(str(path)) == mine
    assert recipes.text_of(str(path)) == GOOD


def test_a_plan_goes_through_json_and_keeps_the_user_s_values(write):
    path = write(GOOD)
    plan = recipes.recipe(str(path)).plan({"lr"}, "flat")
    assert recipe_file.plan_of(plan.as_json(), path) == plan
    assert plan.overrides(0) == {}
    assert plan.overrides(2) == {"gan_power": 0.1}
    assert recipe_file.plan_of({}, path) == Plan()
    with pytest.raises(SettingRefused, match="no stage 'nix'") as caught:
        recipes.recipe(str(path)).plan(begin="nix")
    assert "first, flat, last" in caught.value.remedy


@pytest.mark.parametrize(("damage", "word"), [
    ({"stages": [{"name": "a", "nonsense": 1}]}, "nonsense"), ({"stages": 7}, "damaged"), ({"mine": [1]}, "damaged"),
    ({"stages": [{"name": "a", "iterations": "many"}]}, "iterations"), ({"recipe": ["x"]}, "damaged"),
    ({"stages": [{"name": "../up"}]}, "name"),
])
def test_a_damaged_plan_is_refused(damage, word, tmp_path):
    with pytest.raises(FileRefused, match=word):
        recipe_file.plan_of({"recipe": "x", "stages": [], "mine": []} | damage, tmp_path / "history.jsonl")


def stage(text: str) -> str:
    return f"help: x\nstages:\n  - {{name: a, {text}}}\n"


@pytest.mark.parametrize(("text", "words"), [
    ("", "not a list of key"), ("- 1\n", "not a list of key"), ("stages: []\n", "no `help`"), ("help: [\n", "YAML"),
    ("help: x\ncolour: red\n", "'colour'"), ("help: x\nhelp: y\n", "YAML"), (b"help: \xff\xfe", "YAML"),
    ("help: x\nnets: [fast]\n", "`nets`"), ("help: x\nnets: saehd\n", "`nets`"), ("help: x\nstages: 5\n", "`stages`"),
    ("help: x\nstages: [5]\n", "stage 1 is not"), ("help: x\nsettings: [lr]\n", "`settings`"),
    ("help: x\nsettings: {lr: [1]}\n", "'lr'|`lr`"), ("help: x\nsettings: {1: 2}\n", "`1`"),
    (stage("gan_power: 0.1"), "stage 1 \\(a\\) has a key 'gan_power'"), (stage("iterations: 0"), "`iterations`"),
    (stage("iterations: 1.5"), "`iterations`"), (stage("iterations: true"), "`iterations`"),
    (stage("hours: .nan"), "`hours`"), (stage("hours: .inf"), "`hours`"), (stage("hours: -1"), "`hours`"),
    (stage("plateau: 2"), "`plateau`"), (stage("reset_every: 500"), "without `reset`"),
    (stage("reset: x, reset_every: 1"), "`reset_every`"), (stage("snapshot: maybe"), "`snapshot`"),
    (stage("hold: 5"), "first stage waits"), (stage("why: [x]"), "`why`"),
    ("help: x\nstages:\n  - {name: a}\n  - {name: b}\n", "no end"),
    ("help: x\nstages:\n  - {name: a, hours: 1}\n  - {name: a}\n", "another stage"),
    ("help: x\nstages:\n  - {hours: 1}\n", "`name`"), ("help: x\nstages:\n  - {name: ../../etc}\n", "`name`"),
])
def test_what_is_no_recipe_is_refused_with_file_stage_and_key(write, text, words):
    path = write(text)
    with pytest.raises(FileRefused, match=words) as caught:
        recipes.recipe(str(path))
    assert "mine.yaml" in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize("text", [
    "help: x\nsettings: &a {lr: 1}\nshape: *a\n", "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nhelp: x\n",
    "help: !!python/object/apply:os.system ['true']\n", "help: !!python/name:os.system\n", "help: " + "[" * 30_000,
    "help: x\nsettings: {" + "a: {" * 200, "<<: *x\n", "\0", "help: x\n" + "# " * 40_000,
    "help: !!timestamp 2001-01-01\n",
], ids=["alias", "bomb", "call", "name", "deep", "deeper", "merge", "zero", "large", "date"])
def test_a_hostile_file_is_refused_quickly(write, text):
    with pytest.raises(FileRefused):
        recipes.recipe(str(write(text)))


@given(st.text(max_size=300))
def test_any_text_is_a_recipe_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(FacewrightError):
        recipes.recipe(str(path))


@pytest.mark.parametrize(("text", "where", "words"), [
    (stage("hours: 1, settings: {lr: 9}"), "stage a", "lr"), (stage("settings: {colour: 1}"), "stage a", "colour"),
    ("help: x\nsettings: {colour: 1}\n", "settings", "colour"), ("help: x\nshape: {lr: 1}\n", "shape", "lr"),
    ("help: x\nshape: {resolution: 100}\n", "shape", "resolution"), (stage("settings: {lr: .nan}"), "stage a", "lr"),
    ("help: x\nsettings: {optimiser: adamw, lr_dropout: 0.3}\n", "settings", "lr-dropout"),
    ("help: x\nstages: [{name: a, hours: 1}, {name: b, settings: {batch_size: 4}}]\n", "stage b", "batch_size"),
])
def test_what_no_net_can_do_is_refused_before_training(write, text, where, words):
    path = write(text)
    with pytest.raises(SettingRefused, match=words) as caught:
        recipes.recipe(str(path)).serves("saehd")
    assert where in caught.value.where
    assert str(path) in caught.value.where


@pytest.mark.parametrize(("text", "words"), [
    (stage("settings: {true_face_power: 0.1}"), "df nets only"), (stage("reset: inter_C"), "inter_C"),
])
def test_what_this_net_cannot_do_is_refused_before_training(write, text, words):
    path = write(text)
    plan, shape = recipes.recipe(str(path)).plan(), check(SHAPES["saehd"], {})
    with pytest.raises(SettingRefused, match=words) as caught:
        plan.check(SaehdTrain(), shape, lambda: part_names("saehd", shape))
    assert caught.value.where.startswith(f"{path}: stage a")


def test_a_share_needs_a_budget():
    plan = Recipe("x", "", stages=(Stage("a", share=0.5), Stage("b"))).plan()
    with pytest.raises(SettingRefused, match="share of the budget"):
        plan.check(SaehdTrain(), check(SHAPES["saehd"], {}))
    plan.check(check(SaehdTrain, {"minutes": 5}), check(SHAPES["saehd"], {}))


def test_a_recipe_is_for_its_nets_only():
    with pytest.raises(SettingRefused, match="for saehd and amp, not for xseg"):
        recipes.recipe("standard").serves("xseg")
    with pytest.raises(SettingRefused, match="no recipe") as caught:
        recipes.recipe("slow")
    assert "standard" in caught.value.remedy
    with pytest.raises(FileRefused):
        recipes.recipe("there-is-none.yaml")


@pytest.mark.parametrize(("net", "shape", "parts"), [
    ("saehd", {"archi": "df-ud"}, ("encoder", "inter", "decoder_src", "decoder_dst")),
    ("saehd", {}, ("encoder", "inter_AB", "inter_B", "decoder")),
    ("amp", {}, ("encoder", "inter_src", "inter_dst", "decoder")),
])
def test_a_net_s_parts_are_known_before_there_is_one(net, shape, parts):
    assert part_names(net, check(SHAPES[net], shape)) == parts


def test_what_a_stage_is_for_people():
    one = Stage("a", iterations=1000, hours=2, hold=5, reset="inter", reset_every=500, stop="x")
    assert one.end_text == "after 1,000 iterations or after 2 h"
    assert one.deeds == [
        "stop before it", "wait up to 5 iterations for `jobs next`", "reset inter every 500 iterations"]
    assert Stage("b").end_text == "with the training"
    assert one.as_json() == {"name": "a", "iterations": 1000, "hours": 2, "hold": 5, "reset": "inter",
                             "reset_every": 500, "stop": "x"}
