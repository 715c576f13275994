"""Intervals hold the mean as often as they say, from three values on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cellqa.errors import Undefined
from cellqa.statistics import mean_interval

Draw = Callable[[np.random.Generator, int], np.ndarray]


def zeros(share: float) -> Draw:
    return lambda rng, n: rng.exponential(1, n) * (rng.random(n) > share)


KINDS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(30, 3, n), 30.0),
    "log-normal": (lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125)),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0),
    "like SSIM": (lambda rng, n: rng.beta(9, 1, n), 0.9),
    "half zeros": (zeros(0.5), 0.5),
    "mostly zeros": (zeros(0.7), 0.3),
}
# What skewed values lose where a sample of three to five cannot show its skewness.
LOWEST = {3: 0.88, 4: 0.895, 5: 0.91, 6: 0.92, 10: 0.925, 20: 0.93}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", LOWEST)
def test_intervals_cover(kind: str, n: int) -> None:
    draw, mean = KINDS[kind]
    rng = np.random.default_rng(n)
    intervals = [mean_interval(draw(rng, n)) for _ in range(2000)]
    given = [(low, high) for low, high in intervals if not math.isnan(low)]
    covered = np.mean([low <= mean <= high for low, high in given])
    noise = 2.6 * math.sqrt(0.05 * 0.95 / len(given))
    lowest = 0.94 if kind == "normal" or "zeros" in kind else LOWEST[n]
    assert lowest - noise <= covered <= 0.985 + noise


@pytest.mark.parametrize(("groups", "each"), [(4, 10), (10, 4), (30, 10)])
def test_the_interval_of_groups_covers_where_images_are_not_independent(
    groups: int, each: int
) -> None:
    """A field has its own level: intervals over tiles miss, intervals over fields do not."""
    rng = np.random.default_rng(groups)
    field = np.repeat(np.arange(groups), each)
    hits = np.zeros(2)
    for _ in range(400):
        values = rng.normal(0, 1, groups)[field] + rng.normal(0, 0.5, groups * each)
        for k, of in enumerate((field, None)):
            low, high = mean_interval(values, of)
            hits[k] += low < 0 < high
    assert 0.92 <= hits[0] / 400 <= 0.99
    assert hits[1] / 400 < 0.8


def test_groups_of_one_change_nothing() -> None:
    values = np.random.default_rng(1).normal(size=25)
    assert mean_interval(values, np.arange(25)) == pytest.approx(mean_interval(values))


@pytest.mark.parametrize(
    ("values", "groups", "reason"),
    [
        ([1.0, 2.0], None, "2 values: 3 are needed"),
        ([0.0] * 7, None, "all 7 values are equal"),
        ([0.0] * 6 + [1.0], None, "all but one of 7 values are equal"),
        ([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], "2 groups: 3 are needed"),
        ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], [0, 0, 1, 1, 2, 2], "all 3 groups have one mean"),
    ],
)
def test_no_interval_without_a_reason(
    values: list[float], groups: list[int] | None, reason: str
) -> None:
    of = None if groups is None else np.array(groups)
    low, high = mean_interval(np.array(values), of)
    assert isinstance(low, Undefined)
    assert isinstance(high, Undefined)
    assert low.reason == reason


def test_large_samples_take_the_normal_interval() -> None:
    values = np.random.default_rng(1).exponential(size=60_000)
    low, high = mean_interval(values)
    reach = 1.959964 * values.std(ddof=1) / math.sqrt(values.size)
    expected = values.mean() - reach, values.mean() + reach
    assert (low, high) == pytest.approx(expected, abs=0.02 * reach)
