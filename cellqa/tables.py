"""The files of a scoring run, and its table on the terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError
from cellqa.score import Row, ScoreOptions, Scores
from cellqa.statistics import Summary

SCORES, SUMMARY, RUN = "scores.csv", "summary.csv", "run.json"
_PACKAGES = (
    "cellqa",
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
)


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


def prepare_folder(out: Path, overwrite: bool) -> None:
    """Make the folder for a run's files.

    Raises
    ------
    CellqaError
        It holds an earlier run and `overwrite` is false, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    if any((out / name).exists() for name in (SCORES, SUMMARY, RUN)) and not overwrite:
        raise CellqaError(
            f"--out: {str(out)!r} holds an earlier run; give another folder, or --overwrite"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass  # better now than after hours
    except OSError as error:
        raise CellqaError(f"--out: {str(out)!r} cannot be written: {error.strerror}") from None


def write_run(
    out: Path,
    scores: Scores,
    summaries: Sequence[Summary],
    options: ScoreOptions,
    seconds: float,
    command: Sequence[str],
) -> list[Path]:
    """Write scores.csv, summary.csv and run.json; each appears when it is complete."""
    metrics = [metric.name for metric in scores.metrics]
    names = ["image", "method", "pixel_size", "data_range", *metrics, "status", "reason"]
    columns = [f.name for f in fields(Summary)]
    run = _run(scores, options, seconds, command)
    return [
        _write(out / SCORES, _csv(names, (_line(row, metrics) for row in scores.rows))),
        _write(out / SUMMARY, _csv(columns, (map(_cell, asdict(s).values()) for s in summaries))),
        _write(out / RUN, json.dumps(run, indent=2, ensure_ascii=False) + "\n"),
    ]


def terminal_table(scores: Scores, summaries: Sequence[Summary]) -> str:
    """Means of each method, one line each; the arrow says which direction is better."""
    shown = [
        m for m in scores.metrics if any(s.metric == m.name and s.n + s.infinite for s in summaries)
    ]
    found = {(s.method, s.metric): s for s in summaries}
    sized = any(row.pixel_size is not None for row in scores.rows)
    units = {m.name: "px" if m.unit == "µm" and not sized else m.unit for m in shown}
    head = ["mean", "images", *(f"{m.name} {m.arrow}" for m in shown)]
    lines = [["", "", *(units[m.name] for m in shown)]]
    for method in scores.methods:
        good = sum(row.method == method and row.status == "ok" for row in scores.rows)
        cells = []
        for m in shown:
            summary = found.get((method, m.name))
            if summary is None or not (summary.n or summary.infinite):
                cells.append("-")
            elif not summary.n:
                cells.append("inf")
            else:
                cells.append(
                    f"{summary.mean:#.4g}" if abs(summary.mean) < 1e4 else f"{summary.mean:.4g}"
                )
        lines.append([method, str(good), *cells])
    return align([head, *lines])


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


def _line(row: Row, metrics: Sequence[str]) -> list[str]:
    values = (number(row.values.get(name)) for name in metrics)
    place = [row.image, row.method, number(row.pixel_size), number(row.data_range)]
    return [*place, *values, row.status, row.reason]


def _cell(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _csv(header: Sequence[str], lines: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue()


def _write(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


def _run(
    scores: Scores, options: ScoreOptions, seconds: float, command: Sequence[str]
) -> dict[str, Any]:
    pairing = scores.pairing
    settings: Mapping[str, Any] = {
        "metrics": {m.name: m.definition for m in options.metrics},
        "data_range": options.data_range,
        "pixel_size": options.pixel_size,
        "compat": options.compat,
    }
    return {
        "command": list(command),
        "settings": settings,
        "folders": {name: str(path) for name, path in pairing.folders.items()},
        "pairing": {
            "images": len(pairing.images),
            "unpaired": {name: list(files) for name, files in pairing.unpaired.items()},
        },
        "rows": len(scores.rows),
        "failures": [
            {"image": r.image, "method": r.method, "reason": r.reason} for r in scores.failures
        ],
        "warnings": scores.warnings,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "machine": platform.platform(),
        "seconds": round(seconds, 3),
    }
