"""Optimisers against numbers of the original (tests/golden/models/optimizers.npz)."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests import closed_form as cf
from torch import nn

from facewright.training import optim

CASES = {
    "rmsprop": (optim.RMSprop, {"lr": 2e-4}),
    "adabelief": (optim.AdaBelief, {"lr": 5e-5}),
    "rmsprop_clip1": (optim.RMSprop, {"lr": 5e-5, "clipnorm": 1.0}),
    "adabelief_clip1": (optim.AdaBelief, {"lr": 5e-5, "clipnorm": 1.0}),
    "adabelief_big": (optim.AdaBelief, {"lr": 1e-3}),
    "adabelief_dropmask1_cos500": (optim.AdaBelief, {"lr": 5e-5, "lr_dropout": 0.3, "lr_cos": 500}),
    "rmsprop_dropmask1": (optim.RMSprop, {"lr": 2e-4, "lr_dropout": 0.3}),
    "rmsprop_dropmask_checker": (optim.RMSprop, {"lr": 2e-4, "lr_dropout": 0.3}),
}


def checker(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.indices(shape).sum(0) % 2 == 1)


def masks(tag: str):
    """Stands for the random draw. The blocks of a CPU step are flat: (20,) is the weight, (6,) the bias."""
    shapes = {20: (4, 5), 6: (6,)}

    def keep(like):
        if not tag.endswith("checker"):
            return [torch.ones_like(t, dtype=torch.bool) for t in like]
        return [checker(shapes[t.numel()]).view(t.shape) for t in like]

    return keep


def parameters() -> dict[str, nn.Parameter]:
    weight = nn.Parameter(torch.from_numpy(cf.stored("opt/w", (4, 5))))
    bias = nn.Parameter(torch.from_numpy(cf.stored("opt/bias", (6,))))
    return {"w": weight, "bias": bias}


def give_gradients(params: dict[str, nn.Parameter], i: int) -> None:
    params["w"].grad = torch.from_numpy(cf.img(1, 4, 5, 1, f"g{i}")[0, :, :, 0] - np.float32(0.5))
    params["bias"].grad = torch.from_numpy(cf.img(1, 1, 6, 1, f"h{i}")[0, 0, :, 0] - np.float32(0.5))


def test_every_golden_case_is_run(golden):
    tags = {k.removesuffix("_state_names") for k in np.load(golden / "models/optimizers.npz") if "state_names" in k}
    assert tags == set(CASES)


@pytest.mark.parametrize("tag", CASES)
def test_four_steps_equal_the_original(tag, golden, monkeypatch, parity):
    g = np.load(golden / "models/optimizers.npz", allow_pickle=False)
    kind, options = CASES[tag]
    params = parameters()
    start = {n: p.detach().double().numpy().copy() for n, p in params.items()}
    optimiser = kind(params.items(), generator=torch.Generator(), **options)
    monkeypatch.setattr(optimiser, "_keep", masks(tag))
    for i in range(4):
        if "cos500" in tag:
            optimiser.param_groups[0]["iterations"] = 100 * i
        give_gradients(params, i)
        optimiser.step()
        for key, name in (("w", "w"), ("b", "bias")):
            moved = params[name].detach().double().numpy() - start[name]
            place = f"{tag}_{key}{i + 1}"
            parity.near(f"optimizers.npz/{place}", moved, g[place], "changes of weights, four steps", atol=1e-7)
    names = {"o/iters:0"}
    for slot in optimiser.slots:
        for name, p in params.items():
            names.add(f"o/{slot}_m/{name}_0:0")
            place = f"{tag}_state_o|{slot}_m|{name}_0:0"
            parity.near(f"optimizers.npz/{place}", optimiser.state[p][slot], g[place], "memory after them", atol=1e-7)
    place = f"{tag}_state_names"
    parity.same(f"optimizers.npz/{place}", sorted(names), sorted(g[place].tolist()), "names of the memory")


def net_and_optimiser(kind: str, seed: int = 3):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3))
    options = {} if kind == "adamw" else {"lr_dropout": 0.3, "generator": torch.Generator().manual_seed(1)}
    return net, optim.OPTIMISERS[kind](net.named_parameters(), lr=1e-2, **options)


def steps(net, optimiser, count, seed):
    inputs = torch.Generator().manual_seed(seed)
    for _ in range(count):
        optimiser.zero_grad(set_to_none=True)
        net(torch.randn(4, 7, generator=inputs)).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("kind", sorted(optim.OPTIMISERS))
def test_state_dict_round_trip_is_bit_equal(kind):
    net, optimiser = net_and_optimiser(kind)
    steps(net, optimiser, 3, seed=1)
    twin, twin_optimiser = net_and_optimiser(kind, seed=4)
    twin.load_state_dict(net.state_dict())
    twin_optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    if kind != "adamw":
        twin_optimiser.generator.set_state(optimiser.generator.get_state())
    steps(net, optimiser, 2, seed=2)
    steps(twin, twin_optimiser, 2, seed=2)
    for a, b in zip(net.parameters(), twin.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", ["adabelief", "rmsprop"])
def test_blocks_change_nothing(kind, monkeypatch):
    results = []
    for block in (4, 1 << 17):
        monkeypatch.setattr(optim, "_BLOCK", block)
        net, _ = net_and_optimiser(kind)
        steps(net, optim.OPTIMISERS[kind](net.named_parameters(), lr=1e-2), 3, seed=1)
        results.append([p.detach().clone() for p in net.parameters()])
    for a, b in zip(*results):
        assert torch.equal(a, b)


def test_dropout_moves_about_three_in_ten_and_needs_a_generator():
    p = nn.Parameter(torch.zeros(100_003))
    p.grad = torch.ones_like(p)
    optimiser = optim.RMSprop([("p", p)], lr=1e-3, lr_dropout=0.3, generator=torch.Generator().manual_seed(0))
    optimiser.step()
    first = p.detach() != 0
    assert abs(first.float().mean() - 0.3) < 0.006
    before = p.detach().clone()
    optimiser.step()
    second = p.detach() != before
    assert abs((first & second).float().mean() - 0.09) < 0.006
    for lane in range(4):
        assert abs(first[lane::4].float().mean() - 0.3) < 0.012
    with pytest.raises(ValueError, match="generator"):
        optim.RMSprop([("p", p)], lr_dropout=0.3)


def test_parameters_without_gradient_keep_still():
    net, _ = net_and_optimiser("adabelief")
    optimiser = optim.AdaBelief(net.named_parameters(), lr=1e-2)
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    steps(net, optimiser, 2, seed=1)
    assert torch.equal(net[0].weight, before)
    assert net[0].weight not in optimiser.state


def test_ema_starts_quickly_and_then_remembers():
    p = nn.Parameter(torch.zeros(3))
    ema = optim.Ema([("p", p)], decay=0.998)
    wanted = torch.zeros(3)
    for i in range(30):
        with torch.no_grad():
            p.add_(1.0)
        ema.update()
        d = min(0.998, (1 + i) / (10 + i))
        wanted = d * wanted + (1 - d) * p.detach()
        torch.testing.assert_close(ema.tensors()["p"], wanted)
    other = optim.Ema([("p", p)])
    other.load(ema.tensors(), ema.updates)
    assert torch.equal(other.tensors()["p"], ema.tensors()["p"])
    assert other.updates == 30


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_adamw_clips_within_its_kernel_as_if_before_it(size):
    """Short gradients stay; of long ones every direction is kept, memory included."""
    made = []
    for clips_before in (False, True):
        net, _ = net_and_optimiser("adamw")
        optimiser = optim.AdamW(net.named_parameters(), lr=1e-2, clipnorm=0.0 if clips_before else 1.0)
        for seed in range(4):
            inputs = torch.randn(4, 7, generator=torch.Generator().manual_seed(seed))
            optimiser.zero_grad(set_to_none=True)
            (size * net(inputs).square().sum()).backward()
            if clips_before:
                optim.clip_norm([p.grad for p in net.parameters()], 1.0)
            optimiser.step()
        made.append((list(net.parameters()), [optimiser.state[p] for p in net.parameters()]))
    for a, b in zip(*(weights for weights, _ in made)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(*(state for _, state in made)):
        torch.testing.assert_close(a["exp_avg"], b["exp_avg"], rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(a["exp_avg_sq"], b["exp_avg_sq"], rtol=1e-4, atol=1e-9)

