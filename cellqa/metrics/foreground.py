"""Fidelity over the foreground: what a mask shows, object by object."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._family import Family, Labels, Settings, the_truth
from cellqa.metrics._kernels import label_sums
from cellqa.metrics.pixel import psnr_of
from cellqa.metrics.structural import ssim_of_labels, structural_score
from cellqa.planes.plane import Plane, as_pair, check_data_range

Array = npt.NDArray[Any]

EMPTY = "foreground scores: the mask is empty"


class Object(NamedTuple):
    """One object of a label mask: a line of objects.csv.

    Attributes
    ----------
    label : int
        Its value in the mask.
    area : int
        Pixels.
    y, x : float
        Centre, pixels from the upper left one.
    gt_mean, mean : float
        Mean grey value in the ground truth and in the image.
    psnr, nrmse, ssim : float
        Over its pixels; nan where undefined.
    """

    label: int
    area: int
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
    return _one("psnr_fg", reference, image, mask, check_data_range(data_range))


def nrmse_fg(reference: npt.ArrayLike, image: npt.ArrayLike, *, mask: npt.ArrayLike) -> float:
    """NRMSE over the pixels of the foreground. Lower is better.

    See `psnr_fg` for parameters and errors, `nrmse` for the source (doi 10.1364/AO.36.008352).
    """
    return _one("nrmse_fg", reference, image, mask, 1.0)


def ssim_fg(
    reference: npt.ArrayLike, image: npt.ArrayLike, *, mask: npt.ArrayLike, data_range: float
) -> float:
    """Mean of the SSIM map over the foreground. Higher is better.

    Over those of its pixels around which the 11 x 11 window fits. In fluorescence, flat background
    gives values near 1 and hides what happens to the cells. See `psnr_fg` for parameters and
    errors, `ssim` for the source (doi 10.1109/TIP.2003.819861).
    """
    labels = _labels(np.shape(reference), mask)
    if isinstance(labels, Undefined):
        return labels
    return structural_score("ssim_fg", reference, image, data_range, mask=labels)


def objects(reference: Plane, image: Plane, settings: Settings) -> list[Object]:
    """Scores of each object of a label mask; empty where the mask has no labels."""
    mask = settings.mask
    if mask is None or mask.names.size < 2:
        return []
    sums = _sums(reference, image, mask)
    similar = ssim_of_labels(reference, image, settings)
    there = sums[:, 0] > 0  # registration may have cropped others away
    sums, similar, names = sums[there], similar[there], mask.names[there]
    columns: list[list[float]] = [names.tolist(), sums[:, 0].astype(int).tolist()]
    columns += (sums[:, 1:5] / sums[:, :1]).T.tolist()
    mse = (sums[:, 5] / sums[:, 0]).tolist()
    columns.append([psnr_of(error, settings.data_range) for error in mse])
    relative = zip(sums[:, 5].tolist(), sums[:, 6].tolist(), strict=True)
    columns.append([math.sqrt(e / t) if t else math.nan for e, t in relative])
    columns.append([min(s / n, 1.0) if n else math.nan for s, n in similar.tolist()])
    return [Object(*line) for line in zip(*columns, strict=True)]


def _sums(reference: Plane, image: Plane, mask: Labels) -> Array:
    return np.asarray(label_sums(reference.real, image.real, mask.labels, mask.names.size + 1)[1:])


def _labels(shape: tuple[int, ...], mask: npt.ArrayLike) -> Labels | Undefined:
    """The mask of one of the functions above; undefined if it is empty."""
    pixels = np.asarray(mask)
    if pixels.shape != shape:
        raise ValueError(f"`mask` must have the shape of `reference` {shape}, got {pixels.shape}")
    return Labels.of(pixels != 0) if pixels.any() else Undefined(EMPTY)


def _one(
    name: str, reference: npt.ArrayLike, image: npt.ArrayLike, mask: npt.ArrayLike, range_: float
) -> float:
    first, second = as_pair(reference, image)
    labels = _labels(first.raw.shape, mask)
    if isinstance(labels, Undefined):
        return labels
    return _measure(first, second, Settings(range_, mask=labels), {name})[name]


def _measure(
    reference: Plane, image: Plane, settings: Settings, names: Set[str]
) -> dict[str, float]:
    assert settings.mask is not None  # the metrics are called for only where there is one
    sums = _sums(reference, image, settings.mask).sum(axis=0)
    number, error, energy = (float(sums[k]) for k in (0, 5, 6))
    nothing = Undefined("nrmse_fg: the foreground is 0")
    values: dict[str, float] = {"nrmse_fg": math.sqrt(error / energy) if energy else nothing}
    values["psnr_fg"] = settings.data_range
    if not isinstance(settings.data_range, Undefined):
        values["psnr_fg"] = psnr_of(error / number, settings.data_range)
    return values


FOREGROUND = Family(the_truth, _measure)
