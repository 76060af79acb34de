"""Colour transfers: make one picture's colours those of another. Formulas: data-formats-and-merging.md section 9.

Every transfer is `f(image, reference, *, mask, reference_mask, rng) -> image`: (H, W, 3) float32 RGB in 0..1, the
masks (H, W) float32 or None, `rng` for the random ones. Equal to the original up to its colour order.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from facewright.core.registry import Plug, Registry

Transfer = Callable[..., np.ndarray]

COLOUR = Registry("colour transfers")


def none(image: np.ndarray, reference: np.ndarray, **_: object) -> np.ndarray:
    """Leave the colours alone."""
    return image


# -- Lab statistics ----------------------------------------------------------------------------------------------


def rct(
    image: np.ndarray,
    reference: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    reference_mask: np.ndarray | None = None,
    **_: object,
) -> np.ndarray:
    """Mean and spread per CIE L*a*b* channel (Reinhard et al. 2001).

    With masks, pixels below 0.5 count as Lab (0, 0, 0), so the result depends on the mask's area: the original's
    look, kept (quirk Q17). `rct_masked` leaves them out instead.
    """
    lab, lab_reference = cv2.cvtColor(image, cv2.COLOR_RGB2LAB), cv2.cvtColor(reference, cv2.COLOR_RGB2LAB)
    return _lab_moved(lab, _blackened(lab, mask), _blackened(lab_reference, reference_mask))


def rct_masked(
    image: np.ndarray,
    reference: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    reference_mask: np.ndarray | None = None,
    **_: object,
) -> np.ndarray:
    """As rct, with statistics of the masked pixels (>= 0.5) alone; whole picture when a mask has fewer than 16."""
    lab, lab_reference = cv2.cvtColor(image, cv2.COLOR_RGB2LAB), cv2.cvtColor(reference, cv2.COLOR_RGB2LAB)
    return _lab_moved(lab, _chosen(lab, mask), _chosen(lab_reference, reference_mask))


def _blackened(lab: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return lab if mask is None else lab * (mask >= 0.5)[..., None]


def _chosen(lab: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    inside = None if mask is None else mask >= 0.5
    return lab if inside is None or inside.sum() < 16 else lab[inside][:, None]


def _lab_moved(lab: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Move and stretch each channel of `lab` by the statistics of `own` and `wanted`; float32 in this order of
    operations is bit-equal to the original."""
    moved = []
    channels = zip(cv2.split(lab), cv2.split(own), cv2.split(wanted), ((0, 100), (-127, 127), (-127, 127)))
    for channel, mine, theirs, (low, high) in channels:
        spread = mine.std()
        # A channel without spread has nothing to stretch; the original divides by zero there.
        stretched = (channel - mine.mean()) * theirs.std() / spread if spread > 1e-6 else channel - mine.mean()
        moved.append(np.clip(stretched + theirs.mean(), low, high))
    return cv2.cvtColor(cv2.merge(moved), cv2.COLOR_LAB2RGB)


# -- linear transfers --------------------------------------------------------------------------------------------


def lct(image: np.ndarray, reference: np.ndarray, *, root: str = "pca", **_: object) -> np.ndarray:
    """Linear map that matches mean and covariance by square roots; `root`: "pca", "chol" or "sym". Any channels."""
    channels = image.shape[-1]
    x, y = image.reshape(-1, channels).T, reference.reshape(-1, channels).T
    mean_x, mean_y = x.mean(1, keepdims=True), y.mean(1, keepdims=True)
    x, y = x - mean_x, y - mean_y
    # The small diagonal keeps one-coloured pictures invertible.
    cov_x = x @ x.T / x.shape[1] + 1e-5 * np.eye(channels)
    cov_y = y @ y.T / y.shape[1] + 1e-5 * np.eye(channels)
    if root == "chol":
        linear = np.linalg.cholesky(cov_y) @ np.linalg.inv(np.linalg.cholesky(cov_x))
    elif root == "sym":
        q = _root(cov_x)
        q_inverse = np.linalg.inv(q)
        linear = q_inverse @ _root(q @ cov_y @ q) @ q_inverse
    else:
        linear = _root(cov_y) @ np.linalg.inv(_root(cov_x))
    moved = (linear @ x + mean_y).T.reshape(image.shape)
    return np.clip(moved, 0, 1).astype(np.float32)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def mkl(image: np.ndarray, reference: np.ndarray, **_: object) -> np.ndarray:
    """Monge-Kantorovitch linear map (Pitie & Kokaram 2007): the least movement that matches the covariances."""
    tiny = float(np.finfo(np.float64).eps)
    x, y = image.reshape(-1, 3), reference.reshape(-1, 3)
    values, u = np.linalg.eigh(np.cov(x.T))
    d = np.diag(np.sqrt(np.maximum(values, tiny)))
    inner, v = np.linalg.eigh(d @ u.T @ np.cov(y.T) @ u @ d)
    d_inverse = np.diag(1.0 / np.diag(d))
    linear = u @ d_inverse @ v @ np.diag(np.sqrt(np.maximum(inner, tiny))) @ v.T @ d_inverse @ u.T
    moved = (x - x.mean(0)) @ linear + y.mean(0)
    return np.clip(moved, 0, 1).astype(np.float32).reshape(image.shape)


