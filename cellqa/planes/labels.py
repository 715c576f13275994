"""Masks: the foreground of an image, and its objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.shown import one_line


@dataclass(frozen=True)
class Labels:
    """Foreground and its objects.

    Attributes
    ----------
    labels : ndarray of int32, of the reference's shape
        0 is background, k the k-th object.
    names : ndarray of int
        What the objects are called: their values in the mask, ascending.
    truth: bool
        Whether the mask was of true and false, so that it says nothing of single objects.
    """

    labels: Array
    names: Array
    truth: bool = False

    __repr__ = one_line

    def cropped(self, rows: slice, columns: slice) -> Labels:
        """A part of the mask; objects that are not in it are gone."""
        inner = Labels.of(self.labels[rows, columns])
        return Labels(inner.labels, self.names[inner.names - 1], self.truth)

    @classmethod
    def of(cls, mask: Array) -> Labels:
        """Number the values above 0 of a mask."""
        truth = mask.dtype.kind == "b"
        values = np.maximum(mask, 0) if not truth else mask.astype(np.uint8)
        if values.dtype.kind == "f":
            values = values.astype(np.int64)
        if int(values.max(initial=0)) < 4 * values.size:  # counting is faster than sorting
            values = values.astype(np.int64)
            names = np.flatnonzero(np.bincount(values.ravel()))
            names = names[names > 0]
            number = np.zeros(int(values.max(initial=0)) + 1, np.int32)
            number[names] = np.arange(1, names.size + 1)
            return cls(number[values], names, truth)
        names, place = np.unique(values, return_inverse=True)
        first = int(names[0] == 0)
        return cls((place.reshape(values.shape) + 1 - first).astype(np.int32), names[first:])


@dataclass(frozen=True)
class Mask:
    """The foreground of a plane, or why there is none.

    Attributes
    ----------
    labels : Labels or None
    missing : str
    """

    labels: Labels | None
    missing: str = ""

    __repr__ = one_line

    def moved_back(self, y: int, x: int) -> Mask:
        """With what lies `y` pixels down and `x` to the right; borders are repeated."""
        if self.labels is None or not (y or x):
            return self
        rows, columns = (
            np.clip(np.arange(n) + by, 0, n - 1)
            for n, by in zip(self.labels.labels.shape, (y, x), strict=True)
        )
        return Mask(replace(self.labels, labels=self.labels.labels[np.ix_(rows, columns)]))

    @classmethod
    def of(cls, pixels: Array, *, labels: bool = False) -> Mask:
        """Take a mask's pixels as labels, or as true and false; with `labels`, not the latter.

        Whole numbers are labels where two values or more are above 0, where the one value is
        neither 1 nor 255, and where the one value is 1 in more than 8 bits, as programs that label
        write a field of one cell. Anything else is true where it is not 0.
        """
        if pixels.ndim == 3:
            if (pixels[..., :3] != pixels[..., :1]).any():
                return cls(None, "the mask is in colour: give labels as whole numbers")
            pixels = pixels[..., 0]
        if pixels.dtype.kind == "b":
            return cls(Labels.of(pixels))
        low, high = float(pixels.min()), float(pixels.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            return cls(None, "the mask holds NaN or infinity")
        if low < 0:
            return cls(None, "the mask holds negative values")
        values = np.unique(pixels[pixels > 0])
        whole = pixels.dtype.kind in "iu"
        labelled = whole or (high < 2**53 and bool(np.all(values % 1 == 0)))
        if labels and not labelled:
            return cls(None, "labels must be whole numbers below 2^53, as of integer types")
        if values.size == 1 and values[0] in (1, 255):
            labelled = values[0] == 1 and pixels.dtype.itemsize > 1
        return cls(Labels.of(pixels if labelled else pixels != 0))

    @classmethod
    def otsu(cls, plane: Plane) -> Mask:
        """Pixels above Otsu's threshold (1979), which splits the histogram in two."""
        if plane.extremes[0] == plane.extremes[1]:
            return cls(None, "the ground truth is constant: nothing stands out")
        from skimage.filters import threshold_otsu  # slow to import

        return cls(Labels.of(plane.pixels > threshold_otsu(plane.pixels)))

    def cropped(self, rows: slice, columns: slice) -> Mask:
        """A part of the mask."""
        return Mask(self.labels.cropped(rows, columns)) if self.labels else self

    def fitting(self, shape: tuple[int, ...]) -> Mask:
        """The mask, or why it does not fit a reference of this shape."""
        if self.labels is None or self.labels.labels.shape == shape:
            return self
        own, wanted = (" x ".join(map(str, s)) for s in (self.labels.labels.shape, shape))
        return Mask(None, f"the mask's size {own} differs from the ground truth's {wanted}")
