from __future__ import annotations

import math

import numpy as np
import pytest

from cellqa.metrics.registry import select
from cellqa.tables.rows import Row
from cellqa.tables.summary import mean_interval, summarise
from cellqa.tables.tally import Tally


def tally(*values: float, failed: int = 0) -> Tally:
    counted = Tally(["net", "gt"], select(["psnr"]))
    for k, value in enumerate(values):
        counted.add(Row(f"{k}", "net", values={"psnr": value}))
    for k in range(failed):
        counted.add(Row(f"x{k}", "net", status="failed", reason="bad"))
    return counted


def test_summary_against_numpy() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0]
    (summary,) = summarise(tally(*values, math.inf, math.nan, failed=2))
    assert (summary.n, summary.infinite, summary.undefined, summary.failed) == (5, 1, 1, 2)
    expected = np.mean(values), np.median(values), np.std(values, ddof=1)
    assert (summary.mean, summary.median, summary.std) == pytest.approx(expected)
    assert (summary.q25, summary.q75) == (1.5, 4.0)
    assert summary.ci_low < summary.mean < summary.ci_high


def test_too_few_values_have_no_spread() -> None:
    (one,) = summarise(tally(2.0))
    assert (one.n, one.mean) == (1, 2.0)
    assert math.isnan(one.std)
    assert math.isnan(one.ci_low)
    (none,) = summarise(tally(math.inf))
    assert none.n == 0
    assert math.isnan(none.mean)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = mean_interval(rng.normal(5, 2, 40))
        hits += low < 5 < high
    # 95 % of 200 is 190 with a standard deviation of 3; BCa at n = 40 runs 1-2 % low
    assert 178 <= hits <= 198


def test_intervals_are_seeded() -> None:
    values = np.random.default_rng(1).normal(size=30)
    assert mean_interval(values) == mean_interval(values)
    low, high = mean_interval(np.random.default_rng(1).normal(size=6000))
    assert low < high


@pytest.mark.parametrize(("groups", "each"), [(30, 10), (60, 4)])
def test_the_cluster_interval_covers_where_images_are_not_independent(
    groups: int, each: int
) -> None:
    """A field has its own level: intervals over tiles miss, intervals over fields do not."""
    rng = np.random.default_rng(groups)
    field = np.repeat(np.arange(groups), each)
    hits = np.zeros(2)
    for _ in range(200):
        values = rng.normal(0, 1, groups)[field] + rng.normal(0, 0.5, groups * each)
        for k, of in enumerate((field, None)):
            low, high = mean_interval(values, of)
            hits[k] += low < 0 < high
    # 190 expected, standard deviation 3; BCa of 30 groups runs a little low
    assert 174 <= hits[0] <= 198
    assert hits[1] < 155


def test_the_cluster_interval_of_groups_of_one_is_the_plain_one() -> None:
    values = np.random.default_rng(1).normal(size=25)
    assert mean_interval(values, np.arange(25)) == mean_interval(values)
    assert math.isnan(mean_interval(values, np.arange(25) % 2)[0])  # two groups are too few


def test_large_numbers_take_the_normal_interval() -> None:
    values = np.random.default_rng(1).exponential(size=60_000)
    low, high = mean_interval(values)
    reach = 1.959964 * values.std(ddof=1) / math.sqrt(values.size)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach))
