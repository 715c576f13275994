"""The means of a run, as its table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cellqa.errors import printable
from cellqa.metrics.metric import Metric
from cellqa.tables.finished import Finished
from cellqa.tables.summary import Summary
from cellqa.tables.tally import Tally
from cellqa.tables.verdict import verdict
from cellqa.terminal import align

_WIDEST = 110  # columns of the terminal table


def terminal_summary(run: Finished) -> str:
    """The table of means, and the verdict where methods were compared."""
    table = terminal_table(run.tally, run.summaries)
    lines = verdict(run).lines
    return "\n".join([table, "", *map(printable, lines)]) if lines else table


def terminal_table(tally: Tally, summaries: Sequence[Summary]) -> str:
    """Means of each method, one line each; the arrow says which direction is better.

    Numbers that rank nothing are left to the files; more columns than fit go below.
    """
    shown = [
        m
        for m in tally.metrics
        if m.listed and any(s.metric == m.name and s.n + s.infinite for s in summaries)
    ]
    of = {(s.method, s.metric): s for s in summaries}

    def column(m: Metric) -> list[str]:
        unit = m.unit_where(bool(tally.sized[True]))
        cells = (_mean(m, of.get((method, m.name))) for method in tally.methods)
        return [f"{m.name} {m.arrow}", unit, *cells]

    left = [
        ["mean", "", *tally.methods],
        ["images", "", *(str(tally.scored[method]) for method in tally.methods)],
    ]
    blocks: list[list[list[str]]] = [left]
    for m in shown:
        columns = [*blocks[-1], column(m)]
        if len(columns) > 3 and _width(columns) > _WIDEST:
            columns = [left[0], column(m)]
            blocks.append(columns)
        blocks[-1] = columns
    tables = ([row for row in zip(*block, strict=True) if any(row)] for block in blocks)
    return "\n\n".join(map(align, tables))


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) for column in columns) + 2 * (len(columns) - 1)


def _mean(metric: Metric, summary: Summary | None) -> str:
    if summary is None or not (summary.n or summary.infinite):
        return "-"
    return metric.shown(summary.mean) if summary.n else "inf"
