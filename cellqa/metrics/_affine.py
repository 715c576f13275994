"""The gain and offset that take an image closest to its ground truth."""

from __future__ import annotations

import math
from typing import NamedTuple

from cellqa.errors import Undefined
from cellqa.metrics._kernels import products
from cellqa.metrics.case import Case


class Affine(NamedTuple):
    """gain x image + offset is the least-squares approximation of the ground truth."""

    gain: float
    offset: float


def affine_of(case: Case) -> Affine:
    """`affine` of a case; use it as `case.once(affine_of)`."""
    reference, image = case.pair
    low, high = image.extremes
    if low == high:
        missing = Undefined("gain, offset and fitted scores: the image is constant")
        return Affine(missing, missing)
    mean_r, mean_i = reference.mean, image.mean
    cross, square = products(reference.real, image.real, mean_r, mean_i)
    factor = cross / square if square > 0 else math.nan
    if not (math.isfinite(factor) and math.isfinite(mean_r - factor * mean_i)):
        missing = Undefined("gain, offset and fitted scores: the sums exceed floating point")
        return Affine(missing, missing)
    return Affine(float(factor), float(mean_r - factor * mean_i))
