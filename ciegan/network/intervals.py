"""Intervals around a network's output that hold: split conformal, by level and by change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cellqa.planes import Array
from cellqa.shown import one_line

COVERAGES = (50, 68, 80, 90, 95)  # per cent
_LEVELS = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97.5, 99)  # percentiles: bright ones are few
_CHANGES = 6  # bins of each level
_FEWEST = 200  # pixels of a bin that is told of
_LEAST = 2000  # in all
_NEVER = 1e30  # a change beyond any: the edge of a bin that is not used
_MOST_BINS = 1000
_BRIGHT = 95  # percentile of the levels


@dataclass(frozen=True)
class Intervals:
    """Where the truth lies beside a network's output, in bins of what is known of a pixel.

    A pixel is known by its level, the output on the scale of black (0) and white (1), and by its
    change, how far the output is from the input. In each bin the quantiles of truth - output on
    fields that the weights were not trained on are the interval (Mondrian conformal prediction:
    Vovk et al. 2005, doi 10.1007/b106715, chapter 4): of pixels of such fields the stated share
    lies within, at each level.

    Attributes
    ----------
    levels : ndarray, shape (n - 1,)
        Edges of the bins of level.
    changes : ndarray, shape (n, m - 1)
        Edges of the bins of change, of each level.
    ends : ndarray, shape (n + 1,)
        Smallest and largest level, and the largest change of each bin of level but the last two
        entries: the levels. Beyond, nothing is known.
    lower, upper : ndarray, shape (len(COVERAGES), n, m)
        Added to the level; nan where a bin had too few pixels.
    """

    levels: Array
    changes: Array
    ends: Array
    lower: Array
    upper: Array

    __repr__ = one_line

    def bounds(self, level: Array, change: Array, coverage: int) -> tuple[Array, Array]:
        """Lower and upper end of each pixel's interval, as levels; nan where nothing is known.

        Parameters
        ----------
        level, change : ndarray
            Of the same shape.
        coverage : int
            One of `COVERAGES`.
        """
        row = COVERAGES.index(coverage)
        place = np.digitize(level, self.levels)
        column = (change[..., None] >= self.changes[place]).sum(axis=-1)
        lower = level + self.lower[row][place, column]
        upper = level + self.upper[row][place, column]
        lowest, highest = self.ends[-2:]
        beyond = (level < lowest) | (level > highest) | (change > self.ends[:-2][place])
        lower[beyond] = upper[beyond] = np.nan
        return lower, upper

    def holding(
        self, known: tuple[Array, Array, Array], coverage: int
    ) -> tuple[Array, Array, Array]:
        """Whether the truth of each pixel lies within, which are bright, and how wide it is.

        Parameters
        ----------
        known : (ndarray, ndarray, ndarray)
            Level, change and error, of `pixels_known`.
        coverage : int
            One of `COVERAGES`.

        Returns
        -------
        ndarray of bool, ndarray of bool, ndarray of float
            False, and nan, where nothing is known; bright are levels from the 95th percentile on.
        """
        level, change, error = known
        lower, upper = self.bounds(level, change, coverage)
        within = (level + error >= lower) & (level + error <= upper)
        return within, level >= np.percentile(level, _BRIGHT), upper - lower

    def as_lists(self) -> dict[str, Any]:
        """As JSON; nan is null."""
        return {each.name: _listed(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def from_lists(cls, table: Mapping[str, Any]) -> Intervals:
        """Read what `as_lists` made.

        Raises
        ------
        ValueError
            Shapes or values are not those of intervals.
        """
        levels, changes, ends, lower, upper = (
            np.array(table[each.name], np.float64) for each in fields(cls)
        )
        number = len(levels) + 1
        shape = (len(COVERAGES), number, changes.shape[1] + 1)
        right = changes.shape[0] == number and ends.shape == (number + 2,)
        right = right and lower.shape == upper.shape == shape and lower[0].size <= _MOST_BINS
        if not right:
            raise ValueError("the shapes of the intervals do not fit")
        if not (np.diff(levels) >= 0).all() or not (np.diff(changes, axis=1) >= 0).all():
            raise ValueError("the bins of the intervals are not in order")
        with np.errstate(invalid="ignore"):
            if (lower > upper).any():
                raise ValueError("an interval ends before it begins")
        return cls(levels, changes, ends, lower, upper)


def pixels_known(
    image: Array, source: Array, target: Array, limits: tuple[float, float], step: int = 1
) -> tuple[Array, Array, Array]:
    """Level, change and error of every so many pixels of a result, as `fit` takes them.

    Parameters
    ----------
    image, source, target : ndarray
        Result, input and truth, in grey levels.
    limits : (float, float)
        Black and white.
    step : int
    """
    low, high = limits
    made, raw, true = (
        (p.ravel()[::step].astype(np.float64) - low) / (high - low) for p in (image, source, target)
    )
    return made, np.abs(made - raw), true - made


def joined(parts: Sequence[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    """Level, change and error of several images together."""
    level, change, error = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return level, change, error


def _listed(values: Array) -> Any:
    """Nested lists of seven digits; null for nan."""
    if values.ndim:
        return [_listed(each) for each in values]
    value = float(values)
    return None if math.isnan(value) else float(f"{value:.7g}")


def _edges(number: int) -> list[float]:
    """Percentiles between the bins of level, each of which has enough of so many pixels."""
    edges: list[float] = []
    for edge in _LEVELS:
        apart = min(edge - (edges[-1] if edges else 0), 100 - edge)
        if apart / 100 * number >= _FEWEST:
            edges.append(edge)
    return edges


def fit(known: Sequence[tuple[Array, Array, Array]]) -> Intervals | None:
    """Intervals from level, change and truth - level of pixels; None where they are too few.

    Parameters
    ----------
    known : sequence of (level, change, error)
        Of an image each, flat arrays of one length.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> level = rng.uniform(0, 1, 50_000)
    >>> made = fit([(level, rng.uniform(0, 0.1, 50_000), rng.normal(0, 0.1 * level))])
    >>> lower, upper = made.bounds(np.array([0.5]), np.array([0.05]), 90)
    >>> bool(0.13 < upper[0] - lower[0] < 0.2)
    True
    """
    level, change, error = joined(known)
    if len(level) < _LEAST:
        return None
    levels = np.percentile(level, _edges(len(level)))
    place = np.digitize(level, levels)
    number = len(levels) + 1
    changes = np.full((number, _CHANGES - 1), _NEVER)
    ends = np.zeros(number + 2)
    lower = np.full((len(COVERAGES), number, _CHANGES), np.nan)
    upper = lower.copy()
    for k in range(number):
        inside = place == k
        if not inside.any():
            continue
        here, off = change[inside], error[inside]
        bins = max(1, min(_CHANGES, len(here) // _FEWEST))
        changes[k, : bins - 1] = np.quantile(here, np.linspace(0, 1, bins + 1)[1:-1])
        ends[k] = here.max()
        column = (here[:, None] >= changes[k]).sum(axis=1)
        for m in range(_CHANGES):
            sample = off[column == m]
            if len(sample) < _FEWEST // 2:  # equal values fall into one bin
                continue
            for row, coverage in enumerate(COVERAGES):
                # as many as one more pixel asks for
                share = min(1.0, (0.5 + coverage / 200) * (len(sample) + 1) / len(sample))
                lower[row, k, m] = np.quantile(sample, 1 - share)
                upper[row, k, m] = np.quantile(sample, share)
    ends[-2:] = level.min(), level.max()
    return Intervals(levels, changes, ends, lower, upper)
