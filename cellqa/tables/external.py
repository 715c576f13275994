"""Other people's tables of scores, long or wide, as a run: statistics, figures, page."""

from __future__ import annotations

import csv
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, printable
from cellqa.metrics.metric import Metric
from cellqa.metrics.table import AS_GIVEN, METRICS
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Pairing
from cellqa.pairs.roles import GIVEN, Role, in_order
from cellqa.shown import one_line
from cellqa.tables.cells import unguarded
from cellqa.tables.comparisons import compare_all
from cellqa.tables.files import (
    scores_header,
    scores_line,
    write_comparisons,
    write_csv,
    write_summary,
)
from cellqa.tables.finished import Finished
from cellqa.tables.folder import COMPARISONS, RUN, SCORES, SUMMARY, check_folder, remove_results
from cellqa.tables.record import RunRecord
from cellqa.tables.rows import Row
from cellqa.tables.summary import summarise
from cellqa.tables.suspicions import suspicions
from cellqa.tables.tally import Tally
from cellqa.tables.versions import versions

# Direction of measures that other programs report, by name.
_DIRECTIONS = {
    "mse": False, "rmse": False, "mae": False, "niqe": False, "brisque": False, "piqe": False,
    "lpips": False, "fid": False, "uqi": True, "ami": True, "vif": True, "fsim": True,
    "std": True, "ag": True, "sf": True, "si_psnr": True,
}  # fmt: skip
_LONGEST_NAME, _MOST_METHODS = 1024, 150
_EMPTY = {"nan", "na", "n/a", "none", "null", "-", "--"}
_ROLES = {
    "gt": Role.REFERENCE, "ground_truth": Role.REFERENCE, "groundtruth": Role.REFERENCE,
    "input": Role.RAW, "raw": Role.RAW,
}  # fmt: skip


@dataclass(frozen=True)
class ExternalTable:
    """A table that was read.

    Attributes
    ----------
    rows : list of Row
        Sorted by image, then method in the order of the table.
    methods : list of str
    metrics : tuple of Metric
        Those of the registry, and others by name.
    ignored : list of str
        Columns that are no metric of a method.
    notes : list of str
        What to know of its cells.
    """

    rows: list[Row]
    methods: list[str]
    metrics: tuple[Metric, ...]
    ignored: list[str]
    notes: list[str]

    __repr__ = one_line


def external_metric(name: str, higher_is_better: bool | None) -> Metric:
    """A metric that only a table knows.

    Examples
    --------
    >>> external_metric("niqe", False).arrow
    '↓'
    """
    return Metric(
        name=name, higher_is_better=higher_is_better, measures=AS_GIVEN, definition=AS_GIVEN
    )


def as_given(metric: Metric) -> Metric:
    """The metric as a table has it: nothing says how it was defined, or in which unit."""
    unit = "" if metric.length else metric.unit
    return replace(
        metric, unit=unit, length=False, function=None, uses_range=False, definition=AS_GIVEN
    )


def read_table(path: StrPath) -> ExternalTable:
    """Read a table of scores.

    Understood are: a row for each image and method with a column for each metric (as scores.csv); a
    row for each image, method and metric with a column `value`; and a row for each image with
    columns METRIC_METHOD or METRIC_METHOD~REFERENCE. Commas, semicolons or tabs separate; with
    semicolons or tabs, decimal commas are read; a byte-order mark is passed over. Names of metrics
    are those of the registry whatever their case (`MS-SSIM` is `ms_ssim`); scores against another
    reference than the ground truth become metrics of their own, `ssim~EGT`.

    Raises
    ------
    CellqaError
        The file cannot be read, or holds no score.
    """
    path = Path(path)
    table = _read(path)
    lower = {str(column).strip().lower(): column for column in table.columns}
    if {"image", "method", "metric", "value"} <= set(lower):
        long = table.rename(columns={lower[n]: n for n in ("image", "method", "metric", "value")})
        cells = [(r.image, r.method, r.metric, "", r.value) for r in long.itertuples()]
        ignored: list[str] = []
    elif {"image", "method"} <= set(lower):
        cells, ignored = _rows_of_methods(table, lower)
    else:
        cells, ignored = _wide(table)
    told = _told(table, lower)
    scores: dict[str, dict[str, dict[str, float]]] = {}
    names: dict[str, None] = {}
    methods: dict[str, None] = {}
    for image, method, metric, reference, value in cells:
        name = _metric_name(str(metric))
        name += f"~{reference}" if reference and _role(reference) != Role.REFERENCE else ""
        number = _number(value)
        role = _role(str(method))
        names[name], methods[role] = None, None
        entry = scores.setdefault(printable(str(image)), {}).setdefault(role, {})
        before = entry.get(name, math.nan)
        if not (math.isnan(number) or math.isnan(before) or before == number):
            raise CellqaError(f"{path}: {image} has two values of {name} for {method}")
        entry[name] = before if math.isnan(number) else number
    unreadable = [str(v) for *_, v in cells if str(v).strip() and math.isnan(_number(v))]
    unreadable = [text for text in unreadable if text.strip().lower() not in _EMPTY]
    if any(not str(image).strip() or not str(method).strip() for image, method, *_ in cells):
        raise CellqaError(f"{path}: a row has no image or no method")
    if not any(not math.isnan(v) for m in scores.values() for d in m.values() for v in d.values()):
        raise CellqaError(
            f"{path}: no scores found; give the columns image, method and one for each metric, or "
            "METRIC_METHOD for each"
        )
    if any(len(name) > _LONGEST_NAME for name in (*scores, *methods, *names)):
        raise CellqaError(f"{path}: a name is longer than {_LONGEST_NAME} characters")
    if len(methods) > _MOST_METHODS:
        raise CellqaError(
            f"{path}: {len(methods)} methods; each is compared with each, so that a page has "
            f"{_MOST_METHODS} at most: make tables of fewer"
        )
    order = in_order(list(methods))
    known = {m.name: as_given(m) for m in METRICS.values()}
    metrics = tuple(
        known.get(name) or external_metric(name, _direction(name, known)) for name in names
    )
    rows = [
        _row(told.get((image, method)) or Row(image, method), scores[image][method])
        for image in sorted(scores)
        for method in order
        if method in scores[image]
    ]
    notes = []
    if unreadable:
        notes.append(
            f"{len(unreadable)} cells are no numbers and count as empty, such as "
            f"{printable(unreadable[0])[:40]!r}"
        )
    return ExternalTable(rows, order, metrics, ignored, notes)


