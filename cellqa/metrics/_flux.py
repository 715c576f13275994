"""Flux of an image: means of surroundings far above the blur that an enhancement may undo."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from cellqa.planes import Array
from cellqa.planes.blocks import block_means
from cellqa.planes.plane import Plane

SMALLEST = 64  # pixels of the shorter side
_WORKING = 256  # pixels of the shorter side, at least, at which powers are taken
_SCALE = 1 / 12  # sigma of the surroundings that flux is compared over, of the shorter side
_SIGMAS = (5.0, 24.0)  # and its limits, in working pixels
_STEP = 4  # of the grid of surroundings, in their sigma
_ROUNDS, _OUT = 8, 2.0  # of reweighting; deviations from which a place counts less


def grid_of(shape: tuple[int, ...]) -> tuple[int, float]:
    """How many pixels are averaged along a side at first, and sigma of the surroundings then."""
    factor = max(1, min(shape) // _WORKING)
    return factor, float(np.clip(_SCALE * (min(shape) // factor), *_SIGMAS))


def worked(plane: Plane, factor: int) -> Array:
    """The pixels at which flux is taken."""
    return block_means(np.asarray(plane.real, np.float64), factor)


def surroundings(sigma: float) -> Callable[[Array], Array]:
    """What returns the means of Gaussian surroundings, on a grid."""
    block = max(1, int(sigma / _STEP))
    rest = math.sqrt(max(sigma**2 - block**2 / 12, 1.0)) / block

    def flux(plane: Array) -> Array:
        small = block_means(plane, block)
        smooth = cv2.GaussianBlur(small, (0, 0), rest, borderType=cv2.BORDER_REFLECT)
        edge = min(round(rest), min(small.shape) // 4)
        return np.asarray(smooth[edge : -edge or None, edge : -edge or None], np.float64).ravel()

    return flux


def background(of_raw: Array, ours: Array) -> tuple[float, float]:
    """Means of the darkest twentieth of the places, in both images."""
    dark = np.argsort(of_raw)[: max(3, of_raw.size // 20)]
    return float(of_raw[dark].mean()), float(ours[dark].mean())


def huber(residual: Array) -> Array:
    """Huber's weights, beyond two standard deviations as the median of the residuals tells them."""
    deviation = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    if deviation == 0:
        return np.ones_like(residual)
    return 1 / np.maximum(1, np.abs(residual) / (_OUT * deviation))


def line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and intercept of a robust line."""
    weights = np.ones_like(x)
    slope = level = 0.0
    for _ in range(_ROUNDS):
        mean_x, mean_y = (float(np.average(v, weights=weights)) for v in (x, y))
        apart = weights * (x - mean_x)
        slope = float((apart * (y - mean_y)).sum() / (apart * (x - mean_x)).sum())
        level = mean_y - slope * mean_x
        weights = huber(y - level - slope * x)
    return slope, level
