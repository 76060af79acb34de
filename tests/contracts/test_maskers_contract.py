"""Every masker of the registry passes this suite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.masks.conftest import head, picture

from facewright.faces.face import FaceType
from facewright.masks.maskers import XSEG, masker
from facewright.masks.settings import MASKERS, MaskSettings
from facewright.models import checkpoint
from facewright.models.run_folder import RunFolder
from facewright.models.settings import XSegSettings
from facewright.models.xseg import XSeg


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An XSeg run of a small net with start values, except that its last layer looks at the picture's place: it marks
    a disc, so that there is an area to measure."""
    folder = tmp_path_factory.mktemp("runs") / "kopf"
    shape = XSegSettings(base_dims=8)
    RunFolder.create(folder, "xseg", shape)
    torch.manual_seed(3)
    net = XSeg(shape)
    checkpoint.save(folder, 7, net, net_name="xseg")
    return folder


class _Disc(torch.nn.Module):
    """A stand-in for a net that has learned: face is what is lighter in red than in blue."""

    resolution, face_type = 256, "whole_face"

    def mask(self, image):
        return torch.sigmoid(40 * (image[:, 2:3] - image[:, 0:1]) - 4)


@pytest.fixture(params=MASKERS.names())
def made(request, run):
    if request.param != XSEG:
        return masker(request.param)
    found = masker(run, MaskSettings(device="cpu"))
    found.net.net = _Disc()
    return found


KINDS = (FaceType.FULL, FaceType.WHOLE, FaceType.HEAD)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("yaw", [-45.0, 0.0, 30.0])
def test_range_shape_and_place(made, kind, yaw):
    face = head(yaw_deg=yaw, kind=kind)
    image = picture(face)
    before = image.copy()
    for side in (0, 64, 256):
        mask = made(image, face, side)
        assert mask.shape == ((side or 128),) * 2
        assert mask.dtype == np.float32
        assert mask.min() >= 0
        assert mask.max() <= 1
    assert np.array_equal(image, before)
    assert 0.03 < made(image, face).mean() < 0.95
    assert made.identity


def test_the_size_of_the_picture_changes_the_area_by_two_percent_at_most(made):
    if hasattr(made, "net"):  # how masks are laid back; what a net that has learned sees in a small picture is its own
        made.net.net = _Disc()
    for kind in KINDS:
        areas = []
        for side in (128, 256, 512, 1024):
            face = head(side=side, kind=kind)
            areas.append(float(made(picture(face), face).mean()))
        assert max(areas) <= 1.02 * min(areas), (kind, areas)


def test_a_picture_of_another_side_than_the_face_says(made):
    face = head(side=512)
    small = made(picture(face, 256), face)
    assert small.shape == (256, 256)
    assert abs(small.mean() - made(picture(face), face).mean()) < 0.02 * small.mean()


def test_many_are_one_by_one_and_repeatable(made):
    faces = [head(n, yaw_deg=5.0 * n, side=128 + 64 * (n % 2)) for n in range(10)]
    images = [picture(face) for face in faces]
    together = made.many(images, faces, 128)
    assert len(together) == 10
    for image, face, mask in zip(images, faces, together):
        assert np.allclose(made(image, face, 128), mask, atol=1e-5)
    assert made.many([], [], 128) == []


def test_landmarks_that_were_moved_count(made):
    face = head()
    moved = dataclasses.replace(face, edited_px=face.points_px + np.float32(12))
    a, b = made(picture(face), face, 256), made(picture(face), moved, 256)
    if made.identity in ("hull", "mesh"):
        shift = [np.average(np.arange(256), weights=m.sum(0)) for m in (a, b)]
        assert 2 < shift[1] - shift[0] < 20
    assert abs(a.mean() - b.mean()) < 0.1


def test_states_licence_and_help():
    for plug in MASKERS:
        assert plug.licence
        assert plug.help


def test_a_run_is_opened_with_its_identity(run):
    found = masker(run, MaskSettings(device="cpu"))
    assert found.identity.startswith("xseg:kopf:7:")
    face = head()
    mask = found(picture(face), face, 256)
    bgr = torch.from_numpy(np.ascontiguousarray(
        __import__("cv2").resize(picture(face), (256, 256), interpolation=2)[..., ::-1].transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        expected = found.net.net.mask(bgr.float() / 255)[0, 0].numpy()
    assert np.allclose(mask, expected, atol=1e-6), "RGB in the house, BGR in the net"
