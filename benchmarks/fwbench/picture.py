"""Reconstruction metrics on luma pictures (measuring-quality 2.3): SSIM, MS-SSIM, GMSD."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _moments(x: Array, y: Array) -> tuple[Array, ...]:
    def g(picture: Array) -> Array:
        return cv2.GaussianBlur(picture, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT_101)[5:-5, 5:-5]

    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = g(x), g(y)
    return mx, my, g(x * x) - mx * mx, g(y * y) - my * my, g(x * y) - mx * my


def ssim(x: Array, y: Array) -> float:
    """Gaussian 11x11 sigma 1.5, K .01/.03, L 255, population covariance, border 5 cropped (Wang 2004)."""
    mx, my, vx, vy, c = _moments(x, y)
    return float((((2 * mx * my + C1) * (2 * c + C2)) / ((mx**2 + my**2 + C1) * (vx + vy + C2))).mean())


def dssim(x: Array, y: Array) -> float:
    """(1 - SSIM) / 2."""
    return (1 - ssim(x, y)) / 2


def ms_ssim(x: Array, y: Array) -> float:
    """Five scales, exponents of Wang 2003, 2x2 mean between."""
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    value = 1.0
    for scale, weight in enumerate(weights):
        _mx, _my, vx, vy, c = _moments(x, y)
        contrast = float(((2 * c + C2) / (vx + vy + C2)).mean())
        last = ssim(x, y) if scale == len(weights) - 1 else contrast
        value *= max(last, 0.0) ** weight
        x, y = _half(x), _half(y)
    return value


def _half(x: Array) -> Array:
    h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    x = x[:h, :w].astype(np.float64)
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def gmsd(x: Array, y: Array) -> float:
    """Gradient magnitude similarity deviation (Xue 2014): the perceptual metric without weights."""
    a, b = _prewitt(_half_mean(x)), _prewitt(_half_mean(y))
    return float(((2 * a * b + 170) / (a**2 + b**2 + 170)).std())


def _half_mean(x: Array) -> Array:
    """2x2 mean, every second pixel."""
    return cv2.blur(x.astype(np.float64), (2, 2))[::2, ::2]


def _prewitt(x: Array) -> Array:
    kernel = np.array([[1, 0, -1]] * 3, np.float64) / 3
    gx, gy = cv2.filter2D(x, -1, kernel), cv2.filter2D(x, -1, kernel.T)
    return np.sqrt(gx**2 + gy**2)


def laplacian_rms(lightness: Array, where: Array, sigma_px: float) -> float:
    """RMS over `where` of the Laplacian of L, after a Gaussian (CP4's lap1, lap2 as ratio swap / plate)."""
    soft = cv2.GaussianBlur(lightness, (0, 0), sigma_px) if sigma_px else lightness
    edge = cv2.Laplacian(soft.astype(np.float32), cv2.CV_32F)
    return float(np.sqrt((edge[where] ** 2).mean())) if where.any() else float("nan")


def grain(lightness: Array, where: Array) -> float:
    """Noise estimate of Immerkaer 1996 over `where`, same unit as L."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = cv2.filter2D(lightness.astype(np.float32), cv2.CV_32F, kernel)
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(noise[where]).mean()) if where.any() else float("nan")
