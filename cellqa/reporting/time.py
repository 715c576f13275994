"""Brightness over time: each method beside the raw images, frame by frame."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from cellqa.reporting.figures import COLOURS, STYLE, label
from cellqa.reporting.load import LoadedRun
from cellqa.reporting.sections import Section
from cellqa.tables.time import FrameRow, read_followed

_SERIES = 3  # that are drawn
_ROWS = ("light above background", "grey levels for one of the raw image")

_HTML = (
    '<p><img style="max-width:100%" alt="Brightness of each method and of the raw images, frame by '
    'frame; frames.csv has the numbers" src="{}"></p><p class="hint">Light above the background, '
    "and grey levels for one of the raw image, relative to their medians. A line that is flat "
    "below keeps brightness over time; rings are frames that stand out. time.csv and frames.csv "
    "have every series; what they say against a method stands under What to distrust.</p>"
)


def draw_time(run: LoadedRun) -> Figure | None:
    """Two panels for each of the first series, a line for each method; None where there is none.

    Light above background and grey levels for one of the raw image, each relative to its median
    over time. What is flat below keeps brightness; rings are frames that stand out.
    """
    followed = [one for one in read_followed(run.folder) if one.frames][:_SERIES]
    if not followed:
        return None
    wide = 1.2 + 3.4 * len(followed)
    figure = Figure(figsize=(max(wide, 6.0), 5.0), layout="constrained")
    panels = figure.subplots(2, len(followed), squeeze=False, sharey="row")
    colours = dict(zip(run.judged, COLOURS * (1 + len(run.judged) // len(COLOURS)), strict=False))
    for column, series in zip(panels.T, followed, strict=True):
        for method in dict.fromkeys(row.method for row in series.frames):
            rows = [row for row in series.frames if row.method == method]
            raw = method == series.raw
            colour = "#777777" if raw else colours.get(method, "black")
            look = {"color": colour, "lw": 2.5 if raw else 1}
            _line(column[0], rows, [row.light for row in rows], look, label(method, 18))
            if not raw:
                _line(column[1], rows, [row.gain for row in rows], look, "")
        column[0].set_title(label(series.name, 40))
        column[1].set_xlabel("time")
    for axes, name in zip(panels[:, 0], _ROWS, strict=True):
        axes.set_ylabel(f"{name}\n(relative to its median)")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _line(axes: Any, rows: list[FrameRow], values: list[float], look: Any, name: str) -> None:
    there = np.array(values)
    middle = np.nanmedian(there) if np.isfinite(there).any() else np.nan
    if not middle > 0:
        return
    at, relative = np.array([row.time for row in rows]), there / middle
    axes.plot(at, relative, label=name, **look)
    odd = np.array([bool(row.outlier) for row in rows])
    axes.plot(at[odd], relative[odd], "o", mfc="none", ms=6, color=look["color"])


def over_time(run: LoadedRun) -> Section | None:
    """The figure, for the page."""
    with matplotlib.rc_context(STYLE):
        figure = draw_time(run)
        if figure is None:
            return None
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    address = "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Section("time", "Does it keep time?", Markup(_HTML).format(address))
