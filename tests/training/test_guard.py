from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from facewright.core.errors import TrainingRefused
from facewright.training import guard
from facewright.training.settings import SaehdTrain


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_stops(value):
    finite = guard.FiniteCheck(torch.device("cpu"))
    terms = {"src_dssim": torch.tensor(0.5), "dst_mse": torch.tensor(value)}
    finite.watch(sum(terms.values()))
    with pytest.raises(TrainingRefused, match=r"iteration 1,234.*dst_mse") as caught:
        finite.confirm(1234, terms)
    assert "src_dssim" not in caught.value.what


def test_numbers_pass():
    finite = guard.FiniteCheck(torch.device("cpu"))
    finite.watch(torch.tensor(3.0))
    finite.confirm(1, {})


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
    finite.confirm(1, {})
    assert recorded == [("stream of", torch.device("cuda", 1))]


def test_broken_weights_are_never_saved():
    net = torch.nn.Linear(2, 2)
    guard.weights_are_sound(net, 1)
    with torch.no_grad():
        net.bias[0] = float("nan")
    with pytest.raises(TrainingRefused, match="weights"):
        guard.weights_are_sound(net, 1)


def test_out_of_memory_becomes_advice_in_order():
    with pytest.raises(TrainingRefused) as caught, guard.memory_advice(8, SaehdTrain()):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    assert caught.value.remedy.index("--batch-size 4") < caught.value.remedy.index("rmsprop")
    with pytest.raises(TrainingRefused), guard.memory_advice(1, SaehdTrain()):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
    with pytest.raises(RuntimeError, match="shape"), guard.memory_advice(8, SaehdTrain()):
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize(("said", "memory"), [
    ("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried", True),
    ("CUDA error: out of memory", True),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
    ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
    ("CUDA error: an illegal memory access was encountered", False),
    ("expected scalar type Float but found Half", False),
])
def test_a_lack_of_memory_is_told_from_other_errors(said, memory):
    assert guard.no_memory(RuntimeError(said)) is memory
