"""The generator of synthetic people: its geometry, light, motion and voice, and the clips that the package ships."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
av = pytest.importorskip("av")

from hypothesis import given
from hypothesis import strategies as st
from tools.footage import (
    backdrop,
    camera,
    cloth,
    demo,
    film,
    head,
    light,
    motion,
    native,
    noise,
    person,
    raster,
    shade,
    voice,
)

CLIPS = Path(__file__).resolve().parents[2] / "src" / "facewright" / "footage"


def _scene(seed: int, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 5, count * 3)
    corners = rng.uniform(-4, side + 4, (count, 1, 2)) + rng.normal(0, 6, (count, 3, 2))
    vertices = np.column_stack([corners.reshape(-1, 2), 1 / depth, 1 / depth]).astype(np.float32)
    return vertices, np.arange(count * 3, dtype=np.int32).reshape(-1, 3)


@pytest.mark.skipif(native.library() is None, reason="no C compiler here: only the NumPy twins are used")
@pytest.mark.parametrize("seed", range(4))
def test_compiled_and_numpy_rasteriser_agree(seed: int) -> None:
    vertices, triangles = _scene(seed, 120, 48)
    fast, slow = raster.Buffer.empty(48, 48), raster.Buffer.empty(48, 48)
    raster.draw(fast, vertices, triangles, 7)
    raster.draw_numpy(slow, vertices, triangles, 7)
    assert (fast.triangle != raster.NOTHING).mean() > 0.3
    np.testing.assert_array_equal(fast.triangle, slow.triangle)
    np.testing.assert_allclose(fast.bary, slow.bary, atol=1e-5)


@pytest.mark.skipif(native.library() is None, reason="no C compiler here: only the NumPy twins are used")
def test_compiled_and_numpy_noise_agree() -> None:
    points = np.random.default_rng(0).uniform(-40, 40, (500, 3)).astype(np.float32)
    field = noise.Noise.seeded(1)
    np.testing.assert_allclose(field.value(points, 1.7), field.value_numpy(points, 1.7), atol=2e-5)


def test_nearer_triangle_wins_and_earlier_of_equals() -> None:
    square = np.array([[0, 0], [20, 0], [0, 20]], np.float32)
    layers = [np.column_stack([square, np.full((3, 2), w)]) for w in (0.2, 0.5, 0.5)]
    vertices = np.concatenate(layers).astype(np.float32)
    buffer = raster.Buffer.empty(8, 8)
    raster.draw_numpy(buffer, vertices, np.arange(9).reshape(3, 3))
    assert set(np.unique(buffer.triangle)) == {1}


def test_barycentrics_are_perspective_correct() -> None:
    lens = camera.Camera(64, 64, focal=1.0, distance=50, look_y=0.0)
    points = np.array([[-20, -20, 0], [20, -20, 0], [-20, 20, -30]], np.float32)
    buffer = raster.Buffer.empty(64, 64)
    raster.draw(buffer, lens.project(points), np.array([[0, 1, 2]]))
    hit = buffer.triangle >= 0
    world = raster.interpolate(points, np.tile([0, 1, 2], (hit.sum(), 1)), buffer.bary[hit])
    row, col = np.nonzero(hit)
    np.testing.assert_allclose(lens.project(world)[:, :2], np.column_stack([col, row]) + 0.5, atol=2e-3)


@given(yaw=st.floats(-60, 60), pitch=st.floats(-20, 20), roll=st.floats(-30, 30))
def test_pose_angles_come_back_from_the_matrix(yaw: float, pitch: float, roll: float) -> None:
    r = head.rotation(yaw, pitch, roll).astype(np.float64)
    back = np.degrees([np.arctan2(-r[2, 0], r[2, 2]), np.arcsin(r[2, 1]), np.arctan2(-r[0, 1], r[1, 1])])
    np.testing.assert_allclose(back, [yaw, pitch, roll], atol=1e-3)


def test_pose_signs() -> None:
    nose = np.array([0, 0, 1], np.float32)
    assert (head.rotation(30, 0, 0) @ nose)[0] > 0
    assert (head.rotation(0, 20, 0) @ nose)[1] < 0
    assert (head.rotation(0, 0, 20) @ np.array([1, 0, 0], np.float32))[1] > 0


def test_swing_spends_its_time_evenly() -> None:
    share, _ = np.histogram(motion.swing(np.linspace(0, 10, 4001), 0.3, 0.2), bins=6, range=(-1, 1))
    assert share.min() > 0.7 * share.mean()
    assert share.max() < 1.6 * share.mean()


def test_speech_uses_every_vowel_and_keeps_its_pauses() -> None:
    moves = motion.Motion(frames=200, pauses=((2.0, 2.6),), seed=3)
    said = motion.speak(moves)
    assert {s.vowel for s in said} == set(motion.VOWELS)
    assert not [s for s in said if 2.0 < s.time_s < 2.6]
    assert said == motion.speak(moves)
    assert said != motion.speak(dataclasses.replace(moves, seed=4))


def test_voice_follows_the_mouth_and_sings_the_formants() -> None:
    moves = motion.Motion(frames=50, pauses=())
    said = (motion.Syllable("a", 0.5, 0.5, 1.0), motion.Syllable("i", 1.4, 0.5, 1.0))
    sound = voice.sing(moves, said)
    assert len(sound) == 2 * voice.RATE_HZ
    assert np.abs(sound).max() <= 1.0
    t = np.arange(len(sound)) / voice.RATE_HZ
    quiet = (np.abs(t - 0.95) < 0.08) | (t < 0.15)
    assert np.abs(sound[quiet]).max() < 0.02
    loudest = []
    for s in said:
        part = sound[np.abs(t - s.time_s) < 0.1]
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        loudest.append(np.fft.rfftfreq(len(part), 1 / voice.RATE_HZ)[power.argmax()])
    assert 550 < loudest[0] < 950
    assert 200 < loudest[1] < 400


def test_noise_is_smooth_repeatable_and_bounded() -> None:
    points = np.random.default_rng(0).uniform(-40, 40, (2000, 3)).astype(np.float32)
    field = noise.Noise.seeded(5)
    values = field.fractal(points, 0.7, 4)
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.std() > 0.05
    np.testing.assert_array_equal(values, noise.Noise.seeded(5).fractal(points, 0.7, 4))
    assert np.abs(field.value(points + 1e-3, 0.7) - field.value(points, 0.7)).max() < 0.01


def _plate(size: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32) * size
    return corners + np.array([0, height, 0], np.float32), np.array([[0, 1, 2], [0, 2, 3]])


def test_shadow_is_dark_below_and_soft_at_the_edge() -> None:
    shadow = light.cast([_plate(4, 5), _plate(15, 0)], np.array([0, 1, 0.001]), np.zeros(3, np.float32), 20, 512)
    x = np.array([0, 3.9, 4.0, 4.1, 8], np.float32)
    points = np.column_stack([x, 0 * x, 0 * x])
    lit = np.mean([shadow.lit(points, 1.0, 0.1, np.full(5, a, np.float32)) for a in np.linspace(0, 6, 16)], 0)
    assert lit[0] == 0
    assert lit[-1] == 1
    assert 0.2 < lit[2] < 0.8
    assert lit[1] < lit[3]


def test_openness_sees_a_roof() -> None:
    points = np.zeros((1, 3), np.float32)
    up = np.array([[0, 1, 0]], np.float32)
    free = light.openness(points, up, [_plate(12, -0.001)])
    roofed = light.openness(points, up, [_plate(12, -0.001), _plate(8, 2)])
    assert free[0] > 0.97
    assert roofed[0] < 0.25


def test_shirt_lies_outside_the_neck() -> None:
    angle = np.linspace(-np.pi, np.pi, 400)
    y = np.repeat(np.linspace(-18, -8, 40), 400)
    skin = np.column_stack([6 * np.sin(np.tile(angle, 40)), y, 6 * np.cos(np.tile(angle, 40)) - 1.2]).astype(np.float32)
    shirt = cloth.tailor(skin, cloth.ClothLook())
    radius = np.hypot(shirt.points[:, 0], shirt.points[:, 2] + 1.2)[3 * cloth.AROUND :]
    assert radius.min() > 6
    assert np.isfinite(shirt.normal).all()


def test_film_curve_is_monotone_and_bounded() -> None:
    values = shade.film(np.linspace(0, 20, 500), 1.0)
    assert (np.diff(values) >= 0).all()
    assert values[0] == 0
    assert values[-1] <= 1


def test_identity_is_repeatable_and_limited() -> None:
    first = person.identity_of(5, 3)
    assert first == person.identity_of(5, 3)
    assert len(first) == 60
    assert max(map(abs, first)) <= 1.9
    assert first != person.identity_of(5, 4)


@pytest.fixture(scope="module")
def model(shared: Path) -> head.HeadModel:
    if not (shared / "synthetic").is_dir():
        pytest.skip("needs the head model beside the checkout")
    return head.load(shared / "synthetic")


@pytest.fixture(scope="module")
def built(model: head.HeadModel) -> person.Built:
    look = dataclasses.replace(demo.PERSON_A, hair=dataclasses.replace(demo.PERSON_A.hair, strands=1000))
    return person.build(model, look, texture_px=128)


def _still(model: head.HeadModel, built: person.Built, pose: tuple[float, ...], weights: np.ndarray) -> film.Shot:
    scene = film.Scene(camera=camera.Camera(160, 120), samples=1)
    behind = backdrop.paint(scene.backdrop, scene.camera)
    return film.frame(model, built, scene, np.array(pose), weights, behind)


@pytest.mark.shared
def test_frame_is_repeatable_and_landmarks_lie_on_the_face(model: head.HeadModel, built: person.Built) -> None:
    quiet = model.weights({})
    first, again = (_still(model, built, (0, 0, 0), quiet) for _ in range(2))
    np.testing.assert_array_equal(first.picture, again.picture)
    assert first.picture.std() > 20
    marks = first.landmarks_px
    assert marks[36, 0] < marks[39, 0] < marks[42, 0] < marks[45, 0]
    assert marks[27, 1] < marks[33, 1] < marks[51, 1] < marks[8, 1]
    turned = _still(model, built, (30, 0, 0), quiet).landmarks_px
    assert turned[30, 0] > marks[30, 0] + 4
    nose = first.picture[tuple(marks[30].astype(int)[::-1])].astype(int)
    assert nose[0] > nose[2]


@pytest.mark.shared
def test_blink_and_jaw_change_the_picture_where_they_should(model: head.HeadModel, built: person.Built) -> None:
    base = _still(model, built, (0, 0, 0), model.weights({}))
    blink = _still(model, built, (0, 0, 0), model.weights({"eyeBlink": 1.0}))
    jaw = _still(model, built, (0, 0, 0), model.weights({"jawOpen": 0.6}))
    eyes, mouth = (base.landmarks_px[list(r)].mean(0).astype(int) for r in (range(36, 42), range(60, 68)))

    def change(other: film.Shot, at: np.ndarray) -> float:
        box = np.s_[at[1] - 3 : at[1] + 4, at[0] - 3 : at[0] + 4]
        return float(np.abs(other.picture[box].astype(int) - base.picture[box]).mean())

    assert change(blink, eyes) > 3 * change(jaw, eyes)
    assert change(jaw, mouth) > 3 * change(blink, mouth)
    gap = [np.linalg.norm(s.landmarks_px[62] - s.landmarks_px[66]) for s in (base, jaw)]
    assert gap[1] > gap[0] + 4


@pytest.mark.shared
def test_source_covers_the_poses_of_the_target(model: head.HeadModel) -> None:
    track = motion.perform(model, demo.MOTION_B)
    assert np.abs(track.pose_deg[:, 0]).max() > 40
    source = motion.perform(model, demo.MOTION_A).pose_deg
    low, high = source.min(0), source.max(0)
    assert (low <= track.pose_deg.min(0) + 2).all()
    assert (high >= track.pose_deg.max(0) - 2).all()


def _clip(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    with av.open(str(CLIPS / f"{name}.mp4")) as container:
        pictures = np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)])
    with av.open(str(CLIPS / f"{name}.mp4")) as container:
        if not container.streams.audio:
            return pictures, None
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    return pictures, sound


@pytest.mark.parametrize("name", ["source", "target", "true_swap"])
def test_shipped_clips_are_what_the_demo_expects(name: str) -> None:
    pictures, sound = _clip(name)
    assert pictures.shape == (100, 480, 640)
    assert (sound is None) == (name == "true_swap")
    with np.load(CLIPS / "truth.npz") as truth:
        marks = truth[f"{name}_landmarks68_px"]
        assert marks.shape == (100, 68, 2)
        assert (marks > 0).all()
        assert (marks < [640, 480]).all()
        if sound is None:
            return
        opening = np.linalg.norm(marks[:, 62] - marks[:, 66], axis=1)
    loud = np.sqrt((sound[: 4 * 48000].reshape(100, -1) ** 2).mean(1))
    assert np.corrcoef(opening, loud)[0, 1] > 0.5


def test_shipped_clips_are_small_and_carry_their_notice() -> None:
    assert sum(p.stat().st_size for p in CLIPS.glob("*.mp4")) <= 3_000_000
    assert "MIT" in (CLIPS / "NOTICE.md").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in (CLIPS / "LICENSE-ICT-FaceKit.txt").read_text(encoding="utf-8")