def run_of_table(
    path: StrPath,
    out: StrPath,
    *,
    grouping: Grouping | None = None,
    overwrite: bool = False,
    command: Sequence[str] = (),
) -> Finished:
    """Write a table as a run: scores.csv, summary.csv, comparisons.csv, run.json.

    Raises
    ------
    CellqaError
        As `read_table`; or `out` holds an earlier run and `overwrite` is false.
    """
    start = time.perf_counter()
    path, out = Path(path), Path(out)
    table = read_table(path)
    check_folder(out, overwrite=overwrite, resume=False)
    remove_results(out)
    tally = Tally(table.methods, table.metrics, set(GIVEN), grouping)
    lines = (_line(row, tally) for row in table.rows)
    paths = [write_csv(out / SCORES, scores_header(table.metrics), lines)]
    summaries = [s for s in summarise(tally) if s.n or s.infinite]
    paths.append(write_summary(out / SUMMARY, summaries))
    pairs, tests = compare_all(tally)
    if pairs:
        paths.append(write_comparisons(out / COMPARISONS, pairs, tests))
    warnings = tally.warnings(Pairing({}, ())) + table.notes + list(suspicions(tally))
    if table.ignored:
        shown = ", ".join(table.ignored[:5]) + (", ..." if len(table.ignored) > 5 else "")
        warnings.append(f"{len(table.ignored)} columns are no metric of a method: {shown}")
    unknown = [m.name for m in table.metrics if m.name not in METRICS and not m.ranks]
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warnings.append(f"whether more is better is not known of {shown}: without rank or verdict")
    RunRecord(
        command=list(command),
        settings={"table": str(path.absolute())},
        metrics=[m.facts() for m in table.metrics],
        group=grouping.source if grouping else None,
        rows=tally.rows,
        failed=tally.failed.total(),
        failures=tally.named_failures(),
        warnings=warnings,
        versions=versions(),
        seconds=round(time.perf_counter() - start, 3),
    ).write(out)
    return Finished(tally, summaries, pairs, warnings, [*paths, out / RUN])


def _line(row: Row, tally: Tally) -> list[str]:
    tally.add(row)
    return scores_line(row, tally.metrics)


def _read(path: Path) -> pd.DataFrame:
    try:
        head = path.read_text(encoding="utf-8-sig").partition("\n")[0]
    except OSError as error:
        raise CellqaError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CellqaError(f"{path}: not a table of text (UTF-8)") from None
    separator = max(",;\t", key=head.count)
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = list(csv.reader(file, delimiter=separator))
        except csv.Error as error:
            raise CellqaError(f"{path}: not a table ({error})") from None
    header = [name.strip() for name in lines[0]] if lines else []
    while header and not header[-1]:
        header.pop()
    if len(header) < 2:
        raise CellqaError(f"{path}: one column only; commas, semicolons or tabs must separate")
    folded = [name.lower() for name in header]
    double = next((n for k, n in enumerate(folded) if n in folded[:k]), None)
    if double is not None:
        raise CellqaError(f"{path}: two columns are called {double!r}")
    named = {"image", "method"} if {"image", "method"} <= set(folded) else {folded[0]}
    # between commas, one in a number parts thousands: 1,200 is not 1.2
    comma = [separator != "," and name not in named for name in folded]
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if any(cell.strip() for cell in line[len(header) :]):
            raise CellqaError(f"{path}: line {number} has more cells than the heading")
        if any(cell.strip() for cell in line):
            cells = [*map(unguarded, line[: len(header)])]
            cells = [_DECIMAL.sub(".", c) if k else c for c, k in zip(cells, comma, strict=False)]
            rows.append([*cells, *[""] * (len(header) - len(line))])
    return pd.DataFrame(rows, columns=header, dtype=str)


