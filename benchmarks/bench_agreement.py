"""How often intervals of agreement.csv hold the truth, by the number of fields.

python benchmarks/bench_agreement.py [REPEATS]

Fields of 15 objects or so, brighter in some than in others; what is made of them has 1.05 times the
brightness, by field and object another one. The jackknife of `cellqa.statistics` beside bootstraps
of fields: percentiles, and percentiles with Hesterberg's correction for few (2015, doi
10.1080/00031305.2015.1089789).
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats
from timing import heading

from cellqa.planes import Array
from cellqa.statistics import jackknife_interval
from cellqa.tables.agreement import statistics, sums_of

FIELDS = (3, 5, 8, 15, 30)
SHOWN = {"ratio of means": 0, "slope": 4, "R²": 7, "lower limit": 2, "upper limit": 3}
Interval = Callable[[Array, np.random.Generator], tuple[Array, Array]]


def fields(number: int, rng: np.random.Generator) -> Array:
    """Sums of each field, as `cellqa.tables.agreement` keeps them."""
    rows = []
    for _ in range(number):
        n = max(1, rng.poisson(15))
        truth = rng.lognormal(5 + rng.normal(0, 0.2), 0.4, n)
        image = (1.05 + rng.normal(0, 0.04)) * truth * np.exp(rng.normal(0, 0.1, n)) + 5
        rows.append(sums_of(truth, image))
    return np.array(rows, float)


def jackknife(sums: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    return jackknife_interval(statistics, sums)


def percentiles(*, corrected: bool) -> Interval:
    def interval(sums: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        n = len(sums)
        drawn = statistics(rng.multinomial(n, np.full(n, 1 / n), 2000) @ sums)
        tail = 0.025
        if corrected:
            tail = float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)))
        low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
        return low, high

    return interval


INTERVALS: dict[str, Interval] = {
    "cellqa": jackknife,
    "percentiles": percentiles(corrected=False),
    "percentiles, corrected": percentiles(corrected=True),
}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(heading("Coverage of 95 % intervals of agreement"))
    print("\n| of | interval | " + " | ".join(f"{n} fields" for n in FIELDS) + " |")
    print("|---|---" + "|---" * len(FIELDS) + "|")
    rng = np.random.default_rng(0)
    true = statistics(fields(20000, rng).sum(axis=0))
    held: dict[tuple[str, int], Array] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in FIELDS:
            samples = [fields(n, rng) for _ in range(repeats)]
            for name, interval in INTERVALS.items():
                pairs = [interval(sums, rng) for sums in samples]
                held[name, n] = np.mean([(low <= true) & (true <= high) for low, high in pairs], 0)
    for what, k in SHOWN.items():
        for name in INTERVALS:
            cells = [f"{held[name, n][k]:.3f}" for n in FIELDS]
            print(f"| {what} | {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
