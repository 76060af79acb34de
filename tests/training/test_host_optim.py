"""On a machine without a GPU both places are the host's: what is tested is who holds what, and that nothing differs."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from facewright.models.memory import pack, restore_memory
from facewright.training.host_optim import on_host
from facewright.training.optim import OPTIMISERS

KINDS = {
    "adabelief": {"lr": 1e-2, "clipnorm": 1.0}, "rmsprop": {"lr": 1e-2, "lr_dropout": 0.3},
    "adamw": {"lr": 1e-2, "clipnorm": 1.0},
}


def learner(kind: str, apart: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    net[0].bias.requires_grad_(False)
    options = dict(KINDS[kind])
    if "lr_dropout" in options:
        options["generator"] = torch.Generator().manual_seed(4)  # type: ignore[assignment]
    make = partial(OPTIMISERS[kind], **options)
    named = list(net.named_parameters())
    return net, on_host(named, make) if apart else make(named)


def learn(net: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    net.zero_grad(set_to_none=True)
    faces = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
    net(faces).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_the_usual_one_learns(kind):
    torch.optim.AdamW([nn.Parameter(torch.ones(1))])  # from here on torch's class has hooks of its own
    (one, usual), (other, apart) = learner(kind, False), learner(kind, True)
    for step in range(5):
        learn(one, usual, step)
        learn(other, apart, step)
        for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    assert type(apart) is type(usual)
    assert all(p.grad is None for p in other.parameters())
    here = {p.data_ptr() for p in other.parameters()}
    assert not here & {p.data_ptr() for g in apart.param_groups for p in g["params"]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
def test_their_saves_are_interchangeable(kind, before, after):
    net, optimiser = learner(kind, before)
    for step in range(3):
        learn(net, optimiser, step)
    other, taken_up = learner(kind, after)
    other.load_state_dict(net.state_dict())
    tensors, plain = pack(optimiser)
    restore_memory(taken_up, {name: value.clone() for name, value in tensors.items()}, plain)
    for step in range(3, 6):
        learn(net, optimiser, step)
        learn(other, taken_up, step)
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_weights_that_somebody_else_wrote_are_stepped_from():
    net, optimiser = learner("adabelief", True)
    learn(net, optimiser, 0)
    with torch.no_grad():
        net[2].weight.fill_(1.0)
    learn(net, optimiser, 1)
    assert 0 < float((net[2].weight.detach() - 1).abs().max()) < 0.1
