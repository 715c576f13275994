"""Detail that is claimed against detail that the ground truth supports."""

from __future__ import annotations

import math
from collections.abc import Set

import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics.case import Case
from cellqa.metrics.frc import resolution_between
from cellqa.metrics.resolution import resolution_of


def overclaim(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """Share of the image's apparent bandwidth that the ground truth does not support.

    max(0, 1 - resolution / frc_resolution): decorrelation analysis says up to which frequency
    there is structure in the image, Fourier ring correlation up to which frequency it is the
    ground truth's. Lower is better, 0 is honest.

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)

    Returns
    -------
    float
        0 to 1; 1 where the images agree at no frequency. Undefined (nan that carries its reason)
        where either resolution is: constant images, images without a peak, below 41 pixels a side.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    Notes
    -----
    Both resolutions are those of the default settings, whatever `--compat` says. Decorrelation
    reads a cut-off 8 to 13 % too low where there is little noise, so that overclaims below some
    0.1 go unseen.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import overclaim
    >>> from cellqa.simulate import filaments, nuclei
    >>> truth = filaments((256, 256), cutoff=0.4, photons=1000, seed=1).image
    >>> overclaim(truth, truth)
    0.0
    >>> other = filaments((256, 256), cutoff=0.4, photons=1000, seed=2).image
    >>> overclaim(truth, other)  # sharp, but another scene
    1.0
    """
    return _overclaim(Case.of(image, reference=reference))


def _overclaim(case: Case) -> float:
    claimed = resolution_of(case.image)
    supported = resolution_between(case, 1.0)
    for value in (claimed, supported):
        if isinstance(value, Undefined):
            return Undefined(value.reason.replace(":", ", overclaim:", 1))
    return max(0.0, 1 - claimed / supported) if math.isfinite(supported) else 1.0


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `frc_resolution`, and `overclaim`, which goes on from it."""
    values = {}
    if "frc_resolution" in names:
        values["frc_resolution"] = resolution_between(case, case.pixel_size)
    if "overclaim" in names:
        values["overclaim"] = _overclaim(case)
    return values
