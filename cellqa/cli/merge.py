"""`cellqa merge`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.group import main
from cellqa.cli.options import (
    AnyPath,
    OutPath,
    jobs_option,
    json_option,
    overwrite_option,
    table_option,
)
from cellqa.cli.printing import print_finished, write_page
from cellqa.tables.folder import GALLERY


@main.command()
@click.argument("parts", nargs=-1, required=True, type=AnyPath(), metavar="PART...")
@click.option("--out", type=OutPath(), required=True, metavar="DIR", help="Where to write.")
@table_option
@json_option
@jobs_option
@overwrite_option
def merge(
    parts: tuple[Path, ...], out: Path, table: str, as_json: bool, jobs: int, overwrite: bool
) -> None:
    """Join the results of `cellqa score --shard` as if the run had not been split.

    PART is the --out folder of each part.
    """
    from cellqa.scoring.run import merge as merge_parts

    finished = merge_parts(parts, out, overwrite=overwrite, parquet=table == "parquet")
    if finished.tally.rows:
        finished.paths.extend(write_page(out, GALLERY, jobs))
    print_finished(finished, as_json=as_json)
