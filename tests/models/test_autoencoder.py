"""How nets compute: with less memory, in another order of memory, on smaller faces. What they compute: test_parity."""

from __future__ import annotations

import pytest
import torch
from tests import closed_form as cf

from facewright.models.autoencoder import Computing
from facewright.models.layers import depth_to_space
from facewright.models.net import Net, build
from facewright.models.settings import AmpSettings, SaehdSettings

SMALL = {"ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
ARCHIS = ["df", "df-ud", "liae-udt", "amp"]


def small(archi: str, resolution: int = 64) -> Net:
    if archi == "amp":
        return build("amp", AmpSettings(**SMALL, resolution=resolution, inter_dims=64))
    return build("saehd", SaehdSettings(**SMALL, archi=archi, resolution=resolution))


def faces(side: int, tag: str) -> torch.Tensor:
    return cf.nchw(cf.img(2, side, side, 3, tag))


def learned(net: Net, side: int = 64) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of a pass with swap."""
    net.zero_grad(set_to_none=True)
    views = net(faces(side, "src"), faces(side, "dst"), swap=True)
    made = (views.src_src, views.src_src_mask, views.dst_dst, views.dst_dst_mask, views.src_dst)
    loss = torch.stack([(x - 0.3).square().mean() for x in made if x is not None]).sum()
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("archi", ARCHIS)
@pytest.mark.parametrize("how", [Computing(recompute=True), Computing(channels_last=True), Computing(True, True)])
def test_however_it_computes_it_learns_the_same(archi, how):
    net = small(archi)
    names = list(net.state_dict())
    loss, gradients = learned(net)
    net.compute(how)
    again, others = learned(net)
    assert list(net.state_dict()) == names
    assert others.keys() == gradients.keys()
    torch.testing.assert_close(again, loss, atol=1e-6, rtol=0)
    # Another order of memory is another order of sums, and some activations sit on a kink of leaky ReLU.
    near = 1e-2 if how.channels_last else 1e-6
    for name, gradient in gradients.items():
        assert float((others[name] - gradient).norm()) <= near * float(gradient.norm()), name


def test_recomputing_keeps_less():
    def kept(how: Computing) -> int:
        seen: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        net = small("df-ud", 128)
        net.compute(how)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            views = net(faces(128, "src"), faces(128, "dst"))
        weights = sum(p.untyped_storage().nbytes() for p in net.parameters())
        assert views.src_src.requires_grad
        return sum(seen.values()) - weights

    assert kept(Computing(recompute=True)) < 0.5 * kept(Computing())


def test_the_order_of_memory_survives_depth_to_space():
    x = torch.arange(2 * 8 * 3 * 5.0).view(2, 8, 3, 5)
    made = depth_to_space(x.contiguous(memory_format=torch.channels_last))
    assert torch.equal(made, depth_to_space(x))
    assert made.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("archi", "resolution", "half"),
    [("df", 64, 32), ("df", 80, 40), ("df-ud", 96, 48), ("df-udt", 96, 64), ("liae-ud", 128, 64), ("liae-t", 64, 32),
     ("liae-udt", 64, 32), ("amp", 224, 128), ("amp", 64, 32)],
)
def test_half_the_size_goes_through_every_net(archi, resolution, half):
    net = small(archi, resolution)
    assert net.half_side == half
    views = net(faces(half, "src"), faces(half, "dst"), swap=True)
    assert views.src_src.shape == (2, 3, half, half)
    assert views.dst_dst_mask.shape == (2, 1, half, half)
    assert views.src_dst is not None
    assert views.src_dst.shape == (2, 3, half, half)
    assert net(faces(resolution, "src"), faces(resolution, "dst")).src_src.shape[-1] == resolution


@pytest.mark.parametrize("archi", ARCHIS)
def test_small_faces_teach_every_weight_that_large_ones_do(archi):
    net = small(archi)
    assert learned(net, net.half_side)[1].keys() == learned(net)[1].keys()
