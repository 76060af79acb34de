from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from facewright.faces.face import FaceType
from facewright.models.net import Views
from facewright.training import preview, samples
from facewright.training.batches import Batches


def test_pick_is_spread_and_never_more_than_there_are():
    assert preview.pick(100).tolist() == [12, 37, 62, 87]
    assert preview.pick(2).tolist() == [0, 1]


def test_sheet_shows_rgb_in_its_places(drawn, tmp_path):
    sides = []
    for name in ("a", "b"):
        faces = drawn(3, name=name)
        for image in faces.images.values():
            image[:] = (200, 0, 0) if name == "a" else (0, 200, 0)
        sides.append(samples.prepare(tmp_path / name, list(faces), faces.load, 3, digest=name, face_type=FaceType.FULL,
                                     side=64, mouth_area="inner"))
    batches = Batches(*sides, 64, 2, torch.device("cpu"))

    def forward(src: torch.Tensor, dst: torch.Tensor) -> Views:
        mask = torch.zeros_like(src[:, :1])
        mask[..., 32:] = 1
        return Views(src, mask, dst, mask, torch.full_like(src, 0.5), mask)

    tiles = preview.views(forward, batches, np.array([0, 1, 2]), np.array([0, 1]))
    assert tiles.shape == (2, 2, 5, 64, 64, 3)
    assert tiles[0, 0, 0, 5, 5].tolist() == [200, 0, 0]
    assert tiles[0, 0, 2, 5, 5].tolist() == [0, 200, 0]
    assert tiles[1, 0, 4, 5, 5].tolist() == [0, 0, 0]
    assert tiles[1, 0, 4, 5, 60].tolist() == [128, 128, 128]
    image = np.array(Image.open(io.BytesIO(preview.sheet(tiles, "run"))))
    assert image.shape == (26 + 22 + 2 * 128, 2 * 5 * 128 + 10, 3)
    assert image[60, 20].tolist() == [200, 0, 0]
    assert (image[30:44, 20:110] > 150).any(), "labels"
