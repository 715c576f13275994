"""How often the 95 % intervals of summary.csv hold the true mean, by the number of images.

python benchmarks/bench_coverage.py [REPEATS]

Beside them: Student's t, and scipy's BCa bootstrap (of 2,000 resamples) on a tenth of the samples.
Where an interval cannot be given (all values equal) it is not counted; the share that is given
stands in brackets where it is below 1.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats
from timing import heading

from cellqa.statistics import mean_interval

SIZES = (3, 4, 5, 6, 8, 10, 20, 50)
Draw = Callable[[np.random.Generator, int], np.ndarray]


def zeros(share: float) -> Draw:
    return lambda rng, n: rng.exponential(1, n) * (rng.random(n) > share)


KINDS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(30, 3, n), 30.0),
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "log-normal, sigma 0.5": (lambda rng, n: rng.lognormal(0, 0.5, n), math.exp(0.125)),
    "log-normal, sigma 1": (lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5)),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0),
    "like SSIM (beta 9, 1)": (lambda rng, n: rng.beta(9, 1, n), 0.9),
    "half zeros": (zeros(0.5), 0.5),
    "nine tenths zeros": (zeros(0.9), 0.1),
}


def student(values: np.ndarray) -> tuple[float, float]:
    reach = stats.t.ppf(0.975, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size)
    return float(values.mean() - reach), float(values.mean() + reach)


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interval = stats.bootstrap(
            (values,), np.mean, n_resamples=2000, rng=np.random.default_rng(1)
        ).confidence_interval
    return float(interval.low), float(interval.high)


def coverage(
    interval: Callable[[np.ndarray], tuple[float, float]],
    samples: list[np.ndarray],
    mean: float,
) -> str:
    given = [pair for pair in map(interval, samples) if not math.isnan(pair[0])]
    share = np.mean([low <= mean <= high for low, high in given])
    return f"{share:.3f}" + (
        f" ({len(given) / len(samples):.2f})" if len(given) < len(samples) else ""
    )


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print(heading("Coverage of 95 % intervals of the mean"))
    print("\n| values | interval | " + " | ".join(f"n = {n}" for n in SIZES) + " |")
    print("|---|---" + "|---" * len(SIZES) + "|")
    for kind, (draw, mean) in KINDS.items():
        rng = np.random.default_rng(1)
        samples = {n: [draw(rng, n) for _ in range(repeats)] for n in SIZES}
        few = {n: s[: repeats // 10] for n, s in samples.items()}
        for name, interval, used in (
            ("cellqa", mean_interval, samples),
            ("Student", student, samples),
            ("BCa", bootstrap, few),
        ):
            cells = [coverage(interval, used[n], mean) for n in SIZES]
            print(f"| {kind} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
