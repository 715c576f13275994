"""Figures of a run: box plots, paired differences, who wins, resolution against fidelity."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellqa.disk import own_folder
from cellqa.metrics.metric import Metric
from cellqa.pairs.roles import Role
from cellqa.reporting.budget import draw_budget
from cellqa.reporting.figures import COLOURS, GREY, STYLE, label, save_figure
from cellqa.reporting.leaders import lead
from cellqa.reporting.load import LoadedRun
from cellqa.reporting.objects import draw_objects
from cellqa.reporting.time import draw_time

_PAIRS = 21  # of methods, beyond which those with the best method are drawn
_WON = 4  # metrics that are shown
_POINTS = 400  # of a difference, beyond which a sample is drawn
_MANY = 1000  # values of a method, beyond which a violin is drawn in place of points
_SUFFIXES = (".png", ".svg")
_SIGNS = {"↑": "▲", "↓": "▼", "·": ""}  # that point to where it is better


def save_charts(run: LoadedRun, folder: Path) -> list[Path]:
    """Draw every figure that the run has values for, as PNG and SVG."""
    own_folder(folder, folder.parent)
    paths = []
    for name, draw in CHARTS.items():
        with matplotlib.rc_context(STYLE):
            figure = draw(run)
            if figure is None:
                continue
            for suffix in _SUFFIXES:
                path = folder / f"{name}{suffix}"
                save_figure(figure, path)
                paths.append(path)
    return paths


def colour_of(run: LoadedRun) -> dict[str, str]:
    """A colour for each method; input and ground truth are grey."""
    own = dict(zip(run.judged, COLOURS * (1 + len(run.judged) // len(COLOURS)), strict=False))
    return {Role.RAW: "#bbbbbb", Role.REFERENCE: "#777777", **own}


def draw_boxes(run: LoadedRun) -> Figure | None:
    """A panel for each metric, a box for each method, as the CIEGAN paper's Figure 5E.

    Boxes from quartile to quartile with the median, whiskers to 1.5 quartile ranges, a point for
    each image; violins above a thousand. Marks: Holm-corrected Wilcoxon tests against the
    reference, the first method of the panel.
    """
    if not run.metrics:
        return None
    columns = min(4, len(run.metrics))
    rows = math.ceil(len(run.metrics) / columns)
    wide = max(2.3, 0.62 * len(run.methods) + 1.1)
    figure = Figure(figsize=(wide * columns, 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = colour_of(run)
    for axes, metric in zip(panels, run.metrics, strict=False):
        _box_panel(axes, run, metric, colours)
    for axes in panels[len(run.metrics) :]:
        axes.axis("off")
    figure.supxlabel(
        "marks: against the method marked ref.; *** p < 0.001, ** p < 0.01, * p < 0.05, ns (Holm). "
        "▲ up is better, ▼ down is better",
        fontsize=8,
        color="#555555",
    )
    return figure


def _box_panel(axes: Any, run: LoadedRun, metric: Metric, colours: dict[str, str]) -> None:
    table = run.values(metric.name).replace([np.inf, -np.inf], np.nan)
    methods = list(table.columns)
    rng = np.random.default_rng(1)
    data = [table[m].dropna().to_numpy() for m in methods]
    axes.boxplot(
        data,
        widths=[0.2 if v.size > _MANY else 0.55 for v in data],
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black", "lw": 1.4},
        boxprops={"facecolor": "white", "edgecolor": "#555555"},
        whiskerprops={"color": "#555555"},
        capprops={"color": "#555555"},
    )
    for k, (method, values) in enumerate(zip(methods, data, strict=True), 1):
        if values.size > _MANY:
            (body,) = axes.violinplot([values], [k], widths=0.8, showextrema=False)["bodies"]
            body.set(facecolor=colours[method], alpha=0.5, zorder=1)
            continue
        x = k + rng.uniform(-0.2, 0.2, values.size)
        axes.plot(x, values, "o", ms=2.6, color=colours[method], alpha=0.55, mew=0, zorder=3)
    marks = _marks(run, metric.name, methods)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.1 * (high - low))
    for k, method in enumerate(methods, 1):
        mark = "ref." if marks and k == 1 else marks.get(method, "")
        axes.text(k, high + 0.02 * (high - low), mark, ha="center", fontsize=8)
    labels = [f"{label(m, 16)}\nn={v.size}" for m, v in zip(methods, data, strict=True)]
    axes.set_xticks(range(1, len(methods) + 1), labels, fontsize=7)
    unit = metric.unit_where(run.sized)
    axes.set_title(f"{metric.name}{f' ({unit})' if unit else ''} {_SIGNS[metric.arrow]}".strip())


def _marks(run: LoadedRun, metric: str, methods: list[str]) -> dict[str, str]:
    """Significance of each method against the first."""
    table = run.comparisons
    if table.empty:
        return {}
    tests = table[(table["metric"] == metric) & (table["first"] == methods[0])]
    return {row["second"]: stars(row["p_holm"]) for _, row in tests.iterrows()}


def stars(p: float) -> str:
    """A p value as marks.

    Examples
    --------
    >>> stars(0.0004), stars(0.03), stars(0.5), stars(float("nan"))
    ('***', '*', 'ns', '')
    """
    if math.isnan(p):
        return ""
    return next(
        (mark for limit, mark in ((1e-3, "***"), (1e-2, "**"), (0.05, "*")) if p < limit), "ns"
    )


def draw_differences(run: LoadedRun) -> Figure | None:
    """Each pair of methods: the difference on each image, its mean and 95 % interval.

    Of many methods, the pairs with the one that is best in the main metric.
    """
    table = run.comparisons
    table = table[~table["second"].eq(Role.REFERENCE)] if not table.empty else table
    if table.empty:
        return None
    if table[["first", "second"]].drop_duplicates().shape[0] > _PAIRS:
        known = lead(run, run.main) if run.main else None
        leaders = known.leaders[:1] if known else []
        table = table[table["first"].isin(leaders) | table["second"].isin(leaders)]
    metrics = [m for m in run.metrics if (table["metric"] == m.name).any()]
    columns = min(3, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    pairs = table[["first", "second"]].drop_duplicates().shape[0]
    figure = Figure(
        figsize=(4.4 * columns, (1.05 + 0.34 * pairs) * rows + 0.3), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    rng = np.random.default_rng(1)
    for axes, metric in zip(panels, metrics, strict=False):
        values = run.values(metric.name).replace([np.inf, -np.inf], np.nan)
        lines = table[table["metric"] == metric.name]
        counts: list[int] = []
        for k, (_, row) in enumerate(lines.iterrows()):
            difference = (values[row["first"]] - values[row["second"]]).dropna().to_numpy()
            counts.append(difference.size)
            shown = rng.choice(difference, min(_POINTS, difference.size), replace=False)
            y = k + rng.uniform(-0.17, 0.17, shown.size)
            axes.plot(shown, y, "o", ms=2.2, color=GREY, alpha=0.5, mew=0)
            axes.plot([row["ci_low"], row["ci_high"]], [k, k], color=COLOURS[0], lw=3)
            axes.plot(row["mean_difference"], k, "D", color=COLOURS[1], ms=4.5)
        axes.axvline(0, color="black", lw=0.8)
        names = [
            f"{label(f, 12)} - {label(s, 12)}, n={n}"
            for f, s, n in zip(lines["first"], lines["second"], counts, strict=True)
        ]
        axes.set_yticks(range(len(lines)), names, fontsize=7)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        better = {True: "right: the first is better", False: "left: the first is better"}
        axes.set_title(f"{metric.name}: {better[bool(metric.higher_is_better)]}", fontsize=8)
        unit = metric.unit_where(run.sized)
        axes.set_xlabel(f"difference{f' ({unit})' if unit else ''}", fontsize=8)
    for axes in panels[len(metrics) :]:
        axes.axis("off")
    return figure


def draw_wins(run: LoadedRun) -> Figure | None:
    """Share of the images on which the method of the row beats that of the column."""
    table = run.comparisons
    metrics = [
        m
        for m in run.metrics
        if m.leads and m.needs and not table.empty and (table["metric"] == m.name).any()
    ][:_WON]
    if not metrics:
        return None
    side = max(2.9, 1.1 + 0.31 * len(run.methods))  # room for the numbers
    figure = Figure(figsize=(side * len(metrics) + 0.4, side + 0.3), layout="constrained")
    for axes, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        lines = table[table["metric"] == metric.name]
        methods = list(dict.fromkeys([*lines["first"], *lines["second"]]))
        share = np.full((len(methods), len(methods)), np.nan)
        for _, row in lines.iterrows():
            i, j = methods.index(row["first"]), methods.index(row["second"])
            share[i, j], share[j, i] = row["better"], 1 - row["better"]
        axes.imshow(share, cmap="PuOr", vmin=0, vmax=1)
        for i, j in np.argwhere(np.isfinite(share)):
            dark = abs(share[i, j] - 0.5) > 0.35
            axes.text(
                j,
                i,
                f"{share[i, j]:.0%}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
        names = [label(m, 10) for m in methods]
        axes.set_xticks(range(len(methods)), names, rotation=45, ha="right", fontsize=7)
        axes.set_yticks(range(len(methods)), names, fontsize=7)
        axes.set_title(f"{metric.name}: row beats column", fontsize=8)
        axes.spines[:].set_visible(False)
    return figure


def draw_tradeoff(run: LoadedRun) -> Figure | None:
    """Resolution against fidelity: sharper is to the left, truer is up."""
    fidelity = run.main
    has_resolution = any(m.name == "resolution" for m in run.metrics)
    if fidelity is None or Role.REFERENCE not in fidelity.needs or not has_resolution:
        return None
    x, y = run.values("resolution"), run.values(fidelity.name)
    figure = Figure(figsize=(5.6, 4.0), layout="constrained")
    axes = figure.subplots()
    colours = colour_of(run)
    for method in (m for m in y.columns if m in x.columns):
        points = pd.DataFrame({"x": x[method], "y": y[method]}).replace([np.inf], np.nan).dropna()
        axes.plot(
            points["x"],
            points["y"],
            "o",
            ms=4,
            mew=0,
            alpha=0.7,
            color=colours[method],
            label=label(method, 30),
        )
    unit = next(m for m in run.metrics if m.name == "resolution").unit_where(run.sized)
    if Role.REFERENCE in x:
        median = float(x[Role.REFERENCE].median())
        axes.axvline(
            median, color=GREY, lw=1, ls="--", label=f"ground truth, median {median:.3g} {unit}"
        )
    truer = fidelity.unit_where(run.sized)
    turned = "▶" if fidelity.higher_is_better else "◀"  # the label is turned, and this with it
    axes.set(
        xlabel=f"resolution ({unit}) ◀ sharper",
        ylabel=f"{fidelity.name}{f' ({truer})' if truer else ''} {turned} truer",
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


CHARTS: dict[str, Callable[[LoadedRun], Figure | None]] = {
    "detail": draw_budget,
    "boxplots": draw_boxes,
    "differences": draw_differences,
    "objects": draw_objects,
    "wins": draw_wins,
    "tradeoff": draw_tradeoff,
    "time": draw_time,
}
