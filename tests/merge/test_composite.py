"""The merge against the original's 52 cases that need no further net, and what must hold for any picture."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from facewright.faces.face import FaceType
from facewright.media.frame import Frame
from facewright.merge.composite import composite, motion
from facewright.merge.paste import Target, paste
from facewright.merge.predict import NullSwapper, Prediction, net_input
from facewright.merge.settings import MergeSettings, permille_of

MODES = ["full", "dst", "learned-prd", "learned-dst", "learned-prd*learned-dst", "learned-prd+learned-dst"]
COLOURS = ["none", "rct", "lct", "mkl", "mkl-m", "idt", "idt-m", "sot-m", "mix-m"]
TYPES = {0: FaceType.HALF, 2: FaceType.FULL, 4: FaceType.WHOLE, 10: FaceType.HEAD}
LOOSE = {"ct_idt", "ct_idt-m", "color_degrade_100"}
R = 48
with open(__file__.replace("merge/test_composite.py", "golden/data/merge_cases.json")) as _file:
    CASES = json.load(_file)
LATER = {n for n, c in CASES.items() if c.get("mask_mode", 0) > 5 or c.get("super_resolution_power")}
"""Masks of XSeg and the enhancer come with their nets."""


def dfl_settings(case: dict) -> MergeSettings:
    """The original's settings in our words: its mask resolution, crops and no extra hull."""
    return MergeSettings(
        mode=case["mode"], mask=MODES[case["mask_mode"]], hull=False, mask_scale=4, crop="cubic",
        colour=COLOURS[case.get("color_transfer_mode", 1)],
        erode_permille=permille_of(case.get("erode_mask_modifier", 0), R),
        blur_permille=permille_of(case.get("blur_mask_modifier", 0), R),
        face_scale=case.get("output_face_scale", 0), hist_threshold=case.get("hist_match_threshold", 238),
        masked_hist=case.get("masked_hist_match", True), motion_blur=case.get("motion_blur_power", 0),
        sharpen_mode=["none", "box", "gaussian"][case.get("sharpen_mode", 0)],
        blur_sharpen=case.get("blursharpen_amount", 0), denoise=case.get("image_denoise_power", 0),
        degrade=case.get("bicubic_degrade_power", 0), colour_degrade=case.get("color_degrade_power", 0), seam=0, seed=7,
    )


@pytest.fixture(scope="module")
def g(golden):
    return np.load(golden / "data" / "merge_inputs.npz")


@pytest.fixture(scope="module")
def outputs(golden):
    return np.load(golden / "data" / "merge_outputs.npz")


@pytest.fixture(scope="module")
def frame(g):
    return Frame(0, 0, Fraction(1, 25), np.ascontiguousarray(g["frame"][..., ::-1]))


def predicted(g, count: int = 1, kind: FaceType = FaceType.FULL) -> Prediction:
    def stack(plane):
        return np.stack([plane[..., None]] * count)

    image = np.stack([np.ascontiguousarray(g["pred_bgr"][..., ::-1])] * count)
    return Prediction(("a", "b")[:count], kind, image, stack(g["pred_mask"]), stack(g["dst_mask"]))


def targets(g, case: dict) -> list[Target]:
    length, angle = case.get("motion", (0.0, 0.0))
    return [Target(str(i), g[f"landmarks{i + 1}"], length, angle) for i in range(case["n_faces"])]


@pytest.mark.parametrize("name", sorted(set(CASES) - LATER))
def test_case_matches_the_original(g, outputs, frame, name, monkeypatch):
    # Random transfers of the original drew from NumPy's legacy stream.
    monkeypatch.setattr(np.random, "default_rng", np.random.RandomState)
    case = CASES[name]
    prediction = predicted(g, case["n_faces"], TYPES[case.get("ft", 2)])
    ours = composite(frame, targets(g, case), prediction, dfl_settings(case))
    bgra = np.dstack([ours.image[..., ::-1], (ours.alpha * 255).astype(np.uint8)]).astype(int)
    gap = np.abs(bgra - outputs[name])
    assert gap.mean() <= (1.0 if name in LOOSE else 0.5), gap.mean()
    if name not in LOOSE:
        assert (gap > 2).mean() <= 0.01, (gap > 2).mean()


