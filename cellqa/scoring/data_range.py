"""L of PSNR and SSIM: the range of values that errors are measured by."""

from __future__ import annotations

import math

import numpy as np

from cellqa.errors import Undefined
from cellqa.planes.plane import Plane

NAMED = ("auto", "dtype", "set")
PERCENTILE = "percentile"
_LOW, _HIGH = 0.1, 99.9

Limits = tuple[float, float]


def parse(value: str | float) -> str | float:
    """A data range as a user gives it.

    Parameters
    ----------
    value : str or float
        `auto`, `dtype`, `set`, `percentile`, `percentile:LOW,HIGH`, or a number.

    Returns
    -------
    str or float

    Raises
    ------
    ValueError
        It is none of these.

    Examples
    --------
    >>> parse("percentile"), parse("4095")
    ('percentile:0.1,99.9', 4095.0)
    """
    if value in NAMED:
        return value
    legal = "auto, dtype, set, percentile[:LOW,HIGH] or a number above 0"
    name, colon, text = str(value).partition(":")
    try:
        if name == PERCENTILE:
            low, high = map(float, text.split(",")) if colon else (_LOW, _HIGH)
            if not 0 <= low < high <= 100:
                raise ValueError
            return f"{PERCENTILE}:{low:g},{high:g}"
        number = float(value)
    except ValueError:
        number = math.nan
    if not 1e-150 < number < 1e150:  # its square must be a number
        raise ValueError(f"must be {legal}, got {value!r}")
    return number


def data_range(
    reference: Plane, how: str | float, of_set: Limits | None
) -> tuple[float, Limits | None]:
    """L, and the limits that values should keep; None where there are none.

    Parameters
    ----------
    reference : Plane
    how : str or float
        As `parse` returns it.
    of_set : (float, float) or None
        Extremes of all references, for `set`.
    """
    if not isinstance(how, str):
        return float(how), (0.0, float(how))
    if how.startswith(PERCENTILE):
        shares = [float(share) for share in how.partition(":")[2].split(",")]
        low, high = (float(v) for v in np.percentile(reference.pixels, shares))
        if low == high:
            return Undefined("psnr, ssim, ms_ssim: the percentiles of --data-range are equal"), None
        return high - low, None
    if how == "dtype":
        if reference.dtype.kind not in "iu":
            reason = f"psnr, ssim, ms_ssim: --data-range dtype means nothing for {reference.dtype}"
            return Undefined(reason), None
        info = np.iinfo(reference.dtype)
        return float(info.max), (float(info.min), float(info.max))
    if how == "auto" and reference.dtype == np.uint8:
        return 255.0, (0.0, 255.0)
    low, high = of_set or reference.extremes
    if low == high:
        return Undefined("psnr, ssim, ms_ssim: the ground truth is constant, its range 0"), None
    return high - low, (low, high)
