"""`cellqa report` and `cellqa figures`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.group import main, progress_bar
from cellqa.options import AnyPath, jobs_option


@main.command()
@click.argument("run", type=AnyPath(), metavar="RUN")
@click.option(
    "--gallery",
    type=click.IntRange(0),
    default=24,
    show_default=True,
    metavar="N",
    help="Images that get pictures; 0 for none.",
)
@jobs_option
def report(run: Path, gallery: int, jobs: int) -> None:
    """Make report.html of a finished run again, without scoring.

    RUN is the --out folder of `cellqa score`.
    """
    from cellqa.report.page import write_report

    with progress_bar("Drawing") as progress:
        path = write_report(run, gallery=gallery, jobs=jobs, progress=progress)
    click.echo(f"wrote {path}")


@main.command()
@click.argument("run", type=AnyPath(), metavar="RUN")
def figures(run: Path) -> None:
    """Draw the figures of a finished run, as PNG and SVG, into RUN/figures.

    Box plots, paired differences, who wins, resolution against fidelity. RUN is the --out folder
    of `cellqa score`.
    """
    from cellqa.report.charts import save_charts
    from cellqa.report.load import load_run

    paths = save_charts(load_run(run), run / "figures")
    click.echo("wrote " + ", ".join(map(str, paths)))
