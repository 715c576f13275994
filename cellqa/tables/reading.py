"""Files that we wrote, read again: anyone may have changed them, so each value is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from cellqa.errors import CellqaError, first_line, printable
from cellqa.tables.cells import unguarded

_LARGEST_JSON = 2**28  # bytes
_SHOWN = 40  # characters of a value that is shown


def read_json(path: Path, what: str) -> Any:
    """What a JSON file holds.

    Parameters
    ----------
    path : Path
    what : str
        What the file should be, for the error, as `the run.json of a scoring run`.

    Raises
    ------
    OSError
        It cannot be read.
    CellqaError
        It is no JSON, or absurdly large.
    """
    if path.stat().st_size > _LARGEST_JSON:
        raise CellqaError(f"{path}: not {what} (larger than {_LARGEST_JSON >> 20} MiB)")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CellqaError(f"{path}: not {what} ({first_line(error)})") from None


def unfit(content: Any, kind: Any, place: str = "") -> str:
    """Where content of JSON is not what a type says, and what is wrong; empty where all is right.

    Parameters
    ----------
    content : object
    kind : type
        A dataclass or NamedTuple, of which content has the fields; or a type as in annotations,
        of these and of `list`, `dict`, `Sequence`, `Mapping`, unions, `Literal`, and plain ones.
    place : str
        Where the content stands.

    Examples
    --------
    >>> unfit({"a": [1, 2]}, dict[str, list[int]]), unfit({"a": [1, "2"]}, dict[str, list[int]])
    ('', 'a[1] is no int')
    """
    if kind is Any:
        return ""
    if hasattr(kind, "_fields") or is_dataclass(kind):
        return _unfit_fields(content, kind, place)
    name, origin, parts = place or "it", get_origin(kind), get_args(kind)
    if origin is Literal:
        return "" if content in parts else f"{name} is none of {', '.join(map(str, parts))}"
    if origin in (list, Sequence):
        if not isinstance(content, list):
            return f"{name} is no list"
        each = (unfit(v, parts[0], f"{place}[{k}]") for k, v in enumerate(content))
        return next(filter(None, each), "")
    if origin in (dict, Mapping):
        if not isinstance(content, dict):
            return f"{name} is no table"
        dot = f"{place}." if place else ""
        each = (unfit(v, parts[1], f"{dot}{printable(str(k))}") for k, v in content.items())
        return next(filter(None, each), "")
    if parts:  # a union
        return "" if not all(unfit(content, part) for part in parts) else f"{name} is no {kind}"
    if kind is float:
        right = isinstance(content, (int, float)) and not isinstance(content, bool)
    elif kind is int:
        right = isinstance(content, int) and not isinstance(content, bool)
    elif kind in (None, type(None)):
        right = content is None
    else:
        right = isinstance(content, kind)
    return "" if right else f"{name} is no {getattr(kind, '__name__', kind)}"


def _unfit_fields(content: Any, kind: Any, place: str) -> str:
    if not isinstance(content, dict):
        return f"{place or 'it'} is no table"
    hints = get_type_hints(kind)
    optional = set(getattr(kind, "_field_defaults", ()))
    names = [f.name for f in fields(kind)] if is_dataclass(kind) else list(kind._fields)
    dot = f"{place}." if place else ""
    for name in names:
        if name not in content:
            if name not in optional:
                return f"{dot}{name} is missing"
        elif wrong := unfit(content[name], hints[name], f"{dot}{name}"):
            return wrong
    return ""


def read_table(
    path: Path,
    required: Sequence[str],
    numbers: Iterable[str],
    *,
    optional: Iterable[str] = (),
    counts: Iterable[str] = (),
    texts: Iterable[str] = (),
) -> pd.DataFrame:
    """A table of ours. Empty cells are nan, or empty text.

    Parameters
    ----------
    path : Path
    required : sequence of str
        Columns of text that have to be there, in no row empty.
    numbers : iterable of str
        Columns that have to be there.
    optional, counts, texts : iterable of str
        Columns that tables of earlier versions may lack: numbers, whole ones, text.

    Raises
    ------
    CellqaError
        It cannot be read, is cut short, lacks a column, or holds text where a number should be.
        The line says which row, from 1 on below the header.
    """
    texts = [*texts]
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys([*required, *texts], str),
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
        )
        whole = _ends_a_line(path)
    except OSError as error:
        raise CellqaError(f"{path}: {error.strerror}") from None
    except (ValueError, OverflowError, RecursionError) as error:  # of the parser, and of text
        raise CellqaError(f"{path}: not a table of a run ({first_line(error)})") from None
    if not whole:
        raise CellqaError(f"{path}: cut short; score again with --resume")
    numbers = [*numbers]
    for name in (*required, *numbers):
        if name not in table:
            raise CellqaError(f"{path}: not a table of a run (it has no column {name!r})")
    for name in required:
        _refuse(path, table, name, table[name].isna(), "empty")
    for name in texts:
        table[name] = table[name].fillna("") if name in table else ""
    for name in (*required, *texts):
        if table[name].str.startswith("'").any():
            table[name] = table[name].map(unguarded)
    for name in (*numbers, *optional):
        table[name] = _numbers(path, table, name) if name in table else np.nan
    for name in counts:
        found = _numbers(path, table, name) if name in table else np.zeros(len(table))
        _refuse(path, table, name, ~np.isfinite(found), "no number")
        table[name] = found
    return table


def _numbers(path: Path, table: pd.DataFrame, name: str) -> pd.Series[Any]:
    column = table[name]
    found = pd.to_numeric(column, errors="coerce")
    if column.dtype == bool or not pd.api.types.is_numeric_dtype(column):
        _refuse(path, table, name, found.isna() & column.notna(), "no number")
    return found.astype(float)


def _refuse(path: Path, table: pd.DataFrame, name: str, wrong: Any, why: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        value = table[name].iloc[rows[0]]
        shown = "" if pd.isna(value) else f"{printable(str(value))[:_SHOWN]!r} is "
        raise CellqaError(f"{path}: row {rows[0] + 1}, column {name!r}: {shown}{why}")


def refuse_unknown(path: Path, table: pd.DataFrame, name: str, known: Iterable[str]) -> None:
    """Refuse a table in which a column has a value that the run does not know.

    Raises
    ------
    CellqaError
        The line says where.
    """
    _refuse(path, table, name, ~table[name].isin(list(known)), "not of this run")


def refuse_twice(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse a table in which two rows are of the same.

    Raises
    ------
    CellqaError
        The line says where.
    """
    twice = table.duplicated(subset=list(names))
    _refuse(path, table, names[-1], twice, f"there twice for the same {' and '.join(names[:-1])}")


def _ends_a_line(table: Path) -> bool:
    """Whether a table ends as a whole line does; its end alone is read."""
    with table.open("rb") as file:
        file.seek(max(0, table.stat().st_size - 1))
        return file.read() == b"\n"
