"""The sharpest plane of a stack, by the vote of several focus measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cellqa.metrics.focus import CONTRAST, DECORRELATION, FILTERS, MEASURES, Sharpness, sharpness
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.shown import one_line

MODALITIES = ("fluorescence", "phase", "brightfield")
_PROMINENT = 0.2  # of a curve's range: what stands out less is no peak of its own
_PEAK = 0.2  # of a curve's range: the planes that make its peak
_AGREE = 1.0  # planes
_SEEN = 5.0  # standard errors by which a tile's energy stands out of the noise somewhere
_CLEAR = 3.0  # and at which one plane's energy counts half
_RISE = 0.05  # of a curve's height: flatter curves have no peak
_CLEARLY = 20.0  # standard errors that make a vote whole
_FEWEST = 3  # measures that have to vote
_SURE = 0.5  # confidence below which the result is to be distrusted


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
        Measure to the value of each plane, shape (n,), nan where undefined: energies of filters
        for unit brightness, 1 at most; the cut-off kc.
    votes : dict
        Measure to its plane, from 0, with fraction; measures without a peak are absent.
    weights : dict
        Measure to the weight of its vote: measures whose curves are alike share theirs.
    position : float
        The weighted median of the votes; nan where there is none.
    note : str
        What to distrust.
    """

    name: str
    planes: Sequence[str]
    values: Mapping[str, Array]
    votes: Mapping[str, float]
    weights: Mapping[str, float]
    position: float
    note: str

    __repr__ = one_line

    @cached_property
    def best(self) -> int | None:
        """The plane with values next to the position; None where no measure has a vote."""
        if math.isnan(self.position):
            return None
        table = np.array(list(self.values.values()))
        measured = np.flatnonzero(np.isfinite(table).any(axis=0))
        return int(measured[np.abs(measured - self.position).argmin()])

    @property
    def confidence(self) -> float:
        """Weight of the votes within a plane of the position, over that of all measures; 0 to 1."""
        near = [self.weights[m] for m, v in self.votes.items() if abs(v - self.position) <= _AGREE]
        return sum(near) / max(sum(self.weights.values()), 1e-12)

    def describe(self) -> str:
        """The result in one line."""
        if self.best is None:
            return f"sharpest: none ({self.note})"
        line = f"sharpest: plane {self.planes[self.best]}, at {self.position:.2f} (planes from 0)"
        line += f"; {self.agreeing} of {len(MEASURES)} measures within a plane of it"
        line += f", confidence {self.confidence:.0%}"
        return f"{line}; {self.note}" if self.note else line

    @property
    def agreeing(self) -> int:
        """Measures whose vote is within a plane of the position."""
        return sum(abs(vote - self.position) <= _AGREE for vote in self.votes.values())


