"""Cut the small turned square that a net looks at out of a frame."""

from __future__ import annotations

import cv2
import numpy as np

from facewright.image.geometry import translation

_INDEX_FROM_EDGE, _EDGE_FROM_INDEX = translation(-0.5, -0.5), translation(0.5, 0.5)


def sample(image: np.ndarray, frame_from_net: np.ndarray, net_side: int) -> np.ndarray:
    """The square that `frame_from_net` (edges at integers) names -> (net_side, net_side, 3) uint8, bilinear.

    Black outside the frame. Large faces are first averaged down by a whole factor, so that no
    pixel is skipped.
    """
    step = int(np.hypot(*frame_from_net[:2, 0]))
    matrix, source = frame_from_net, image
    if step >= 2:
        source, shift = _coarse(image, frame_from_net, net_side, step)
        matrix = np.array([[1 / step, 0, -shift[0] / step], [0, 1 / step, -shift[1] / step], [0, 0, 1]]) @ matrix
    index = _INDEX_FROM_EDGE @ matrix @ _EDGE_FROM_INDEX
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(source, index[:2], (net_side, net_side), flags=flags, borderMode=cv2.BORDER_CONSTANT)


def _coarse(
    image: np.ndarray, frame_from_net: np.ndarray, net_side: int, step: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Only the part of the frame that the square covers, shrunk `step` times -> (picture, its top left corner)."""
    corners = np.array([[0, 0, 1], [net_side, 0, 1], [0, net_side, 1], [net_side, net_side, 1.0]])
    corners = (corners @ frame_from_net.T)[:, :2]
    # One block more on each side: bilinear sampling reads beyond the square's edge.
    low = np.clip((np.floor(corners.min(0)).astype(int) // step - 1) * step, 0, None)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + step, [image.shape[1], image.shape[0]])
    count = -(-(high - low) // step)
    if (high <= low).any():
        return np.zeros((1, 1, 3), np.uint8), (0, 0)
    part = image[low[1] : high[1], low[0] : high[0]]
    right, bottom = count * step - (high - low)
    if right or bottom:
        part = cv2.copyMakeBorder(part, 0, int(bottom), 0, int(right), cv2.BORDER_CONSTANT)
    shrunk = cv2.resize(part, (int(count[0]), int(count[1])), interpolation=cv2.INTER_AREA)
    return shrunk, (int(low[0]), int(low[1]))
