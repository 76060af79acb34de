"""Every embedder of the registry passes this suite, on real people (licensed test clips)."""

from __future__ import annotations

import numpy as np
import pytest

from facewright.core.errors import Mismatch, WeightsMissing
from facewright.faces import identity
from facewright.faces.align import face_from_frame
from facewright.faces.face import MESH_SCALE, Face, FaceType, SourceRef
from facewright.faces.find import FaceFinder
from facewright.faces.five_points import five_of_mesh
from facewright.faces.settings import EMBEDDERS
from facewright.image.warp import warp

CLIPS = (
    ("webcam_man_take1", 0, 700), ("webcam_man_take2", 0, 700), ("man_headpose", 0, 60),
    ("franck_conversation", 0, 700),
)


@pytest.fixture(scope="module")
def people(shared, clip_frames):
    """Clip -> (pictures, found faces)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWRIGHT_WEIGHTS", str(shared / "weights"))
        finder = FaceFinder()
        found = {}
        for name, start, stop in CLIPS:
            frames = clip_frames(name, start, stop, (stop - start) // 5)
            found[name] = ([f.image for f in frames], [row[0] for row in finder.find(frames)])
    return found


@pytest.fixture(params=EMBEDDERS.names())
def embedder(request, weights):
    return identity.make_embedder(request.param)


def _vectors(embedder, images, faces):
    return embedder(images, np.stack([five_of_mesh(f.landmarks.mesh_px[:, :2]) for f in faces]))


@pytest.mark.shared
def test_same_person_is_closer_than_a_stranger(embedder, people):
    vectors = {name: _vectors(embedder, *content) for name, content in people.items()}
    for rows in vectors.values():
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    same = vectors["webcam_man_take1"] @ vectors["webcam_man_take2"].T
    strangers = [
        vectors[a] @ vectors[b].T
        for a, b in (("webcam_man_take1", "man_headpose"), ("webcam_man_take1", "franck_conversation"),
                     ("man_headpose", "franck_conversation"))
    ]
    assert same.min() > max(s.max() for s in strangers)
    assert same.mean() > identity.SAME_COSINE
    assert max(s.mean() for s in strangers) < identity.ASK_COSINE


@pytest.mark.shared
def test_batch_equals_one_by_one(embedder, people):
    images, faces = people["man_headpose"]
    together = _vectors(embedder, images, faces)
    alone = np.concatenate([_vectors(embedder, [i], [f]) for i, f in zip(images, faces)])
    assert np.abs(together - alone).max() < 1e-5


@pytest.mark.shared
def test_stored_crops_give_the_same_person(weights, people):
    images, found = people["webcam_man_take1"]
    crops, faces = [], []
    for image, face in zip(images, found):
        matrix = face_from_frame(face.landmarks.points_px, 256, FaceType.WHOLE)
        crops.append(warp(image, matrix, 256, "auto"))
        faces.append(_stored(face, matrix))
    from_crops, from_frames = identity.embed(crops, faces), _vectors(identity.make_embedder(), images, found)
    assert (from_crops * from_frames).sum(1).min() > 0.95


def _stored(found, matrix):
    landmarks = found.landmarks
    return Face(
        "x", SourceRef("f", "0" * 64, 0, 0, 1), found.detection.box_px, found.detection.score, landmarks.presence_01,
        np.round(landmarks.mesh_px * MESH_SCALE).astype(np.int16), MESH_SCALE, landmarks.points_px, FaceType.WHOLE, 256,
        matrix, *found.pose_deg, sharpness=1.0,
    )


def test_switched_off_means_not_at_hand(monkeypatch, shared):
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(shared / "weights"))
    assert identity.identity_net() is not None
    monkeypatch.setenv("FACEWRIGHT_NO_IDENTITY", "1")
    assert identity.identity_net() is None
    with pytest.raises(WeightsMissing, match="mobileface_v2") as caught:
        identity.make_embedder()
    assert "FACEWRIGHT_NO_IDENTITY" in caught.value.remedy


def test_vectors_of_two_nets_are_never_compared():
    rows = np.eye(3, dtype=np.float32)
    assert np.array_equal(identity.compare((rows, "a"), (rows, "a")), rows)
    with pytest.raises(Mismatch):
        identity.compare((rows, "a"), (rows, "b"))


def test_a_face_without_size_is_refused(weights):
    with pytest.raises(Mismatch):
        identity.make_embedder()([np.zeros((9, 9, 3), np.uint8)], np.zeros((1, 5, 2)))


def test_mean_vector_is_of_unit_length_or_zero():
    rows = np.array([[1, 0], [0, 1]], np.float32)
    assert np.allclose(identity.mean_vector(rows), np.sqrt(0.5))
    assert np.array_equal(identity.mean_vector(np.array([[1, 0], [-1, 0]], np.float32)), [0, 0])
