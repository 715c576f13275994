"""Fidelity over the foreground: what a mask shows, object by object."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cellqa.checks import Plane, as_pair, check_data_range
from cellqa.errors import Undefined
from cellqa.metrics._family import Family, Settings
from cellqa.metrics.structural import WINDOW, similarity_map

Array = npt.NDArray[Any]

NAMES = ("psnr_fg", "nrmse_fg", "ssim_fg")


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
    return _one("ssim_fg", reference, image, mask, check_data_range(data_range))


def objects(reference: Plane, image: Plane, settings: Settings) -> list[Object]:
    """Scores of each object of a label mask; empty where the mask has no labels."""
    mask = settings.mask
    if mask is None or int(mask.max(initial=0)) < 2:
        return []
    labels = np.unique(mask)
    labels = labels[labels > 0]
    index = np.searchsorted(labels, mask) + 1
    index[mask <= 0] = 0
    flat, n = index.ravel(), labels.size + 1

    def per_object(values: Array | None) -> Array:
        weights = None if values is None else values.ravel()
        return np.asarray(np.bincount(flat, weights, n))[1:]

    area = per_object(None)
    truth, pixels = reference.raw.astype(np.float64), image.raw.astype(np.float64)
    rows, columns = (
        np.broadcast_to(k, mask.shape) for k in np.ogrid[: mask.shape[0], : mask.shape[1]]
    )
    error, energy = per_object((truth - pixels) ** 2), per_object(truth**2)
    centres = per_object(rows) / area, per_object(columns) / area
    means = per_object(truth) / area, per_object(pixels) / area
    similar = _ssim_of(index, n, reference, image, settings)
    scores = (_psnr(float(e), settings.data_range) for e in error / area)
    columns_of = (labels.tolist(), area.tolist(), *(c.tolist() for c in (*centres, *means)))
    relative = [math.sqrt(e / t) if t else math.nan for e, t in zip(error, energy, strict=True)]
    lines = zip(*columns_of, scores, relative, similar.tolist(), strict=True)
    return [Object(*line) for line in lines]


def _ssim_of(index: Array, n: int, reference: Plane, image: Plane, settings: Settings) -> Array:
    """Mean SSIM of each object; nan where the window fits none of its pixels."""
    if min(index.shape) < WINDOW or math.isnan(settings.data_range):
        return np.full(n - 1, math.nan)
    half = WINDOW // 2
    inside = index[half:-half, half:-half].ravel()
    similar = similarity_map(reference, image, settings.data_range)
    counts = np.bincount(inside, minlength=n)[1:]
    sums = np.bincount(inside, similar.ravel(), n)[1:]
    return np.asarray(np.divide(sums, counts, out=np.full(n - 1, math.nan), where=counts > 0))


def _one(
    name: str, reference: npt.ArrayLike, image: npt.ArrayLike, mask: npt.ArrayLike, range_: float
) -> float:
    first, second = as_pair(reference, image)
    labels = np.asarray(mask)
    if labels.shape != first.raw.shape:
        raise ValueError(
            f"`mask` must have the shape of `reference` {first.raw.shape}, got {labels.shape}"
        )
    settings = Settings(range_, mask=(labels != 0).astype(np.int32))
    return _measure(first, second, settings, {name})[name]


def _psnr(mse: float, data_range: float) -> float:
    return 20 * math.log10(data_range) - 10 * math.log10(mse) if mse else math.inf


def _prepare(reference: Plane | None, settings: Settings, names: Set[str]) -> Plane:
    assert reference is not None  # all are full-reference
    return reference


def _measure(
    reference: Plane, image: Plane, settings: Settings, names: Set[str]
) -> dict[str, float]:
    if settings.mask is None:
        return {}
    inside = settings.mask > 0
    if not inside.any():
        return dict.fromkeys(NAMES, Undefined("foreground scores: the mask is empty"))
    truth, pixels = (p.raw[inside].astype(np.float64) for p in (reference, image))
    error, energy = float(((truth - pixels) ** 2).sum()), float((truth**2).sum())
    missing = settings.data_range
    values: dict[str, float] = {}
    values["nrmse_fg"] = (
        math.sqrt(error / energy) if energy else Undefined("nrmse_fg: the foreground is 0")
    )
    if isinstance(missing, Undefined):
        return {**values, "psnr_fg": missing, "ssim_fg": missing}
    values["psnr_fg"] = _psnr(error / truth.size, settings.data_range)
    if "ssim_fg" in names:
        found = float(_ssim_of(inside.astype(np.int32), 2, reference, image, settings)[0])
        outside = Undefined("ssim_fg: the window fits around no pixel of the mask")
        values["ssim_fg"] = outside if math.isnan(found) else found
    return values


FOREGROUND = Family(_prepare, _measure)
