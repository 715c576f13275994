"""Methods against each other, on the images that both have: how much better, and how sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cellqa.errors import Undefined
from cellqa.metrics.metric import Metric
from cellqa.planes import Array
from cellqa.shown import one_line
from cellqa.statistics import mean_interval
from cellqa.tables.tally import Tally

_ROUNDING = 1e-9  # of two values, a difference that is none
_FEWEST = 3  # differences without which there is no test
_EXACT = 50  # differences up to which all signs are counted; the normal approximation beyond
_TESTABLE = 6  # differences from which Wilcoxon's test can find p below 0.05


@dataclass(frozen=True)
class Comparison:
    """Two methods, one metric: a line of comparisons.csv.

    Attributes
    ----------
    metric, first, second : str
    n : int
        Images on which both have a value.
    mean_difference, median_difference : float
        Of first - second: the mean over finite ones, the median over all; nan where there is none.
    ci_low, ci_high : float
        95 % interval of the mean difference (`cellqa.statistics.mean_interval`).
    better : float
        Share of the images on which the first is better, ties counted half; nan for a metric
        without a direction.
    effect : float
        Matched-pairs rank-biserial correlation: (rank sum in favour of the first - against it) /
        (all), -1 to 1, positive where the first is better (larger, for a metric without direction).
    p : float
        Wilcoxon signed-rank test, two-sided; of group means, where there are groups. nan below 3
        of them.
    p_holm : float
        Corrected by Holm over all comparisons of the metric.
    groups : int
        Groups that the images belong to; 0 where images count as independent.
    infinite : int
        Differences that are infinite: they count in ranks and shares, not in means.
    variant : str
        The metric's name with its variant and data range.
    reason : str
        Why there is no interval; or that there are fewer than six images or groups, so that no
        outcome could have p below 0.05.
    """

    metric: str
    first: str
    second: str
    n: int
    mean_difference: float
    median_difference: float
    ci_low: float
    ci_high: float
    better: float
    effect: float
    p: float
    p_holm: float
    groups: int
    infinite: int
    variant: str = ""
    reason: str = ""

    __repr__ = one_line


@dataclass(frozen=True)
class Friedman:
    """All methods at once: a test whether any differs, on the images that all have.

    Attributes
    ----------
    metric : str
    methods, n : int
    statistic, p : float
        nan below three methods or three images, and where nothing differs.
    """

    metric: str
    methods: int
    n: int
    statistic: float
    p: float

    __repr__ = one_line


def compare_all(tally: Tally) -> tuple[list[Comparison], list[Friedman]]:
    """Compare all methods of a run in every metric that ranks, on the images that both have.

    Where units are mixed, lengths are left out.
    """
    pairs: list[Comparison] = []
    tests: list[Friedman] = []
    groups = tally.groups
    for metric in tally.metrics:
        if not metric.ranks or (tally.mixed_units and metric.length):
            continue
        values = tally.aligned(metric.name)
        if len(values) > 1:
            variant = tally.variant(metric)
            pairs += [replace(pair, variant=variant) for pair in compare(values, metric, groups)]
            tests.append(friedman(values, metric, groups))
    return pairs, tests


def compare(
    values: Mapping[str, Array], metric: Metric, groups: Array | None = None
) -> list[Comparison]:
    """Compare each pair of methods in one metric.

    Parameters
    ----------
    values : dict
        Method to its value of each image, shape (n,), nan where it has none; the same images for
        all.
    metric : Metric
    groups : ndarray of int, shape (n,), optional
        Group of each image: images of a group (a well, a field) are not independent.

    Returns
    -------
    list of Comparison
        In the order of the methods.

    References
    ----------
    Wilcoxon F. Biometrics Bull 1, 80-83 (1945). doi 10.2307/3001968
    Kerby DS. The simple difference formula. Compr Psychol 3 (2014). doi 10.2466/11.IT.3.1
    Holm S. Scand J Stat 6, 65-70 (1979).
    """
    pairs = [
        _compare(metric, first, second, values[first], values[second], groups)
        for first, second in combinations(values, 2)
    ]
    return _corrected(pairs)


def friedman(values: Mapping[str, Array], metric: Metric, groups: Array | None = None) -> Friedman:
    """Friedman's test over all methods; of group means where there are groups.

    References
    ----------
    Friedman M. J Am Stat Assoc 32, 675-701 (1937). doi 10.1080/01621459.1937.10503522
    """
    from scipy.stats import friedmanchisquare  # slow to import

    table = np.array(list(values.values()), dtype=float)
    kept = ~np.isnan(table).any(axis=0) if table.size else np.zeros(0, bool)
    table = table[:, kept]
    if groups is not None and table.size:
        table = np.array([_group_means(row, groups[kept]) for row in table])
    methods, n = table.shape if table.ndim == 2 else (len(values), 0)
    statistic = p = math.nan
    if methods >= 3 and n >= 3 and (table != table[0]).any():
        test = friedmanchisquare(*table)
        statistic, p = float(test.statistic), float(test.pvalue)
    return Friedman(metric.name, methods, n, statistic, p)


def _compare(
    metric: Metric, first: str, second: str, a: Array, b: Array, groups: Array | None
) -> Comparison:
    known = ~(np.isnan(a) | np.isnan(b))
    with np.errstate(invalid="ignore"):
        rounding = _ROUNDING * np.maximum(np.abs(a[known]), np.abs(b[known]))
        apart = np.abs(a[known] - b[known]) > np.where(np.isinf(rounding), 0.0, rounding)
        difference = np.where((a[known] == b[known]) | ~apart, 0.0, a[known] - b[known])
    of_group = groups[known] if groups is not None else None
    finite = np.isfinite(difference)
    n = difference.size
    usable = difference[finite]
    low, high = mean_interval(usable, of_group[finite] if of_group is not None else None)
    sign = -1.0 if metric.higher_is_better is False else 1.0
    tested = difference
    if of_group is not None:
        with np.errstate(invalid="ignore"):  # a group with infinities of both signs has no mean
            tested = _group_means(difference, of_group)
        tested = tested[~np.isnan(tested)]
    return Comparison(
        metric.name,
        first,
        second,
        n,
        float(usable.mean()) if usable.size else math.nan,
        float(np.median(difference)) if n else math.nan,
        low,
        high,
        _share_better(sign * difference) if metric.ranks else math.nan,
        _rank_biserial(sign * tested),
        _wilcoxon(tested),
        math.nan,
        0 if of_group is None else tested.size,
        n - int(finite.sum()),
        reason=_reason(tested, of_group is not None, low),
    )


def _reason(tested: Array, grouped: bool, low: float) -> str:
    """Why so few say so little; else why there is no interval."""
    what, n, moved = "group" if grouped else "image", tested.size, np.count_nonzero(tested)
    if n < _TESTABLE:
        return f"{n} {what}{'' if n == 1 else 's'}: too few to test"
    if 0 < moved < _TESTABLE:
        return f"{moved} of {n} {what}s differ: too few to test"
    return low.reason if isinstance(low, Undefined) else ""


def _share_better(gain: Array) -> float:
    return (
        float(((gain > 0).sum() + 0.5 * (gain == 0).sum()) / gain.size) if gain.size else math.nan
    )


def _rank_biserial(gain: Array) -> float:
    from scipy.stats import rankdata

    moved = gain[gain != 0]
    if not moved.size:
        return 0.0 if gain.size else math.nan
    ranks = rankdata(np.abs(moved))
    return float((ranks[moved > 0].sum() - ranks[moved < 0].sum()) / ranks.sum())


def _wilcoxon(difference: Array) -> float:
    """Two-sided p: exact for so many differences other than 0, ties among them or not."""
    from scipy.stats import wilcoxon

    if difference.size < _FEWEST:
        return math.nan
    if not difference.any():
        return 1.0
    if (moved := difference[difference != 0]).size <= _EXACT:
        return _signed_ranks(moved)
    # only the ranks of infinite differences count: one beyond the largest finite one
    finite = difference[np.isfinite(difference)]
    beyond = 2 * np.abs(finite).max(initial=1.0) + 1
    return float(wilcoxon(np.clip(difference, -beyond, beyond)).pvalue)


def _signed_ranks(moved: Array) -> float:
    """Share of all choices of signs whose sum of ranks is as far from the middle."""
    from scipy.stats import rankdata

    ranks = np.rint(2 * rankdata(np.abs(moved))).astype(int)  # halves where values are equal
    ways = np.zeros(ranks.sum() + 1)
    ways[0] = 1
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    least = int(min(ranks[moved > 0].sum(), ranks[moved < 0].sum()))
    return min(1.0, 2 * float(ways[: least + 1].sum()) / 2.0**moved.size)


def _corrected(pairs: Sequence[Comparison]) -> list[Comparison]:
    """Holm's correction over the tests that could be made."""
    known = [k for k, pair in enumerate(pairs) if not math.isnan(pair.p)]
    corrected = list(pairs)
    if known:
        from statsmodels.stats.multitest import multipletests  # slow to import

        p_holm = multipletests([pairs[k].p for k in known], method="holm")[1]
        for k, p in zip(known, p_holm, strict=True):
            corrected[k] = replace(pairs[k], p_holm=float(p))
    return corrected


def _group_means(values: Array, groups: Array) -> Array:
    _, place = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(place, values) / np.bincount(place))
