"""From the answers of experts to opinion scores, a ranking, and how far they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellqa.disk import StrPath
from cellqa.errors import CellqaError
from cellqa.experts.answers import RATINGS, Answers, read_answers
from cellqa.io.formats import split_suffix
from cellqa.planes import Array
from cellqa.reporting.figures import COLOURS, STYLE, label, save_figure
from cellqa.reporting.load import load_run
from cellqa.statistics import mean_interval
from cellqa.tables.cells import cell
from cellqa.tables.files import write_csv

_FEWEST_RATERS = 3  # from which intervals resample raters; below, images


def opinion_scores(answers: Answers) -> list[dict[str, Any]]:
    """Mean opinion score of each method on each scale, with a 95 % interval.

    A second rating of the same image is averaged with the first. The interval resamples raters
    where there are three or more (their habits are not independent of themselves), else images.
    """
    rows: list[dict[str, Any]] = []
    table = answers.ratings
    if table.empty:
        return rows
    mean = table.groupby(["method", "scale", "rater", "image"], as_index=False)["value"].mean()
    by = "rater" if mean["rater"].nunique() >= _FEWEST_RATERS else "image"
    for method in answers.methods:
        for scale in answers.scales:
            part = mean[(mean["method"] == method) & (mean["scale"] == scale)]
            if part.empty:
                continue
            values = part["value"].to_numpy(float)
            low, high = mean_interval(values, pd.factorize(part[by])[0])
            low, high = max(low, RATINGS[0]), min(high, RATINGS[-1])  # beyond, there is no mean
            rows.append(
                {
                    "method": method,
                    "scale": scale,
                    "n": len(values),
                    "mean": float(values.mean()),
                    "ci_low": low,
                    "ci_high": high,
                    "resampled": f"{by}s",
                }
            )
    return rows


def bradley_terry(answers: Answers) -> list[dict[str, Any]]:
    """Strength of each method from the forced choices: log odds against the average method.

    P(a over b) = 1 / (1 + exp(strength b - strength a)), fitted as a binomial model (statsmodels);
    half a win each way is added to every pair, so that a method that always wins has a finite
    strength. The interval is Wald's, from the model.

    References
    ----------
    Bradley RA, Terry ME. Biometrika 39, 324-345 (1952). doi 10.1093/biomet/39.3-4.324
    """
    import statsmodels.api as sm

    methods = answers.methods
    choices = answers.first_choices
    if choices.empty:
        return []
    place = {method: k for k, method in enumerate(methods)}
    rows, won, weight = [], [], []

    def add(first: str, second: str, win: float, times: float) -> None:
        row = np.zeros(len(methods))
        row[place[first]], row[place[second]] = 1, -1
        rows.append(row)
        won.append(win)
        weight.append(times)

    for c in choices.itertuples():
        add(c.first, c.second, float(c.chosen == c.first), 1.0)
    for first, second in combinations(methods, 2):
        add(first, second, 1.0, 0.5)
        add(first, second, 0.0, 0.5)
    design = np.array(rows)[:, 1:]  # the first method is 0, until all are centred
    model = sm.GLM(won, design, family=sm.families.Binomial(), freq_weights=np.array(weight))
    fitted = model.fit()
    centre = np.eye(len(methods)) - 1 / len(methods)
    strength = centre @ np.concatenate([[0.0], fitted.params])
    covariance = np.zeros((len(methods),) * 2)
    covariance[1:, 1:] = fitted.cov_params()
    error = np.sqrt(np.diag(centre @ covariance @ centre.T))
    wins = choices["chosen"].value_counts()
    shown = pd.concat([choices["first"], choices["second"]]).value_counts()
    order = np.argsort(-strength)
    return [
        {
            "rank": rank,
            "method": methods[k],
            "strength": float(strength[k]),
            "ci_low": float(strength[k] - 1.96 * error[k]),
            "ci_high": float(strength[k] + 1.96 * error[k]),
            "won": int(wins.get(methods[k], 0)),
            "of": int(shown.get(methods[k], 0)),
        }
        for rank, k in enumerate(order, 1)
    ]


def krippendorff(units: Iterable[Sequence[float]], *, nominal: bool = False) -> float:
    """Krippendorff's alpha: 1 is full agreement, 0 that of chance.

    1 - D_observed / D_expected over pairs of values within units and over all; the difference is
    squared (interval) or counts whether values are unequal (nominal).

    Parameters
    ----------
    units : iterable of sequence of float
        The values that each unit got; units with fewer than two do not count.
    nominal : bool

    Returns
    -------
    float
        nan where nothing can be compared, or nothing differs.

    References
    ----------
    Krippendorff K. Computing Krippendorff's alpha-reliability (2011).
    Hayes AF, Krippendorff K. Commun Methods Meas 1, 77-89 (2007). doi 10.1080/19312450709336664

    Examples
    --------
    >>> round(krippendorff([[1, 1], [2, 2], [3, 3], [3, 3], [2, 1]]), 3)
    0.87
    """
    kept = [np.asarray(unit, float) for unit in units if len(unit) > 1]
    if not kept:
        return math.nan

    def differences(values: Array) -> float:
        gap = values[:, None] - values[None, :]
        return float((gap != 0).sum() if nominal else (gap**2).sum())

    every = np.concatenate(kept)
    observed = sum(differences(unit) / (unit.size - 1) for unit in kept)
    expected = differences(every) / (every.size - 1)
    return 1 - observed / expected if expected else math.nan


def agreement(answers: Answers) -> list[dict[str, Any]]:
    """Between raters: Krippendorff's alpha; within a rater: how often a repeat gets the same."""
    rows: list[dict[str, Any]] = []
    ratings, choices = answers.ratings, answers.choices
    for scale in answers.scales if len(ratings) else []:
        part = ratings[(ratings["scale"] == scale) & ~ratings["again"]]
        units = [g["value"].to_numpy() for _, g in part.groupby(["image", "method"])]
        rows.append(
            {
                "between": "raters",
                "of": scale,
                "measure": "Krippendorff's alpha, interval",
                "value": krippendorff(units),
                "n": len(units),
            }
        )
    if len(choices):
        part = answers.first_choices
        first = (part["chosen"] == part["first"]).astype(float)
        units = [first[g.index].to_numpy() for _, g in part.groupby(["image", "first", "second"])]
        rows.append(
            {
                "between": "raters",
                "of": "choices",
                "measure": "Krippendorff's alpha, nominal",
                "value": krippendorff(units, nominal=True),
                "n": len(units),
            }
        )
        same = [
            float(g["chosen"].nunique() == 1)
            for _, g in choices.groupby(["rater", "image", "first", "second"])
            if len(g) > 1
        ]
        rows.append(
            {
                "between": "a rater's two answers",
                "of": "choices",
                "measure": "share equal",
                "value": float(np.mean(same)) if same else math.nan,
                "n": len(same),
            }
        )
    if len(ratings):
        spread = [
            float(np.ptp(g["value"]) <= 1)
            for _, g in ratings.groupby(["rater", "image", "method", "scale"])
            if len(g) > 1
        ]
        rows.append(
            {
                "between": "a rater's two answers",
                "of": "ratings",
                "measure": "share within one point",
                "value": float(np.mean(spread)) if spread else math.nan,
                "n": len(spread),
            }
        )
    return rows


