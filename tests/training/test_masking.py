"""Training of mask nets: what is learned from, how, and what is shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from facewright.core.errors import NothingFound
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.faces.face import FaceType
from facewright.faceset.record import encode_face
from facewright.faceset.store import Writer
from facewright.masks.by_net import open_xseg
from facewright.masks.label import EXCLUDE, INCLUDE
from facewright.masks.settings import MaskSettings
from facewright.models import checkpoint
from facewright.training.curve import read_losses
from facewright.training.labelled import MASK, LabelledBatches, cut_labelled
from facewright.training.mask_step import MaskStep
from facewright.training.masking import Masking
from facewright.training.objectives import mask_objective
from facewright.training.samples import Samples
from facewright.training.settings import XSegTrain
from facewright.training.swap_step import TrainStep, step_of

TINY = {"base_dims": 8}


def label_of(faces, face):
    """The hull as an include and a square within it as an exclude, in crop px."""
    points = faces.hull_in_crop(face)
    middle = points.mean(0)
    square = middle + 12 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return ((INCLUDE, points[:17].astype(np.float32)), (EXCLUDE, square.astype(np.float32)))


def write(folder, faces, labelled=0, masked=0):
    """A faceset whose first `labelled` faces carry drawings, the first `masked` a mask."""
    files = []
    for number, face in enumerate(faces):
        if number < labelled:
            face = dataclasses.replace(face, polygons=label_of(faces, face))
        mask = None
        if number < masked:
            mask = np.zeros((160, 160), np.uint8)
            mask[40:120, 50:110] = 255
            face = dataclasses.replace(face, mask_by="hull")
        files.append((f"{face.face_id}.jpg", encode_face(face, faces.image(face), mask)))
    with Writer(folder) as writer:
        writer.add_chunk(faces.sha, 0, files)
        writer.update_header(lambda h: dataclasses.replace(h, face_type="whole_face", side_px=160))
    return folder


def step(run, src, dst="", **settings):
    values = {"batch_size": 2, "precision": "float32", "iterations": 3, "preview_seconds": 0, "lr": 1e-3, "threads": 1}
    return MaskStep(str(run), str(src), str(dst), "xseg", check(XSegTrain, values | settings), shape=TINY)


def learn(step_, stop_at=None):
    """stop_at: the border between two iterations at which somebody stops it."""
    notes, calls = [], []

    def changes():
        calls.append(1)
        if len(calls) - 1 == stop_at:
            work.stop.ask()
        return []

    work = Work(progress=lambda *a, **k: None, changes=changes, note=lambda kind, **facts: notes.append((kind, facts)))
    results = list(step_.stream(step_.plan(), work))
    return notes, results[0][1] if results else None


def test_drawings_count_and_where_there_are_none_masks_do(tmp_path, drawn):
    faces = drawn(6, name="a")
    both = write(tmp_path / "both", faces, labelled=2, masked=5)
    masked = write(tmp_path / "masked", drawn(6, name="b"), masked=3)
    plain = write(tmp_path / "plain", drawn(6, name="c"))
    assert [s.found.count for s in step(tmp_path / "r", both, masked).sides()] == [2]
    assert [s.found.count for s in step(tmp_path / "r", masked, plain).sides()] == [3]
    assert [s.name for s in step(tmp_path / "r", plain, both).sides()] == ["dst"]
    with pytest.raises(NothingFound, match="plain has a label or a mask") as caught:
        step(tmp_path / "r", plain).plan()
    assert "mask labels import" in caught.value.remedy


def test_a_label_is_cut_as_the_net_sees_the_face(drawn):
    faces = drawn(1)
    face = dataclasses.replace(faces.faces[0], polygons=label_of(faces, faces.faces[0]))
    same = cut_labelled((face, faces.image(face), None), FaceType.WHOLE, 256)
    assert same.shape == (4, 256, 256)
    assert set(np.unique(same[MASK])) == {0, 255}
    middle = np.rint(faces.hull_in_crop(face).mean(0) * 256 / 160).astype(int)
    assert same[MASK, middle[1], middle[0]] == 0  # the exclude
    assert same[MASK].mean() > 40
    closer = cut_labelled((face, faces.image(face), None), FaceType.FULL, 256)
    assert closer[MASK].mean() > 1.3 * same[MASK].mean()
    # Red, green, blue of the picture become blue, green, red.
    inside = same[:3, same[MASK] == 255].mean(1)
    assert inside[0] < inside[2]
    with pytest.raises(ValueError, match="neither"):
        cut_labelled((faces.faces[0], faces.image(face), None), FaceType.WHOLE, 256)


@pytest.fixture
def samples(tmp_path):
    """Five faces of 64 px in a file, with masks in the middle."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (5, 4, 64, 64), np.uint8)
    data[:, MASK] = 0
    data[:, MASK, 16:48, 16:48] = 255
    (tmp_path / "faces.u8").write_bytes(data.tobytes())
    return Samples(tmp_path / "faces.u8", 64, np.arange(5), np.zeros(5), np.zeros((2, 3)), np.arange(5), 4)


