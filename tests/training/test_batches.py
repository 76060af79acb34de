from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facewright.core.settings import check
from facewright.faces.face import FaceType
from facewright.training import batches, samples, sequence
from facewright.training.batches import DST, SRC, Batches
from facewright.training.samples import Samples
from facewright.training.settings import SaehdTrain


@pytest.fixture(scope="module")
def both(drawn, tmp_path_factory):
    found = []
    for name, skin in (("a", (220, 180, 150)), ("b", (120, 80, 60))):
        faces = drawn(7, skin=skin, name=name)
        found.append(samples.prepare(
            tmp_path_factory.mktemp(name), list(faces), faces.load, 7, digest=name, face_type=FaceType.FULL, side=80,
            mouth_area="lips",
        ))
    return found


def maker(both, **changes):
    return Batches(*both, 64, 4, torch.device("cpu"), **changes)


def test_slots_are_independent_of_the_batch():
    four = batches.geometry(SaehdTrain(), SRC, batches.draws(0, SRC, 5, 4), 64)
    two = batches.geometry(SaehdTrain(), SRC, batches.draws(0, SRC, 5, 2), 64)
    np.testing.assert_array_equal(four.source_from_target[:2], two.source_from_target)
    np.testing.assert_array_equal(four.nodes_px[:2], two.nodes_px)


def test_draws_stay_in_their_range_and_differ():
    drawn = [batches.draws(3, SRC, i, 1) for i in range(300)]
    uniform, noise = (np.concatenate([getattr(d, part) for d in drawn]) for part in ("moves", "bends"))
    assert np.abs(noise).max() <= 1
    assert abs(noise.std() - 0.954 / 2.5) < 0.01  # standard deviation of a normal cut at 2.5
    assert abs(uniform.mean() - 0.5) < 0.03
    assert len(np.unique(uniform[:, 0])) == 300


def test_limits_of_the_geometry_are_the_settings():
    s = check(SaehdTrain, {"rotation_deg": 3, "scale": 0.04, "shift": 0.015, "random_src_flip": True})
    drawn = [batches.geometry(s, SRC, batches.draws(0, SRC, i, 8), 64).source_from_target for i in range(40)]
    forward = np.linalg.inv(np.concatenate(
        [np.concatenate(drawn),
         np.tile([[[0.0, 0.0, 1.0]]], (320, 1, 1))], 1))
    size = np.sqrt(np.abs(np.linalg.det(forward[:, :2, :2])))
    assert size.min() >= 1 / 1.04 - 1e-9
    assert size.max() <= 1.04 + 1e-9
    assert size.max() - size.min() > 0.06
    mirrored = np.linalg.det(forward[:, :2, :2]) < 0
    assert 0.3 < mirrored.mean() < 0.5
    straight = forward[~mirrored]
    assert np.rad2deg(np.abs(np.arctan2(straight[:, 0, 1], straight[:, 0, 0]))).max() <= 3 + 1e-6
    centre = straight @ np.array([32.0, 32.0, 1.0])
    assert np.abs(centre[:, :2] - 32).max() <= 0.015 * 64 + 1e-6


def test_any_order_of_calls_gives_the_same_batches(both):
    s = SaehdTrain()
    one, other = maker(both), maker(both)
    first = [one.get(i, s) for i in range(4)]
    for i in (3, 0, 2):
        again = other.get(i, s)
        for side in ("src", "dst"):
            for part in ("input", "target", "mask", "priority"):
                assert torch.equal(getattr(getattr(first[i], side), part), getattr(getattr(again, side), part))


def test_shapes_ranges_and_who_is_bent(both):
    batch = maker(both).get(0, SaehdTrain())
    for side in (batch.src, batch.dst):
        assert side.input.shape == side.target.shape == (4, 3, 64, 64)
        assert side.mask.shape == side.priority.shape == (4, 1, 64, 64)
        for part in (side.input, side.target, side.mask, side.priority):
            assert part.dtype is torch.float32
            assert part.min() >= 0
            assert part.max() <= 1 + 1e-6
        assert (side.input - side.target).abs().mean() > 1e-3
        assert side.priority[side.mask == 0].max() == 0
    still = maker(both).get(0, batches.unbent(SaehdTrain()))
    assert torch.equal(still.src.input, still.src.target)
    assert torch.equal(still.src.target, batch.src.target), "switching the warp off moves nothing else"


def test_matched_colours_move_the_source_only(both):
    plain, matched = maker(both), maker(both, match_colour=True)
    rows = np.arange(7)
    a, b = plain.plain(SRC, rows), matched.plain(SRC, rows)
    inside = (a.mask > 0.99).expand_as(a.target)
    target = plain.plain(DST, rows)
    aim = target.target[(target.mask > 0.99).expand_as(target.target)].mean()
    assert abs(b.target[inside].mean() - aim) < 0.02 < abs(a.target[inside].mean() - aim)
    assert torch.equal(plain.plain(DST, rows).target, matched.plain(DST, rows).target)


