"""How counts, areas and intensities of objects agree with the ground truth: agreement.csv."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cellqa.metrics.objects import INVENTED, MATCHED, MISSED
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.statistics import jackknife_interval
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally

QUANTITIES = ("count", "area", "mean", "total")
_SUMS = 9  # as `sums_of` has them
_STATISTICS = ("relative", "bias", "lower", "upper", "slope", "proportion", "within", "r2")
_REACH = 1.96  # standard deviations, of limits of agreement
_FEWEST = 3  # that a line is put through, and fields that intervals take
_CLOSE = 0.03  # off the truth, up to which nothing is said
_CLEAR = 0.1  # from which a quantity is spoilt
_LOOSE = 0.9  # R² below which single objects say little


@dataclass(frozen=True)
class Agreement:
    """How one quantity of a method's objects agrees with the ground truth's.

    Of matched objects: `area` in pixels, `mean` and `total` intensity above the background, in grey
    levels; and the `count` of objects in each plane. `..._low` and `..._high` are 95 % intervals,
    by fields (`cellqa.statistics.jackknife_interval`); nan where there is none.

    Attributes
    ----------
    method, quantity : str
    n : int
        Matched objects; planes, of counts.
    fields : int
        Groups that are independent of each other.
    matched, missed, invented : int
        Objects of the method.
    truth : float
        Mean of the ground truth.
    relative : float
        Mean over that of the ground truth, less 1.
    bias : float
        Mean difference.
    lower, upper : float
        Limits of agreement: the bias less and plus 1.96 standard deviations of the differences.
    slope : float
        Least squares of the image's values on the truth's.
    proportion : float
        The slope over the ratio of the means: 1 where the line goes through the origin, below
        where large and small, bright and dim are nearer to each other than they should be.
    within : float
        The same of the objects of each plane among each other.
    r2 : float
        Squared correlation.

    References
    ----------
    Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8; with the difference against the truth
    itself: Krouwer 2008, doi 10.1002/sim.3086.
    """

    method: str
    quantity: str
    n: int
    fields: int
    matched: int
    missed: int
    invented: int
    truth: float
    relative: float
    relative_low: float
    relative_high: float
    bias: float
    bias_low: float
    bias_high: float
    lower: float
    lower_low: float
    lower_high: float
    upper: float
    upper_low: float
    upper_high: float
    slope: float
    slope_low: float
    slope_high: float
    proportion: float
    proportion_low: float
    proportion_high: float
    within: float
    within_low: float
    within_high: float
    r2: float
    r2_low: float
    r2_high: float


class ObjectSums:
    """What agreement needs of the rows: some sums a row, not the objects."""

    def __init__(self, methods: Sequence[str]) -> None:
        self._sums = {m: array("d") for m in methods}
        self._places = {m: array("q") for m in methods}

    def add(self, row: Row, place: int) -> None:
        """Add a row; `place` is its number among those of its method that are `ok`."""
        if row.found is None:
            return
        of = {MATCHED: 0, MISSED: 0, INVENTED: 0}
        pairs = []
        for truth, image in zip(row.objects, row.found, strict=True):
            of[image.state] += 1
            if image.state == MATCHED:
                assert truth.area is not None
                assert image.found_area is not None
                pairs.append((truth.area, image.found_area, image.gt_total, image.found_total))
        areas, found, totals, found_totals = np.array(pairs, float).reshape(-1, 4).T
        values: list[float] = [of[MATCHED], of[MISSED], of[INVENTED]]
        there, here = of[MATCHED] + of[MISSED], of[MATCHED] + of[INVENTED]
        values += sums_of(np.array([there], float), np.array([here], float))
        values += sums_of(areas, found)
        values += sums_of(totals / areas, found_totals / found)
        values += sums_of(totals, found_totals)
        self._sums[row.method].extend(values)
        self._places[row.method].append(place)

    def agreements(self, tally: Tally) -> Iterator[Agreement]:
        """A line for each method and quantity."""
        for method, sums in self._sums.items():
            if not sums:
                continue
            rows = np.array(sums).reshape(-1, 3 + len(QUANTITIES) * _SUMS)
            groups = tally.groups_of(method)
            of = np.arange(len(rows))
            if groups is not None:
                of = np.unique(groups[np.array(self._places[method])], return_inverse=True)[1]
            fields = np.zeros((of.max() + 1, rows.shape[1]))
            np.add.at(fields, of, rows)
            number = fields[:, :3].sum(axis=0).astype(int).tolist()
            for k, quantity in enumerate(QUANTITIES):
                own = fields[:, 3 + k * _SUMS : 3 + (k + 1) * _SUMS]
                yield _agreement(method, quantity, number, own[own[:, 0] > 0])


def sums_of(truth: Array, image: Array) -> list[float]:
    """Of one plane: n, truth t, image m, t², t m, m², (m - t)²; and t² and t m less the means."""
    products = [truth * truth, truth * image, image * image, (image - truth) ** 2]
    if truth.size:
        apart = truth - truth.mean()
        products += [apart * apart, apart * (image - image.mean())]
    else:
        products += [truth, truth]
    return [truth.size, *(float(each.sum()) for each in (truth, image, *products))]


def _agreement(method: str, quantity: str, number: Sequence[int], sums: Array) -> Agreement:
    total = sums.sum(axis=0)
    n = int(total[0])
    values = statistics(total)
    low, high = jackknife_interval(statistics, sums)
    known: dict[str, float] = {}
    for name, *each in zip(_STATISTICS, values, low, high, strict=True):
        known |= dict(zip((name, f"{name}_low", f"{name}_high"), map(float, each), strict=True))
    known["r2_high"] = min(known["r2_high"], 1.0)
    known["r2_low"] = max(known["r2_low"], 0.0)
    truth = float(total[1] / n) if n else math.nan
    matched, missed, invented = number
    return Agreement(
        method, quantity, n, len(sums), matched, missed, invented, truth=truth, **known
    )


def statistics(sums: Array) -> Array:
    """The statistics of agreement of sums.

    Parameters
    ----------
    sums : ndarray, shape (..., 9)
        As `sums_of` gives them, added up.

    Returns
    -------
    ndarray, shape (..., 8)
        Relative bias, bias, limits, slope, proportion, within, R²; nan where undefined.
    """
    n, t, m, tt, tm, mm, dd, tt_within, tm_within = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = (m - t) / n
        spread = _REACH * np.sqrt(np.maximum(dd - n * bias**2, 0) / (n - 1))
        own, their, both = tt - t * t / n, mm - m * m / n, tm - t * m / n
        line = (n >= _FEWEST) & (own > 1e-12 * tt)
        slope = np.where(line, both / own, math.nan)
        r2 = np.where(line & (their > 1e-12 * mm), both**2 / (own * their), math.nan)
        relative = np.where(t > 0, m / t - 1, math.nan)
        proportion = np.where((t > 0) & (m > 0), slope * t / m, math.nan)
        inner = line & (m > 0) & (t > 0) & (tt_within > 1e-12 * tt)
        within = np.where(inner, tm_within / tt_within * t / m, math.nan)
        known = [relative, bias, bias - spread, bias + spread, slope, proportion, within, r2]
        return np.stack([np.where(np.isfinite(each), each, math.nan) for each in known], axis=-1)


@dataclass(frozen=True)
class Verdict:
    """What became of a method's objects, in words.

    Attributes
    ----------
    method : str
    text : str
        Counts, areas and intensities, as "counts within 1 %, areas 3 % larger".
    spoilt : tuple of str
        Of `counts`, `areas`, `intensities`, those that are off by a tenth or more.
    """

    method: str
    text: str
    spoilt: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it in a line.

        Examples
        --------
        >>> Verdict("te", "areas 12 % larger", ("areas", "intensities")).line
        'te: areas 12 % larger: do not quantify areas and intensities in it'
        """
        if not self.spoilt:
            return f"{self.method}: {self.text}"
        if self.method == Role.REFERENCE:
            return (
                f"{self.method}: {self.text}: the segmentation does not find what the labels say, "
                "which is in the numbers of all that it segments"
            )
        *some, last = self.spoilt
        what = f"{', '.join(some)} and {last}" if some else last
        return f"{self.method}: {self.text}: do not quantify {what} in it"