def test_a_batch_is_a_function_of_its_number_and_parts_make_the_whole(samples):
    cpu = torch.device("cpu")
    whole, half = LabelledBatches([samples], 4, cpu), LabelledBatches([samples], 2, cpu)
    one = whole.get(3, 7)
    assert one.input.shape == (4, 3, 64, 64)
    assert set(one.target.unique().tolist()) <= {0.0, 1.0}
    assert one.input.min() >= 0
    assert one.input.max() <= 1
    again = whole.get(3, 7)
    assert torch.equal(one.input, again.input)
    parts = [half.get(3, 7, part, 2) for part in (0, 1)]
    assert torch.equal(torch.cat([p.input for p in parts]), one.input)
    assert torch.equal(torch.cat([p.target for p in parts]), one.target)
    assert not torch.equal(whole.get(3, 8).input, one.input)
    assert not torch.equal(whole.get(4, 7).input, one.input)
    whole.close()
    half.close()


def test_every_face_is_shown_once_an_epoch(samples):
    both = LabelledBatches([samples, samples], 5, torch.device("cpu"))
    assert len(both._places) == 10
    both.close()


def test_a_run_from_labels_to_a_mask(tmp_path, drawn):
    faces = drawn(10, name="a")
    folder = write(tmp_path / "set", faces, labelled=6)
    run = tmp_path / "run"
    notes, result = learn(step(run, folder))
    assert result["iterations"] == 3
    assert result["loss_dst"] is None
    assert next(facts["text"] for kind, facts in notes if kind == "warning").startswith("Only 6 faces are labelled")
    losses = read_losses(run / "losses.bin")
    assert np.isfinite(losses["src"]).all()
    assert np.isnan(losses["dst"]).all()
    saved = checkpoint.load_latest(run)
    assert saved.state["loss"] == pytest.approx(result["loss_src"], abs=1e-4)
    assert Image.open(run / "preview" / "latest.png").size == (2 * 3 * 256 + 10, 26 + 22 + 4 * 256)
    assert Image.open(run / "loss.png").size == (960, 420)
    # The same command goes on; the masker takes the run.
    _, result = learn(step(run, folder, iterations=4))
    assert result["iterations"] == 4
    masker = open_xseg(run, MaskSettings())
    mask = masker(faces.image(faces.faces[0]), faces.faces[0], 160)
    assert mask.shape == (160, 160)
    assert 0 <= mask.min() <= mask.max() <= 1


def test_resuming_is_as_if_nothing_had_been(tmp_path, drawn):
    folder = write(tmp_path / "set", drawn(6, name="a"), labelled=6)
    learn(step(tmp_path / "whole", folder, iterations=4))
    learn(step(tmp_path / "halves", folder, iterations=2))
    learn(step(tmp_path / "halves", folder, iterations=4))
    a, b = (checkpoint.load_latest(tmp_path / name).weights() for name in ("whole", "halves"))
    assert all(torch.equal(a[n], b[n]) for n in a)


def test_gathered_passes_are_one_batch(tmp_path, drawn):
    folder = write(tmp_path / "set", drawn(8, name="a"), labelled=8)
    learn(step(tmp_path / "whole", folder, batch_size=4, iterations=1, lr_dropout=1.0))
    learn(step(tmp_path / "parts", folder, batch_size=2, accumulate=2, iterations=1, lr_dropout=1.0))
    a, b = (read_losses(tmp_path / name / "losses.bin")["src"] for name in ("whole", "parts"))
    assert a == pytest.approx(b, rel=1e-6)
    a, b = (checkpoint.load_latest(tmp_path / name).weights() for name in ("whole", "parts"))
    moved = torch.cat([(a[n] - b[n]).abs().flatten() for n in a])
    assert float((moved > 1e-5).float().mean()) < 0.01  # RMSprop's first step magnifies gradients that are rounding


