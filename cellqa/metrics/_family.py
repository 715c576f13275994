"""What metrics that share work have in common: one preparation of the ground truth, one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.planes.plane import Plane


@dataclass(frozen=True)
class Labels:
    """Foreground and its objects.

    Attributes
    ----------
    labels : ndarray of int32, of the ground truth's shape
        0 is background, k the k-th object.
    names : ndarray of int
        What the objects are called: their values in the mask, ascending.
    """

    labels: npt.NDArray[Any]
    names: npt.NDArray[Any]

    def cropped(self, rows: slice, columns: slice) -> Labels:
        """A part of the mask; objects that are not in it are gone."""
        inner = Labels.of(self.labels[rows, columns])
        return Labels(inner.labels, self.names[inner.names - 1])

    @classmethod
    def of(cls, mask: npt.NDArray[Any]) -> Labels:
        """Number the values above 0 of a mask."""
        found = np.maximum(mask, 0).astype(np.int64)
        if int(found.max(initial=0)) < 4 * found.size:  # counting is faster than sorting
            names = np.flatnonzero(np.bincount(found.ravel()))
            names = names[names > 0]
            number = np.zeros(int(found.max(initial=0)) + 1, np.int32)
            number[names] = np.arange(1, names.size + 1)
            return cls(number[found], names)
        names, place = np.unique(found, return_inverse=True)
        first = int(names[0] == 0)
        return cls((place.reshape(found.shape) + 1 - first).astype(np.int32), names[first:])


@dataclass(frozen=True)
class Settings:
    """What a metric may need to know beside the images.

    Attributes
    ----------
    data_range : float
        L of PSNR and SSIM; nan (`Undefined`) where the ground truth is constant.
    pixel_size : float
        In micrometres; 1 where unknown.
    compat : bool
        The definitions of the CIEGAN authors' program.
    raw : Plane or None
        The unenhanced image.
    scale : int
        How many times its pixels the enhanced image has along each side.
    mask : Labels or None
        The foreground.
    """

    data_range: float
    pixel_size: float = 1.0
    compat: bool = False
    raw: Plane | None = None
    scale: int = 1
    mask: Labels | None = None


@dataclass(frozen=True)
class Family:
    """Metrics computed together.

    Attributes
    ----------
    prepare : callable
        `prepare(reference, settings, names)`: what the ground truth alone determines, reused for
        every method. `reference` is None where there is no ground truth.
    measure : callable
        `measure(prepared, image, settings, names)`: the values of the metrics called for.
    """

    prepare: Callable[[Plane | None, Settings, Set[str]], Any]
    measure: Callable[[Any, Plane, Settings, Set[str]], Mapping[str, float]]


def the_truth(reference: Plane | None, settings: Settings, names: Set[str]) -> Plane:
    """`prepare` of full-reference metrics that keep what they need with the plane itself."""
    assert reference is not None  # such metrics are called for only where there is one
    return reference


def nothing(reference: Plane | None, settings: Settings, names: Set[str]) -> None:
    """`prepare` of metrics in which the ground truth has no part."""
