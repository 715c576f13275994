"""What is odd in a table of somebody else's numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from cellqa.tables.tally import Tally


def suspicions(tally: Tally) -> Iterator[str]:
    """What a reader of somebody else's numbers should know: exact zeros and far outliers.

    Zeros are told where the other values are far from them; outliers are beyond ten quartile
    ranges from the quartiles.
    """
    for (method, name), values in tally.values.items():
        numbers = pd.Series(values, dtype=float).dropna()
        numbers = numbers[numbers.abs() < math.inf]
        if len(numbers) < 8:
            continue
        q25, median, q75 = (float(q) for q in numbers.quantile([0.25, 0.5, 0.75]))
        zeros = int((numbers == 0).sum())
        rest = numbers[numbers != 0]
        if zeros and len(rest) and q25 > 0 and zeros < len(numbers) / 2:
            yield (
                f"{name} of {method} is exactly 0 in {zeros} of {len(numbers)} images: they pull "
                f"the mean from {rest.mean():.4g} to {numbers.mean():.4g}"
            )
        reach = 10 * (q75 - q25)
        far = numbers[(numbers > q75 + reach) | (numbers < q25 - reach)]
        far = far[far != 0]
        if reach > 0 and len(far):
            worst = float(far[(far - median).abs().idxmax()])
            yield (
                f"{name} of {method} is {worst:.4g} in one image, where the median is {median:.4g}"
                + (f"; {len(far)} images lie as far out" if len(far) > 1 else "")
            )
