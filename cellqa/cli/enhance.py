"""`cellqa te-enhance` and `cellqa egt`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cellqa.cli.group import main, progress_bar, report_failures
from cellqa.options import AnyPath, Positive, jobs_option, overwrite_option


def _enhance_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of both enhancers; defaults come from the method."""
    decorators = [
        click.argument("source", metavar="IN", type=AnyPath()),
        click.argument("target", metavar="OUT", type=AnyPath()),
        click.option(
            "--kernel", type=click.IntRange(3, 255), help="Gaussian's side in pixels, odd."
        ),
        click.option("--sigma", type=Positive(), help="Gaussian's sigma in pixels."),
        click.option("--amount", type=Positive(), help="Weight of the unsharp mask."),
        click.option("--clip-limit", type=Positive(), help="CLAHE's clip limit."),
        click.option("--tiles", type=click.IntRange(1), help="CLAHE's tiles along each side."),
        click.option(
            "--compat",
            type=click.Choice(["ciegan"]),
            help="8-bit arithmetic that wraps, as the CIEGAN authors' program.",
        ),
        jobs_option,
        overwrite_option,
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def _run_enhancer(method: str, source: Path, target: Path, **options: Any) -> None:
    from cellqa.enhance import Traditional, enhance_files

    jobs, overwrite = options.pop("jobs"), options.pop("overwrite")
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Traditional(method, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with progress_bar("Enhancing") as progress:
        done, failures = enhance_files(
            source, target, settings, jobs=jobs, overwrite=overwrite, progress=progress
        )
    click.echo(f"{settings.describe()}\nwrote {len(done)} images to {target}")
    report_failures(len(done) + len(failures), [(n, method, r) for n, r in failures])


@main.command("te-enhance")
@_enhance_options
def te_enhance(source: Path, target: Path, **options: Any) -> None:
    """Traditional enhancement: unsharp masking, then CLAHE.

    IN and OUT are files or folders. Defaults: Gaussian 13 x 13, sigma 2.3, amount 1, clip limit
    2, 16 x 16 tiles. Names, formats, bit depth and pixel size are kept.
    """
    _run_enhancer("te", source, target, **options)


@main.command()
@_enhance_options
def egt(source: Path, target: Path, **options: Any) -> None:
    """Enhanced ground truth: the operation of te-enhance on ground truth.

    IN and OUT are files or folders. The images say in their metadata that they are EGT.
    """
    _run_enhancer("egt", source, target, **options)
