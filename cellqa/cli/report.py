"""`cellqa report` and `cellqa figures`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cellqa.cli.group import main
from cellqa.cli.options import (
    AnyPath,
    OutPath,
    files_option,
    gallery_option,
    jobs_option,
    overwrite_option,
)
from cellqa.errors import CellqaError
from cellqa.terminal import progress_bar, warn


@main.command()
@click.argument("run", type=AnyPath(), metavar="RUN|TABLE.csv")
@gallery_option
@files_option
@click.option(
    "--out", type=OutPath(), metavar="DIR", help="For a table [default: its name with -report]."
)
@click.option("--group", metavar="REGEX|CSV", help="For a table: as of `cellqa score`.")
@jobs_option
@overwrite_option
def report(
    run: Path,
    gallery: int,
    files: bool,
    out: Path | None,
    group: str | None,
    jobs: int,
    overwrite: bool,
) -> None:
    """Make report.html of a finished run again, or of somebody else's table.

    RUN is the --out folder of `cellqa score`. TABLE.csv has a row for each image and method with a
    column for each metric, or a row for each image with columns METRIC_METHOD or
    METRIC_METHOD~REFERENCE.
    """
    from cellqa.pairs.grouping import Grouping
    from cellqa.reporting.page import archive_of, report as write_report
    from cellqa.tables.external import run_of_table
    from cellqa.tables.means import terminal_summary

    if run.is_dir() and (out or group):
        raise click.UsageError("--out and --group are for tables; a run has its own")
    if not run.is_dir():
        if not run.exists():
            raise CellqaError(f"RUN: {str(run)!r} does not exist")
        folder = out or run.with_name(f"{run.stem}-report")
        finished = run_of_table(
            run,
            folder,
            grouping=Grouping.parse(group) if group is not None else None,
            overwrite=overwrite,
            command=sys.argv,
        )
        click.echo(terminal_summary(finished) + "\n")
        warn(finished.warnings)
        run = folder
    with progress_bar("Drawing") as progress:
        path = write_report(run, gallery=gallery, files=files, jobs=jobs, progress=progress)
    click.echo("wrote " + ", ".join(map(str, [path, *archive_of(path)])))


@main.command()
@click.argument("run", type=AnyPath(), metavar="RUN")
@click.option(
    "--crop",
    nargs=4,
    type=click.IntRange(0),
    metavar="TOP LEFT HEIGHT WIDTH",
    help="Of the montage, in pixels [default: the liveliest square of each image].",
)
@jobs_option
def figures(run: Path, crop: tuple[int, int, int, int] | None, jobs: int) -> None:
    """Draw the figures of a finished run, as PNG and SVG, into RUN/figures.

    Box plots, paired differences, who wins, resolution against fidelity, a montage, decorrelation
    curves. RUN is the --out folder of `cellqa score` or `cellqa report`.
    """
    from cellqa.reporting.drawing import figures as draw_figures
    from cellqa.reporting.montage import MONTAGE

    if crop is not None and min(crop[2:]) < 8:
        raise click.UsageError("--crop: height and width must be 8 pixels at least")
    paths = draw_figures(run, crop=crop, jobs=jobs)
    if not any(path.stem == MONTAGE for path in paths):
        why = "lies outside the images, or they" if crop else "images"
        warn([f"no montage: the {'crop ' if crop else ''}{why} are gone or have changed"])
    click.echo("wrote " + ", ".join(map(str, paths)))
