from __future__ import annotations

import pytest

from facewright.core.errors import SettingRefused, TrainingRefused
from facewright.core.settings import check
from facewright.training import planner
from facewright.training.planner import Outlook, look_ahead, measured
from facewright.training.settings import settings_class

TINY = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
SHAPES = {"saehd": TINY, "xseg": {"base_dims": 8}}
GIB = 1 << 30


def settings(net: str = "saehd", **given):
    return check(settings_class(net), {"precision": "float32", "threads": 1} | given)


@pytest.mark.parametrize("net", SHAPES)
def test_a_few_iterations_tell_time_and_memory(net):
    found = measured(net, SHAPES[net], settings(net, batch_size=2), 2)
    assert found.device == "cpu"
    assert (found.batch, found.accumulate) == (2, 1)
    assert found.seconds > 0
    assert found.processor_seconds > 0
    assert found.peak_bytes == found.fixed_bytes + 2 * found.face_bytes > 100 << 20
    assert found.free_bytes > 0


def test_it_has_its_own_process_and_what_ends_a_training_does_not_end_it():
    given = settings(iterations=1, progressive=0.5, accumulate=3, lr_schedule="cosine", batch_size=1)
    found = look_ahead("saehd", TINY, given)
    assert (found.batch, found.accumulate) == (1, 3)
    assert found.seconds > 0


def test_several_processes_share_the_memory_of_one_machine():
    one, two = (measured("xseg", SHAPES["xseg"], settings("xseg", batch_size=2, gpus=n), 2) for n in (1, 2))
    assert (one.processes, two.processes) == (1, 2)
    assert two.free_bytes < 0.8 * one.free_bytes
    with pytest.raises(SettingRefused, match="do not go together"):
        look_ahead("xseg", SHAPES["xseg"], settings("xseg", gpus=2, device="cuda:0"))


def test_the_line_says_what_fits():
    found = Outlook("cpu", 8, 1, 1.8, 1.8, 3 * GIB, 1 * GIB, GIB // 4, 10 * GIB)
    assert found.largest_batch == 32  # 9 GiB, 8 of them for faces
    assert found.hours(1000) == 0.5
    assert found.as_dict(1000)["hours"] == {"1000": 0.5}
    assert Outlook("cpu", 8, 1, 1.8, 1.8, 0, 0, 0, 0).largest_batch == 0


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    asked = []

    def process(net, shape, s, batch):
        asked.append(batch)
        return Outlook("cpu", batch, 1, 1.0, 1.0, GIB, GIB, 1, GIB) if batch <= 3 else None

    monkeypatch.setattr(planner, "_in_a_process", process)
    assert look_ahead("saehd", TINY, settings(batch_size=12)).batch == 3
    assert asked == [12, 6, 3]
    monkeypatch.setattr(planner, "_in_a_process", lambda *_: None)
    with pytest.raises(TrainingRefused, match="not enough memory"):
        look_ahead("saehd", TINY, settings(batch_size=2))


def test_no_memory_and_other_failures_are_told_apart(monkeypatch):
    def raising(error):
        def fail(*_):
            raise error

        monkeypatch.setattr(planner, "measured", fail)
        return planner._answer({"net": "saehd", "shape": TINY, "settings": {}, "batch": 1})

    assert raising(MemoryError()) == {"refused": "memory"}
    assert raising(RuntimeError("DefaultCPUAllocator: can't allocate memory")) == {"refused": "memory"}
    assert raising(RuntimeError("no kernel image")) == {"refused": "no kernel image"}
    assert raising(TrainingRefused("Stopped.", remedy="Go on.")) == {"refused": "Stopped."}
