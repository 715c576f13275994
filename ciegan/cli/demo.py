"""`ciegan demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cellqa.cli.options import OutPath, jobs_option, overwrite_option
from cellqa.terminal import progress_bar, tell_over_bar
from ciegan.cli.group import device_option, main, need_torch


def _parse_runs(ctx: Any, parameter: Any, values: tuple[str, ...]) -> dict[str, Path]:
    """Parse [NAME=]RUN; the name is the folder's where none is given."""
    from cellqa.cli.options import parse_folders

    return parse_folders(ctx, parameter, values)


@main.command()
@click.argument("out", default="ciegan-demo", type=OutPath())
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn."
)
@device_option
@jobs_option
@overwrite_option
def demo(out: Path, seed: int, device: str, jobs: int, overwrite: bool) -> None:
    """Prepare simulated pairs, train a small network, validate it, and print the table.

    OUT is the folder to write to [default: ciegan-demo]. Some minutes; no download.
    """
    need_torch()
    from cellqa.tables.means import terminal_summary
    from ciegan.demo import run_demo

    with progress_bar("Training") as progress:
        trained, validated = run_demo(
            out,
            seed=seed,
            device=device,
            jobs=jobs,
            overwrite=overwrite,
            tell=tell_over_bar,
            progress=progress,
        )
    click.echo(trained.describe())
    click.echo()
    click.echo(terminal_summary(validated.finished))
    click.echo(
        "\nwrote\n" + "\n".join(f"  {path}" for path in (out, validated.results, validated.page))
    )
