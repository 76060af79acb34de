from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facewright.core.settings import check
from facewright.models import start_weights
from facewright.models.net import build
from facewright.models.settings import SaehdSettings
from facewright.models.start_weights import SHAPE, WEIGHTS, begin_with_drawn_heads, fits, stored

SMALL = SHAPE.model_dump() | {"resolution": 64}


def net(**changes):
    return build("saehd", check(SaehdSettings, SMALL | changes), seed=3)


def test_encoder_and_both_decoders_are_given_and_the_inter_is_left_alone():
    fresh, begun = net(), net()
    digest = begin_with_drawn_heads(begun)
    assert len(digest) == 64
    before, after = fresh.state_dict(), begun.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name.partition(".")[0] for name in same} == {"inter"}
    assert not [name for name in before if name.startswith("inter.") and name not in same]
    for name, tensor in begun.decoder_src.state_dict().items():
        assert torch.equal(tensor, begun.decoder_dst.state_dict()[name])
        assert torch.isfinite(tensor).all()
    assert begun.decoder_src.state_dict().keys() == fresh.decoder_src.state_dict().keys()


def test_what_is_kept_of_a_net_is_what_a_new_one_is_given():
    begun = net()
    begin_with_drawn_heads(begun)
    kept = stored(begun.state_dict())
    assert {name.partition(".")[0] for name in kept} == {"encoder", "decoder"}
    assert len(kept) == len([n for n in begun.state_dict() if not n.startswith(("inter.", "decoder_dst."))])


@pytest.mark.parametrize("changes", [{"archi": "liae-ud"}, {"archi": "df-udt"}, {"e_dims": 32}, {"d_mask_dims": 16},
                                     {"face_type": "whole_face"}])
def test_another_net_is_left_as_it_is(changes):
    fresh, begun = net(**changes), net(**changes)
    assert not fits(begun)
    assert begin_with_drawn_heads(begun) == ""
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), begun.parameters()))


def test_only_the_size_may_differ():
    assert fits(net(resolution=128))
    assert not fits(net(ae_dims=256))
    assert not fits(torch.nn.Linear(2, 2))


def test_the_file_is_small():
    assert Path(start_weights.__file__).with_name(WEIGHTS).stat().st_size <= 7.5 * 2**20
