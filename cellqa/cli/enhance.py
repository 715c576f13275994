"""`cellqa enhance`, and `te-enhance` and `egt` with their own options."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cellqa.cli.group import main
from cellqa.cli.helping import Command
from cellqa.cli.options import (
    AnyPath,
    OutPath,
    Positive,
    TableChoice,
    engine_option,
    jobs_option,
    missing_option,
    opened_engine,
    overwrite_option,
    parse_settings,
    together,
)
from cellqa.errors import CellqaError
from cellqa.terminal import progress_bar, report_failures

if TYPE_CHECKING:
    from cellqa.enhance import Enhancer


# of both enhancers; defaults come from the method
_enhance_options: Any = together(
    click.argument("source", metavar="IN", type=AnyPath()),
    click.argument("target", metavar="OUT", type=OutPath()),
    click.option("--kernel", type=click.IntRange(3, 255), help="Gaussian's side in pixels, odd."),
    click.option("--sigma", type=Positive(), help="Gaussian's sigma in pixels."),
    click.option("--amount", type=Positive(), help="Weight of the unsharp mask."),
    click.option("--clip-limit", type=Positive(), help="CLAHE's clip limit."),
    click.option("--tiles", type=click.IntRange(1), help="CLAHE's tiles along each side."),
    click.option(
        "--compat",
        type=click.Choice(["ciegan"]),
        help="8-bit arithmetic that wraps, as the CIEGAN authors' program.",
    ),
    engine_option,
    missing_option,
    jobs_option,
    overwrite_option,
)

_AFTER_LOSS = "what was written is whole: run it again with --overwrite"


def _run_traditional(method: str, source: Path, target: Path, **options: Any) -> None:
    from cellqa.enhance import Traditional

    run = {name: options.pop(name) for name in ("engine", "jobs", "overwrite")}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Traditional(method, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _run_enhancer(settings, source, target, **run)


def _run_enhancer(
    settings: Enhancer, source: Path, target: Path, *, engine: str, jobs: int, overwrite: bool
) -> None:
    from cellqa.enhance import enhance_files

    where = opened_engine(engine, jobs, _AFTER_LOSS) if engine != "local" else nullcontext()
    with where as runner, progress_bar("Enhancing") as progress:
        done, failures = enhance_files(
            source,
            target,
            settings,
            jobs=jobs,
            engine=runner,
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(f"{settings.describe()}\nwrote {len(done)} images to {target}")
    report_failures(len(done) + len(failures), [(n, settings.name, r) for n, r in failures])


class _MethodsCommand(Command):
    """Lists the methods and their settings below its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, from the registry."""
        from cellqa.enhance import ENHANCERS, settings_of

        rows = []
        for name, method in ENHANCERS.items():
            settings = (f"{k}={'' if v is None else v}" for k, v in settings_of(method).items())
            rows.append((name, ", ".join(settings)))
        with formatter.section("Methods and their settings"):
            formatter.write_dl(rows)
        super().format_epilog(ctx, formatter)


@main.command(cls=_MethodsCommand)
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("target", metavar="OUT", type=OutPath())
@click.option(
    "--method",
    required=True,
    metavar="NAME",
    type=TableChoice("cellqa.enhance:ENHANCERS"),
    help="One of those below.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=parse_settings,
    help="A setting of the method; again for more.",
)
@engine_option
@missing_option
@jobs_option
@overwrite_option
def enhance(
    source: Path,
    target: Path,
    method: str,
    settings: dict[str, str],
    engine: str,
    jobs: int,
    overwrite: bool,
) -> None:
    """Enhance by a classical method.

    IN and OUT are files or folders. Names, formats, bit depth and pixel size are kept, and metadata
    say what was done.
    """
    from cellqa.enhance import ENHANCERS, with_settings

    try:
        enhancer = with_settings(ENHANCERS[method], settings)
    except (CellqaError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    _run_enhancer(enhancer, source, target, engine=engine, jobs=jobs, overwrite=overwrite)


@main.command("te-enhance")
@_enhance_options
def te_enhance(source: Path, target: Path, **options: Any) -> None:
    """Traditional enhancement: unsharp masking, then CLAHE.

    IN and OUT are files or folders. Defaults: Gaussian 13 x 13, sigma 2.3, amount 1, clip limit
    2, 16 x 16 tiles. Names, formats, bit depth and pixel size are kept.
    """
    _run_traditional("te", source, target, **options)


@main.command()
@_enhance_options
def egt(source: Path, target: Path, **options: Any) -> None:
    """Enhanced ground truth: the operation of te-enhance on ground truth.

    IN and OUT are files or folders. The images say in their metadata that they are EGT.
    """
    _run_traditional("egt", source, target, **options)
