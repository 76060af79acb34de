"""How sharp a picture is: CPBD (Narvekar & Karam 2011, as data-formats-and-merging.md 7.1 runs it) and the variance of
its Laplacian."""

from __future__ import annotations

import cv2
import numpy as np

LEAST_SIDE_PX = _BLOCK_PX = 64
"""CPBD looks at whole blocks of this side alone: a smaller picture has no value."""
_EDGES_OF_A_BLOCK = 0.002 * _BLOCK_PX * _BLOCK_PX
_LONGEST_WALK_PX, _RIM_PX = 100, 8
_BETA, _JUST_NOTICEABLE = 3.6, 63
_LOW_CONTRAST, _WIDTHS_PX = 50, (5.0, 3.0)
_CANNY_SIGMA_PX, _CANNY_RADIUS_PX, _CANNY_LOW, _CANNY_HIGH = 1.0, 4, 0.1, 0.2


def laplacian_variance(image: np.ndarray, ksize: int = 11) -> float:
    """Variance of the Laplacian over all values of all channels of an (H, W) or (H, W, C) uint8 picture; 0 = plain."""
    flat = image.reshape(len(image), -1)  # channels beside each other
    x, y, width, height = cv2.boundingRect(flat)
    channels, rim = flat.shape[1] // image.shape[1], 2 * (ksize // 2)
    rows = slice(max(y - rim, 0), y + height + rim)
    columns = slice(max(x // channels - rim, 0), (x + width) // channels + 1 + rim)
    if not height:
        return 0.0
    found = cv2.Laplacian(image[rows, columns], cv2.CV_64F, ksize=ksize)  # black beyond: nothing is missed
    mean, deviation = cv2.meanStdDev(found)  # NumPy's would wake BLAS's own threads, which cost more than they bring
    share = found.size / image.size
    return float(share * (deviation**2 + mean**2).mean() - (share * mean.mean()) ** 2)


def cpbd(grey: np.ndarray) -> float:
    """(H, W) uint8 -> share 0..1 of its edges whose blur nobody would notice; 0 without edges or below 64 px.

    Only whole blocks of 64 px in which there are edges enough count.
    """
    pixels = grey.size
    grey = _lit(grey)
    rows, columns = grey.shape[0] // _BLOCK_PX, grey.shape[1] // _BLOCK_PX
    if not rows or not columns:
        return 0.0
    widths = _blocks(_edge_widths(grey, pixels), rows, columns)
    whole = _blocks(grey, rows, columns)
    contrast = np.ptp(whole, axis=-1)
    noticeable_px = np.where(contrast <= _LOW_CONTRAST, *_WIDTHS_PX)
    block, place = np.nonzero((widths > 0) & (_busy(grey, rows, columns) & (contrast > 0))[:, None])
    if not len(block):
        return 0.0
    blur_01 = 1 - np.exp(-((widths[block, place] / noticeable_px[block]) ** _BETA))
    return float(np.mean(np.rint(100 * blur_01) <= _JUST_NOTICEABLE))


def _lit(grey: np.ndarray) -> np.ndarray:
    """The part that is not black, with so much around it, cut between blocks, that nothing else is seen of an edge:
    the same result, and much less to look at where all but a face is black."""
    x, y, width, height = cv2.boundingRect(grey)
    if not width:
        return grey[:0]
    rows, columns = (
        slice(max(start - _RIM_PX, 0) // _BLOCK_PX * _BLOCK_PX, -(-(start + size + _RIM_PX) // _BLOCK_PX) * _BLOCK_PX)
        for start, size in ((y, height), (x, width)))
    return grey[rows, columns]


def _blocks(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(H, W) -> (blocks, pixels of a block), what does not fill a block cut off."""
    whole = values[: rows * _BLOCK_PX, : columns * _BLOCK_PX]
    return whole.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).swapaxes(1, 2).reshape(rows * columns, -1)


def _edge_widths(grey: np.ndarray, pixels: int) -> np.ndarray:
    """How far from each vertical edge its brightness goes on rising (or falling), both ways together; 0 elsewhere.
    pixels: of the whole picture, which `grey` is the part of that is not black."""
    edges = _vertical_edges(grey, pixels)
    y, x = np.nonzero(edges)
    values = grey.astype(np.int16)
    gx, gy = values[y, x + 1] - values[y, x - 1], values[y + 1, x] - values[y - 1, x]
    angle = np.where(gx != 0, np.rint(np.degrees(np.arctan2(gy, gx)) / 45), 0)
    step = np.diff(values, axis=1)
    widths = np.zeros(grey.shape, np.uint8)
    for here, goes in ((angle == 0, step > 0), (np.abs(angle) == 4, step < 0)):
        some_y, some_x = y[here], x[here]
        left, right = _walked(goes, some_y, some_x - 2, -1), _walked(goes, some_y, some_x + 1, 1)
        widths[some_y, some_x] = left + right + 2
    return widths


def _walked(goes: np.ndarray, y: np.ndarray, x: np.ndarray, way: int) -> np.ndarray:
    """How many true places follow each other from (y, x) on, one row's, to the left (-1) or right, at most 100."""
    length, alive = np.zeros(len(y), np.uint8), np.arange(len(y))
    for _ in range(_LONGEST_WALK_PX):
        alive = alive[(x[alive] >= 0) & (x[alive] < goes.shape[1])]
        alive = alive[goes[y[alive], x[alive]]]
        if not len(alive):
            break
        length[alive] += 1
        x = x + way
    return length


def _vertical_edges(grey: np.ndarray, pixels: int) -> np.ndarray:
    """Where the horizontal gradient is large, and larger than at both neighbours of one axis; never at the rim."""
    power = cv2.Sobel(grey, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REFLECT)
    power *= power  # (8 times the gradient)^2: whole numbers, exact
    power[power <= 16 * np.sqrt(power.sum(dtype=np.float64) / pixels)] = 0
    found, here = np.zeros(grey.shape, bool), power[1:-1, 1:-1]
    beside = np.maximum(power[1:-1, :-2], power[1:-1, 2:])
    above = np.maximum(power[:-2, 1:-1], power[2:, 1:-1])
    found[1:-1, 1:-1] = (here > beside) | (here > above)
    return found


def _busy(grey: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Which blocks Canny's method (1986) finds edges enough in. Mostly that is plain without following the edges: a
    pixel stronger than all around is one, and so is a strong one of a ridge; none is what is fainter than the
    threshold."""
    down, right = _slopes(_smoothed(grey))
    strength = cv2.magnitude(right, down)
    strength[[0, -1]] = strength[:, [0, -1]] = 0
    around = cv2.dilate(strength, np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8))
    sure = (strength > around) & (strength >= _CANNY_HIGH)
    busy, maybe = (_enough(x, rows, columns) for x in (sure, strength >= _CANNY_LOW))
    for block in np.flatnonzero(maybe & ~busy):
        y, x = divmod(int(block), columns)
        top, left = max(y * _BLOCK_PX - 1, 0), max(x * _BLOCK_PX - 1, 0)
        part = slice(top, (y + 1) * _BLOCK_PX + 1), slice(left, (x + 1) * _BLOCK_PX + 1)
        # Without its rim a part misses no ridge: outside of the picture, and on its rim, nothing is strong.
        found = strength[part][_ridge(strength[part], down[part], right[part])]
        if np.count_nonzero(found >= _CANNY_HIGH) > _EDGES_OF_A_BLOCK:
            busy[block] = True
        elif np.count_nonzero(found >= _CANNY_LOW) > _EDGES_OF_A_BLOCK:
            return _enough(_canny(strength, down, right), rows, columns)
    return busy


def _enough(edges: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.count_nonzero(_blocks(edges, rows, columns), axis=-1) > _EDGES_OF_A_BLOCK


def _smoothed(grey: np.ndarray) -> np.ndarray:
    """A Gaussian that knows of no pixels outside, float64."""
    place = np.arange(-_CANNY_RADIUS_PX, _CANNY_RADIUS_PX + 1)
    kernel = np.exp(-0.5 * (place / _CANNY_SIGMA_PX) ** 2)
    kernel /= kernel.sum()
    made = cv2.sepFilter2D(grey, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    shares = [np.convolve(np.ones(n), kernel, "same") for n in grey.shape]
    return made / np.outer(*shares)


def _slopes(smooth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(downward, to the right)."""
    down = cv2.Sobel(smooth, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_REFLECT)
    return down, cv2.Sobel(smooth, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_REFLECT)


def _canny(strength: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """All edges: ridges that are strong enough, or hang together with such. strength is 0 at the rim."""
    ridge = _ridge(strength, down, right) & (strength >= _CANNY_LOW)
    _, labels = cv2.connectedComponents(ridge.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    strong = np.zeros(labels.max() + 1, bool)
    strong[labels[ridge & (strength >= _CANNY_HIGH)]] = True
    return strong[labels]


def _ridge(strength: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether a pixel is at least as strong as both its neighbours along the gradient, which lie between pixels."""
    upright = np.abs(down) > np.abs(right)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(upright, np.abs(right) / np.abs(down), np.abs(down) / np.abs(right))[1:-1, 1:-1]
    here, upright = strength[1:-1, 1:-1], upright[1:-1, 1:-1]
    rows, columns = here.shape

    def at(dy: int, dx: int) -> np.ndarray:
        return strength[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns]

    same = (down * right >= 0)[1:-1, 1:-1]  # toward the lower right, or back
    found = np.zeros(strength.shape, bool)
    over = np.ones(here.shape, bool)
    for sign in (1, -1):
        straight = np.where(upright, at(sign, 0), at(0, sign) if sign else 0)
        straight = np.where(upright & ~same, at(-sign, 0), straight)
        slanted = np.where(same, at(sign, sign), at(-sign, sign))
        over &= slanted * share + straight * (1 - share) <= here
    found[1:-1, 1:-1] = over
    return found