@pytest.mark.parametrize("name", ["overlay_mask4", "mode_seamless", "mode_hist-match", "scale_20", "sharpen_gauss_20"])
def test_case_matches_before_rounding(g, golden, frame, name):
    floats = np.load(golden / "data" / "merge_float.npz")
    ours = paste(
        frame.image.astype(np.float32) / 255, targets(g, CASES[name])[0], predicted(g).image[0], g["pred_mask"],
        g["dst_mask"], FaceType.FULL, dfl_settings(CASES[name]),
    )
    pairs = (ours.image[..., ::-1], floats[f"{name}__img"]), (ours.alpha, floats[f"{name}__mask"][..., 0])
    for mine, theirs in pairs:
        assert np.abs(mine - theirs).mean() < 1e-3
        assert np.abs(mine - theirs).max() < 3e-2


def test_net_input_matches(g, outputs, frame):
    ours, _ = net_input(frame.image, g["landmarks1"], R, FaceType.FULL, "cubic")
    assert np.abs(ours[..., ::-1] - outputs["predictor_input_full"]).max() < 2e-2
    assert np.abs(ours[..., ::-1] - outputs["predictor_input_full"]).mean() < 1e-3


def test_motion_matches(golden):
    vectors = np.load(golden / "data" / "motion_vectors.npz")
    lm = vectors["landmarks"]
    for i, (length, angle) in enumerate(vectors["power_deg"]):
        ours = motion(lm[max(i - 1, 0)], lm[min(i + 1, len(lm) - 1)])
        assert ours[0] == pytest.approx(length, abs=1e-3)
        assert ours[1] == pytest.approx(angle, abs=1e-3)


# -- beyond the original -----------------------------------------------------------------------------------------


def _large(g, dtype=np.uint8, size=(360, 480)) -> tuple[Frame, np.ndarray]:
    rng = np.random.default_rng(2)
    import cv2

    noise = cv2.GaussianBlur(rng.random((*size, 3), np.float32), (0, 0), 2)
    top = np.iinfo(dtype).max
    image = (np.clip((noise - 0.5) * 5 + 0.5, 0, 1) * top).astype(dtype)
    return Frame(3, 7, Fraction(1, 25), image), (g["landmarks1"] - 48) * 2.0 + [250, 170]


def _whole_frame(frame: Frame, target: Target, prediction: Prediction, settings: MergeSettings):
    top = np.iinfo(frame.image.dtype).max
    return paste(
        frame.image.astype(np.float32) / top, target, prediction.image[0], prediction.mask_swap[0, ..., 0],
        prediction.mask_own[0, ..., 0], prediction.face_type, settings,
    )


@pytest.mark.parametrize("values", [
    {}, {"mode": "hist-match"}, {"mode": "seamless"}, {"mode": "seamless-hist-match"}, {"mode": "raw-rgb"},
    {"face_scale": -30}, {"motion_blur": 60}, {"blur_sharpen": -30}, {"mask": "full", "hull": False},
    {"mask_scale": 4}, {"colour": "lct"}, {"colour": "rct"},
])  # fmt: skip
def test_working_in_the_face_s_region_equals_the_whole_frame(g, values):
    frame, points = _large(g)
    settings = MergeSettings(**values)
    target, prediction = Target("a", points, 9.0, 20.0), predicted(g)
    ours, whole = composite(frame, [target], prediction, settings), _whole_frame(frame, target, prediction, settings)
    # OpenCV places samples on a grid of 1/32 px that starts at the region's corner: that is the whole difference.
    assert np.abs(ours.alpha - whole.alpha).max() < 0.02
    gap = np.abs(ours.image / 255.0 - np.clip(whole.image, 0, 1))
    assert gap.mean() < 0.3 / 255
    assert gap.max() < (10 if settings.seamless or settings.raw else 5) / 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_outside_the_mask_the_frame_is_bit_identical(g, dtype):
    frame, points = _large(g, dtype)
    before = frame.image.copy()
    ours = composite(frame, [Target("a", points)], predicted(g), MergeSettings())
    assert ours.image.dtype == dtype
    assert 0.02 < (ours.alpha > 0).mean() < 0.5
    assert np.array_equal(ours.image[ours.alpha == 0], before[ours.alpha == 0])
    assert not np.array_equal(ours.image, before)
    assert np.array_equal(frame.image, before), "the input is left alone"


def test_sixteen_bits_survive(g):
    frame, points = _large(g, np.uint16)
    null = NullSwapper(256, FaceType.FULL)
    cut, inside = net_input(frame.image, points, 256, FaceType.FULL, "cubic")
    prediction = null(cut[None], points_px=inside[None])
    ours = composite(frame, [Target("a", points)], prediction, MergeSettings(colour="none"))
    assert len(np.unique(ours.image[ours.alpha > 0.5])) > 2000, "more than 8 bits of levels are left"


