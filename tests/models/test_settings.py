"""Shape settings: every rule refuses with a sentence, every free choice is accepted."""

from __future__ import annotations

import itertools

import pytest

from facewright.core.errors import SettingRefused
from facewright.core.settings import check, options
from facewright.faces.settings import FACE_TYPES
from facewright.faceset.settings import ExtractSettings
from facewright.models.settings import SHAPES, AmpSettings, Quick96Settings, SaehdSettings, XSegSettings, split_archi


@pytest.mark.parametrize("graph", ["df", "liae"])
def test_letters_in_any_order_any_subset(graph):
    for count in range(5):
        for letters in itertools.permutations("udtc", count):
            archi = graph + ("-" + "".join(letters) if letters else "")
            assert split_archi(archi) == (graph, frozenset(letters))
            assert check(SaehdSettings, {"archi": archi}).archi == archi


@pytest.mark.parametrize("archi", ["", "df-", "dfud", "df-x", "df-uu", "liae_ud", "DF-ud", "hd"])
def test_unknown_archi_is_refused(archi):
    with pytest.raises(SettingRefused) as caught:
        check(SaehdSettings, {"archi": archi})
    assert "--archi" in caught.value.what


BAD_SIZES = [("df-d", 80), ("liae-t", 144), ("df-udt", 112), ("df", 72), ("df", 656), ("df", 48)]


@pytest.mark.parametrize(("archi", "bad"), BAD_SIZES)
def test_resolution_step_follows_the_letters(archi, bad):
    with pytest.raises(SettingRefused) as caught:
        check(SaehdSettings, {"archi": archi, "resolution": bad})
    assert "--resolution" in caught.value.what
    assert check(SaehdSettings, {"archi": archi, "resolution": 96}).resolution == 96
    assert check(SaehdSettings, {"archi": "df-u", "resolution": 80}).resolution == 80


def test_refusal_names_the_nearest_sizes():
    with pytest.raises(SettingRefused) as caught:
        check(SaehdSettings, {"archi": "df-d", "resolution": 80})
    assert "64 or 96" in caught.value.remedy


def test_odd_channels_become_even_and_mask_follows_typed_decoder():
    s = check(SaehdSettings, {"e_dims": 17, "d_dims": 95})
    assert (s.e_dims, s.d_dims, s.d_mask_dims) == (18, 96, 32)
    assert check(SaehdSettings, {}).d_mask_dims == 22
    assert check(SaehdSettings, {"d_mask_dims": 8, "d_dims": 16}).d_mask_dims == 8


@pytest.mark.parametrize("cls", [SaehdSettings, AmpSettings, XSegSettings, ExtractSettings])
def test_face_types_are_understood_in_deepfacelab_s_words(cls):
    for theirs, ours in FACE_TYPES.items():
        if ours in next(o.choices for o in options(cls) if o.name == "face_type"):
            assert check(cls, {"face_type": theirs}).face_type == ours
            assert check(cls, {"face_type": ours}).face_type == ours
    with pytest.raises(SettingRefused, match="'w'") as refused:
        check(cls, {"face_type": "w"})
    assert "whole_face" in refused.value.remedy
    if cls is not ExtractSettings:
        started = check(cls, {"face_type": "wf"})
        assert check(cls, {"face_type": "whole_face"}, started=started) == started


def test_shape_is_locked_after_start():
    started = check(SaehdSettings, {})
    with pytest.raises(SettingRefused, match="locked"):
        check(SaehdSettings, {"ae_dims": 128}, started=started)
    assert check(SaehdSettings, {}, started=started) == started


def test_quick96_has_nothing_to_choose():
    assert Quick96Settings.model_fields == {}
    with pytest.raises(SettingRefused):
        check(SHAPES["quick96"], {"resolution": 128})


def test_amp_has_the_originals_defaults_and_rules():
    s = check(AmpSettings, {})
    assert (s.resolution, s.face_type, s.ae_dims, s.inter_dims) == (224, "whole_face", 256, 1024)
    assert (s.e_dims, s.d_dims, s.d_mask_dims, s.morph_factor) == (64, 64, 22, 0.5)
    assert check(AmpSettings, {"e_dims": 17, "d_dims": 95}).d_mask_dims == 32
    bad = [{"resolution": 80}, {"face_type": "half_face"}, {"morph_factor": 0.6}, {"inter_dims": 4096}, {"archi": "df"}]
    for given in bad:
        with pytest.raises(SettingRefused):
            check(AmpSettings, given)
    with pytest.raises(SettingRefused, match="locked"):
        check(AmpSettings, {"morph_factor": 0.3}, started=s)


def test_xseg_has_the_originals_defaults_and_rules():
    s = check(XSegSettings, {})
    assert (s.resolution, s.face_type, s.base_dims) == (256, "whole_face", 32)
    for given in ({"resolution": 128}, {"base_dims": 4}, {"base_dims": 128}):
        with pytest.raises(SettingRefused):
            check(XSegSettings, given)


def test_every_net_has_a_shape_and_every_shape_a_net():
    from facewright.models.net import NETS

    assert NETS.names() == list(SHAPES)
