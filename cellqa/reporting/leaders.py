"""Which method leads in a metric: judged on the images that all methods have."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cellqa.metrics.metric import Metric
from cellqa.metrics.resolution import FILTERED
from cellqa.metrics.shared_noise import FEW, SHARED
from cellqa.pairs.roles import Role
from cellqa.reporting.load import LoadedRun
from cellqa.tables.comparisons import Comparison
from cellqa.tables.standing import SURE, shown_p
from cellqa.tables.undefined import lacking
from cellqa.tables.verdict import Verdict, judge


@dataclass(frozen=True)
class Lead:
    """Who leads in one metric.

    Attributes
    ----------
    of : Metric
    leaders : list of str
        More than one is a tie; empty where no image has a value of all methods.
    rival : str
        The next; the input where there is no other method, empty where there is none at all.
    values : dict
        Method to its mean over the common images; to its median where a value is infinite.
    common, total : int
        Images that all methods have a value of, and images that any has.
    medians : bool
    """

    of: Metric
    leaders: list[str]
    rival: str
    values: dict[str, float]
    common: int
    total: int
    medians: bool


def lead(run: LoadedRun, of: Metric) -> Lead | None:
    """Who leads; None where no method has a value, or where it tells of filters or of noise."""
    table = run.values(of.name)
    candidates = [m for m in run.ranked if m in table.columns]
    if not candidates:
        return None
    if misled(run, of):
        return None
    every = table[candidates].dropna(how="all")
    common = every.dropna()
    if common.empty:
        return Lead(of, [], "", {}, 0, len(every), False)
    medians = bool(np.isinf(common.to_numpy()).any())
    values = common.median() if medians else common.mean()
    known = {str(m): float(v) for m, v in values.items()}
    best = (max if of.higher_is_better else min)(known.values())
    leaders = [m for m, v in known.items() if v == best or math.isclose(v, best, rel_tol=1e-12)]
    others = sorted(
        (m for m in known if m not in leaders),
        key=known.__getitem__,
        reverse=bool(of.higher_is_better),
    )
    raw = str(Role.RAW) if Role.RAW in table.columns else ""
    rival = others[0] if others else raw
    return Lead(of, leaders, rival, known, len(common), len(every), medians)


def misled(run: LoadedRun, of: Metric) -> bool:
    """Whether a metric tells of the filters that made the images, or of noise that is shared."""
    if of.name == "resolution":
        return _share(run, run.ranked, FILTERED) > 0
    return of.name == "frc_resolution" and _share(run, [*run.ranked, Role.RAW], SHARED) > FEW


def _share(run: LoadedRun, methods: Iterable[str], reason: str) -> float:
    """The largest share of a method's images of which this is said."""
    rows = run.scores[run.scores["method"].isin([*methods])]
    said = rows["reason"].str.contains(reason, regex=False)
    return float(said.groupby(rows["method"]).mean().max() or 0.0)


def comparisons_of(run: LoadedRun) -> list[Comparison]:
    """The lines of comparisons.csv."""
    names = [field.name for field in fields(Comparison)]
    known = [name for name in names if name in run.comparisons]
    whole = ("n", "groups", "infinite")  # a column with an empty cell came as floats
    pairs = []
    for line in run.comparisons[known].itertuples(index=False):
        cells: dict[str, Any] = dict(zip(known, line, strict=True))
        cells |= {name: int(cells[name]) for name in whole}
        pairs.append(Comparison(**cells))
    return pairs


def verdict_of(run: LoadedRun) -> Verdict:
    """What a run comes to, as the terminal said it."""
    pairs = comparisons_of(run)
    means = {
        (line["method"], line["metric"]): float(line["mean"])
        for line in run.summary.to_dict("records")
        if line["n"]
    }
    counts = (
        (line["method"], line["metric"], int(line["n"] + line["infinite"]), int(line["undefined"]))
        for line in run.summary.to_dict("records")
    )
    record = run.record
    return judge(
        run.columns,
        pairs,
        means,
        record.warnings,
        lacking(counts, run.columns),
        failed=record.failed,
        rows=record.rows,
    )


