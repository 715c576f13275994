"""Fidelity after the best gain and offset: wrong brightness apart from wrong structure."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._affine import Affine, affine_of
from cellqa.metrics.case import Case
from cellqa.metrics.pixel import pixel_scores
from cellqa.metrics.structural import structural_score
from cellqa.planes import Array
from cellqa.planes.plane import check_data_range


def affine(reference: npt.ArrayLike, image: npt.ArrayLike) -> Affine:
    """Gain and offset that take the image closest to the ground truth.

    gain = cov(gt, image) / var(image), offset = mean(gt) - gain x mean(image).

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    Affine
        Undefined (nan that carries its reason) for a constant image.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import affine
    >>> truth = np.arange(16.0).reshape(4, 4)
    >>> affine(truth, truth / 2 + 3)
    Affine(gain=2.0, offset=-6.0)
    """
    return affine_of(Case.of(image, reference=reference))


def gain(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Factor of `affine`; negative where contrast is inverted."""
    return affine(reference, image).gain


def offset(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Summand of `affine`, in grey levels."""
    return affine(reference, image).offset


def psnr_fit(reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float) -> float:
    """PSNR of the image after `affine`, in dB. Higher is better.

    See `psnr` for range, errors and source (doi 10.1049/el:20080522).

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import psnr_fit
    >>> truth = np.arange(16.0).reshape(4, 4)
    >>> psnr_fit(truth, 2 * truth + 3, data_range=15)
    inf
    """
    return _one("psnr_fit", reference, image, data_range)


def ssim_fit(reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float) -> float:
    """SSIM of the image after `affine`. Higher is better.

    See `ssim` for range, errors and source (doi 10.1109/TIP.2003.819861).
    """
    return structural_score("ssim_fit", reference, image, data_range)


def ms_ssim_fit(reference: npt.ArrayLike, image: npt.ArrayLike, *, data_range: float) -> float:
    """MS-SSIM of the image after `affine`. Higher is better.

    See `ms_ssim` for range, errors and source (doi 10.1109/ACSSC.2003.1292216).
    """
    return structural_score("ms_ssim_fit", reference, image, data_range)


def nrmse_fit(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """NRMSE of the image after `affine`, 0 to 1. Lower is better.

    See `nrmse` for errors and source (doi 10.1364/AO.36.008352).
    """
    return _one("nrmse_fit", reference, image)


def si_psnr(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Scale-invariant PSNR, in dB. Higher is better.

    As CARE defines it: both images without their means, the image scaled to the least squared
    error, the range that of the ground truth, max - min. The same as `psnr_fit` with that range.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    float
        Unbounded; `inf` where the image is the ground truth but for gain and offset. Undefined
        (nan that carries its reason) for constant images.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    References
    ----------
    Weigert M et al. Content-aware image restoration: pushing the limits of fluorescence
    microscopy. Nat Methods 15, 1090-1097 (2018). doi 10.1038/s41592-018-0216-7

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import si_psnr
    >>> truth = np.arange(16.0).reshape(4, 4)
    >>> si_psnr(truth, 100 - truth)
    inf
    """
    return _one("si_psnr", reference, image)


def error_map(reference: npt.ArrayLike, image: npt.ArrayLike) -> Array:
    """What the image has too much (positive) or too little (negative), after `affine`.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    ndarray of float32, shape (Y, X)
        gain x image + offset - reference, in grey levels of the ground truth.

    Raises
    ------
    ValueError, TypeError
        As `affine`; or the image is constant.
    """
    return error_of(Case.of(image, reference=reference))


def error_of(case: Case) -> Array:
    """`error_map` of a case."""
    fit = case.once(affine_of)
    if isinstance(fit.gain, Undefined):
        raise ValueError("`image` must not be constant: no gain fits it to the ground truth")
    fitted = case.image.pixels * np.float64(fit.gain) + fit.offset
    return np.asarray(fitted - case.pair[0].pixels, dtype=np.float32)


def _one(
    name: str, reference: npt.ArrayLike, image: npt.ArrayLike, data_range: float = 1.0
) -> float:
    check_data_range(data_range)
    case = Case.of(image, reference=reference, data_range=data_range)
    return measure(case, {name})[name]


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `gain` and `offset`, and pixel by pixel what they cannot mend."""
    fit = case.once(affine_of)
    if isinstance(fit.gain, Undefined):
        return dict.fromkeys(names, fit.gain)
    values = {"gain": fit.gain, "offset": fit.offset}
    if not names - values.keys():
        return values
    scores = pixel_scores(case, {name.removesuffix("_fit") for name in names}, *fit)
    values.update({f"{name}_fit": value for name, value in scores.items()})
    if "si_psnr" in names:
        low, high = case.pair[0].extremes
        span = high - low if high > low else Undefined("si_psnr: the ground truth is constant")
        values["si_psnr"] = pixel_scores(case, {"psnr"}, *fit, data_range=span)["psnr"]
    return values