# -- distribution transfers --------------------------------------------------------------------------------------


def idt(
    image: np.ndarray, reference: np.ndarray, *, rng: np.random.Generator, rotations: np.ndarray | None = None,
    **_: object,
) -> np.ndarray:
    """Iterative distribution transfer (Pitie, Kokaram & Dahyot 2007): 20 rotations, 256 bins, relaxation 1/20.

    `rotations` (20, 3, 3) replaces the draws; they turn (b, g, r), so that the original's can be given. Values
    beyond the last bin edge leap to 256 and clip to white, as in the original (quirk Q19).
    """
    bins, rounds = 256, 20
    turns = random_rotations(rng, rounds) if rotations is None else rotations
    x, y = image.reshape(-1, 3).T.copy(), reference.reshape(-1, 3).T
    for turn in np.asarray(turns, np.float32)[:, ::-1, ::-1]:
        px, py = turn @ x, turn @ y
        moved = np.empty_like(px)
        for axis in range(3):
            low, high = min(px[axis].min(), py[axis].min()), max(px[axis].max(), py[axis].max())
            count_x, edges = np.histogram(px[axis], bins=bins, range=(low, high))
            count_y, _edges = np.histogram(py[axis], bins=bins, range=(low, high))
            upper = edges[1:]
            share_x, share_y = (np.cumsum(c).astype(np.float32) / np.float32(c.sum()) for c in (count_x, count_y))
            values = np.interp(share_x, share_y, upper)
            moved[axis] = np.interp(px[axis], upper, values, left=0, right=bins)
        x = x + (1.0 / rounds) * (np.linalg.inv(turn) @ (moved - px))
    return np.clip(x.T.reshape(image.shape), 0, 1).astype(np.float32)


def random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3, 3) float64 rotations, uniform over all (QR of Gaussian matrices, signs fixed)."""
    q, r = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    return q * np.linalg.det(q)[:, None, None]


def sot(
    image: np.ndarray,
    reference: np.ndarray,
    *,
    rng: np.random.Generator,
    steps: int = 10,
    batch: int = 5,
    directions: np.ndarray | None = None,
    smooth: bool = True,
    **_: object,
) -> np.ndarray:
    """Sliced optimal transport (after Bonneel et al. 2015; Rabin et al. 2011): sorts along random directions.

    Same number of pixels in both. `directions` (steps * batch, 3): raw Gaussian draws instead of `rng`, each
    (b, g, r), so that the original's can be given. `smooth`: the change is bilaterally filtered (radius 24 px). Not
    clipped.
    """
    raw = rng.standard_normal((steps * batch, 3)) if directions is None else directions
    unit = np.asarray(raw, image.dtype)[:, ::-1]
    unit = unit / np.sqrt((unit**2).sum(1, keepdims=True))
    moving = image.reshape(-1, 3).copy()
    target = reference.reshape(-1, 3)
    for step in range(steps):
        advance = np.zeros_like(moving)
        for direction in unit[step * batch : (step + 1) * batch]:
            along = moving @ direction
            order = np.argsort(along)
            gap = np.sort(target @ direction) - along[order]
            advance[order] += gap[:, None] * direction
        moving += advance / batch
    moved = moving.reshape(image.shape)
    if not smooth:
        return moved
    return image + cv2.bilateralFilter(moved - image, 0, 5.0, 16.0)


def sot_merge(image: np.ndarray, reference: np.ndarray, *, rng: np.random.Generator, **extra: object) -> np.ndarray:
    """sot with the merger's 10 x 30 directions, clipped to 0..1."""
    moved = sot(image, reference, rng=rng, steps=10, batch=30, directions=extra.get("directions"))  # type: ignore[arg-type]
    return np.clip(moved, 0, 1)


