"""Synthetic stills as a faceset: the same again, to be gone on with, exact masks and landmarks, clear rights."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy")

from tools.footage import camera, hair, head, raster
from tools.footage.parts import PARTS
from tools.synthetic_faces import cast, hand, heads, looks, place, region, rights, shapes, solid, staging, still, write
from tools.synthetic_faces.mesh468 import Bend
from tools.synthetic_faces.prop import plain

from facewright.core.errors import Mismatch
from facewright.core.step import Likeness
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset.faceset import Faceset
from facewright.provenance.permit import allow
from facewright.provenance.store import ConsentStore

RECIPE = write.Recipe("masks", "whole_face", 3, 96, 5)


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    if not (shared / "synthetic").is_dir():
        pytest.skip("needs the head model, which is absent here")
    return shared / "synthetic"


@pytest.fixture(scope="module")
def model(folder: Path) -> head.HeadModel:
    return head.load(folder)


@pytest.fixture
def one_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head is a chunk."""
    monkeypatch.setattr(write, "CHUNK", 1)


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look and one hand for a chunk, a small texture, little hair, light from few sides."""
    monkeypatch.setattr(cast, "LOOKS", 1)
    monkeypatch.setattr(cast, "HANDS", 1)
    monkeypatch.setattr(looks, "TEXTURE_PX", 128)
    monkeypatch.setattr(looks, "STRANDS", 800)
    monkeypatch.setattr(looks, "DIRECTIONS", 5)


@pytest.fixture
def a_cast(model: head.HeadModel) -> cast.Cast:
    return cast.Cast(model, Bend.of(model), (7, 0, 0))


def _files(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(out.rglob("*.jpg"))}


@pytest.mark.shared
def test_a_killed_run_goes_on_and_ends_in_the_same_files(tmp_path, folder, one_a_chunk):
    out = tmp_path / "set"
    digest = write.make(out, RECIPE, folder, workers=1)
    whole = _files(out)
    assert len(whole) == RECIPE.heads
    chunks = sorted((out / "faces" / digest[:8]).iterdir())
    shutil.rmtree(chunks[1])
    kept = (chunks[0] / next(iter(whole))).stat().st_mtime_ns
    assert write.make(out, RECIPE, folder, workers=1) == digest
    assert _files(out) == whole
    assert (chunks[0] / next(iter(whole))).stat().st_mtime_ns == kept
    with pytest.raises(Mismatch, match="another synthetic set"):
        write.make(out, write.Recipe("masks", "whole_face", 3, 96, 6), folder, workers=1)

    faces = Faceset.open(out)
    assert faces.face_type == "whole_face"
    for face in faces:
        mask = faces.mask(face)
        assert mask is not None
        assert mask.shape == (96, 96)
        np.testing.assert_allclose(face.face_from_frame, np.eye(3), atol=2e-3)
        again = face_from_frame(face.points, 96, FaceType.WHOLE)
        np.testing.assert_allclose(again, face.face_from_frame, atol=1e-9)

    record = rights.declare(out)
    assert rights.declare(out).reference == record.reference == Faceset.open(out).consent
    assert (record.role, record.basis, record.media) == ("synthetic", "synthetic", (digest,))
    assert "ICT" in (out / "LICENSE-ICT-FaceKit.txt").read_text() + (out / "NOTICE.md").read_text()
    now, both = datetime(2030, 1, 1, tzinfo=UTC), ("source_likeness", "target_performer")
    for stage in ("train", "preview", "merge", "export_model"):
        permit = allow(stage, [Likeness(role, "", "", out, (digest,)) for role in both],
                       store=ConsentStore(), now=now, project="any")  # fmt: skip
        assert {grant.basis for grant in permit.grants} == {"synthetic"}


@pytest.mark.shared
def test_another_machine_says_the_rights_anew(tmp_path, folder, one_a_chunk, monkeypatch):
    out = tmp_path / "set"
    write.make(out, write.Recipe("pretrain", "head", 1, 64, 5), folder, workers=1)
    first = rights.declare(out)
    monkeypatch.setenv("FACEWRIGHT_HOME", str(tmp_path / "other"))
    second = rights.declare(out)
    assert second.kid != first.kid
    assert Faceset.open(out).consent == second.reference


@pytest.mark.shared
def test_what_comes_before_the_face_is_not_in_the_mask(a_cast, monkeypatch):
    seen: list[np.ndarray] = []
    real = still._shaken

    def watched(*given):
        layer, hides = real(*given)
        seen.append(hides)
        return layer, hides

    monkeypatch.setattr(staging, "OCCLUDED", 1.0)
    monkeypatch.setattr(staging, "COVERED", 0.0)
    monkeypatch.setattr(staging, "HATS", 0.0)
    monkeypatch.setattr(still, "LEAVES", 0.0)
    monkeypatch.setattr(still, "_shaken", watched)
    order = cast.Order(FaceType.WHOLE, 96, True)
    made = [still.render(a_cast, order, np.random.default_rng((3, k))) for k in range(5)]
    for one, hides in zip(made, seen, strict=True):
        assert not one.mask[hides > 0.999].any()
        assert one.mask[hides < 0.001].max() == 255
    assert max(one.hidden_01 for one in made) > 0.05


@pytest.mark.shared
def test_landmarks_lie_within_a_clean_mask(a_cast, monkeypatch):
    monkeypatch.setattr(still, "LEAVES", 0.0)
    monkeypatch.setattr(heads, "draw_pose", lambda rng: (float(rng.uniform(-25, 25)), 5.0, 8.0))
    order = cast.Order(FaceType.WHOLE, 128, False)
    for k in range(3):
        one = still.render(a_cast, order, np.random.default_rng((4, k)))
        assert one.hidden_01 == 0
        hull = cv2.convexHull(np.argwhere(one.mask > 127)[:, ::-1].astype(np.float32))
        depth = [cv2.pointPolygonTest(hull, (float(x), float(y)), True) for x, y in one.points_px]
        assert min(depth) > -4
        mesh_off = np.linalg.norm(one.mesh_px[[1, 4, 152], :2] - one.points_px[[33, 30, 8]], axis=1)
        assert mesh_off.max() < 14


@pytest.mark.shared
def test_regions_hold_what_their_names_say(model):
    inside = region.face_region(model, hair.HairLook())
    marks = model.landmarks
    assert (inside[marks[17:48]] > 0).all()
    assert (inside[marks[4:13]] > 0).all()
    p = model.neutral
    ears = model.where("face") & (np.abs(p[:, 0]) > 8.4)
    assert ears.any()
    assert not (inside[ears] > 0).any()
    assert not (inside[p[:, 1] < -10] > 0).any()
    crown = region.head_region(model)
    first, last = PARTS["face"]
    assert (crown[first : last + 1][inside[first : last + 1] > 0] > 0).all()
    assert (crown[ears] > 0).mean() > 0.95
    assert (crown[model.where("neck") & (p[:, 1] > 8)] > 0).all()
    assert not (crown[p[:, 1] < -10] > 0).any()


@pytest.mark.shared
def test_the_mesh_follows_the_landmarks(model):
    from facewright.faces.landmark import MESH_FOR_68

    moved = model.neutral[model.landmarks] + np.random.default_rng(0).normal(0, 0.5, (68, 3))
    np.testing.assert_allclose(Bend.of(model).points(moved)[MESH_FOR_68], moved, atol=1e-3)


def test_a_capsule_becomes_its_surface():
    rod = solid.Capsule(np.array([0, 0, 0.0]), np.array([0, 3.0, 0]), 1.0, 0.6)
    points, normals, triangles = solid.surface(rod.distance, np.full(3, -1.5), np.array([1.5, 4.5, 1.5]), 0.3)
    assert np.abs(rod.distance(points)).max() < 0.02
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    out = points - np.array([0, 1.5, 0])
    assert (np.einsum("ij,ij->i", normals, out) > 0).all()


def test_a_hand_has_a_palm_and_nails():
    form = hand.shape(np.random.default_rng(2), hand.draw_pose(np.random.default_rng(2), "open"))
    assert form.palm[form.normals[:, 2] < -0.9].mean() > 0.9
    nails = form.points[form.nail > 0.5]
    assert len(nails) > 10
    assert (form.normals[form.nail > 0.5][:, 2] > -0.3).mean() > 0.9
    parts = hand.build(form, np.array([0.5, 0.3, 0.2]), np.random.default_rng(3))
    assert all(np.isfinite(p.points).all() and p.triangles.max() < len(p.points) for p in parts)


def test_things_settle_before_what_is_there():
    lens = camera.Framing(camera.Camera(64, 64, 2.0, 75, 0, 0), np.eye(3), 64)
    buffer = raster.Buffer.empty(128, 128)
    wall = np.array([[-40, -40, 8], [40, -40, 8], [0, 60, 8]], np.float32)
    raster.draw(buffer, lens.project(wall, 2), np.array([[0, 1, 2]]))
    view = place.View(buffer, lens, 2, np.array([[0, 0, 8.0]]), np.full(3, 0.5), np.full(3, 0.1))
    box = plain(*[shapes.slab(np.array([6, 6, 6.0]))[k] for k in (0, 2)], np.full(3, 0.5))
    put = place._settle(view, [box], np.eye(3), np.array([0, 0, 8.0]), np.zeros(3), 0.5, 1.0)
    assert (put.props[0].points[:, 2] > 8).mean() > 0.9
    assert 0.03 < place.hidden(view, put.props) <= 1.0
