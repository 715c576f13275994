"""Fidelity over the foreground: what a mask shows, object by object."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics import structural
from cellqa.metrics._kernels import label_sums
from cellqa.metrics.case import Case, Family
from cellqa.metrics.pixel import psnr_of
from cellqa.metrics.structural import ssim_of_labels
from cellqa.planes import Array
from cellqa.planes.labels import Labels
from cellqa.planes.plane import check_data_range

EMPTY = "foreground scores: the mask is empty"


class Object(NamedTuple):
    """One object of a label mask: a line of objects.csv.

    Attributes
    ----------
    label : int or None
        Its value in the mask; None of what the ground truth does not have.
    area : int or None
        Pixels.
    y, x : float
        Centre, pixels from the upper left one.
    gt_mean, mean : float
        Mean grey value in the ground truth and in the image.
    psnr, nrmse, ssim : float
        Over its pixels; nan where undefined.
    """

    label: int | None
    area: int | None
    y: float
    x: float
    gt_mean: float
    mean: float
    psnr: float
    nrmse: float
    ssim: float


def psnr_fg(
    reference: npt.ArrayLike, image: npt.ArrayLike, *, mask: npt.ArrayLike, data_range: float
) -> float:
    """PSNR over the pixels of the foreground, in dB. Higher is better.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
    mask : array_like, shape (Y, X)
        0 is background, everything else foreground.
    data_range : float

    Returns
    -------
    float
        As `psnr` (doi 10.1049/el:20080522). Undefined (nan that carries its reason) for an empty
        mask.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, a value is NaN or infinite, or `data_range` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import psnr_fg
    >>> truth, image = np.zeros((2, 4, 4))
    >>> image[0, 0] = 1
    >>> psnr_fg(truth, image, mask=image, data_range=1)
    0.0
    """
    return _one("psnr_fg", reference, image, mask, data_range)


def nrmse_fg(reference: npt.ArrayLike, image: npt.ArrayLike, *, mask: npt.ArrayLike) -> float:
    """NRMSE over the pixels of the foreground. Lower is better.

    See `psnr_fg` for parameters and errors, `nrmse` for the source (doi 10.1364/AO.36.008352).
    """
    return _one("nrmse_fg", reference, image, mask)


def ssim_fg(
    reference: npt.ArrayLike, image: npt.ArrayLike, *, mask: npt.ArrayLike, data_range: float
) -> float:
    """Mean of the SSIM map over the foreground. Higher is better.

    Over those of its pixels around which the 11 x 11 window fits. In fluorescence, flat background
    gives values near 1 and hides what happens to the cells. See `psnr_fg` for parameters and
    errors, `ssim` for the source (doi 10.1109/TIP.2003.819861).
    """
    return _one("ssim_fg", reference, image, mask, data_range, structural.measure)


def objects(case: Case) -> list[Object]:
    """Scores of each object of a label mask; empty where the mask has no labels."""
    mask = case.mask
    return [] if mask is None or mask.truth else of_labels(case, mask)


def of_labels(case: Case, mask: Labels) -> list[Object]:
    """Scores of each object of these labels."""
    sums = _sums(case, mask)
    similar = ssim_of_labels(case, mask)
    there = sums[:, 0] > 0  # registration may have cropped others away
    sums, similar, names = sums[there], similar[there], mask.names[there]
    columns: list[list[float]] = [names.tolist(), sums[:, 0].astype(int).tolist()]
    columns += (sums[:, 1:5] / sums[:, :1]).T.tolist()
    mse = (sums[:, 5] / sums[:, 0]).tolist()
    columns.append([psnr_of(error, case.data_range) for error in mse])
    relative = zip(sums[:, 5].tolist(), sums[:, 6].tolist(), strict=True)
    columns.append([math.sqrt(e / t) if t else math.nan for e, t in relative])
    columns.append([min(s / n, 1.0) if n else math.nan for s, n in similar.tolist()])
    return [Object(*line) for line in zip(*columns, strict=True)]


def _sums(case: Case, mask: Labels) -> Array:
    reference, image = case.pair
    sums = label_sums(reference.real, image.real, mask.labels, mask.names.size + 1)
    return np.asarray(sums[1:])


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `psnr_fg` and `nrmse_fg`."""
    assert case.mask is not None  # the metrics are called for only where there is one
    sums = _sums(case, case.mask).sum(axis=0)
    number, error, energy = (float(sums[k]) for k in (0, 5, 6))
    nothing = Undefined("nrmse_fg: the foreground is 0")
    values: dict[str, float] = {"nrmse_fg": math.sqrt(error / energy) if energy else nothing}
    values["psnr_fg"] = case.data_range
    if not isinstance(case.data_range, Undefined):
        values["psnr_fg"] = psnr_of(error / number, case.data_range)
    return values


def _one(
    name: str,
    reference: npt.ArrayLike,
    image: npt.ArrayLike,
    mask: npt.ArrayLike,
    data_range: float = 1.0,
    family: Family = measure,
) -> float:
    """One metric of the foreground, of arrays."""
    check_data_range(data_range)
    case = Case.of(image, reference=reference, mask=mask, data_range=data_range)
    if not case.mask or not case.mask.names.size:
        return Undefined(EMPTY)
    return family(case, {name})[name]