def verdicts(agreements: Sequence[Agreement]) -> list[Verdict]:
    """What became of counts, areas and intensities, for each method."""
    of: dict[str, dict[str, Agreement]] = {}
    for line in agreements:
        of.setdefault(line.method, {})[line.quantity] = line
    return [_verdict(method, lines) for method, lines in of.items()]


def object_doubts(agreements: Sequence[Agreement]) -> list[str]:
    """What is not to be counted or quantified, a line for each method that claims something."""
    made = (Role.RAW, Role.EGT)  # of which nothing is claimed
    return [v.line for v in verdicts(agreements) if v.spoilt and v.method not in made]


def _verdict(method: str, of: Mapping[str, Agreement]) -> Verdict:
    count, area, mean, total = (of[quantity] for quantity in QUANTITIES)
    truths = count.matched + count.missed
    if not truths:
        found = f", {count.invented} invented" * (count.invented > 0)
        text = f"the ground truth has no objects{found}"
        return Verdict(method, text, ("counts",) * (count.invented > 0))
    told, spoilt = [], []
    missed, invented = count.missed / truths, count.invented / truths
    parts = f" ({_share(missed)} missed, {_share(invented)} invented)"
    told.append(f"counts {_change(count, 'higher', 'lower')}{parts * (missed + invented > _CLOSE)}")
    level = count.relative, count.relative_low, count.relative_high
    if max(missed, invented) > _CLEAR or _spoilt(*level):
        spoilt.append("counts")
    if not count.matched:
        text = f"{told[0]}, no object matched"
        return Verdict(method, text, (*spoilt, "areas", "intensities"))
    told.append(f"areas {_change(area, 'larger', 'smaller')}")
    if _spoilt(area.relative, area.relative_low, area.relative_high):
        spoilt.append("areas")
    every = mean.proportion, mean.proportion_low, mean.proportion_high
    inner = mean.within, mean.within_low, mean.within_high
    off = [each for each in (every, inner) if _off(*(value - 1 for value in each))]
    most = max(off, key=lambda each: abs(each[0] - 1), default=(1.0, 1.0, 1.0))
    share, where = most[0], " within images" * (most is inner)
    level = total.relative, total.relative_low, total.relative_high
    if off:
        kind = "compressed" if share < 1 else "stretched"
        how = f" and reversed{where}" if share < 0 else f" and {kind} to {_share(share)}{where}"
    else:
        how = ", in proportion" * (_off(*level) and not math.isnan(mean.proportion))
    told.append(f"intensities {_change(total, 'higher', 'lower')}{how}")
    loose = total.r2 < _LOOSE
    if loose:
        told.append(f"which follow the truth loosely (R² {total.r2:.2f})")
    if loose or _spoilt(*level) or abs(share - 1) > _CLEAR:
        spoilt.append("intensities")
    few = f" (of {count.fields} field{'s' * (count.fields > 1)}, too few for intervals)"
    return Verdict(method, ", ".join(told) + few * (count.fields < _FEWEST), tuple(spoilt))


def _change(of: Agreement, more: str, less: str) -> str:
    value, low, high = of.relative, of.relative_low, of.relative_high
    if math.isnan(value):
        return "of no sum above the background"
    if _off(value, low, high):
        return f"{_share(abs(value))} {more if value > 0 else less}"
    ends = [abs(each) for each in (value, low, high) if not math.isnan(each)]
    return f"within {max(1, math.ceil(100 * max(ends) - 1e-9))} %" if value else "the same"


def _off(value: float, low: float, high: float) -> bool:
    """Whether a value is other than 0 by more than its interval, and by more than matters."""
    if not abs(value) > _CLOSE:
        return False
    return abs(value) > _CLEAR if math.isnan(low) else not low <= 0 <= high


def _spoilt(value: float, low: float, high: float) -> bool:
    return _off(value, low, high) and abs(value) > _CLEAR


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
