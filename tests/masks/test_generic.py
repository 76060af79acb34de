"""The net that comes along: on drawn heads that it never saw, with hands and things before them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facewright.faceset import record
from facewright.image.geometry import apply_affine
from facewright.image.masks import hull_mask
from facewright.masks.generic import SHAPE, WEIGHTS, generic_net
from facewright.masks.maskers import masker
from facewright.masks.settings import MaskSettings

HEADS = sorted((Path(__file__).parent / "drawn_heads").glob("*.jpg"))
PACKAGE = Path(__file__).resolve().parents[2] / "src" / "facewright" / "masks"


@pytest.fixture(scope="module")
def seen():
    """(face, exact mask, mask found) of each head."""
    net, files = masker("generic", MaskSettings(device="cpu")), [path.read_bytes() for path in HEADS]
    faces = [record.decode_face(data) for data in files]
    found = net.many([record.decode_image(data) for data in files], faces)
    exact = [record.decode_mask(data).astype(np.float32) / 255 for data in files]
    return list(zip(faces, exact, found))


def test_the_file_is_small_and_of_the_declared_shape():
    assert (PACKAGE / WEIGHTS).stat().st_size <= 7.5 * 2**20
    net = generic_net("cpu")
    assert (net.resolution, str(net.face_type)) == (256, str(SHAPE.face_type))
    assert net.identity.startswith("generic:")


def test_it_finds_faces_that_it_never_saw(seen):
    agreement = [((m > 0.5) & (t > 0.5)).sum() / ((m > 0.5) | (t > 0.5)).sum() for _, t, m in seen]
    assert len(agreement) == 10
    assert np.mean(agreement) > 0.8
    assert np.median(agreement) > 0.85


def test_what_lies_before_a_face_is_left_out(seen):
    """Pixels within the landmarks' hull that are not face: hands, mugs, hair."""
    before, behind = [], []
    for face, exact, found in seen:
        inside = hull_mask(apply_affine(face.face_from_frame, face.points), exact.shape) > 0.5
        before.append(found[inside & (exact < 0.05)])
        behind.append(found[inside & (exact > 0.95)])
    assert np.concatenate(before).size > 2000
    assert np.concatenate(before).mean() < 0.3
    assert np.concatenate(behind).mean() > 0.85


def test_larger_pictures_change_nothing_and_half_the_side_little(seen):
    """128 px are less than it looks at: there it sees a blurred face."""
    net, agreement = masker("generic", MaskSettings(device="cpu")), []
    for path, (face, exact, found) in zip(HEADS, seen):
        image = record.decode_image(path.read_bytes())
        large = net(cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC), face)
        assert abs(large.mean() / found.mean() - 1) < 0.02, path.name
        small = net(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), face, 256) > 0.5
        agreement.append((small & (exact > 0.5)).sum() / (small | (exact > 0.5)).sum())
    assert np.mean(agreement) > 0.75


def test_it_does_not_depend_on_the_batch(seen):
    face, _, found = seen[3]
    image = record.decode_image(HEADS[3].read_bytes())
    np.testing.assert_allclose(masker("generic", MaskSettings(device="cpu"))(image, face), found, atol=1e-5)
