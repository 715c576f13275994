"""What to distrust of one plane, a line each; a run counts the lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from cellqa.errors import Bound
from cellqa.metrics.resolution import OF_THE_FILTER
from cellqa.metrics.shared_noise import NAMED, SHARED
from cellqa.planes.plane import Plane

LARGEST_SHIFT = 0.3  # pixels; beyond, a run warns
SATURATED = 0.005  # share of pixels at the largest value from which a run warns
_PILED = 3.0  # times as many as in the 2 % of the range below: cut off, and not a tail
_BELOW = 0.02
_LEFT = 0.5  # of the ground truth's pixels above its smallest value: fewer were cut to black


def of_plane(
    method: str, plane: Plane, reference: Plane | None, limits: tuple[float, float] | None
) -> Iterator[str]:
    """What is suspicious of a plane, beside its ground truth where there is one.

    Parameters
    ----------
    method : str
    plane : Plane
    reference : Plane or None
    limits : (float, float) or None
        Of the data range, which values should keep.
    """
    if reference is not None and plane.dtype != reference.dtype:
        yield (
            f"{method} is {plane.dtype} but its ground truth {reference.dtype}: "
            "values were compared as they are"
        )
    if limits is not None and (plane.extremes[0] < limits[0] or plane.extremes[1] > limits[1]):
        yield f"{method} has values beyond the data range"
    low, high = plane.extremes
    if low == high:
        if reference is None or not reference.flat:
            yield f"{method} is constant: nothing is to be seen in it"
        return
    some = plane.pixels[::8, ::8]
    few = not ((some != low) & (some != high)).any()  # a look, before all are looked at
    if few and not ((plane.pixels != low) & (plane.pixels != high)).any():
        yield f"{method} holds two values only{_unit(plane)}: is it a mask, or was it cut?"
        return
    yield from _cut(method, plane, reference)


def of_values(method: str, values: Mapping[str, float], *, registered: bool) -> Iterator[str]:
    """What the values of a plane tell against some of them.

    Parameters
    ----------
    method : str
    values : mapping of str to float
        By metric.
    registered : bool
        Displacements were undone.
    """
    if isinstance(values.get("resolution"), Bound):
        yield f"{method}: the resolution {OF_THE_FILTER}"
    agreement = values.get("frc_resolution")
    if isinstance(agreement, Bound) and SHARED in agreement.reason:
        yield (
            f"{method} {NAMED} (one was made of the other, a mean holds both, a camera's pattern "
            "is in both, or traces of the same compression or filter), which frc_resolution and "
            "all that compares take for detail"
        )
    shift = math.hypot(values.get("shift_y", math.nan), values.get("shift_x", math.nan))
    if shift > LARGEST_SHIFT and not registered:
        yield (
            f"{method} is displaced against its ground truth by more than {LARGEST_SHIFT} "
            "pixels (shift_y, shift_x), which lowers its scores: see --register"
        )


def _unit(plane: Plane) -> str:
    """A picture of 0 to 1 that was saved as whole numbers lost everything in between."""
    unscaled = plane.dtype.kind in "iu" and plane.extremes == (0, 1)
    return ", 0 and 1 (a picture of 0 to 1 saved as whole numbers is lost)" if unscaled else ""


def _cut(method: str, plane: Plane, reference: Plane | None) -> Iterator[str]:
    low, high = plane.extremes
    at_top = _share(plane, high)
    if at_top > SATURATED:
        if plane.dtype.kind in "iu" and high == np.iinfo(plane.dtype).max:
            yield (
                f"{method} is saturated: over {SATURATED:.1%} of the pixels are at the type's "
                "largest value, where structure is lost"
            )
        else:
            near = (plane.pixels >= high - _BELOW * (high - low)) & (plane.pixels < high)
            if at_top > _PILED * float(near.mean()):
                yield (
                    f"{method} is clipped: over {SATURATED:.1%} of the pixels are at its largest "
                    "value, below the type's, where structure is lost"
                )
    if reference is None or plane is reference:
        return
    left, there = 1 - _share(plane, low), 1 - reference.once(_at_bottom)
    if left < _LEFT * there:
        yield (
            f"{method} is cut to black: less than half as many pixels as of its ground truth are "
            "above its smallest value, where structure is lost"
        )


def _share(plane: Plane, value: float) -> float:
    return np.count_nonzero(plane.pixels == value) / plane.pixels.size


def _at_bottom(plane: Plane) -> float:
    return _share(plane, plane.extremes[0])
