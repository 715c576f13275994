"""`ciegan calibrate`."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import click

from cellqa.cli.options import AnyPath
from cellqa.terminal import align, warn
from ciegan.cli.group import main, need_torch


@main.command()
@click.argument("run", type=AnyPath())
@click.option("--data", type=AnyPath(), required=True, help="As `ciegan prepare` makes it.")
@click.option("--split", default="val", show_default=True, help="Of the data.")
def calibrate(run: Path, data: Path, split: str) -> None:
    """Measure how far results of RUN are from the truth, and keep that with its weights.

    `ciegan enhance --interval 90` then writes within which grey levels the truth of each pixel
    lies. RUN's own validation fields were calibrated on at the end of its training.
    """
    need_torch()
    from ciegan.data.tile_pairs import read_split
    from ciegan.training.calibration import calibrate as calibrated

    found = calibrated(run, read_split(data, split))
    if found.coverage:
        rows = [["field", "within 90 %", "brightest 5 %"]]
        rows += [[name, *(f"{v:.1%}" for v in both)] for name, both in found.coverage.items()]
        means = map(fmean, zip(*found.coverage.values(), strict=True))
        rows.append(["mean", *(f"{v:.1%}" for v in means)])
        click.echo("Each field, by intervals of the others:")
        click.echo(align(rows))
    click.echo(f"calibrated {run}")
    warn(found.warnings())
