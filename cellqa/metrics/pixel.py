"""Pixel by pixel: peak signal-to-noise ratio and normalised root-mean-square error."""

from __future__ import annotations

import math
from collections.abc import Set

import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._kernels import squared_error, squared_sum
from cellqa.metrics.case import Case
from cellqa.planes.plane import Plane, check_data_range


def psnr(reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float) -> float:
    """Peak signal-to-noise ratio, 10 log10(L^2 / MSE), in dB. Higher is better.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
        Values are compared as they are, in float64.
    data_range : float
        L, the range that the values can span.

    Returns
    -------
    float
        Unbounded; `inf` for identical images.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a value is NaN or infinite, or `data_range` is not above 0.

    References
    ----------
    Huynh-Thu Q, Ghanbari M. Scope of validity of PSNR in image/video quality assessment.
    Electron Lett 44, 800-801 (2008). doi 10.1049/el:20080522

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import psnr
    >>> dark = np.zeros((4, 4), np.uint8)
    >>> psnr(dark, dark + 255, data_range=255)
    0.0
    """
    check_data_range(data_range)
    return measure(Case.of(image, reference=reference, data_range=data_range), {"psnr"})["psnr"]


def nrmse(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Root-mean-square error over the reference's root-mean-square. Lower is better.

    The Euclidean normalisation: ||reference - image|| / ||reference||.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    float
        At least 0; 0 for identical images. Undefined (nan that carries its reason) where the
        reference is 0 everywhere.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Fienup JR. Invariant error metrics for image reconstruction. Appl Opt 36, 8352-8357 (1997).
    doi 10.1364/AO.36.008352

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import nrmse
    >>> nrmse(np.full((4, 4), 10.0), np.full((4, 4), 12.0))
    0.2
    """
    return measure(Case.of(image, reference=reference), {"nrmse"})["nrmse"]


def psnr_of(mse: float, data_range: float) -> float:
    """PSNR of a mean squared error."""
    if not math.isfinite(mse):
        return Undefined("psnr: the squared error exceeds floating point")
    return 20 * math.log10(data_range) - 10 * math.log10(mse) if mse else math.inf


def _nrmse(error: float, energy: float) -> float:
    if not math.isfinite(error) or not math.isfinite(energy):
        return Undefined("nrmse: the squared error exceeds floating point")
    if not energy:
        return Undefined("nrmse: the ground truth is 0 everywhere")
    return math.sqrt(error / energy)


def energy_of(plane: Plane) -> float:
    """Sum of squares."""
    return float(squared_sum(plane.real))


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `psnr` and `nrmse`."""
    return pixel_scores(case, names)


def pixel_scores(
    case: Case,
    names: Set[str],
    gain: float = 1.0,
    offset: float = 0.0,
    data_range: float | None = None,
) -> dict[str, float]:
    """`psnr` and `nrmse` of gain x image + offset; the data range is the case's by default."""
    reference, image = case.pair
    error = squared_error(reference.real, image.real, gain, offset)
    values = {}
    if "nrmse" in names:
        values["nrmse"] = _nrmse(error, reference.once(energy_of))
    span = case.data_range if data_range is None else data_range
    if isinstance(span, Undefined):
        values["psnr"] = span
    else:
        values["psnr"] = psnr_of(error / image.pixels.size, span)
    return values
