"""What metrics that share work have in common: one preparation of the ground truth, one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from cellqa.checks import Plane


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
    mask : ndarray of int or None
        Foreground, of the ground truth's shape: 0 is background, other values number objects.
    """

    data_range: float
    pixel_size: float = 1.0
    compat: bool = False
    raw: Plane | None = None
    scale: int = 1
    mask: npt.NDArray[Any] | None = None


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
