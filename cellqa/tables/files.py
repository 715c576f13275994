"""The tables of a run, written."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cellqa.disk import appearing_text
from cellqa.metrics.foreground import Object
from cellqa.metrics.metric import Metric
from cellqa.metrics.objects import Found
from cellqa.tables.agreement import Agreement
from cellqa.tables.cells import cell, guarded
from cellqa.tables.comparisons import Comparison, Friedman
from cellqa.tables.rows import Row
from cellqa.tables.summary import Summary


def scores_header(metrics: Sequence[Metric]) -> list[str]:
    """Columns of scores.csv."""
    names = [metric.name for metric in metrics]
    return ["image", "method", "pixel_size", "data_range", *names, "status", "reason"]


def scores_line(row: Row, metrics: Sequence[Metric]) -> list[str]:
    """A row as scores.csv holds it."""
    values = (cell(row.values.get(metric.name)) for metric in metrics)
    place = [row.image, row.method, cell(row.pixel_size), cell(row.data_range)]
    return [*place, *values, row.status, row.reason]


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Iterable[str]]) -> Path:
    """Write a table; it appears under its name when it is complete and on the disk.

    Text that a spreadsheet would take for a formula is guarded (`cellqa.tables.cells.guarded`).
    """
    with appearing_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([guarded(c) if isinstance(c, str) else c for c in line] for line in lines)
    return path


def write_summary(path: Path, summaries: Sequence[Summary]) -> Path:
    """Write summary.csv."""
    cells = ([cell(v) for v in asdict(s).values()] for s in summaries)
    return write_csv(path, [f.name for f in fields(Summary)], cells)


def write_places(path: Path, summaries: Sequence[tuple[str, str, Summary]]) -> Path:
    """Write planes.csv: summaries by scene, time, channel, focus and colour."""
    cells = ([axis, at, *(cell(v) for v in asdict(s).values())] for axis, at, s in summaries)
    return write_csv(path, ["axis", "at", *(f.name for f in fields(Summary))], cells)


def write_comparisons(path: Path, pairs: Sequence[Comparison], tests: Sequence[Friedman]) -> Path:
    """Write comparisons.csv: a line for each metric and pair of methods."""
    of_metric = {test.metric: test.p for test in tests}
    names = [field.name for field in fields(Comparison)]
    lines = (
        [*map(cell, asdict(pair).values()), cell(of_metric.get(pair.metric, math.nan))]
        for pair in pairs
    )
    return write_csv(path, [*names, "friedman_p"], lines)


def write_objects(path: Path, rows: Iterable[Row], *, found: bool = False) -> Path:
    """Write objects.csv: a line for each image, method and object.

    With `found`, objects were looked for: what each image has of them stands beside the truth's.
    """
    header, lines = object_table(rows, found=found)
    return write_csv(path, header, ([*line[:2], *map(cell, line[2:])] for line in lines))


def object_table(rows: Iterable[Row], *, found: bool) -> tuple[list[str], Iterator[list[Any]]]:
    """Header and lines of objects.csv, as values; None and nan are empty there."""
    if not found:
        header = ["image", "method", *Object._fields]
        return header, ([row.image, row.method, *each] for row in rows for each in row.objects)
    return ["image", "method", *Object._fields, *Found._fields], (
        [row.image, row.method, *truth, *own]
        for row in rows
        for truth, own in zip(row.objects, row.found or (), strict=True)
    )


def write_agreement(path: Path, lines: Sequence[Agreement]) -> Path:
    """Write agreement.csv: a line for each method and quantity of its objects."""
    cells = ([cell(v) for v in asdict(line).values()] for line in lines)
    return write_csv(path, [f.name for f in fields(Agreement)], cells)


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write run.json, or another file of that kind; see `plain`."""
    with appearing_text(path) as file:
        file.write(json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n")
    return path


def plain(value: Any, digits: int | None = None) -> Any:
    """A value as JSON can say it: nan as null, infinity as text.

    Parameters
    ----------
    value : object
    digits : int, optional
        Significant digits that floats are rounded to.

    Examples
    --------
    >>> plain({"a": (float("nan"), float("inf"), 0.5)})
    {'a': [None, 'inf', 0.5]}
    """
    if isinstance(value, Mapping):
        return {name: plain(each, digits) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each, digits) for each in value]
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value if digits is None else float(f"{value:.{digits}g}")
