"""MicroSSIM and MicroMS3IM: structural similarity that no gain or background changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.errors import Undefined
from cellqa.metrics.case import Case
from cellqa.planes import Array

_BACKGROUND = 3.0  # percentile
_SIGMA, _RADIUS = 1.5, 5  # of the Gaussian window
_PLAIN = 3  # of the windows that the factor is fitted over: 7 x 7
_K1, _K2 = 0.01, 0.03
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of Wang 2003


def micro_ssim(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """SSIM after background and best gain, which brightness cannot mend. Higher is better.

    The third percentile of each image is taken off it as background, both are divided by what is
    then the ground truth's maximum, and the image is multiplied by the factor that makes the mean
    SSIM over windows of 7 x 7 pixels largest; then SSIM (Gaussian 11 x 11, sigma 1.5, sample
    covariance; L is the ground truth's range).

    Parameters
    ----------
    reference, image : array_like, shape (Y, X)
        11 pixels a side at least.

    Returns
    -------
    float
        -1 to 1. Undefined (nan that carries its reason) for fewer pixels and constant images.

    Raises
    ------
    ValueError, TypeError
        Shapes differ, or a value is NaN or infinite.

    Notes
    -----
    The factor is of this pair alone; the authors' package can fit one over a whole set. Of a pair,
    both agree to 1e-3.

    References
    ----------
    Ashesh A et al. MicroSSIM: improved structural similarity for comparing microscopy data.
    Bioimage Computing, ECCV workshops (2024). doi 10.48550/arXiv.2408.08747

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import micro_ssim
    >>> image = np.random.default_rng(1).gamma(1, 100, (64, 64))
    >>> round(micro_ssim(image, 0.2 * image + 40), 6)
    1.0
    """
    return measure(Case.of(image, reference=reference), {"micro_ssim"})["micro_ssim"]


def micro_ms3im(reference: npt.ArrayLike, image: npt.ArrayLike) -> float:
    """MS-SSIM after background and the gain of `micro_ssim`. Higher is better.

    See `micro_ssim` for parameters, errors and source (doi 10.48550/arXiv.2408.08747).

    Returns
    -------
    float
        0 to 1. Undefined (nan that carries its reason) below 161 pixels a side.
    """
    return measure(Case.of(image, reference=reference), {"micro_ms3im"})["micro_ms3im"]


@dataclass(frozen=True)
class _Normal:
    """Both images without background, over the ground truth's maximum; and the image's factor."""

    reference: Array
    image: Array
    range: float
    factor: float
    similarity: float


def _normalised(case: Case) -> _Normal | str:
    """For `Case.once`."""
    reference, image = case.pair
    if min(reference.shape) < 2 * _RADIUS + 1:
        return f"a side below {2 * _RADIUS + 1} pixels"
    for plane, name in ((reference, "ground truth"), (image, "image")):
        if plane.flat:
            return f"the {name} is constant"
    ours, theirs = (
        plane.real.astype(np.float64) - np.percentile(plane.pixels, _BACKGROUND)
        for plane in (reference, image)
    )
    top = float(ours.max())
    if not top > 0:
        return "the ground truth is background alone"
    ours, theirs = ours / top, theirs / top
    span = float(np.ptp(ours))
    factor, similarity = _best(ours, theirs, span)
    return _Normal(ours, theirs, span, factor, similarity)


@dataclass(frozen=True)
class _Windows:
    """Means, variances and covariance of both images over each window."""

    ours: Array
    theirs: Array
    var_ours: Array
    var_theirs: Array
    both: Array

    @classmethod
    def of(
        cls, reference: Array, image: Array, mean: Callable[[Array], Array], n: float = math.inf
    ) -> _Windows:
        """Of windows of `n` pixels, with the sample's covariance; of inf, the population's."""
        sample = 1.0 if math.isinf(n) else n / (n - 1)
        ours, theirs = mean(reference), mean(image)
        return cls(
            ours,
            theirs,
            sample * np.maximum(mean(reference**2) - ours**2, 0),
            sample * np.maximum(mean(image**2) - theirs**2, 0),
            sample * (mean(reference * image) - ours * theirs),
        )

    def similarity(self, factor: float, span: float) -> float:
        """Mean SSIM of the image times a factor."""
        c1 = (_K1 * span) ** 2
        light = (2 * factor * self.ours * self.theirs + c1) / (
            self.ours**2 + (factor * self.theirs) ** 2 + c1
        )
        return float((light * self.structure(factor, span)).mean())

    def structure(self, factor: float, span: float) -> Array:
        """Contrast and structure alone, in each window."""
        c2 = (_K2 * span) ** 2
        return (2 * factor * self.both + c2) / (self.var_ours + factor**2 * self.var_theirs + c2)


def _best(reference: Array, image: Array, span: float) -> tuple[float, float]:
    """The factor of the largest mean SSIM over plain windows, and SSIM over Gaussian ones."""
    from scipy.ndimage import gaussian_filter, uniform_filter
    from scipy.optimize import minimize_scalar  # slow to import

    def plain(values: Array) -> Array:
        return np.asarray(uniform_filter(values, 2 * _PLAIN + 1)[_PLAIN:-_PLAIN, _PLAIN:-_PLAIN])

    def gaussian(values: Array) -> Array:
        smooth = gaussian_filter(values, _SIGMA, radius=_RADIUS)
        return np.asarray(smooth[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS])

    fitted = _Windows.of(reference, image, plain, (2 * _PLAIN + 1) ** 2)
    # the gain that makes both as bright is near
    powers = [float((values**2).sum()) for values in (fitted.ours, fitted.theirs)]
    factors = np.sqrt(powers[0] / max(powers[1], 1e-300)) * np.geomspace(1e-2, 1e2, 41)
    values = [fitted.similarity(factor, span) for factor in factors]
    k = int(np.clip(np.argmax(values), 1, len(factors) - 2))
    found: Any = minimize_scalar(
        lambda factor: -fitted.similarity(factor, span),
        bounds=(factors[k - 1], factors[k + 1]),
        method="bounded",
    )
    scored = _Windows.of(reference, image, gaussian, (2 * _RADIUS + 1) ** 2)
    return float(found.x), scored.similarity(float(found.x), span)


def _over_scales(found: _Normal) -> float:
    """MS-SSIM as the authors' package takes it, from torchmetrics.

    Contrast and structure over the valid region of each scale; the whole of SSIM over all of the
    last, its borders mirrored; an odd last row or column is dropped before 2 x 2 means.
    """
    from scipy.ndimage import gaussian_filter

    first, second = found.reference, found.factor * found.image
    if min(first.shape) <= 2 * _RADIUS * 2 ** (len(_WEIGHTS) - 1):
        return Undefined(
            f"micro_ms3im: a side below {2 * _RADIUS * 2 ** (len(_WEIGHTS) - 1) + 1} pixels"
        )

    def mean(values: Array) -> Array:
        return np.asarray(gaussian_filter(values, _SIGMA, radius=_RADIUS, mode="mirror"))

    product = 1.0
    for k, weight in enumerate(_WEIGHTS):
        windows = _Windows.of(first, second, mean)
        if k == len(_WEIGHTS) - 1:
            value = windows.similarity(1.0, found.range)
        else:
            inner = windows.structure(1.0, found.range)[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
            value = float(inner.mean())
            first, second = (_halved(values) for values in (first, second))
        product *= max(value, 0.0) ** weight
    return product


def _halved(values: Array) -> Array:
    ny, nx = (n // 2 * 2 for n in values.shape)
    parts = values[:ny, :nx].reshape(ny // 2, 2, nx // 2, 2)
    return np.asarray(parts.mean(axis=(1, 3)))


def measure(case: Case, names: Set[str]) -> dict[str, float]:
    """The family: `micro_ssim`, and `micro_ms3im` with the same factor."""
    found = case.once(_normalised)
    if isinstance(found, str):
        return {name: Undefined(f"{name}: {found}") for name in names}
    values = {"micro_ssim": found.similarity}
    if "micro_ms3im" in names:
        values["micro_ms3im"] = _over_scales(found)
    return values