def test_a_small_beginning_costs_less_and_ends(tmp_path, drawn):
    folder = write(tmp_path / "set", drawn(8, name="a"), labelled=8)
    notes, result = learn(step(tmp_path / "run", folder, iterations=4, progressive=0.5))
    assert result["iterations"] == 4
    assert any("at full size: 256 px" in str(facts.get("text")) for _, facts in notes)
    assert checkpoint.load_latest(tmp_path / "run").extra["growing"] is False
    notes, _ = learn(step(tmp_path / "stopped", folder, iterations=10, progressive=0.9), stop_at=2)
    assert checkpoint.load_latest(tmp_path / "stopped").extra["growing"] is True


def test_half_the_side_is_the_same_net(samples):
    from facewright.models.net import fresh
    from facewright.models.settings import XSegSettings
    from facewright.models.xseg import XSeg

    net = fresh(XSeg, XSegSettings(base_dims=8))
    image = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    assert net(torch.nn.functional.avg_pool2d(image, 2)).shape == (2, 1, 128, 128)
    batches = LabelledBatches([samples], 3, torch.device("cpu"))
    whole = batches.get(0, 1)
    batches.resolution = 32
    half = batches.get(0, 1)
    assert half.input.shape == (3, 3, 32, 32)
    assert torch.allclose(half.input, torch.nn.functional.avg_pool2d(whole.input, 2), atol=1e-6)
    assert set(half.target.unique().tolist()) <= {0.0, 1.0}
    assert batches.plain(0, np.array([1])).input.shape == (1, 3, 64, 64)
    batches.close()


def test_the_mask_is_learned(tmp_path, drawn):
    """A tiny net on six drawn faces: the loss must fall to a fraction, undisturbed by how faces are disturbed."""
    folder = write(tmp_path / "set", drawn(6, name="a"), labelled=6)
    learn(step(tmp_path / "run", folder, iterations=24, batch_size=1, lr=2e-3))
    losses = read_losses(tmp_path / "run" / "losses.bin")["src"]
    assert losses[-6:].mean() < 0.75 * losses[:3].mean()


def test_the_step_is_found_by_its_net():
    assert step_of("xseg") is MaskStep
    assert step_of("saehd") is TrainStep
    args = {"run": "r", "src": "a", "dst": "", "net": "xseg"}
    assert isinstance(TrainStep.from_job(args, {}), MaskStep)


def test_bf16_masks_are_those_of_float32():
    from facewright.models.net import fresh
    from facewright.models.settings import XSegSettings
    from facewright.models.xseg import XSeg

    net = fresh(XSeg, XSegSettings(base_dims=8))
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = net(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(image)
    assert rough.dtype == torch.float32
    assert float(torch.corrcoef(torch.stack([exact.flatten(), rough.flatten()]))[0, 1]) > 0.99
    target = (exact > exact.median()).float()
    losses = [float(mask_objective(x, target)["cross_entropy"]) for x in (exact, rough)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_mask_net_that_breaks_goes_back_and_on_with_a_safer_value(tmp_path, drawn, monkeypatch):
    both = write(tmp_path / "both", drawn(6, name="a"), labelled=3)
    seen, real = [], Masking.judge

    def broken(self, iteration, one, how):
        made, terms = real(self, iteration, one, how)
        seen.append((iteration, self.settings.clipgrad))
        assert 0 < self.life() < 2
        return made, terms if iteration != 1 or self.settings.clipgrad else {n: v * torch.inf for n, v in terms.items()}

    monkeypatch.setattr(Masking, "judge", broken)
    notes, summary = learn(step(tmp_path / "run", both, on_collapse="safer"))
    assert seen == [(0, False), (1, False), (0, True), (1, True), (2, True)]
    assert summary["iterations"] == 3
    assert "on with --clipgrad" in dict(notes)["collapse"]["text"]