def test_the_null_swap_is_nearly_the_plate(g):
    frame, points = _large(g)
    null = NullSwapper(256, FaceType.FULL)
    cut, inside = net_input(frame.image, points, 256, FaceType.FULL)
    ours = composite(frame, [Target("a", points)], null(cut[None], points_px=inside[None]), MergeSettings())
    assert np.abs(ours.image.astype(int) - frame.image)[ours.alpha > 0.5].mean() < 4


def test_the_default_undoes_a_colour_cast_better_than_the_original_s(g):
    """The plate itself, tinted: what the transfer should give back is known exactly."""
    frame, points = _large(g)
    null = NullSwapper(128, FaceType.FULL)
    cut, inside = net_input(frame.image, points, 128, FaceType.FULL)
    tinted = np.clip(cut * np.float32([0.75, 0.85, 1.05]) + np.float32(0.03), 0, 1)
    prediction = null(tinted[None], points_px=inside[None])

    def error(colour: str) -> float:
        made = composite(frame, [Target("a", points)], prediction, MergeSettings(colour=colour, seam=0))
        return float(np.abs(made.image.astype(int) - frame.image)[made.alpha > 0.5].mean())

    assert error(MergeSettings().colour) < 0.8 * error("rct") < error("none")


def test_two_faces_blend_in_order_and_one_of_them_outside_is_nothing(g):
    frame, points = _large(g)
    both = composite(
        frame, [Target("a", points), Target("b", points + np.array([4000, 0]))], predicted(g, 2), MergeSettings()
    )
    alone = composite(frame, [Target("a", points)], predicted(g), MergeSettings())
    assert np.array_equal(both.alpha, alone.alpha)
    assert np.abs(both.image.astype(int) - alone.image).max() <= 1
    assert both.face_ids == ("a", "b")


def test_a_face_half_outside_the_frame(g):
    frame, points = _large(g)
    for shift in ([-250, 0], [230, 190], [0, -170]):
        ours = composite(frame, [Target("a", points + shift)], predicted(g), MergeSettings())
        assert ours.image.shape == frame.image.shape
        assert np.array_equal(ours.image[ours.alpha == 0], frame.image[ours.alpha == 0])


def test_no_faces_no_change(g):
    frame, _ = _large(g)
    ours = composite(frame, [], None, MergeSettings())
    assert ours.image is frame.image
    assert not ours.alpha.any()
    assert (ours.frame_index, ours.pts) == (3, 7)


def test_an_empty_mask_leaves_the_frame(g):
    frame, points = _large(g)
    black = predicted(g)
    nothing = Prediction(("a",), black.face_type, black.image, black.mask_swap * 0, black.mask_own)
    ours = composite(frame, [Target("a", points)], nothing, MergeSettings())
    assert np.array_equal(ours.image, frame.image)
    assert not ours.alpha.any()


def test_random_colours_do_not_flicker(g):
    frame, points = _large(g)
    settings = MergeSettings(colour="idt")
    first, second = (composite(frame, [Target("a", points)], predicted(g), settings) for _ in range(2))
    assert np.array_equal(first.image, second.image)


def test_the_product_s_mask_stays_inside_the_hull(g):
    from facewright.image.masks import hull_mask

    frame, points = _large(g)
    ones = np.ones((1, 128, 128, 1), np.float32)
    full = Prediction(("a",), FaceType.FULL, np.zeros((1, 128, 128, 3), np.float32), ones, ones)
    ours = composite(frame, [Target("a", points)], full, MergeSettings())
    hull = hull_mask(points, frame.image.shape[:2])
    assert ours.alpha[hull == 0].max() < 0.3
    assert ours.alpha.max() > 0.95


def test_two_soft_masks_still_cover_the_brows(g):
    frame, points = _large(g)
    half = np.full((1, 128, 128, 1), 0.6, np.float32)
    soft = Prediction(("a",), FaceType.FULL, np.zeros((1, 128, 128, 3), np.float32), half, half)
    ours = composite(frame, [Target("a", points)], soft, MergeSettings())
    product = composite(frame, [Target("a", points)], soft, MergeSettings(mask="learned-prd*learned-dst"))
    brows = np.rint(points[17:27]).astype(int)
    assert ours.alpha[brows[:, 1], brows[:, 0]].min() > 0.9
    assert product.alpha[brows[:, 1], brows[:, 0]].max() < 0.5
