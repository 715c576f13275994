"""The tables with a row for each image once more as Parquet: typed, compressed, quick to read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import get_type_hints

from cellqa.disk import appearing
from cellqa.errors import MissingExtraError
from cellqa.extras import install_line
from cellqa.metrics.foreground import Object
from cellqa.metrics.objects import Found

_ROWS = 1 << 16  # of a row group
_TEXT = ("image", "method", "status", "reason", "state")
_KINDS = {**get_type_hints(Object), **get_type_hints(Found)}
_WHOLE = tuple(name for name, kind in _KINDS.items() if kind == int | None)


def check_parquet() -> None:
    """See that Parquet can be written, before anything is computed.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            f"--table parquet needs pyarrow; install it with: {install_line('parquet')}"
        )


def write_parquet(table: Path) -> Path:
    """Write NAME.parquet beside NAME.csv: the same rows, in memory a part at a time.

    Text is text, labels and areas are whole numbers, everything else is float64; an empty cell is
    null, and infinity is infinity.

    Parameters
    ----------
    table : Path
        scores.csv or objects.csv.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    # read from the CSV file, so that both say the same; pyarrow's own reader would read far ahead,
    # and pandas' numbers may be off in the last digit
    names = pd.read_csv(table, nrows=0).columns
    schema = pa.schema([(name, getattr(pa, _kind(name))()) for name in names])
    text = pa.schema([(name, pa.string()) for name in names])
    path = table.with_suffix(".parquet")
    with (
        appearing(path) as temporary,
        parquet.ParquetWriter(temporary, schema, compression="zstd") as writer,
        pd.read_csv(
            table, dtype=object, keep_default_na=False, na_values=[""], chunksize=_ROWS
        ) as parts,
    ):
        for part in parts:
            cells = pa.Table.from_pandas(part, text, preserve_index=False)
            writer.write_table(cells.cast(schema))
    return path


def _kind(column: str) -> str:
    return "string" if column in _TEXT else "int64" if column in _WHOLE else "float64"