def mix(image: np.ndarray, reference: np.ndarray, *, rng: np.random.Generator, **extra: object) -> np.ndarray:
    """Lightness by lct, colour by sot at full lightness, in OpenCV's 8-bit Lab."""
    own, other = (cv2.cvtColor((p * 255).astype(np.uint8), cv2.COLOR_RGB2LAB) for p in (image, reference))
    light = lct(own[..., :1].astype(np.float32) / 255.0, other[..., :1].astype(np.float32) / 255.0)
    own, other = own.copy(), other.copy()
    own[..., 0] = other[..., 0] = 100
    flat, flat_other = (cv2.cvtColor(p, cv2.COLOR_LAB2RGB).astype(np.float32) for p in (own, other))
    coloured = sot(flat, flat_other, rng=rng, directions=extra.get("directions"))  # type: ignore[arg-type]
    lab = cv2.cvtColor(np.clip(coloured, 0, 255).astype(np.uint8), cv2.COLOR_RGB2LAB)
    lab[..., 0] = np.clip(light[..., 0] * 255, 0, 255).astype(np.uint8)
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(np.float32) / 255.0


# -- histograms --------------------------------------------------------------------------------------------------


def hist_match(image: np.ndarray, reference: np.ndarray, threshold: int = 255) -> np.ndarray:
    """Give each channel of `image` the value distribution of `reference`; float64 maths -> (H, W, C) float32.

    `threshold` 0..255 caps the quantile that can be reached: lower ones compress towards dark.
    """
    matched = np.empty(image.shape, np.float32)
    for channel in range(image.shape[-1]):
        _values, index, counts = np.unique(image[..., channel].ravel(), return_inverse=True, return_counts=True)
        wanted, wanted_counts = np.unique(reference[..., channel].ravel(), return_counts=True)
        share = np.cumsum(counts).astype(np.float64) * (threshold / counts.sum())
        wanted_share = np.cumsum(wanted_counts).astype(np.float64) * (255 / wanted_counts.sum())
        matched[..., channel] = np.interp(share, wanted_share, wanted)[index].reshape(image.shape[:2])
    return matched


def _masked(transfer: Transfer) -> Transfer:
    """The merger's "-m" variants: outside of the mask both pictures turn black and take part in the statistics."""

    def with_black(
        image: np.ndarray, reference: np.ndarray, *, mask: np.ndarray | None = None,
        reference_mask: np.ndarray | None = None, **extra: object,
    ) -> np.ndarray:
        own = image if mask is None else image * mask[..., None]
        other = reference if reference_mask is None else reference * reference_mask[..., None]
        return transfer(own, other, **extra)

    return with_black


mkl_m, idt_m, sot_m, mix_m = (_masked(t) for t in (mkl, idt, sot_merge, mix))

for _name, _help in {
    "none": "colours stay as predicted",
    "rct": "mean and spread in Lab, outside of the mask counted as black (the original's look)",
    "rct-masked": "mean and spread in Lab of the masked pixels alone",
    "lct": "linear, mean and covariance",
    "mkl": "linear, least movement",
    "mkl-m": "mkl with black outside of the mask",
    "idt": "iterative distribution transfer, random",
    "idt-m": "idt with black outside of the mask",
    "sot-m": "sliced optimal transport with black outside of the mask, random, slow",
    "mix-m": "lightness linear, colour by sliced transport, black outside, random",
}.items():
    COLOUR.add(Plug(_name, f"facewright.image.colour:{_name.replace('-', '_')}", _help))
