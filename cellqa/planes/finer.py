"""Images on a finer grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from cellqa.planes import Array


def finer(pixels: Array, shape: tuple[int, ...]) -> Array:
    """An image with more pixels on the same area, by cubic interpolation.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C)
    shape : tuple of int
        Rows and columns to make.

    Returns
    -------
    ndarray of float32 or float64
        float64 where float32 does not hold the values exactly.

    Notes
    -----
    Keys 1981, doi 10.1109/TASSP.1981.1163711, with a = -0.75.
    """
    import cv2

    small = pixels.dtype.itemsize <= (4 if pixels.dtype.kind == "f" else 2)
    real: Any = pixels.astype(np.float32 if small else np.float64, copy=False)
    rows, columns = shape[:2]
    made = cv2.resize(real, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(made).reshape(rows, columns, *pixels.shape[2:])
