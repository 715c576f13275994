"""What of the raw image its enhancement does not explain, without any ground truth."""

from __future__ import annotations

from collections.abc import Set

import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics._regression import adjusted, explained
from cellqa.metrics._ring_kernels import ring_sums
from cellqa.metrics._scale import misfit, reduced
from cellqa.metrics._spectrum import energy, independent, rings_of, spectrum, unusable
from cellqa.metrics.alignment import displacement
from cellqa.metrics.case import Case
from cellqa.metrics.detail import (
    at_rest,
    floor_of,
    raw_beside,
    sums_of,
)
from cellqa.planes import Array

_RAW_SEEN = 1.5  # times the noise: rings where the raw image says something
_COARSEST = 0.05  # radius below which uneven light and offsets lie


def unexplained(
    raw: npt.ArrayLike, image: npt.ArrayLike, *, noise: float | None = None, scale: int = 1
) -> float:
    """What of the raw image its enhancement does not explain, over the camera's noise.

    Ring by ring of frequencies, the power of the raw image that no multiple of the enhanced image's
    explains; summed over the rings where the raw image stands out of its noise, over the noise in
    them. 1 where all but noise is explained; below, the image carries the raw image's noise; above,
    structures were taken away, or put where they were not. Sees what the microscope could see, and
    needs no ground truth.

    Parameters
    ----------
    raw : array_like, shape (Y, X)
        At least 41 pixels a side; not constant.
    image : array_like, shape (Y, X) or (scale x Y, scale x X)
        Not constant.
    noise : float, optional
        Variance of the raw image's noise, in its squared grey levels (gain x (mean - offset) +
        read noise²). Default: from the highest frequencies (beyond 0.9 of Nyquist), which holds
        where noise is white and the optics pass none of them.
    scale : int
        Pixels of the image along one of the raw image's: an image on a finer grid is brought to the
        raw image's, as means of `scale` x `scale` pixels, where the noise is white.

    Returns
    -------
    float
        0 to inf.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, an image is constant or too small, or a value is NaN or infinite.

    References
    ----------
    Bevington PR, Robinson DK. Data Reduction and Error Analysis (2003), chapter 4: reduced
    chi-square. ISBN 0-07-247227-8

    Examples
    --------
    >>> from cellqa import unexplained
    >>> from cellqa.simulate import acquire, filaments
    >>> raw = filaments((256, 256), cutoff=0.3, photons=300, seed=1)
    >>> again = acquire(raw.structure, cutoff=0.6, photons=3000, seed=2).image
    >>> 0.8 < unexplained(raw.image, again) < 1.6
    True
    >>> other = filaments((256, 256), cutoff=0.3, photons=300, seed=3).image
    >>> unexplained(raw.image, again + 10.0 * other) > 2
    True
    """
    case = Case.of(image, raw=raw, raw_noise=noise, scale=scale)
    value = _of_case(case)
    if isinstance(value, Undefined):
        raise ValueError(value.reason)
    return value


def _of_case(case: Case) -> float:
    rings = _rings(case)
    if isinstance(rings, str):
        return Undefined(f"unexplained: {rings}")
    cross, power, of_raw, floor = rings
    assert case.raw is not None
    shape = case.raw.shape
    _, radii, counts = rings_of(shape)
    if case.raw_noise is not None:
        low, high = case.raw.extremes
        floor = case.raw_noise / (high - low) ** 2 * energy(shape)
    seen = (radii >= _COARSEST) & (of_raw > _RAW_SEEN * floor * counts)
    if not floor > 0 or not seen.any():
        return Undefined("unexplained: the raw image does not stand out of its noise, or has none")
    share = adjusted(explained(cross, power, of_raw), counts * independent(shape), 1)
    left = (of_raw * (1 - share))[seen].sum() / (floor * counts[seen]).sum()
    return max(float(left), 0.0)


def _rings(case: Case) -> tuple[Array, Array, Array, float] | str:
    """Product, the image's and the raw image's power in each ring, and the raw image's noise.

    Beside a ground truth, those of the detail budget serve.
    """
    assert case.raw is not None
    truth, image = case.reference, case.image
    alike = truth is not None and truth.shape == image.shape == case.raw.shape
    if truth is not None and alike and not truth.flat:
        sums = case.once(sums_of)
        if isinstance(sums, str):
            return sums
        of_raw = truth.beside(case.raw, raw_beside)
        return sums.with_raw, sums.power, of_raw.power, of_raw.floor
    raw = case.raw
    if problem := misfit(raw, image, case.scale):
        return problem
    image = reduced(image, case.scale)
    if problem := unusable(raw, image).replace("ground truth", "raw image"):
        return problem
    rings, radii, _ = rings_of(image.shape)
    ours = at_rest(raw, image, displacement(raw, image))
    cross, power, of_raw = ring_sums(ours, raw.once(spectrum), rings, radii.size + 1)[1:-1, :3].T
    return cross, power, of_raw, raw.once(floor_of)


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `unexplained`."""
    return {"unexplained": _of_case(case)}
