from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facewright.core.errors import TrainingRefused
from facewright.core.settings import check
from facewright.training import guard
from facewright.training.settings import SaehdTrain


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_stops_with_a_remedy(value):
    finite = guard.FiniteCheck(torch.device("cpu"))
    terms = {"src_dssim": torch.tensor(0.5), "dst_mse": torch.tensor(value)}
    finite.watch(sum(terms.values()))
    with pytest.raises(TrainingRefused, match=r"iteration 1,234.*dst_mse") as caught:
        finite.confirm(1234, terms, SaehdTrain())
    assert "--clipgrad" in caught.value.remedy
    assert "2.5e-05" in caught.value.remedy
    assert "src_dssim" not in caught.value.what


def test_remedies_that_are_in_use_are_not_offered():
    text = guard.not_a_number(1, [], check(SaehdTrain, {"clipgrad": True, "precision": "float32"})).remedy
    assert "--clipgrad" not in text
    assert "float32" not in text


def test_numbers_pass():
    finite = guard.FiniteCheck(torch.device("cpu"))
    finite.watch(torch.tensor(3.0))
    finite.confirm(1, {}, SaehdTrain())


def test_the_copy_is_awaited_on_the_device_that_trains(monkeypatch):
    """On cuda:1 an event of the current device, cuda:0, would be over before the loss has arrived."""
    recorded = []
    zeros = torch.zeros
    event = SimpleNamespace(record=lambda stream=None: recorded.append(stream), synchronize=lambda: None)
    monkeypatch.setattr(guard.torch, "zeros", lambda *size, pin_memory=False: zeros(*size))
    monkeypatch.setattr(guard.torch.cuda, "Event", lambda: event)
    monkeypatch.setattr(guard.torch.cuda, "current_stream", lambda device=None: ("stream of", device))
    finite = guard.FiniteCheck(torch.device("cuda", 1))
    finite.watch(torch.tensor(3.0))
    finite.confirm(1, {}, SaehdTrain())
    assert recorded == [("stream of", torch.device("cuda", 1))]


def test_broken_weights_are_never_saved():
    net = torch.nn.Linear(2, 2)
    guard.weights_are_sound(net, 1, SaehdTrain())
    with torch.no_grad():
        net.bias[0] = float("nan")
    with pytest.raises(TrainingRefused, match="weights"):
        guard.weights_are_sound(net, 1, SaehdTrain())


def test_a_blow_up_is_said_once_and_noise_is_not():
    rng = np.random.default_rng(0)
    look = guard.BlowUp()
    assert not any(look.look(v) for v in np.linspace(2, 0.5, 300) * (1 + 0.1 * rng.standard_normal(300)))
    said = [look.look(5.0) for _ in range(10)]
    assert sum(map(bool, said)) == 1
    assert "5.000" in said[2]
    assert not look.look(0.5)


def test_out_of_memory_becomes_advice_in_order():
    with pytest.raises(TrainingRefused) as caught, guard.memory_advice(8, SaehdTrain()):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    assert caught.value.remedy.index("--batch-size 4") < caught.value.remedy.index("rmsprop")
    with pytest.raises(TrainingRefused), guard.memory_advice(1, SaehdTrain()):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
    with pytest.raises(RuntimeError, match="shape"), guard.memory_advice(8, SaehdTrain()):
        raise RuntimeError("shape mismatch")
