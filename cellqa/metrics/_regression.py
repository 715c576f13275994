"""What spectra explain of one another: regression, over rings or bands of frequencies."""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array

_SEEN = 2.0  # standard errors by which a ground truth stands out of its noise where it testifies


def signal_of(power: Array, noise: Array, freedom: Array) -> tuple[Array, Array]:
    """Power without that of noise, and where it stands out of it."""
    signal = power - noise
    return signal, signal > _SEEN * np.sqrt(2 / freedom) * noise


def explained(cross: Array, ours: Array, theirs: Array) -> Array:
    """R² of one spectrum on another, 0 where there is nothing."""
    product = ours * theirs
    share = np.divide(cross**2, product, out=np.zeros_like(cross), where=product > 0)
    return np.asarray(np.minimum(share, 1.0))


def by_both(
    with_truth: Array, with_raw: Array, raw_truth: Array, ours: Array, truth: Array, raw: Array
) -> tuple[Array, Array, Array]:
    """R² of the image on truth and raw image together, of their products and powers.

    Also the truth's coefficient, and where the two are not one: elsewhere, nothing here holds.
    """
    determinant = truth * raw - raw_truth**2
    with np.errstate(divide="ignore", invalid="ignore"):
        on_truth = (with_truth * raw - with_raw * raw_truth) / determinant
        on_raw = (with_raw * truth - with_truth * raw_truth) / determinant
        share = (on_truth * with_truth + on_raw * with_raw) / ours
    return share, on_truth, determinant > 1e-9 * truth * raw


def adjusted(share: Array, freedom: Array, predictors: int) -> Array:
    """R² without what as many predictors explain by chance."""
    left = np.maximum(freedom - predictors, 1.0)
    return np.asarray(1 - (1 - share) * np.maximum(freedom, 1.0) / left)
