"""Checkpoints: exact, never half, never lost; retention keeps what it promises."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from facewright.core.errors import DiskRefused, FileRefused
from facewright.models import checkpoint
from facewright.models.retention import DAY_S, HOUR_S, Facts, Keep, best_of, plan
from facewright.training.optim import AdaBelief, AdamW, Ema, RMSprop

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks")


def tiny_net(seed: int = 0, width: int = 6) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(width, 5), nn.Linear(5, width))
    net.name = "tiny"
    return net


def learn(net: nn.Module, optimiser: torch.optim.Optimizer, count: int = 2, seed: int = 5) -> None:
    inputs = torch.Generator().manual_seed(seed)
    for _ in range(count):
        optimiser.zero_grad(set_to_none=True)
        net(torch.randn(3, net[0].in_features, generator=inputs)).square().sum().backward()
        optimiser.step()


def make(kind: type, net: nn.Module) -> torch.optim.Optimizer:
    extra = {} if kind is AdamW else {"lr_dropout": 0.5, "generator": torch.Generator().manual_seed(9)}
    return kind(net.named_parameters(), lr=1e-2, **extra)


def test_a_run_moves_to_a_device_with_other_dice(tmp_path):
    """The state of a CPU's generator has 5,056 bytes, that of a GPU's 16; a stand-in plays the other device."""
    net = tiny_net()
    optimiser = make(AdaBelief, net)
    learn(net, optimiser)
    kept = optimiser.generator
    optimiser.generator = SimpleNamespace(get_state=lambda: torch.zeros(16, dtype=torch.uint8))
    checkpoint.save(tmp_path, 2, net, optimiser)
    optimiser.generator = kept
    twin = tiny_net(seed=1)
    twin_optimiser = make(AdaBelief, twin)
    before = twin_optimiser.generator.get_state()
    checkpoint.load_latest(tmp_path).restore(twin, twin_optimiser)
    assert torch.equal(twin_optimiser.generator.get_state(), before)
    assert twin_optimiser.param_groups[0]["iterations"] == 2
    assert torch.equal(twin_optimiser.state[twin[0].weight]["ms"], optimiser.state[net[0].weight]["ms"])


@pytest.mark.parametrize("kind", [AdaBelief, RMSprop, AdamW])
def test_resume_is_bit_equal(kind, tmp_path):
    net = tiny_net()
    optimiser, ema = make(kind, net), Ema(net.named_parameters())
    learn(net, optimiser)
    ema.update()
    random_state = torch.get_rng_state()
    checkpoint.save(
        tmp_path, 2, net, optimiser, ema.tensors(), settings={"lr": 0.01}, extra={"updates": ema.updates},
        rng={"torch": random_state},
    )
    found = checkpoint.load_latest(tmp_path)
    twin = tiny_net(seed=1)
    twin_optimiser = make(kind, twin)
    found.restore(twin, twin_optimiser)
    learn(net, optimiser, seed=6)
    learn(twin, twin_optimiser, seed=6)
    for a, b in zip(net.parameters(), twin.parameters()):
        assert torch.equal(a, b)
    assert (found.iteration, found.net, found.settings, found.extra) == (2, "tiny", {"lr": 0.01}, {"updates": 1})
    assert torch.equal(found.rng["torch"], random_state)
    for name, value in ema.tensors().items():
        assert torch.equal(found.ema()[name], value)
        assert torch.equal(found.smooth_weights()[name], value)


def test_another_optimiser_starts_fresh_but_keeps_count(tmp_path):
    net = tiny_net()
    optimiser = make(AdaBelief, net)
    learn(net, optimiser, count=3)
    checkpoint.save(tmp_path, 3, net, optimiser)
    other = make(RMSprop, net)
    checkpoint.load_latest(tmp_path).restore(net, other)
    assert other.param_groups[0]["iterations"] == 3
    assert not other.state


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_every_bit_survives_and_any_reader_opens_it(dtype, tmp_path):
    net = tiny_net().to(dtype)
    net[0].weight.data = net[0].weight.data.t().contiguous().t()  # strided, like channels_last weights
    checkpoint.save(tmp_path, 1, net)
    found = checkpoint.load_latest(tmp_path)
    for tensors in (found.weights(), load_file(found.folder / "weights.safetensors")):
        assert set(tensors) == set(net.state_dict())
        for name, value in net.state_dict().items():
            assert tensors[name].dtype == dtype
            assert torch.equal(tensors[name], value)


def test_nothing_there_is_none(tmp_path):
    assert checkpoint.load_latest(tmp_path) is None
    assert checkpoint.best(tmp_path) is None
    assert checkpoint.list_all(tmp_path) == []


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "state"])
def test_damaged_newest_falls_back_and_is_named(harm, tmp_path):
    net = tiny_net()
    checkpoint.save(tmp_path, 1, net)
    newest = checkpoint.save(tmp_path, 2, net)
    victim = newest / ("state.json" if harm == "state" else "weights.safetensors")
    data = bytearray(victim.read_bytes())
    data[-3] ^= 1
    if harm == "gone":
        victim.unlink()
    else:
        victim.write_bytes(data if harm == "flip" else data[:-10])
    found = checkpoint.load_latest(tmp_path)
    assert found.iteration == 1
    assert found.damaged == (f"000000002/{victim.name}",)
    (tmp_path / "model/ckpt/000000001/weights.safetensors").unlink()
    with pytest.raises(FileRefused, match="intact"):
        checkpoint.load_latest(tmp_path)


def test_rollback_and_second_save_of_an_iteration(tmp_path):
    net = tiny_net()
    for i in (1, 2, 3):
        checkpoint.save(tmp_path, i, net)
    checkpoint.set_current(tmp_path, "000000002")
    assert checkpoint.load_latest(tmp_path).iteration == 2
    again = checkpoint.save(tmp_path, 3, tiny_net(seed=7))
    assert again.name == "000000003-2"
    assert checkpoint.load_latest(tmp_path).folder == again
    assert checkpoint.load(tmp_path, "000000003").iteration == 3
    with pytest.raises(FileRefused, match="no save called"):
        checkpoint.load(tmp_path, "000000009")


def test_low_disk_refuses_before_writing(tmp_path, monkeypatch):
    net = tiny_net()
    checkpoint.save(tmp_path, 1200, net)
    monkeypatch.setattr(checkpoint, "free_bytes", lambda _: checkpoint.SPARE_BYTES + 100)
    with pytest.raises(DiskRefused) as caught:
        checkpoint.save(tmp_path, 1300, net)
    assert "1,200 is intact" in caught.value.remedy
    assert [f.name for f in (tmp_path / "model/ckpt").iterdir()] == ["000001200"]


def in_child(work, *args) -> int:
    child = multiprocessing.get_context("fork").Process(target=work, args=args)
    child.start()
    child.join(60)
    return child.exitcode


def save_under_limit(run, limit_bytes):
    net = tiny_net(width=2000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    try:
        checkpoint.save(run, 2, net, make(AdaBelief, net))
    except DiskRefused as error:
        os._exit(3 if "disk is full" in error.what else 4)
    os._exit(0)


@needs_fork
@pytest.mark.parametrize("limit_bytes", [10, 1000, 50_000])
def test_full_disk_leaves_the_last_one_whole(limit_bytes, tmp_path):
    net = tiny_net(width=2000)
    checkpoint.save(tmp_path, 1, net)
    assert in_child(save_under_limit, tmp_path, limit_bytes) == 3
    assert [f.name for f in (tmp_path / "model/ckpt").iterdir()] == ["000000001"]
    assert checkpoint.load_latest(tmp_path).iteration == 1


def save_for_ever(run, start, acknowledged):
    net = tiny_net(width=3000)
    for i in range(start, start + 10_000):
        with torch.no_grad():
            net[0].bias.fill_(i)
        checkpoint.save(run, i, net)
        os.write(acknowledged, b"%d\n" % i)


@needs_fork
def test_kill_at_any_moment_loses_nothing_acknowledged(tmp_path):
    moments = random.Random(0)
    last = 0
    for _ in range(10):
        reader, writer = os.pipe()
        child = multiprocessing.get_context("fork").Process(target=save_for_ever, args=(tmp_path, last + 1, writer))
        child.start()
        os.close(writer)
        os.read(reader, 1)  # the first digit: it has begun to acknowledge
        time.sleep(moments.uniform(0, 0.08))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        with os.fdopen(reader) as pipe:
            told = [int(line) for line in pipe.read().split("\n")[1:] if line]
        found = checkpoint.load_latest(tmp_path)
        assert found.damaged == ()
        assert found.iteration >= max([last + 1, *told])
        assert float(found.weights()["0.bias"][0]) == found.iteration
        last = found.iteration
    assert len(list((tmp_path / "model/ckpt").glob("*.part"))) <= 2
    checkpoint.save(tmp_path, last + 1, tiny_net())
    assert not list((tmp_path / "model/ckpt").glob("*.part"))


def facts(count: int, every_s: float, **odd) -> list[Facts]:
    return [Facts(f"{i:09d}", i, i * every_s, **odd.get(f"_{i}", {})) for i in range(1, count + 1)]


def test_retention_after_a_week():
    """Saves every ten minutes for seven days, pruned after each: what is left?"""
    alive: list[Facts] = []
    thinned: set[str] = set()
    for new in facts(7 * 144, 600.0, _5={"name": "before warp off"}, _300={"loss": 0.1}, _900={"loss": 0.4}):
        alive.append(new)
        decision = plan(alive, Keep())
        thinned |= set(decision.thin)
        alive = [f for f in alive if f.folder_name not in decision.drop]
    names = {f.folder_name for f in alive}
    assert {"000001006", "000001007", "000001008", "000000005", "000000300"} <= names
    assert not thinned & {"000001006", "000001007", "000001008", "000000005"}
    hourly = {int(f.saved_at_s // HOUR_S) for f in alive if f.folder_name in thinned and f.serial > 7 * 144 - 148}
    assert len(hourly) >= 23
    days = {int(f.saved_at_s // DAY_S) for f in alive}
    assert days >= set(range(7))
    assert len(alive) <= 3 + 24 + 7 + 2


def test_best_counts_only_equal_settings():
    old = Facts("a", 1, 0.0, loss=0.1, loss_key="x")
    now = [Facts("b", 2, 1.0, loss=0.5, loss_key="y"), Facts("c", 3, 2.0, loss=0.6, loss_key="y")]
    assert best_of([old, *now]).folder_name == "b"
    assert best_of([Facts("d", 4, 3.0)]) is None


def test_prune_spares_what_is_not_ours(tmp_path):
    net, keep = tiny_net(), Keep(newest=1, hours=1)
    optimiser = make(AdaBelief, net)
    learn(net, optimiser)
    first = checkpoint.save(tmp_path, 1, net, optimiser, keep=keep, now_s=0.0, loss=0.5)
    (first / "my notes.txt").write_text("keep me")
    (tmp_path / "model/ckpt/mine").mkdir()
    for i in range(2, 6):
        checkpoint.save(tmp_path, i, net, optimiser, keep=keep, now_s=i * 10.0, loss=0.4 if i == 3 else 0.6)
    names = sorted(f.name for f in (tmp_path / "model/ckpt").iterdir())
    assert names == ["000000001", "000000003", "000000004", "000000005", "mine"]
    assert (first / "my notes.txt").read_text() == "keep me"
    by_name = {c.folder.name: c for c in checkpoint.list_all(tmp_path)}
    assert [by_name[n].resumable for n in ("000000003", "000000004", "000000005")] == [True, False, True]
    assert not (by_name["000000004"].folder / "optimiser.safetensors").exists()
    assert checkpoint.best(tmp_path).folder.name == "000000003"
    by_name["000000004"].restore(net, optimiser)  # weights only; no complaint


def test_state_json_is_plain(tmp_path):
    folder = checkpoint.save(tmp_path, 7, tiny_net(), settings={"archi": "df"}, name="milestone")
    state = json.loads((folder / "state.json").read_text())
    assert (state["iteration"], state["name"], set(state["files"])) == (7, "milestone", {"weights"})
    assert (tmp_path / "model/CURRENT").read_text() == "000000007\n"
    assert checkpoint.load(tmp_path, "milestone").iteration == 7


def test_unnamed_parameters_are_a_programming_error(tmp_path):
    net = tiny_net()
    with pytest.raises(KeyError):
        checkpoint.save(tmp_path, 1, net, SimpleNamespace(param_groups=[{"params": []}], state={}))
