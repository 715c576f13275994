from __future__ import annotations

import math

import numpy as np
import pytest

from cellqa.registry import select
from cellqa.rows import Row, Tally
from cellqa.statistics import mean_interval, summarise


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
