"""The sharpest plane of a stack, by the vote of several focus measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cellqa.metrics._spectrum import SMALLEST_SIDE
from cellqa.metrics.focus import CONTRAST, MEASURES
from cellqa.planes import Array
from cellqa.planes.plane import Plane

MODALITIES = ("fluorescence", "phase", "brightfield")
_PROMINENT = 0.2  # of a curve's range: what stands out less is no peak of its own
_AGREE = 1.0  # planes


@dataclass(frozen=True)
class Focus:
    """Where a stack is sharpest.

    Attributes
    ----------
    name : str
        Of the stack.
    planes : list of str
        Name of each plane.
    values : dict
        Measure to the value of each plane, shape (n,); nan where undefined.
    votes : dict
        Measure to its plane, from 0, with fraction; measures without a peak are absent.
    position : float
        The median of the votes; nan where there is none.
    note : str
        What to distrust.
    """

    name: str
    planes: Sequence[str]
    values: Mapping[str, Array]
    votes: Mapping[str, float]
    position: float
    note: str

    @cached_property
    def best(self) -> int | None:
        """The plane with values next to the position; None where no measure has a vote."""
        if math.isnan(self.position):
            return None
        table = np.array(list(self.values.values()))
        measured = np.flatnonzero(np.isfinite(table).any(axis=0))
        return int(measured[np.abs(measured - self.position).argmin()])

    def describe(self) -> str:
        """The result in one line."""
        if self.best is None:
            return f"sharpest: none ({self.note})"
        line = f"sharpest: plane {self.planes[self.best]}, at {self.position:.2f} (planes from 0)"
        line += f"; {self.agreeing} of {len(self.votes)} measures within a plane of it"
        return f"{line}; {self.note}" if self.note else line

    @property
    def agreeing(self) -> int:
        """Measures whose vote is within a plane of the position."""
        return sum(abs(vote - self.position) <= _AGREE for vote in self.votes.values())


def sharpest(
    planes: Sequence[npt.ArrayLike], *, modality: str = "fluorescence", name: str = "stack"
) -> Focus:
    """Find the sharpest of planes that were taken through focus.

    Six measures look at each plane (see `MEASURES`). Each votes for the plane of its maximum, to a
    fraction by a parabola through it and its neighbours; of equal maxima the middle one counts.
    The median of the votes is the position, the plane next to it the sharpest.

    In brightfield, thin phase objects lose their contrast at focus and have more of it on both
    sides. There, a measure with two peaks (each standing out by a fifth of the curve's range)
    votes for the minimum between them, normalised variance without two peaks for its minimum (if
    that is not at an end), and every other for its maximum. In phase contrast, contrast is largest
    at focus, as in fluorescence.

    Parameters
    ----------
    planes : sequence of array_like, each of shape (Y, X)
        Three at least, in the order of their positions; 41 pixels a side or more.
    modality : str
        `fluorescence`, `phase` or `brightfield`.
    name : str

    Returns
    -------
    Focus

    Raises
    ------
    ValueError, TypeError
        Fewer than three planes, an unknown modality, planes too small or of unequal shape, NaN or
        infinity.

    Examples
    --------
    >>> from cellqa import sharpest
    >>> from cellqa.simulate import filaments
    >>> cutoffs = (0.15, 0.25, 0.4, 0.3, 0.2)
    >>> sharpest([filaments((128, 128), cutoff=c, seed=1).image for c in cutoffs]).best
    2
    """
    values = [measured(Plane.of(plane, f"planes[{k}]")) for k, plane in enumerate(planes)]
    shapes = {np.shape(plane) for plane in planes}
    if len(shapes) > 1:
        raise ValueError(f"`planes` must be of one shape, got {sorted(shapes)}")
    return vote(name, [str(k) for k in range(len(values))], values, modality)


def vote(
    name: str, planes: Sequence[str], values: Sequence[Sequence[float]], modality: str
) -> Focus:
    """`sharpest` of planes whose measures are known."""
    if modality not in MODALITIES:
        raise ValueError(f"`modality` must be one of {', '.join(MODALITIES)}, got {modality!r}")
    if len(planes) < 3:
        raise ValueError(f"`planes` must be three at least, got {len(planes)}")
    curves = dict(zip(MEASURES, np.array(values, dtype=float).T, strict=True))
    votes: dict[str, float] = {}
    for measure, curve in curves.items():
        place = _vote(curve, modality == "brightfield", measure == CONTRAST)
        if place is not None:
            votes[measure] = place
    position = float(np.median(list(votes.values()))) if votes else math.nan
    focus = Focus(name, planes, curves, votes, position, "")
    return replace(focus, note=_note(focus))


def measured(plane: Plane) -> list[float]:
    """The value of each measure; nan where it has none."""
    if min(plane.pixels.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"`planes` must have at least {SMALLEST_SIDE} pixels a side, got {plane.pixels.shape}"
        )
    with np.errstate(all="ignore"):  # values at the end of floating point
        values = [measure(plane) for measure in MEASURES.values()]
    return [value if math.isfinite(value) else math.nan for value in values]


def _vote(curve: Array, brightfield: bool, contrast: bool) -> float | None:
    """The plane that a measure votes for; None where the curve is flat or has too few values."""
    known = np.flatnonzero(np.isfinite(curve))
    if known.size < 3 or np.ptp(curve[known]) <= 1e-9 * np.abs(curve[known]).max():
        return None
    if not brightfield:
        return _top(curve)
    valley = _between_peaks(curve)
    if valley is not None:
        return valley
    if not contrast:
        return _top(curve)
    lowest = _top(-curve)
    return lowest if 0 < lowest < curve.size - 1 else None  # a slope has no minimum


def _top(curve: Array) -> float:
    """The maximum, to a fraction where both neighbours are known; of equal ones the middle."""
    equal = np.flatnonzero(curve == np.nanmax(curve))
    k = int(equal[(len(equal) - 1) // 2])
    if not 0 < k < curve.size - 1:
        return float(k)
    before, at, after = curve[k - 1 : k + 2]
    bend = before - 2 * at + after
    return k + 0.5 * float((before - after) / bend) if bend < 0 else float(k)


def _between_peaks(curve: Array) -> float | None:
    """The minimum between the two highest peaks that stand out; None where there are not two."""
    from scipy.signal import find_peaks  # slow to import

    known = np.flatnonzero(np.isfinite(curve))
    filled = np.interp(np.arange(curve.size), known, curve[known])
    peaks, _ = find_peaks(filled, prominence=_PROMINENT * np.ptp(filled))
    if len(peaks) < 2:
        return None
    first, second = sorted(peaks[np.argsort(filled[peaks])[-2:]])
    return float(first) + _top(-curve[first : second + 1])


def _note(focus: Focus) -> str:
    if focus.best is None:
        return "no measure has a peak: no structure, or one plane many times"
    notes = []
    table = np.array(list(focus.values.values()))
    unknown = int(np.isnan(table).all(axis=0).sum())
    if unknown:
        notes.append(f"{unknown} of {len(focus.planes)} planes have no value")
    if focus.best in (0, len(focus.planes) - 1):
        notes.append("at the end of the stack: the focus may lie outside")
    if 2 * focus.agreeing <= len(MEASURES):
        notes.append(f"only {focus.agreeing} of {len(MEASURES)} measures are within a plane of it")
    return "; ".join(notes)
