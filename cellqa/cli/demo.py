"""`cellqa demo`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.group import main
from cellqa.cli.options import OutPath, jobs_option, overwrite_option
from cellqa.terminal import progress_bar, tell


@main.command()
@click.argument("out", default="cellqa-demo", type=OutPath())
@overwrite_option
@jobs_option
def demo(out: Path, overwrite: bool, jobs: int) -> None:
    """Make sample data, degrade, enhance and score it, and print the table. No download.

    OUT is the folder to write to [default: cellqa-demo].
    """
    from cellqa.demo import run_demo
    from cellqa.scoring.compiling import compile_kernels

    compile_kernels(tell)
    with progress_bar("Scoring") as progress:
        table, paths = run_demo(out, overwrite=overwrite, jobs=jobs, progress=progress)
    click.echo(table)
    click.echo("\nwrote\n" + "\n".join(f"  {path}" for path in paths))
