"""Whether an image has the noise of its ground truth, which every comparison takes for detail.

So it is where the one was made of the other, where a mean of several images holds both, and where a
camera's fixed pattern is in both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from cellqa.metrics._spectrum import independent, noise_floor, ring_power
from cellqa.planes.plane import Plane

if TYPE_CHECKING:
    from cellqa.metrics.frc import RingCorrelation

SHARED = "it has the noise of its ground truth, and the two agree in that"
NAMED = "has the noise of its ground truth"  # what a run says of a method
FEW = 0.02  # share of the images below which a run does not say it

_BAND = 0.05  # width of a band of rings, as a share of the Nyquist frequency
_BANDS = 3  # of noise alone, without which nothing is said
_QUIET = 0.1  # of the noise's power: what a band may have above it
_FLAT = 0.02  # of the noise's power, which the outermost rings do not tell from it
_OUTER = 0.1  # correlation up to the Nyquist frequency, from which a pattern is in both
_ERRORS = 5.0  # of its standard errors, too
_KEPT = 0.75  # share of the correlation of coarser bands; that of detail fades


class _Rings(NamedTuple):
    correlation: float
    error: float
    chance: float
    excess: float  # power of the ground truth above its noise, as a share of that


def shares_noise(truth: Plane, curve: RingCorrelation) -> bool:
    """Whether an image agrees with its ground truth where that shows nothing but noise.

    The ground truth shows noise alone in the outermost bands of rings whose power stays within a
    tenth of its floor; below three such bands (15 % of the Nyquist frequency), or where all are so,
    nothing is said. Any detail that hides in them, of a share e of the noise's power, lets even a
    perfect image correlate by sqrt(e) at most, and fades towards the Nyquist frequency. So the
    noise is shared where a band correlates by more than that and than chance; or where the outer
    half of the bands correlates by 0.1, five standard errors, and three quarters of the inner half.

    The same compression, median filter or coarse rounding of two independent images leaves its
    traces in both, and they are told. So are, in part, points smaller than a pixel, whose spectrum
    is as flat as that of noise.

    Parameters
    ----------
    truth : Plane
    curve : RingCorrelation
        Of image and ground truth.
    """
    power = truth.once(ring_power)
    floor = noise_floor(power, curve.radii, curve.counts)
    if floor <= 0 or (curve.correlation > 1 - 1e-6).all():  # no noise, or the same image
        return False
    n = curve.radii.size
    width = max(3, round(_BAND * n))
    share = independent(truth.shape)

    def rings(start: int, end: int) -> _Rings:
        part = slice(start, end)
        counts = curve.counts[part]
        total = counts.sum()
        return _Rings(
            float((curve.correlation[part] * counts).sum() / total),
            1 / math.sqrt(total * share / 2),
            float(curve.threshold[part].mean()),
            float(power[part].sum() / total / floor - 1),
        )

    quiet: list[_Rings] = []
    start = n
    while start >= width:
        band = rings(start - width, start)
        if band.excess > _QUIET + 2 * band.error:
            break
        quiet.append(band)
        start -= width
    if len(quiet) < _BANDS or start < 2 * width:  # no noise alone, or nothing but noise
        return False
    for band in quiet[:-1]:  # without the one next to the detail
        hidden = math.sqrt(max(band.excess, 0.0) + 3 * band.error + _FLAT)
        if band.correlation > max(band.chance, hidden):
            return True
    middle = n - width * (len(quiet) // 2)
    inner, outer = rings(start, middle), rings(middle, n)
    least = max(_OUTER, _ERRORS * outer.error, _KEPT * inner.correlation)
    return outer.correlation >= least