def sharpest(
    planes: Sequence[npt.ArrayLike], *, modality: str = "fluorescence", name: str = "stack"
) -> Focus:
    """Find the sharpest of planes that were taken through focus.

    Six measures look at each plane: energies of five filters (see `cellqa.metrics.focus`) without
    the plane's noise, over what scales with the square of its brightness (the energy of coarse
    structure in fluorescence, else the mean squared), so that bleaching, a flash and a noisy plane
    move nothing; and the cut-off of decorrelation analysis. Energies are of up to 8 x 8 tiles,
    each scaled to its own highest, and their mean is the curve, so that debris in one tile outvotes
    nobody. Each measure votes for the plane of its maximum, to a fraction by a parabola through it
    and its neighbours; of equal maxima the middle one counts. The median of the votes is the
    position, each weighted by how little its curve is like the others'; the plane next to it is
    the sharpest. Tiles that stand out of their noise nowhere, and curves that are flat, have no
    vote: of noise alone there is no focus.

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
    values = [sharpness(Plane.of(plane, f"planes[{k}]")) for k, plane in enumerate(planes)]
    shapes = {np.shape(plane) for plane in planes}
    if len(shapes) > 1:
        raise ValueError(f"`planes` must be of one shape, got {sorted(shapes)}")
    return vote(name, [str(k) for k in range(len(values))], values, modality)


def vote(
    name: str, planes: Sequence[str], values: Sequence[Sharpness | None], modality: str
) -> Focus:
    """`sharpest` of planes whose measures are known; None of a plane that has none."""
    if modality not in MODALITIES:
        raise ValueError(f"`modality` must be one of {', '.join(MODALITIES)}, got {modality!r}")
    if len(planes) < 3:
        raise ValueError(f"`planes` must be three at least, got {len(planes)}")
    return decided(name, planes, curves_of(values, modality), modality)


@dataclass(frozen=True)
class Curves:
    """The value of each measure in each plane, and how clearly each stands out of noise.

    Attributes
    ----------
    values : dict
        Measure to a curve of shape (n,); nan where it has no value.
    clearness : dict
        Measure to standard errors by which the highest plane stands out.
    """

    values: dict[str, Array]
    clearness: dict[str, float]

    __repr__ = one_line


def curves_of(values: Sequence[Sharpness | None], modality: str) -> Curves:
    """The curves of planes; None of a plane that has no value."""
    there = np.array([k for k, value in enumerate(values) if value is not None], dtype=int)
    known = [value for value in values if value is not None]
    curves = {measure: np.full(len(values), math.nan) for measure in MEASURES}
    clearness = dict.fromkeys(MEASURES, 0.0)
    if not known:
        return Curves(curves, clearness)
    light = np.array([v.coarse if modality == "fluorescence" else v.mean**2 for v in known])
    light = np.where(light > 0, light, np.inf)  # a plane without structure is not sharp
    tiles = max(v.energies.shape[1] for v in known)
    for k, measure in enumerate(FILTERS):
        # of a plane with a margin, all tiles together stand for each
        energies, errors = (
            np.array([_spread(part[k], tiles) for part in parts])
            for parts in ([v.energies for v in known], [v.errors for v in known])
        )
        curve, clearness[measure] = _of_tiles(energies, errors, light)
        curves[measure][there] = curve
    cutoffs = np.array([v.cutoff for v in known])
    curves[DECORRELATION][there] = cutoffs
    clearness[DECORRELATION] = _CLEARLY if np.isfinite(cutoffs).sum() > 2 else 0.0
    return Curves(curves, clearness)


def _spread(values: Array, tiles: int) -> Array:
    return values if values.size == tiles else np.full(tiles, values.mean())


def _of_tiles(energies: Array, errors: Array, light: Array) -> tuple[Array, float]:
    """The mean of the tiles' curves, each scaled to its highest; and how clear all together are."""
    whole, error = energies.sum(axis=1), np.sqrt((errors**2).sum(axis=1))
    clear = float(_over(whole, error).max())
    if clear < _SEEN:
        return np.full(light.size, math.nan), clear
    significance = _over(energies, errors)
    seen = significance.max(axis=0) > _SEEN
    if not seen.any():  # too dim for tiles: the whole plane
        energies, significance = whole[:, None], _over(whole, error)[:, None]
        seen = np.ones(1, bool)
    with np.errstate(over="ignore"):
        # what is hardly seen counts little: where light is low, noise would be much for its light
        sure = 1 / (1 + (_CLEAR / np.maximum(significance, 1e-9)) ** 2)
        per_light = (np.maximum(energies, 0) * sure)[:, seen] / light[:, None]
    highest = per_light.max(axis=0)
    if not (highest > 0).any():
        return np.full(light.size, math.nan), clear
    weights = np.where(highest > 0, np.minimum(significance.max(axis=0)[seen], _CLEARLY) ** 2, 0)
    return np.asarray((per_light / np.maximum(highest, 1e-300)) @ weights / weights.sum()), clear


