"""Every detector of the registry passes this suite; a plug-in gets it for free."""

from __future__ import annotations

import numpy as np
import pytest

from facewright.core.weights import WEIGHTS, available
from facewright.faces.detect import YuNet, suppress
from facewright.faces.detectors import make_detector
from facewright.faces.settings import DETECTORS
from facewright.image.geometry import iou


@pytest.fixture(params=[*DETECTORS.names(), "yunet+blazeface_full", "blazeface_full+yunet_s"])
def detector(request, nets):
    weights = [name for part in request.param.split("+") for name in DETECTORS.plug(part).weights]
    if any(available(name) is None for name in weights):
        pytest.skip(f"the net of {request.param} is not at hand")
    return make_detector(request.param)[1]


def test_states_licence_and_weights():
    for plug in DETECTORS:
        assert plug.licence
        assert plug.help
        assert all(name in WEIGHTS for name in plug.weights)


def test_one_head_each_with_its_centre_inside_the_frame(detector, heads):
    for image, found in zip(heads, detector(heads), strict=True):
        assert len(found) == 1
        x0, y0, x1, y1 = found[0].box_px
        assert 0 <= (x0 + x1) / 2 <= image.shape[1] - 1
        assert 0 <= (y0 + y1) / 2 <= image.shape[0] - 1
        assert x1 - x0 > 20
        assert 0 < found[0].score <= 1


def test_same_frame_same_answer_alone_or_among_others(detector, heads):
    together = detector(heads)
    for image, found in zip(heads, together):
        again = detector([image])[0]
        assert [d.box_px for d in again] == [d.box_px for d in found]
        assert [d.score for d in again] == [d.score for d in found]


def test_blank_frame_gives_empty_list(detector):
    grey = np.full((200, 300, 3), 128, np.uint8)
    assert detector([grey, np.zeros((97, 33, 3), np.uint8)]) == [[], []]
    assert detector([]) == []


def test_mirrored_frame_gives_mirrored_boxes(detector, heads):
    for image in heads[:3]:
        width = image.shape[1]
        (here,), (there,) = detector([image, np.ascontiguousarray(image[:, ::-1])])
        x0, y0, x1, y1 = there.box_px
        mirrored = (width - 1 - x1, y0, width - 1 - x0, y1)
        assert iou(mirrored, here.box_px) > 0.65
        # The image-left eye of the mirrored picture is the image-right one of the picture.
        back = np.array([[width - 1, 0]]) + there.hint_px[:2] * [[-1, 1]]
        swapped, kept = (np.linalg.norm(eyes - here.hint_px[:2], axis=1).sum() for eyes in (back[::-1], back))
        assert swapped < 0.6 * kept


def test_scaled_frame_gives_scaled_boxes(detector, heads):
    image = heads[0]
    large = image.repeat(3, 0).repeat(3, 1)
    (here,), (there,) = detector([image])[0], detector([large])[0]
    side = here.box_px[2] - here.box_px[0]
    assert np.abs((np.array(there.box_px) + 0.5) / 3 - 0.5 - here.box_px).max() < 0.05 * side


def test_limit_is_obeyed(detector, heads):
    score = detector(heads[:1])[0][0].score
    assert detector(heads[:1], score=min(score + 1e-6, 1.0)) == [[]]
    assert len(detector(heads[:1], score=score - 1e-6)[0]) == 1


def test_suppression_keeps_the_best_of_each_heap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [40, 0, 50, 10.0]])
    assert suppress(boxes, np.array([0.8, 0.9, 0.5, 0.95])).tolist() == [3, 1, 2]


def test_suppression_of_nothing():
    assert suppress(np.zeros((0, 4)), np.zeros(0)).tolist() == []


def test_yunet_decode_follows_the_formulas():
    # One cell of each of 3 strides in a 64 x 64 picture: pretrained-weights.md section 3, by hand.
    yunet = YuNet.__new__(YuNet)
    yunet._order = list(range(12))
    counts = [64, 16, 4]
    cls, obj, box, kps = ([np.zeros((1, n, c), np.float32) for n in counts] for c in (1, 1, 4, 10))
    for level, cell in ((0, 8 * 2 + 3), (1, 4 * 1 + 2), (2, 2 * 1 + 0)):
        cls[level][0, cell], obj[level][0, cell] = 0.81, 1.7  # over 1 counts as 1
        box[level][0, cell] = [0.5, 0.25, np.log(2), np.log(4)]
        kps[level][0, cell] = np.arange(10) / 10
    obj[2][0, 2] = 0.25  # score 0.45: under the limit
    scores, boxes, points = yunet._decode([*cls, *obj, *box, *kps], (64, 64), 0.7)
    assert np.allclose(scores, 0.9)
    assert np.allclose(boxes[0], [(3.5 - 1) * 8, (2.25 - 2) * 8, (3.5 + 1) * 8, (2.25 + 2) * 8])
    assert np.allclose(boxes[1], [(2.5 - 1) * 16, (1.25 - 2) * 16, (2.5 + 1) * 16, (1.25 + 2) * 16])
    assert np.allclose(points[0], [[(3 + k / 5) * 8, (2 + k / 5 + 0.1) * 8] for k in range(5)])
