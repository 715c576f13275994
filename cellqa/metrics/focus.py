"""Focus measures: how sharp a plane is, by itself. They compare planes of one stack only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from cellqa.metrics._spectrum import quadrant, spectrum
from cellqa.metrics.resolution import normal
from cellqa.planes.plane import Plane

_BAND = (0.1, 0.5)  # radii of the high-frequency energy; beyond, there mostly is noise


def normalised_variance(plane: Plane) -> float:
    """Variance over mean (Groen et al. 1985, doi 10.1002/cyto.990060202); contrast."""
    variance = float(plane.real.var(dtype=np.float64))
    return variance / plane.mean if plane.mean > 0 else math.nan


def brenner(plane: Plane) -> float:
    """Mean square of differences over two pixels (Brenner 1976, doi 10.1177/24.1.1254907)."""
    pixels = plane.pixels.astype(np.float64)
    across, down = pixels[:, 2:] - pixels[:, :-2], pixels[2:] - pixels[:-2]
    return float((across**2).mean() + (down**2).mean())


def tenengrad(plane: Plane) -> float:
    """Mean square of the Sobel gradient (Krotkov 1988, doi 10.1007/BF00127822)."""
    pixels = plane.pixels.astype(np.float64)
    along = (cv2.Sobel(pixels, cv2.CV_64F, *order) for order in ((1, 0), (0, 1)))
    return float(sum((gradient**2).mean() for gradient in along))


def laplacian_variance(plane: Plane) -> float:
    """Variance of the Laplacian, in float64 (Pech-Pacheco 2000, doi 10.1109/ICPR.2000.903548)."""
    laplacian = cv2.Laplacian(plane.pixels.astype(np.float64), cv2.CV_64F)
    return float(np.var(laplacian))


def band_energy(plane: Plane) -> float:
    """Power between a tenth and a half of the Nyquist frequency, for each pixel."""
    y, x = quadrant(plane.pixels.shape)
    rows = np.concatenate([y, -y[:0:-1]])
    radius = np.hypot(rows[:, None], x[None, :])
    half = plane.once(spectrum)
    power = half.real.astype(np.float64) ** 2 + half.imag.astype(np.float64) ** 2
    power[:, 1:] *= 2
    low, high = plane.extremes
    inside = power[(radius > _BAND[0]) & (radius < _BAND[1])].sum()
    size = half.shape[0] * (2 * half.shape[1] - 1)
    return float(inside * np.float64(high - low) ** 2 / size**2)


def decorrelation_cutoff(plane: Plane) -> float:
    """Cut-off kc of decorrelation analysis (doi 10.1038/s41592-019-0515-7); nan without a peak."""
    analysis = plane.once(normal)
    return analysis.kc if analysis.has_peak else math.nan


MEASURES: Mapping[str, Callable[[Plane], float]] = {
    "normalised_variance": normalised_variance,
    "brenner": brenner,
    "tenengrad": tenengrad,
    "laplacian_variance": laplacian_variance,
    "band_energy": band_energy,
    "decorrelation": decorrelation_cutoff,
}
CONTRAST = "normalised_variance"  # what a thin phase object loses at focus
