"""Whether a run's images still measure the same: figure, and section of the page."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import fields
from importlib.resources import files
from typing import Any, get_type_hints

import jinja2
import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from cellqa.errors import CellqaError, first_line
from cellqa.metrics.objects import MATCHED
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.reporting.figures import BLUE, ORANGE, STYLE, label
from cellqa.reporting.load import LoadedRun
from cellqa.reporting.sections import Section
from cellqa.tables.agreement import QUANTITIES, Agreement, verdicts
from cellqa.tables.folder import AGREEMENT, OBJECTS
from cellqa.tables.reading import read_table, refuse_twice, refuse_unknown

_DRAWN = 10  # methods
_POINTS = 800  # of a method, beyond which a sample is drawn
_ROWS = 1 << 16  # that are read at once
_COLUMNS = ("area", "gt_total", "found_area", "found_total")
_NOTHING = "–"

Lines = dict[str, dict[str, Agreement]]


def agreement_of(run: LoadedRun) -> Lines:
    """Lines of agreement.csv by method and quantity; empty where objects were not looked for.

    Raises
    ------
    CellqaError
        The table is no such table.
    """
    path = run.folder / AGREEMENT
    if not path.is_file():
        return {}
    hints = get_type_hints(Agreement)
    of = ("method", "quantity")
    names = [f.name for f in fields(Agreement) if f.name not in of]
    counts = [name for name in names if hints[name] is int]
    table = read_table(path, of, [n for n in names if n not in counts], counts=counts)
    refuse_unknown(path, table, "method", [*run.methods, Role.REFERENCE])
    refuse_unknown(path, table, "quantity", QUANTITIES)
    refuse_twice(path, table, of)
    lines: Lines = {}
    for row in table.to_dict("records"):
        known: dict[str, Any] = {n: int(row[n]) if n in counts else row[n] for n in (*of, *names)}
        lines.setdefault(row["method"], {})[row["quantity"]] = Agreement(**known)
    for method, own in lines.items():
        if len(own) < len(QUANTITIES):
            raise CellqaError(f"{path}: lines of {method} are missing; score again with --resume")
    return lines


def _pairs_of(run: LoadedRun) -> dict[str, Array]:
    """Some matched objects of each method: area and total, of truth and image; shape (n, 4)."""
    path = run.folder / OBJECTS
    kept = pd.DataFrame()
    rng = np.random.default_rng(1)
    try:
        parts = pd.read_csv(
            path,
            usecols=["method", "state", *_COLUMNS],
            dtype={"method": str, "state": str},
            keep_default_na=False,
            na_values=[""],
            chunksize=_ROWS,
        )
        with parts:
            for part in parts:
                of_both = part[part["state"] == MATCHED]
                numbers = of_both[list(_COLUMNS)].apply(pd.to_numeric, errors="coerce")
                some = numbers.assign(method=of_both["method"], key=rng.random(len(of_both)))
                kept = pd.concat([kept, some.dropna()])
                kept = kept.sort_values("key").groupby("method").head(_POINTS)
    except OSError as error:
        raise CellqaError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CellqaError(f"{path}: not a table of a run ({first_line(error)})") from None
    if kept.empty:
        return {}
    return {str(m): own[list(_COLUMNS)].to_numpy(float) for m, own in kept.groupby("method")}


def draw_objects(run: LoadedRun) -> Figure | None:
    """A row for each method: areas and totals as Bland and Altman have them, and the line of means.

    Differences against the truth, the bias and the limits of agreement with their 95 % intervals;
    mean intensities against the true ones, with the line of least squares.
    """
    lines = agreement_of(run)
    matched = any(of["count"].matched for of in lines.values())  # else there may be no table
    pairs = _pairs_of(run) if matched else {}
    methods = [m for m in lines if m in pairs][:_DRAWN]
    if not methods:
        return None
    figure = Figure(figsize=(9.2, 0.4 + 2.35 * len(methods)), layout="constrained")
    panels = figure.subplots(len(methods), 3, squeeze=False)
    for row, method in zip(panels, methods, strict=True):
        of = lines[method]
        area, total, own_area, own_total = pairs[method].T
        _differences(row[0], area, own_area, of["area"], "area", "px")
        _line(row[1], total / area, own_total / own_area, of["mean"])
        _differences(row[2], total, own_total, of["total"], "total intensity", "grey")
        row[0].set_title(f"{label(method, 30)}: {of['area'].n} objects", loc="left", weight="bold")
    return figure


def _differences(
    axes: Any, truth: Array, image: Array, of: Agreement, what: str, unit: str
) -> None:
    """Image - truth against truth, with bias and limits of agreement."""
    axes.axhline(0, color="black", lw=0.8)
    axes.plot(truth, image - truth, "o", ms=2.2, color=BLUE, alpha=0.45, mew=0)
    for name, style in (("bias", "-"), ("lower", "--"), ("upper", "--")):
        value, low, high = (getattr(of, f"{name}{end}") for end in ("", "_low", "_high"))
        if math.isnan(value):
            continue
        axes.axhline(value, color=ORANGE, lw=1.3, ls=style)
        if not math.isnan(low):
            axes.axhspan(low, high, color=ORANGE, alpha=0.13, lw=0)
        share = f"{_signed(value / of.truth)} %" if of.truth > 0 else f"{value:+.3g}"
        axes.annotate(
            share,
            (1.01, value),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            va="center",
            color=ORANGE,
        )
    shown = [image - truth, [of.lower, of.upper, 0.0]]
    every = np.concatenate([np.asarray(each, float) for each in shown])
    every = every[np.isfinite(every)]
    low, high = np.quantile(every, [0.01, 0.99]) if every.size > 50 else (every.min(), every.max())
    ends = [each for each in (low, high, of.lower, of.upper, 0.0) if math.isfinite(each)]
    room = 0.15 * (max(ends) - min(ends)) or 1.0
    axes.set_ylim(min(ends) - room, max(ends) + room)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"true {what} ({unit})", fontsize=8)
    axes.set_ylabel(f"image - truth ({unit})", fontsize=8)
    axes.tick_params(labelsize=7)


def _line(axes: Any, truth: Array, image: Array, of: Agreement) -> None:
    """Image against truth, with the line of least squares."""
    axes.plot(truth, image, "o", ms=2.2, color=BLUE, alpha=0.45, mew=0)
    ends = np.array([min(truth.min(), 0.0), truth.max()])
    axes.plot(ends, ends, color="black", lw=0.8)
    if not math.isnan(of.slope):
        image_mean = of.truth + of.bias
        axes.plot(ends, image_mean + of.slope * (ends - of.truth), color=ORANGE, lw=1.3)
        axes.set_title(f"slope {of.slope:.2f}, R² {of.r2:.2f}", fontsize=8, color=ORANGE)
    axes.set_xlabel("true mean intensity (grey)", fontsize=8)
    axes.set_ylabel("in the image", fontsize=8)
    axes.tick_params(labelsize=7)


def object_section(run: LoadedRun) -> Section | None:
    """The section of the page on objects; None where they were not looked for."""
    lines = agreement_of(run)
    if not lines:
        return None
    with matplotlib.rc_context(STYLE):
        figure = draw_objects(run)
        picture = io.BytesIO()
        if figure is not None:
            figure.savefig(picture, format="png", dpi=110)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = files("cellqa.reporting") / "templates" / "objects.html"
    html = environment.from_string(template.read_text(encoding="utf-8")).render(
        verdicts=verdicts([line for of in lines.values() for line in of.values()]),
        lines=lines,
        percent=_percent,
        limits=_limits,
        number=_number,
        how=run.record.settings.get("objects"),
        more=max(0, len(lines) - _DRAWN),
        labelled=any(name.startswith("labels:") for name in run.record.folders),
        picture=base64.b64encode(picture.getvalue()).decode() if figure is not None else "",
    )
    return Section("objects", "Does it measure the same?", Markup(html))


def _percent(of: Agreement, name: str) -> Markup:
    """A share of the truth with its interval, as percent."""
    scale = 100.0 if name == "relative" else 100 / of.truth if of.truth > 0 else math.nan
    return _with_interval(of, name, "+.1f", scale)


def _limits(of: Agreement) -> str:
    """Limits of agreement, as percent of the mean truth."""
    if math.isnan(of.lower) or not of.truth > 0:
        return _NOTHING
    return f"{_signed(of.lower / of.truth)} to {_signed(of.upper / of.truth)}"


def _signed(share: float) -> str:
    text = f"{100 * share:+.0f}"
    return "0" if text in ("+0", "-0") else text


def _number(of: Agreement, name: str) -> Markup:
    """A number with its interval."""
    return _with_interval(of, name, ".2f", 1.0)


def _with_interval(of: Agreement, name: str, digits: str, scale: float) -> Markup:
    value, low, high = (scale * getattr(of, f"{name}{end}") for end in ("", "_low", "_high"))
    if math.isnan(value):
        return Markup(_NOTHING)
    interval = "" if math.isnan(low) else f"{low:{digits}} to {high:{digits}}"
    return Markup("{}<small>{}</small>").format(f"{value:{digits}}", interval)