def test_plain_faces_are_the_crops(both):
    maker_ = Batches(*both, 80, 4, torch.device("cpu"))
    got = maker_.plain(SRC, np.array([2]))
    want = torch.from_numpy(both[0].read(np.array([2]))).float() / 255
    torch.testing.assert_close(got.target, want[:, :3], atol=1e-4, rtol=0)


def test_one_face_fewer_than_the_batch_is_no_problem(both):
    batch = Batches(*both, 64, 16, torch.device("cpu")).get(3, SaehdTrain())
    assert len(batch.src.input) == 16


def test_held_out_faces_are_never_shown(both):
    from dataclasses import replace

    held = replace(both[0], chosen=samples.choose(both[0].frames, 3, 1))
    assert list(held.held_out()) == [2, 5]
    seen = held.chosen[sequence.order(0, SRC, len(held.chosen), 0, 200)]
    assert not set(seen) & {2, 5}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_faces(tmp_path):
    """60,000 faces (4.9 GB, sparse) are trained from without holding them (X007)."""
    count, side = 60_000, 128
    path = tmp_path / "faces.u8"
    with path.open("wb") as file:
        file.truncate(count * 5 * side * side)
    many = Samples(path, side, np.arange(count), np.zeros(count, np.float32), np.ones((2, 3)), np.arange(count))
    maker_ = Batches(many, many, 64, 8, torch.device("cpu"))
    s = SaehdTrain()
    maker_.get(0, s)
    before = resident_bytes()
    for i in range(1, 150):
        maker_.get(i, s)
    assert resident_bytes() - before < 32 << 20


def test_rare_turns_are_shown_as_often_when_asked(both):
    maker_, s = maker(both), SaehdTrain(uniform_yaw=True)
    maker_.src.yaw_rad[:] = [0, 0, 0, 0, 0, 0, 1.1]
    rows = np.concatenate([maker_._rows(SRC, batches._Wanted(i, s, 64, 4)) for i in range(30)])
    assert (rows == 6).mean() == 0.5
    plain = [maker_._rows(SRC, batches._Wanted(i, SaehdTrain(), 64, 4)) for i in range(7)]
    assert (np.concatenate(plain) == 6).mean() == 1 / 7


def test_other_colours_are_the_source_s_alone_and_hsv_its_input_s_alone(both):
    plain = maker(both).get(3, SaehdTrain())
    for changes in ({"random_hsv_power": 0.2}, {"ct_mode": "rct"}):
        made = maker(both).get(3, SaehdTrain(**changes))
        assert torch.equal(made.dst.input, plain.dst.input)
        assert torch.equal(made.src.mask, plain.src.mask)
        assert (made.src.input - plain.src.input).abs().mean() > 0.005
        assert torch.equal(made.src.target, plain.src.target) == ("random_hsv_power" in changes)


@pytest.mark.parametrize("knob", ["light_power", "degrade_power"])
def test_light_and_cameras_change_the_inputs_of_both_and_nothing_else(both, knob):
    plain, made = (maker(both).get(3, SaehdTrain(**given)) for given in ({}, {knob: 1.0}))
    for side in ("src", "dst"):
        was, now = getattr(plain, side), getattr(made, side)
        assert (now.input - was.input).abs().mean() > 0.005
        for part in ("target", "mask", "priority"):
            assert torch.equal(getattr(now, part), getattr(was, part))
    still = maker(both).get(3, SaehdTrain(random_warp=False, **{knob: 1.0}))
    assert not torch.equal(still.src.input, still.src.target)


@pytest.mark.parametrize("ct_mode", ["none", "rct", "sot"])
def test_parts_of_a_disturbed_batch_are_the_batch(both, ct_mode):
    s = SaehdTrain(light_power=0.7, degrade_power=0.7, random_hsv_power=0.2, ct_mode=ct_mode)
    whole, half = Batches(*both, 64, 4, torch.device("cpu")), Batches(*both, 64, 2, torch.device("cpu"))
    parts = [half.get(5, s, part, 2) for part in (0, 1)]
    for side in ("src", "dst"):
        for what in ("input", "target"):
            together = torch.cat([getattr(getattr(p, side), what) for p in parts])
            wanted = getattr(getattr(whole.get(5, s), side), what)
            torch.testing.assert_close(together, wanted, atol=1e-5, rtol=0)


def test_the_same_batch_at_half_the_side(both):
    maker_ = maker(both)
    large = maker_.get(2, SaehdTrain()).dst
    maker_.resolution = 32
    small = maker_.get(2, SaehdTrain()).dst
    assert small.input.shape[-1] == small.mask.shape[-1] == 32
    assert (torch.nn.functional.avg_pool2d(large.target, 2) - small.target).abs().mean() < 0.01
    assert (torch.nn.functional.avg_pool2d(large.input, 2) - small.input).abs().mean() < 0.03


def test_parity_shifts_the_input_by_half_a_pixel(both):
    def apart(**given) -> float:
        side = maker(both).get(0, SaehdTrain(warp_strength=0.0, **given)).dst
        return float((side.input - side.target).abs().max())

    assert apart() < 1e-4
    assert apart(parity="dfl") > 0.02
