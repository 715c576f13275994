from __future__ import annotations

import math

import numpy as np
import pytest

from cellqa.metrics.registry import select
from cellqa.tables.rows import Row
from cellqa.tables.summary import below, summarise, summarise_places
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


@pytest.mark.parametrize(
    ("metric", "values", "limit", "missed"),
    [
        ("psnr", [30.0, math.inf], 29, False),  # identical images are no reason to fail
        ("psnr", [math.inf], 29, False),
        ("psnr", [30.0, math.inf], 31, True),
        ("frc_resolution", [math.inf], 3, True),  # agreement nowhere is the worst there is
        ("frc_resolution", [2.5, 2.5, math.inf], 5, True),
        ("frc_resolution", [2.5, 2.5], 5, False),
        ("frc_resolution", [math.nan], 5, True),
        # most have no contrast, and the mean is of the one that has
        ("frc_resolution", [2.0, *[math.nan] * 7], 5, True),
        ("frc_resolution", [*[2.0] * 99, math.nan], 5, False),
        # what an image has alone may be undefined for reasons of its own
        ("resolution", [2.0, math.nan], 5, False),
    ],
)
def test_infinity_counts_on_the_side_that_it_stands_for(
    metric: str, values: list[float], limit: float, missed: bool
) -> None:
    counted = Tally(["net", "gt"], select([metric]))
    for k, value in enumerate(values):
        counted.add(Row(f"{k}", "net", values={metric: value}))
    assert bool(below(counted, summarise(counted), {metric: limit}, ["net"])) == missed


def test_where_there_is_no_interval_the_reason_is_said() -> None:
    (equal,) = summarise(tally(0.0, 0.0, 0.0))
    assert math.isnan(equal.ci_low)
    assert equal.ci_reason == "all 3 values are equal"
    (two,) = summarise(tally(1.0, 2.0))
    assert two.ci_reason == "2 values: 3 are needed"


def test_channels_and_times_are_summarised_apart() -> None:
    counted = Tally(["net", "gt"], select(["psnr"]))
    for t in range(3):
        for c in range(2):
            values = {"psnr": 20.0 + 10 * c + t}
            counted.add(Row(f"a.tif#t{t}c{c}z0", "net", values=values))
    found = {(axis, at): s for axis, at, s in summarise_places(counted)}
    assert list(found) == [
        ("time", "0"), ("time", "1"), ("time", "2"), ("channel", "0"), ("channel", "1"),
    ]  # fmt: skip
    assert found["channel", "1"].mean == 31
    assert (found["time", "2"].n, found["time", "2"].mean) == (2, 27)
    assert found["channel", "0"].groups == 1  # planes of one file
    assert not summarise_places(tally(1.0, 2.0))