def metrics_against_experts(answers: Answers, run: Path) -> list[dict[str, Any]]:
    """For each metric of a scored run: how often it prefers what the experts chose.

    Returns
    -------
    list of dict
        metric, n (choices in which the metric differs), agrees (share), p (binomial test against
        one half), spearman (with the mean rating of each image and method).
    """
    from scipy.stats import binomtest, spearmanr

    loaded = load_run(run)
    named = loaded.scores["image"].unique()
    # as pairs are found: a.png of the run is a.tif of the questionnaire, where only one is there
    alike = len({*map(_stem, named)}) == len(named)
    called: Callable[[str], str] = _stem if alike else str
    choices = answers.first_choices.assign(image=lambda t: t["image"].map(called))
    ratings = answers.ratings.assign(image=lambda t: t["image"].map(called))
    mean = ratings.groupby(["image", "method"])["value"].mean()
    asked, scored = {*choices["image"], *ratings["image"]}, {*map(called, named)}
    if asked and not asked & scored:
        raise CellqaError(
            f"{run}: the run of another questionnaire; {min(asked)} is none of its images"
        )
    rows = []
    for metric in loaded.metrics:
        values = loaded.values(metric.name).rename(index=called).stack()
        sign = 1 if metric.higher_is_better else -1
        agrees, n = 0, 0
        for c in choices.itertuples():
            try:
                gap = sign * (values[c.image, c.first] - values[c.image, c.second])
            except KeyError:
                continue
            if math.isnan(gap) or gap == 0:
                continue
            n += 1
            agrees += (c.first if gap > 0 else c.second) == c.chosen
        both = pd.concat([values.rename("metric"), mean.rename("rating")], axis=1, join="inner")
        both = both.replace([np.inf, -np.inf], np.nan).dropna()
        varied = len(both) > 2 and both["metric"].nunique() > 1 and both["rating"].nunique() > 1
        rho = float(spearmanr(both["metric"], both["rating"]).statistic) if varied else math.nan
        rows.append(
            {
                "metric": metric.name,
                "n": n,
                "agrees": agrees / n if n else math.nan,
                "p": float(binomtest(agrees, n).pvalue) if n else math.nan,
                "spearman": sign * rho,
            }
        )
    return rows


