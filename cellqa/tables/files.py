"""The files of a scoring run, and its table on the terminal."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from cellqa.focus.vote import Focus
from cellqa.metrics.foreground import Object
from cellqa.metrics.registry import Metric
from cellqa.tables.comparisons import Comparison, Friedman
from cellqa.tables.rows import Row, Tally
from cellqa.tables.summary import Summary

_PACKAGES = (
    "cellqa",
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "statsmodels",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
)
_OPTIONAL = ("pylibCZIrw", "nd2", "zarr")  # readers


def number(value: float | None) -> str:
    """A value as the tables hold it: shortest exact decimal, `inf`, empty where undefined.

    Examples
    --------
    >>> number(255.0), number(0.1), number(float("nan")), number(float("inf"))
    ('255', '0.1', '', 'inf')
    """
    if value is None or math.isnan(value):
        return ""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def scores_header(metrics: Sequence[Metric]) -> list[str]:
    """Columns of scores.csv."""
    names = [metric.name for metric in metrics]
    return ["image", "method", "pixel_size", "data_range", *names, "status", "reason"]


def scores_line(row: Row, metrics: Sequence[Metric]) -> list[str]:
    """A row as scores.csv holds it."""
    values = (number(row.values.get(metric.name)) for metric in metrics)
    place = [row.image, row.method, number(row.pixel_size), number(row.data_range)]
    return [*place, *values, row.status, row.reason]


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Iterable[str]]) -> Path:
    """Write a table; it appears under its name when it is complete and on the disk."""
    with appearing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
    return path


def write_summary(path: Path, summaries: Sequence[Summary]) -> Path:
    """Write summary.csv."""
    cells = ([_cell(v) for v in asdict(s).values()] for s in summaries)
    return write_csv(path, [f.name for f in fields(Summary)], cells)


def write_comparisons(path: Path, pairs: Sequence[Comparison], tests: Sequence[Friedman]) -> Path:
    """Write comparisons.csv: a line for each metric and pair of methods."""
    of_metric = {test.metric: test.p for test in tests}
    names = [field.name for field in fields(Comparison)]
    lines = (
        [*map(_cell, asdict(pair).values()), _cell(of_metric.get(pair.metric, math.nan))]
        for pair in pairs
    )
    return write_csv(path, [*names, "friedman_p"], lines)


def write_objects(path: Path, rows: Iterable[Row]) -> Path:
    """Write objects.csv: a line for each image, method and object of its mask."""
    lines = ([row.image, row.method, *map(_cell, each)] for row in rows for each in row.objects)
    return write_csv(path, ["image", "method", *Object._fields], lines)


def focus_rows(focus: Focus) -> list[list[str]]:
    """Each plane's value of every measure, a star at the measure's vote, an arrow at the best."""
    rows = [["", "plane", *focus.values]]
    for k, plane in enumerate(focus.planes):
        cells = []
        for measure, curve in focus.values.items():
            voted = measure in focus.votes and round(focus.votes[measure]) == k
            value = "-" if math.isnan(curve[k]) else f"{curve[k]:.4g}"
            cells.append(value + ("*" if voted else " "))
        rows.append([">" if k == focus.best else " ", plane, *cells])
    return rows


def write_focus(path: Path, found: Sequence[Focus]) -> Path:
    """Write the values of every measure: a line for each stack and plane."""
    header = ["stack", "plane", *found[0].values, "sharpest", "position"]
    lines = (
        [
            focus.name,
            plane,
            *(number(float(curve[k])) for curve in focus.values.values()),
            str(int(k == focus.best)),
            number(focus.position),
        ]
        for focus in found
        for k, plane in enumerate(focus.planes)
    )
    return write_csv(path, header, lines)


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write run.json, or another file of that kind."""
    with appearing(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


@contextmanager
def appearing(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name when it is complete and on the disk."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Version of each package that produces a number."""
    found = {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}}
    for package in _OPTIONAL:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def terminal_table(tally: Tally, summaries: Sequence[Summary]) -> str:
    """Means of each method, one line each; the arrow says which direction is better.

    Numbers that rank nothing are left to the files; more columns than fit go below.
    """
    shown = [
        m
        for m in tally.metrics
        if m.higher_is_better is not None
        and any(s.metric == m.name and s.n + s.infinite for s in summaries)
    ]
    found = {(s.method, s.metric): s for s in summaries}

    def column(m: Metric) -> list[str]:
        unit = "px" if m.unit == "µm" and not tally.sized[True] else m.unit
        cells = (_mean(found.get((method, m.name))) for method in tally.methods)
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


_WIDEST = 110  # columns of the terminal table


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) for column in columns) + 2 * (len(columns) - 1)


def _mean(summary: Summary | None) -> str:
    if summary is None or not (summary.n or summary.infinite):
        return "-"
    if not summary.n:
        return "inf"
    return f"{summary.mean:#.4g}" if abs(summary.mean) < 1e4 else f"{summary.mean:.4g}"


def align(rows: Sequence[Sequence[str]], left: bool = False) -> str:
    """Rows as columns: the first to the left, the others to the right unless `left`."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append(
            "  ".join(
                f"{c:{'<' if left or not k else '>'}{w}}" for k, (c, w) in enumerate(cells)
            ).rstrip()
        )
    return "\n".join(lines)


def _cell(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