def _over(values: Array, errors: Array) -> Array:
    """Values in standard errors; without noise, any value is clear."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.where(errors > 0, values / errors, np.sign(values) * 1e9))


def decided(name: str, planes: Sequence[str], curves: Curves, modality: str) -> Focus:
    """The vote over known curves."""
    votes: dict[str, float] = {}
    for measure, curve in curves.values.items():
        place = _vote(curve, modality == "brightfield", measure == CONTRAST)
        if place is not None:
            votes[measure] = place
    if set(votes) <= {DECORRELATION}:
        votes = {}  # a cut-off alone is chance: every plane has some
    weights = _weights(curves)
    position = _median([(votes[m], weights[m]) for m in votes])
    focus = Focus(name, planes, curves.values, votes, weights, position, "")
    return Focus(name, planes, curves.values, votes, weights, position, _note(focus))


def _weights(curves: Curves) -> dict[str, float]:
    """Of each measure: how far its curve rises, how clear it is, and how unlike the others.

    The rise is relative to the curve's height, clearness counts up to 20 standard errors, and what
    is alike is divided by the sum of squared correlations with all measures, itself included.
    """
    table = np.array(list(curves.values.values()))
    usable = np.isfinite(table).any(axis=1)
    known = np.isfinite(table[usable]).all(axis=0)
    weights = {}
    for k, measure in enumerate(curves.values):
        own = table[k][np.isfinite(table[k])]
        if own.size < 3 or not np.abs(own).max() > 0:
            weights[measure] = 0.0
            continue
        rise = float(np.ptp(own) / np.abs(own).max())
        clear = min(curves.clearness[measure] / _CLEARLY, 1.0)
        alike = np.ones(1)
        if known.sum() > 2:
            with np.errstate(invalid="ignore", divide="ignore"):
                others = table[usable][:, known]
                each = [np.corrcoef(table[k, known], other)[0, 1] for other in others]
            alike = np.nan_to_num(np.array(each)) ** 2
        weights[measure] = rise * clear / max(float(alike.sum()), 1.0)
    return weights


def _median(votes: Sequence[tuple[float, float]]) -> float:
    """The weighted median: between two votes where they share the weight."""
    ranked = sorted((place, weight) for place, weight in votes if weight > 0)
    if not ranked:
        return math.nan
    half = sum(weight for _, weight in ranked) / 2
    total = 0.0
    for k, (place, weight) in enumerate(ranked):
        total += weight
        if math.isclose(total, half, rel_tol=1e-9) and k + 1 < len(ranked):
            return (place + ranked[k + 1][0]) / 2
        if total > half:
            return place
    return ranked[-1][0]


def _vote(curve: Array, brightfield: bool, contrast: bool) -> float | None:
    """The plane that a measure votes for; None where the curve is flat or has too few values."""
    known = np.flatnonzero(np.isfinite(curve))
    if known.size < 3 or np.ptp(curve[known]) <= _RISE * np.abs(curve[known]).max():
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
    """The maximum, to a fraction; of equal ones the middle.

    The top of a parabola through the planes around it that reach 80 % of the curve's range, three
    at least, where both neighbours are known: single planes scatter.
    """
    highest, lowest = np.nanmax(curve), np.nanmin(curve)
    equal = np.flatnonzero(curve == highest)
    k = int(equal[(len(equal) - 1) // 2])
    if not 0 < k < curve.size - 1 or np.isnan(curve[k - 1 : k + 2]).any():
        return float(k)
    high = curve >= highest - _PEAK * (highest - lowest)
    first, last = k - 1, k + 1
    while first > 0 and high[first - 1] and high[first]:
        first -= 1
    while last < curve.size - 1 and high[last + 1] and high[last]:
        last += 1
    places = np.arange(first, last + 1)
    bend, slope, _ = np.polyfit(places - k, curve[first : last + 1], 2)
    if not bend < 0:
        return float(k)
    return float(np.clip(k - slope / (2 * bend), first, last))


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


def _second(focus: Focus) -> int | None:
    """Another place where the energies of the filters peak, together."""
    from scipy.signal import find_peaks  # slow to import

    table = np.array([c for m, c in focus.values.items() if m != DECORRELATION])
    table = table[np.isfinite(table).any(axis=1)]
    if not len(table):
        return None
    mean = np.nan_to_num(table).mean(axis=0)
    peaks, _ = find_peaks(np.concatenate([[0], mean, [0]]), prominence=0.3 * np.ptp(mean))
    others = [int(k) - 1 for k in peaks if abs(k - 1 - focus.position) > 2 * _AGREE]
    return max(others, key=lambda k: mean[k]) if others else None


def _note(focus: Focus) -> str:
    if focus.best is None:
        return "no focus here: noise, or planes that are all alike"
    notes = []
    table = np.array(list(focus.values.values()))
    unknown = int(np.isnan(table).all(axis=0).sum())
    if unknown:
        notes.append(f"{unknown} of {len(focus.planes)} planes have no value")
    if focus.best in (0, len(focus.planes) - 1):
        notes.append("at the end of the stack: the focus may lie outside")
    second = _second(focus)
    if second is not None:
        notes.append(f"another peak at plane {focus.planes[second]}: a thick sample, or debris")
    if focus.confidence < _SURE or len(focus.votes) < _FEWEST:
        notes.append(
            f"only {focus.agreeing} of {len(MEASURES)} measures are within a plane of it: "
            "distrust it"
        )
    return "; ".join(notes)