def _stem(image: str) -> str:
    return split_suffix(image)[0]


def analysis(answers: Answers, run: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """Rows of mos.csv, ranking.csv, agreement.csv and, with a run, metrics.csv.

    Raises
    ------
    CellqaError
        The run cannot be read.
    """
    tables = {
        "mos.csv": opinion_scores(answers),
        "ranking.csv": bradley_terry(answers),
        "agreement.csv": agreement(answers),
    }
    if run is not None:
        tables["metrics.csv"] = metrics_against_experts(answers, run)
    return tables


def write_analysis(
    answers: Answers, tables: Mapping[str, Sequence[Mapping[str, Any]]], out: Path
) -> list[Path]:
    """Write the tables of `analysis`, and the figure."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in tables.items():
        if rows:
            cells = ([cell(v) for v in row.values()] for row in rows)
            paths.append(write_csv(out / name, list(rows[0]), cells))
    with matplotlib.rc_context(STYLE):
        figure = _draw(answers, tables["mos.csv"], tables["ranking.csv"])
        paths += [save_figure(figure, out / f"experts{suffix}") for suffix in (".png", ".svg")]
    return paths


class Opinions(NamedTuple):
    """What the raters' answers say.

    Attributes
    ----------
    answers : Answers
    tables : dict
        Name of each table to its rows: mos.csv, ranking.csv, agreement.csv and, with a run,
        metrics.csv.
    paths : list of Path
        The files written.
    """

    answers: Answers
    tables: dict[str, list[dict[str, Any]]]
    paths: list[Path]


def analyse_answers(
    folder: StrPath,
    answers: Sequence[StrPath],
    *,
    run: StrPath | None = None,
    out: StrPath | None = None,
) -> Opinions:
    """Opinion scores, ranking and agreement from the files that raters saved.

    Parameters
    ----------
    folder : path
        Of the questionnaire.
    answers : sequence of path
    run : path, optional
        A scored run of the same images: which metric agrees with the experts?
    out : path, optional
        Where to write; by default FOLDER/analysis.

    Raises
    ------
    CellqaError
        The folder holds no questionnaire, no file can be used, or the run cannot be read.
    """
    given = read_answers(Path(folder), [Path(path) for path in answers])
    tables = analysis(given, None if run is None else Path(run))
    place = Path(folder) / "analysis" if out is None else Path(out)
    return Opinions(given, tables, write_analysis(given, tables, place))


def _draw(
    answers: Answers, scores: Sequence[Mapping[str, Any]], ranking: Sequence[Mapping[str, Any]]
) -> Figure:
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    wide = 0.8 / max(len(answers.methods), 1)
    for k, method in enumerate(answers.methods):
        for n, scale in enumerate(answers.scales):
            row = next((r for r in scores if (r["method"], r["scale"]) == (method, scale)), None)
            if row is None:
                continue
            x = n + (k - (len(answers.methods) - 1) / 2) * wide
            colour = COLOURS[k % len(COLOURS)]
            name = label(method, 24) if n == 0 else None
            left.plot(x, row["mean"], "o", color=colour, ms=6, label=name)
            left.plot([x, x], [row["ci_low"], row["ci_high"]], color=colour, lw=2)
    left.set_xticks(range(len(answers.scales)), answers.scales, fontsize=8)
    left.set(ylim=(0.9, 5.1), ylabel="mean opinion, 1 bad to 5 excellent")
    if scores:
        left.legend(frameon=False, fontsize=8)
    for rank, row in enumerate(ranking):
        colour = COLOURS[answers.methods.index(row["method"]) % len(COLOURS)]
        right.plot([row["ci_low"], row["ci_high"]], [rank, rank], color=colour, lw=3)
        right.plot(row["strength"], rank, "D", color=colour, ms=6)
    right.set_yticks(range(len(ranking)), [label(r["method"], 24) for r in ranking])
    right.set_ylim(len(ranking) - 0.5, -0.5)
    right.axvline(0, color="black", lw=0.8)
    right.set_xlabel("preferred: log odds against the average (Bradley-Terry)")
    return figure