def _rows_of_methods(
    table: pd.DataFrame, lower: Mapping[str, Any]
) -> tuple[list[tuple[Any, ...]], list[str]]:
    passed = {"image", "method", "pixel_size", "data_range", "status", "reason"}
    columns = [c for name, c in lower.items() if name not in passed]
    numeric = [c for c in columns if table[c].map(_number).notna().any()]
    cells = [
        (image, method, column, "", value)
        for column in numeric
        for image, method, value in zip(
            table[lower["image"]], table[lower["method"]], table[column], strict=True
        )
    ]
    return cells, [str(c) for c in columns if c not in numeric]


def _told(table: pd.DataFrame, lower: Mapping[str, Any]) -> dict[tuple[str, str], Row]:
    """Rows of which the table itself tells something: that they failed, why values are empty."""
    if not {"image", "method", "status"} <= set(lower):
        return {}
    told = {}
    for _, line in table.iterrows():
        status = line[lower["status"]].strip().lower()
        reason = printable(line[lower["reason"]] if "reason" in lower else status)
        key = printable(line[lower["image"]]), _role(line[lower["method"]])
        if status not in ("", "ok"):
            told[key] = Row(*key, status="failed", reason=reason)
        elif reason not in ("", "ok"):
            told[key] = Row(*key, reason=reason)
    return told


def _row(told: Row, values: Mapping[str, float]) -> Row:
    return told if told.status == "failed" else replace(told, values=values)


def _wide(table: pd.DataFrame) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Columns METRIC_METHOD and METRIC_METHOD~REFERENCE; the first other one names the image."""
    names = [str(c) for c in table.columns]
    split = {name: _split(name) for name in names[1:]}
    cells: list[tuple[Any, ...]] = []
    ignored = []
    for name, parts in split.items():
        if parts is None or not table[name].map(_number).notna().any():
            ignored.append(name)
            continue
        metric, method, reference = parts
        pairs = zip(table.iloc[:, 0], table[name], strict=True)
        cells += [(image, method, metric, reference, value) for image, value in pairs]
    return cells, ignored


def _split(column: str) -> tuple[str, str, str] | None:
    """Metric, method and reference of a column's name; the longest known metric counts.

    Examples
    --------
    >>> _split("MS-SSIM_TE~EGT"), _split("Resolution_Input"), _split("comment")
    (('MS-SSIM', 'TE', 'EGT'), ('Resolution', 'Input', ''), None)
    """
    pair, _, reference = column.partition("~")
    known = {*METRICS, *_DIRECTIONS}
    cuts = [k for k, letter in enumerate(pair) if letter == "_" and 0 < k < len(pair) - 1]
    for k in reversed(cuts):
        if _metric_name(pair[:k]) in known:
            return pair[:k], pair[k + 1 :], reference
    return (pair[: cuts[0]], pair[cuts[0] + 1 :], reference) if cuts else None


_UNIT = re.compile(r"\s*(\([^)]*\)|\[[^]]*\]|[↑↓▲▼])\s*$")
_DECIMAL = re.compile(r",(?=\d+([eE][+-]?\d+)?\s*$)")  # the last comma of a number
_DECIBELS = re.compile(r"[_ ]db$", re.IGNORECASE)


def _metric_name(text: str) -> str:
    """A metric's name without unit and direction.

    Examples
    --------
    >>> [_metric_name(name) for name in ("PSNR (dB)", "psnr_dB", "SSIM ↑", "MS-SSIM")]
    ['psnr', 'psnr', 'ssim', 'ms_ssim']
    """
    bare = text.strip()
    while (shorter := _UNIT.sub("", bare)) not in (bare, ""):
        bare = shorter
    bare = _DECIBELS.sub("", bare) or bare
    return printable(bare).lower().replace("-", "_").replace(" ", "_")


def _role(method: str) -> str:
    return _ROLES.get(method.strip().lower().replace(" ", "_"), printable(method.strip()))


def _direction(name: str, known: Mapping[str, Metric]) -> bool | None:
    base = name.partition("~")[0]
    return known[base].higher_is_better if base in known else _DIRECTIONS.get(base)


def _number(value: Any) -> float:
    """The number in a cell; nan where there is none."""
    text = str(value).strip()
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
