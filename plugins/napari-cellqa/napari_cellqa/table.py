"""Scores as a table: a line for each layer, a column for each metric."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cellqa.errors import Bound, Undefined
from cellqa.metrics.metric import Metric
from cellqa.tables.cells import cell, guarded
from cellqa.tables.files import write_csv
from cellqa.tables.rows import Row
from cellqa.tables.summary import Summary
from napari_cellqa.scoring import Judged

_ROLES = {"gt": "ground truth, gt", "input": "raw, input"}
_MOST = 20  # reasons that are shown; all are in the report's tables


class Cell(NamedTuple):
    """A mean over planes.

    Attributes
    ----------
    text : str
        In the digits worth showing; empty where it is undefined.
    value : float
        nan where it is undefined.
    tip : str
        Interval and number of planes, or why it is undefined.
    """

    text: str
    value: float
    tip: str


class Column(NamedTuple):
    """A metric: `psnr ↑`, its unit, and what it measures."""

    name: str
    arrow: str
    unit: str
    tip: str

    @property
    def title(self) -> str:
        """Two lines: name with the direction that is better, and unit."""
        return f"{self.name} {self.arrow}\n{self.unit}"

    @property
    def header(self) -> str:
        """For files: name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Line(NamedTuple):
    """A layer, with how many planes were scored, its cells and why values are missing."""

    layer: str
    planes: int
    cells: list[Cell]
    reason: str


class Table(NamedTuple):
    """What is shown of scores."""

    columns: list[Column]
    lines: list[Line]
    notes: list[str]

    def rows(self) -> list[list[str]]:
        """As text, with a heading: values in six digits, reasons in the last column."""
        head = ["layer", "planes", *(column.header for column in self.columns), "reason"]
        body = [
            [line.layer, str(line.planes), *(cell(c.value, 6) for c in line.cells), line.reason]
            for line in self.lines
        ]
        return [head, *body]

    def as_tabs(self) -> str:
        """For the clipboard: what spreadsheets paste as cells."""
        return "\n".join(
            "\t".join(guarded(" ".join(c.split())) for c in row) for row in self.rows()
        )

    def save(self, path: Path) -> Path:
        """Write it as CSV.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        head, *body = self.rows()
        return write_csv(path, head, body)


def table_of(judged: Judged) -> Table:
    """The table of scores: means over the planes of each layer."""
    scores = judged.scores
    known = {row_name for row in scores.rows for row_name in row.values}
    metrics = [m for m in scores.options.metrics if m.name in known and (m.listed or judged.named)]
    sized = bool(scores.tally.sized[True])
    columns = [
        Column(m.name, m.arrow, m.unit_where(sized), f"{m.measures}: {m.definition}")
        for m in metrics
    ]
    summaries = {(s.method, s.metric): s for s in scores.summaries}
    lines = []
    for method in scores.methods:
        rows = [row for row in scores.rows if row.method == method]
        cells = [_cell(m, rows, summaries.get((method, m.name))) for m in metrics]
        role = f" ({_ROLES[method]})" if method in _ROLES else ""
        scored = sum(row.status == "ok" for row in rows)
        lines.append(Line(judged.layers[method] + role, scored, cells, "; ".join(_reasons(rows))))
    return Table(columns, lines, _notes(judged, lines))


def _cell(metric: Metric, rows: Sequence[Row], summary: Summary | None) -> Cell:
    values = [row.values[metric.name] for row in rows if metric.name in row.values]
    words = dict.fromkeys(v.reason for v in values if isinstance(v, (Undefined, Bound)))
    why = "; ".join(filter(None, words)) or "; ".join(
        dict.fromkeys(row.reason for row in rows if row.status != "ok")
    )
    if summary is None or not (summary.n or summary.infinite):
        return Cell("", math.nan, why or ("" if values else "does not apply to this layer"))
    if not summary.n:
        value = next(v for v in values if math.isinf(v))
        return Cell(metric.shown(value), value, why or "the images are identical")
    tip = [f"mean of {summary.n} planes"] * (len(rows) > 1)
    if not math.isnan(summary.ci_low):
        low, high = (metric.shown(v) for v in (summary.ci_low, summary.ci_high))
        tip.append(f"95 % interval {low} to {high}")
    if summary.infinite:
        tip.append(f"{summary.infinite} planes are identical and left out")
    if summary.undefined + summary.failed:
        tip.append(f"{summary.undefined + summary.failed} planes are left out")
    return Cell(metric.shown(summary.mean), summary.mean, "; ".join([*tip, *filter(None, [why])]))


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Why values are missing, each once, with the number of planes where not all are meant."""
    count = Counter(row.reason for row in rows if row.reason)
    return [
        reason if n == len(rows) else f"{reason} ({n} of {len(rows)} planes)"
        for reason, n in count.items()
    ]


def _notes(judged: Judged, lines: Sequence[Line]) -> list[str]:
    """What came of it, what to distrust, and what is missing and why."""
    scores = judged.scores
    missing = [f"{line.layer}: {line.reason}" for line in lines if line.reason]
    if len(missing) > _MOST:
        missing = [*missing[:_MOST], f"... and {len(missing) - _MOST} more, in the report"]
    told = " ".join(scores.verdict)  # which has some of the warnings in it
    warned = [line for line in scores.warnings if line not in told]
    return [*scores.verdict, *judged.notes, *missing, *(f"warning: {line}" for line in warned)]
