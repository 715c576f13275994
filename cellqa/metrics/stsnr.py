"""Spatio-temporal signal-to-noise ratio of time series."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cellqa.planes import Array


def stsnr(reference: npt.ArrayLike, images: npt.ArrayLike) -> float:
    """Spatio-temporal signal-to-noise ratio of a time series, in dB. Higher is better.

    stSNR = (sSNR + tSNR) / 2. sSNR is the mean over frames of SNR(y_t, x_t), tSNR the mean over
    pixels of SNR(y_ij, x_ij), with SNR(y, x) = 10 log10(sum y² / sum (y - x)²) over the pixels of a
    frame, or the times of a pixel. Pixels are left out that are 0 in the ground truth at all times,
    or the same in both at all times (as happens to whole numbers).

    Parameters
    ----------
    reference, images : array_like, shape (T, Y, X)
        Ground truth y and enhanced images x.

    Returns
    -------
    float
        Unbounded; inf where a frame is the same in both.

    Raises
    ------
    ValueError
        Shapes differ, are not (T, Y, X), or the ground truth is 0.

    Notes
    -----
    The AI4Life Calcium Imaging Denoising Challenge 2025 ranks by stSNR, "a convex combination" of
    the two (https://ai4life-cidc25.grand-challenge.org/cidc25-evaluation-metrics). Equal weights
    are those that its participants use. It sees offsets: values count from 0.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.full((4, 8, 8), 100.0)
    >>> round(stsnr(truth, truth + 10), 6)
    20.0
    """
    wanted, given = np.asarray(reference, np.float64), np.asarray(images, np.float64)
    if wanted.ndim != 3 or wanted.shape != given.shape:
        raise ValueError(
            f"`images` must have the shape (T, Y, X) of `reference` {wanted.shape}, got "
            f"{given.shape}"
        )
    squares, errors = wanted**2, (given - wanted) ** 2
    if not squares.any():
        raise ValueError("`reference` is 0 everywhere")
    frames = [
        decibels(s, e)
        for s, e in zip(squares.sum(axis=(1, 2)), errors.sum(axis=(1, 2)), strict=True)
        if s > 0
    ]
    return (float(np.mean(frames)) + temporal(squares.sum(axis=0), errors.sum(axis=0))) / 2


def decibels(signal: float, error: float) -> float:
    """Of sums of squares; nan without a signal."""
    if signal <= 0:
        return math.nan
    return 10 * math.log10(signal / error) if error > 0 else math.inf


def temporal(signal: Array, error: Array) -> float:
    """Mean SNR of the pixels' courses, in dB, of their sums of squares.

    Courses without any light, or without any error, are left out; inf where none has an error.
    """
    there = signal > 0
    if np.isnan(signal).any() or not there.any():
        return math.nan
    there &= error > 0
    return float(np.mean(10 * np.log10(signal[there] / error[there]))) if there.any() else math.inf
