"""The detail budget of a run: of each method, on the images that all methods have."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellqa.metrics.detail import SHARES
from cellqa.reporting.figures import label
from cellqa.reporting.load import LoadedRun

# what it is, and its colour (Okabe and Ito)
MEANING = {
    "measured": ("measured: in the raw image and in the ground truth", "#009E73"),
    "inferred": ("inferred: in the ground truth alone, so right", "#56B4E9"),
    "noise": ("noise: in the raw image alone", "#BBBBBB"),
    "untestable": ("untestable: the ground truth is noise there", "#EEE3B0"),
    "invented": ("invented: in neither", "#D55E00"),
    "supported": ("supported: in the ground truth", "#009E73"),
    "other": ("the rest: noise, inventions, or beyond what the ground truth can tell", "#BBBBBB"),
}


@dataclass(frozen=True)
class Budget:
    """Mean shares of each method.

    Attributes
    ----------
    shares : DataFrame
        A row for each method, a column for each share, in the order of drawing; each row adds up
        to 1.
    images : int
        That all methods have.
    """

    shares: pd.DataFrame
    images: int

    @property
    def names(self) -> list[str]:
        """The shares that there are."""
        return [str(name) for name in self.shares.columns]


def budget_of(run: LoadedRun) -> Budget | None:
    """The budget of a run, with the raw images or by the ground truth alone; None without."""
    there = {metric.name for metric in run.columns}
    names = list(SHARES) if there >= set(SHARES) else ["supported"]
    if not there >= set(names):
        return None
    tables = {name: run.values(name) for name in names}
    methods = [m for m in run.judged if all(m in table.columns for table in tables.values())]
    if not methods:
        return None
    common = tables[names[0]][methods].dropna().index
    if not len(common):
        return None
    shares = pd.DataFrame({n: t.loc[common, methods].mean() for n, t in tables.items()})
    if names == ["supported"]:
        shares["other"] = 1 - shares["supported"]
    order = [name for name in MEANING if name in shares]
    shares = shares[order].clip(lower=0)
    return Budget(shares.div(shares.sum(axis=1), axis=0).loc[methods], len(common))


def draw_budget(run: LoadedRun) -> Figure | None:
    """A bar for each method: what of its detail is measured, inferred, noise, invented."""
    budget = budget_of(run)
    if budget is None:
        return None
    methods = list(budget.shares.index)
    figure = Figure(figsize=(7.2, 1.5 + 0.42 * len(methods)), layout="constrained")
    axes: Axes = figure.subplots()
    left = pd.Series(0.0, index=methods)
    for name in budget.names:
        meaning, colour = MEANING[name]
        widths = budget.shares[name]
        axes.barh(range(len(methods)), widths, left=left, color=colour, label=meaning, height=0.62)
        left = left + widths
    last = budget.names[-1]
    for k, method in enumerate(methods):
        share = budget.shares.loc[method, last]
        axes.text(1.01, k, f"{share:.1%}", va="center", fontsize=8)
    axes.text(1.01, -0.75, last, va="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(len(methods) - 0.4, -1.0))
    axes.set_yticks(range(len(methods)), [label(m, 24) for m in methods])
    axes.set_xlabel(f"share of the detail (power above a tenth of Nyquist), mean of {_n(budget)}")
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8)
    return figure


def _n(budget: Budget) -> str:
    return f"{budget.images} image{'s' * (budget.images != 1)}"
