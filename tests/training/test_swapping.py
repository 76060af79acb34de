"""Options of a training of swapped faces, through the whole step: a small beginning, more passes, ways to compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.training.test_loop import run, step

from facewright.core.errors import SettingRefused, TrainingRefused
from facewright.models import checkpoint
from facewright.training import history, machine
from facewright.training.curve import read_losses
from facewright.training.swapping import Swapping


@pytest.fixture
def seen(monkeypatch):
    """(iteration, side of the faces, faces of a pass) of every pass."""
    found, judge = [], Swapping.judge

    def spy(self, iteration, one, how):
        found.append((iteration, one.batch.src.input.shape[-1], len(one.batch.src.input)))
        return judge(self, iteration, one, how)

    monkeypatch.setattr(Swapping, "judge", spy)
    return found


def weights(folder):
    return checkpoint.load_latest(folder).weights()


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_a_small_beginning_ends_at_its_share(pair, tmp_path, seen):
    folder = tmp_path / "run"
    desk, result = run(step(pair, folder, iterations=6, progressive=0.5, gan_power=0.1, save_minutes=1000))
    assert [(i, px) for i, px, _ in seen] == [(0, 32), (1, 32), (2, 32), (3, 64), (4, 64), (5, 64)]
    assert "64 px" in desk.kinds("grown")[0]["text"]
    assert [e["iteration"] for e in history.events(folder / "history.jsonl", "grown")] == [3]
    saved = checkpoint.load_latest(folder)
    assert saved.extra["growing"] is False
    assert saved.extra["comparable_from"] == 3
    assert result["loss_src"] == pytest.approx(np.mean(read_losses(folder / "losses.bin")["src"][3:]), abs=1e-4)


def test_its_adversaries_wait_for_full_size(pair, tmp_path, monkeypatch):
    played = []
    teach = Swapping.teach_others

    def spy(self, seen, iteration, how):
        played.append(len(self.adversaries))
        teach(self, seen, iteration, how)

    monkeypatch.setattr(Swapping, "teach_others", spy)
    run(step(pair, tmp_path / "run", iterations=4, progressive=0.5, gan_power=0.1, true_face_power=0.1))
    assert played == [0, 0, 2, 2]


def test_stopped_in_its_small_beginning_and_taken_up_again_is_bit_equal(pair, tmp_path, seen):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(step(pair, whole, iterations=5, progressive=0.5))
    run(step(pair, parts, iterations=5, progressive=0.5), at2="stop")
    small = checkpoint.load_latest(parts)
    assert small.extra["growing"] is True
    run(step(pair, parts, iterations=5, progressive=0.5))
    assert [px for _, px, _ in seen] == [32, 32, 32, 64, 64] * 2
    assert equal(weights(whole), weights(parts))
    assert small.facts.loss_key != checkpoint.load_latest(parts).facts.loss_key


def test_a_run_that_is_large_does_not_become_small(pair, tmp_path, seen):
    run(step(pair, tmp_path / "run", iterations=2))
    run(step(pair, tmp_path / "run", iterations=40, progressive=0.9), at2="stop")
    assert {px for _, px, _ in seen} == {64}


def test_without_memory_it_goes_on_in_more_passes_and_learns_the_same(pair, tmp_path, monkeypatch, seen):
    """From the second iteration on, passes fail until they have no more than two faces."""
    judge = Swapping.judge

    def short(self, iteration, one, how):
        if iteration >= 1 and len(one.batch.src.input) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return judge(self, iteration, one, how)

    calm, tight = tmp_path / "calm", tmp_path / "tight"
    settings = {"iterations": 3, "batch_size": 8, "lr": 1e-4, "clipgrad": False}
    run(step(pair, calm, **settings))
    seen.clear()
    monkeypatch.setattr(Swapping, "judge", short)
    desk, result = run(step(pair, tight, **settings))
    assert result["iterations"] == 3
    assert [(i, n) for i, _, n in seen] == [(0, 8), *[(1, 2)] * 4, *[(2, 2)] * 4]
    texts = [note["text"] for note in desk.kinds("warning") if "enough memory" in note["text"]]
    assert len(texts) == 2
    assert "4 passes of 2" in texts[1]
    events = [(e["name"], e["now"], e["by"]) for e in history.events(tight / "history.jsonl", "setting")]
    assert events[-2:] == [("batch_size", 2, "memory"), ("accumulate", 4, "memory")]
    ours, theirs = read_losses(tight / "losses.bin"), read_losses(calm / "losses.bin")
    np.testing.assert_allclose(ours["src"], theirs["src"], rtol=1e-3)


def test_what_memory_asked_for_stays_until_another_batch_is_asked_for(pair, tmp_path, monkeypatch, seen):
    judge = Swapping.judge

    def short(self, iteration, one, how):
        if len(one.batch.src.input) > 2:
            raise MemoryError
        return judge(self, iteration, one, how)

    monkeypatch.setattr(Swapping, "judge", short)
    folder = tmp_path / "run"
    run(step(pair, folder, iterations=1, batch_size=4))
    run(step(pair, folder, iterations=2, batch_size=4))
    assert [(i, n) for i, _, n in seen] == [(0, 2), (0, 2), (1, 2), (1, 2)]
    run(step(pair, folder, iterations=3, batch_size=1))
    assert [(i, n) for i, _, n in seen[4:]] == [(2, 1)]


def test_one_face_that_does_not_fit_ends_with_advice(pair, tmp_path, monkeypatch):
    def never(self, iteration, one, how):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Swapping, "judge", never)
    with pytest.raises(TrainingRefused, match="not enough memory"):
        run(step(pair, tmp_path / "run", batch_size=2))


def test_another_error_is_not_taken_for_a_lack_of_memory(pair, tmp_path, monkeypatch):
    def wrong(self, iteration, one, how):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(Swapping, "judge", wrong)
    with pytest.raises(RuntimeError, match="sizes"):
        run(step(pair, tmp_path / "run"))


def test_recomputing_changes_nothing_and_may_change_on_the_way(pair, tmp_path):
    plain, lean = tmp_path / "plain", tmp_path / "lean"
    run(step(pair, plain, iterations=3))
    run(step(pair, lean, iterations=3, checkpoint_decoder=True), at2=[{"set": {"checkpoint_decoder": False}}])
    one, other = weights(plain), weights(lean)
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-6, rtol=0)


def test_a_translated_net_keeps_its_names_and_learns(pair, tmp_path, monkeypatch):
    calls = []

    def translate(function, **options):
        def call(*inputs, **named):
            calls.append(function)
            return function(*inputs, **named)

        return call

    plain, other = tmp_path / "plain", tmp_path / "other"
    run(step(pair, plain, iterations=2))
    monkeypatch.setattr(machine.torch, "compile", translate)
    run(step(pair, other, iterations=2, compile=True))
    assert len(calls) == 3, "a little function to see whether it works, then an iteration each"
    assert equal(weights(plain), weights(other))


def test_without_a_compiler_translation_is_refused(pair, tmp_path, monkeypatch):
    def broken(function, **options):
        def call(*inputs):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nlong story")

        return call

    monkeypatch.setattr(machine.torch, "compile", broken)
    with pytest.raises(SettingRefused, match="--compile does not work") as refusal:
        run(step(pair, tmp_path / "run", compile=True))
    assert "No working C++ compiler" in refusal.value.why
    assert "Leave it out" in refusal.value.remedy


def test_light_and_cameras_are_resumed_bit_equal(pair, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = {"iterations": 3, "light_power": 0.5, "degrade_power": 0.5}
    run(step(pair, whole, **options))
    run(step(pair, parts, **options), at1="stop")
    run(step(pair, parts, **options))
    assert equal(weights(whole), weights(parts))


def test_values_above_the_program_s_range_are_said_at_the_start(pair, tmp_path):
    desk, _ = run(step(pair, tmp_path / "run", iterations=1, gan_power=6.0))
    assert any("--gan-power 6" in note["text"] for note in desk.kinds("warning"))