def verdicts(run: LoadedRun) -> list[dict[str, str]]:
    """For each metric that matters: which method leads, by how much, how sure."""
    leads = [known for of in run.leading if (known := lead(run, of)) is not None]
    return [_verdict(run, each) for each in leads]


def _verdict(run: LoadedRun, found: Lead) -> dict[str, str]:
    of = found.of
    if not found.leaders:
        return {
            "metric": of.name, "method": "no method", "tie": "", "caution": "",
            "text": f"{of.name}: no image has a value of every method",
            "against": "see the tests below",
        }  # fmt: skip
    value = found.values[found.leaders[0]]
    text = f"{'median ' if found.medians else ''}{of.name}, {of.shown(value)}{unit_of(run, of)}"
    if found.common < found.total:
        text += f" on the {found.common} of {found.total} images that all methods have"
    elif len(found.leaders) == 1 and not found.medians:
        text += _interval(run, of, found.leaders[0])
    tie = len(found.leaders) > 1
    return {
        "metric": of.name,
        "method": " and ".join(found.leaders),
        "tie": "tie" if tie else "",
        "text": text,
        "against": "a tie" if tie else _against(run, found),
        "caution": _caution(run, found, value),
    }


def _interval(run: LoadedRun, of: Metric, method: str) -> str:
    line = run.summary[(run.summary["metric"] == of.name) & (run.summary["method"] == method)]
    if line.empty:
        return ""
    low, high = (float(line[name].iloc[0]) for name in ("ci_low", "ci_high"))
    return "" if math.isnan(low) else f" (95 % interval {of.shown(low)} to {of.shown(high)})"


def _caution(run: LoadedRun, found: Lead, value: float) -> str:
    """Whether the untouched input is better, on the images that it has too."""
    table = run.values(found.of.name)
    if Role.RAW not in table.columns:
        return ""
    both = table[[*found.leaders, str(Role.RAW)]].dropna()
    if both.empty:
        return ""
    untouched = both[str(Role.RAW)].median() if found.medians else both[str(Role.RAW)].mean()
    own = both[found.leaders[0]].median() if found.medians else both[found.leaders[0]].mean()
    better = untouched > own if found.of.higher_is_better else untouched < own
    shown = f"{found.of.shown(float(untouched))}{unit_of(run, found.of)}"
    return f"the untouched input is better: {shown}" if better else ""


def _against(run: LoadedRun, found: Lead) -> str:
    """The leader against the next method, or against the input where there is no other."""
    of, best, rival = found.of, found.leaders[0], found.rival
    if run.comparisons.empty or not rival:
        return "alone: nothing to compare with"
    pairs = run.comparisons[run.comparisons["metric"] == of.name]
    for first, second, sign in ((best, rival, 1.0), (rival, best, -1.0)):
        row = pairs[(pairs["first"] == first) & (pairs["second"] == second)]
        if row.empty:
            continue
        line = row.iloc[0]
        infinite = int(line["infinite"])
        mean = sign * float(line["median_difference" if infinite else "mean_difference"])
        better = float(line["better"]) if sign > 0 else 1 - float(line["better"])
        worse = mean > 0 if of.higher_is_better is False else mean < 0
        if mean == 0 or math.isnan(mean):
            return f"on {'median' if infinite else 'average'} the same as {rival}, {_sure(line)}"
        by = f"{of.shown(abs(mean))}{unit_of(run, of)}"
        return (
            f"{by} {'behind' if worse else 'ahead of'} {rival}, better on {better:.0%} of "
            f"{int(line['n'])} images, {_sure(line)}"
        )
    return "nothing to compare with"


def _sure(line: Any) -> str:
    p = float(line["p_holm"])
    reason = line.get("reason", "")
    if isinstance(reason, str) and "too few" in reason:
        return reason
    if math.isnan(p):
        return "no test"
    sure = f"p {shown if (shown := shown_p(p)).startswith('<') else f'= {shown}'} (Holm)"
    return f"{sure}: not a sure difference" if p >= SURE else sure


def unit_of(run: LoadedRun, of: Metric) -> str:
    """The unit, with a space before it."""
    unit = of.unit_where(run.sized)
    return f" {unit}" if unit else ""
