"""Advice on models: said when it is due, silent when it is not."""

from __future__ import annotations

import pytest

from facewright.core.settings import check
from facewright.models.advice import (
    learned,
    masks_of_two_models,
    other_faces,
    out_of_proportion,
    without_masks,
    without_pretraining,
)
from facewright.models.settings import SHAPES, AmpSettings, Quick96Settings, SaehdSettings
from facewright.training import recipes


def saehd(**values):
    return check(SaehdSettings, values)


def starts(*pretrain):
    return [{"settings": {"pretrain": p}} for p in pretrain]


@pytest.mark.parametrize(("events", "iteration", "imported", "wanted"), [
    ([], 0, None, "new"), (starts(False), 0, None, "new"), (starts(False), 9, None, "trained"),
    (starts(True), 9, None, "pretrained"), (starts(True, False), 0, None, "trained on a pretrained one"),
    (starts(True, False, True), 9, None, "pretrained"), ([{}], 9, None, "trained"),
    ([], 9, {"options": {"pretrain": True}}, "pretrained"), ([], 9, {"options": {"pretrain": False}}, "trained"),
    (starts(False), 9, {"options": {"pretrain": True}}, "trained on a pretrained one"),
    ([], 9, {"notes": ["It left pretraining: inter"]}, "trained on a pretrained one"),
])
def test_pretrained_or_trained(events, iteration, imported, wanted):
    assert learned(events, iteration, imported) == wanted


@pytest.mark.parametrize(("net", "shape", "state", "said"), [
    ("saehd", saehd(archi="liae-ud"), "new", True), ("saehd", saehd(archi="df-d"), "trained", True),
    ("saehd", saehd(archi="liae-ut"), "new", False), ("saehd", saehd(archi="df"), "new", False),
    ("saehd", saehd(archi="liae-ud"), "pretrained", False),
    ("saehd", saehd(archi="liae-ud"), "trained on a pretrained one", False),
    ("amp", AmpSettings(), "new", True), ("quick96", Quick96Settings(), "new", False),
])
def test_d_and_amp_want_pretraining(net, shape, state, said):
    found = without_pretraining(net, shape, state)
    assert (found is not None) == said
    assert found is None or ("--pretrain" in found.text and not found.refuse)


@pytest.mark.parametrize(("values", "word"), [
    ({}, ""), ({"ae_dims": 512, "e_dims": 64, "d_dims": 64}, ""), ({"ae_dims": 128, "e_dims": 32, "d_dims": 32}, ""),
    ({"ae_dims": 1024}, "e_dims would be 256"), ({"d_dims": 256}, "ae_dims would be 1024"),
    ({"e_dims": 16}, "e_dims would be 64"), ({"d_dims": 32, "d_mask_dims": 64}, "third"),
])
def test_dims_out_of_proportion(values, word):
    found = out_of_proportion("saehd", saehd(**values))
    assert (found.text if found else "").find(word) >= 0
    assert (found is None) == (word == "")


def test_the_shipped_shapes_and_recipes_are_in_proportion():
    for net, cls in SHAPES.items():
        assert out_of_proportion(net, cls()) is None
    for recipe in map(recipes.recipe, recipes.names()):
        if "saehd" in recipe.nets:
            assert out_of_proportion("saehd", saehd(**recipe.shape)) is None


def test_amp_inters_are_not_smaller_than_the_code():
    assert "inter_dims" in out_of_proportion("amp", check(AmpSettings, {"ae_dims": 512, "inter_dims": 256})).text


@pytest.mark.parametrize(("face_type", "settings", "src", "dst", "said", "refuse"), [
    ("full_face", {}, 0.0, 0.0, False, False), ("whole_face", {}, 1.0, 1.0, False, False),
    ("whole_face", {}, 1.0, 0.0, True, False), ("head", {}, 0.0, 0.0, True, True), ("head", {}, 0.5, 1.0, True, False),
    ("head", {"masked_training": False}, 0.0, 0.0, False, False),
    ("full_face", {"face_style_power": 0.1}, 0.0, 1.0, True, True),
    ("full_face", {"bg_style_power": 2}, 1.0, 1.0, False, False),
    ("full_face", {"bg_style_power": 0}, 0.0, 0.0, False, False),
])
def test_masks_are_wanted(face_type, settings, src, dst, said, refuse):
    found = without_masks(face_type, settings, src, dst)
    assert (found is not None) == said
    assert found is None or (found.refuse == refuse and "mask apply" in found.text)


def test_masks_of_two_models_are_told():
    assert masks_of_two_models({"xseg:a": 9, "": 3}, {"xseg:a": 2}) is None
    assert masks_of_two_models({"": 9}, {"": 9}) is None
    assert masks_of_two_models({"hull": 9}, {"": 9}) is None
    assert "xseg:b" in masks_of_two_models({"xseg:a": 9}, {"xseg:b": 1}).text
    assert masks_of_two_models({"xseg:a": 9, "hull": 1}, {"xseg:a": 1}).row == "G152"


SIDES = {"src": {"digest": "1", "person": "a"}, "dst": {"digest": "2", "person": ""}}


@pytest.mark.parametrize(("net", "shape", "side", "now", "word"), [
    ("saehd", saehd(archi="liae-ud"), "src", {"digest": "9", "person": "b"}, "model reset RUN inter_AB"),
    ("saehd", saehd(archi="liae-ud"), "dst", {"digest": "9", "person": ""}, "model reset RUN inter_B"),
    ("saehd", saehd(archi="df-u"), "dst", {"digest": "9"}, "model reset RUN decoder_dst"),
    ("quick96", Quick96Settings(), "src", {"digest": "9"}, "model reset RUN decoder_src"),
    ("amp", AmpSettings(), "src", {"digest": "9"}, "model reset RUN inter_src"),
    ("saehd", saehd(), "src", {"digest": "9", "person": "a"}, "same person: nothing to reset"),
    ("saehd", saehd(), "src", {"digest": "1", "person": "a"}, None),
])
def test_other_faces_say_what_to_reset(net, shape, side, now, word):
    found = other_faces("RUN", net, shape, SIDES, SIDES | {side: now}, random_warp=True)
    assert (found is None) == (word is None)
    assert found is None or (word in found.text and "--random-warp" not in found.text and not found.refuse)


def test_without_warp_it_is_to_be_switched_on():
    changed = {"src": {"digest": "9"}, "dst": {"digest": "8"}}
    text = other_faces("RUN", "saehd", saehd(), SIDES, changed, random_warp=False).text
    assert "--random-warp" in text
    assert "inter_AB" in text
    assert "inter_B`" in text
    assert other_faces("RUN", "saehd", saehd(), {}, changed, random_warp=False) is None
