"""The command `cellqa`: each command parses its options, calls one function, prints the result."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from cellqa.errors import CellqaError, printable
from cellqa.options import (
    AnyPath,
    Positive,
    jobs_option,
    overwrite_option,
    parse_data_range,
    parse_engine,
    parse_methods,
    parse_metrics,
    parse_shard,
)

DONE_WITH_FAILURES = 3
INTERRUPTED = 130  # as shells report SIGINT


class _Commands(click.Group):
    """Turns every error that a user can cause into one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted", err=True)
            raise SystemExit(INTERRUPTED) from None
        except CellqaError as error:
            raise click.ClickException(printable(" ".join(str(error).split()))) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            name = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(printable(f"{name}{error.strerror or error}")) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cellqa")
def main() -> None:
    """Judge enhanced microscope images: how good, by how much, how sure."""


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, on a terminal only."""
    bars: list[Any] = []

    def show(done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        if not bars:
            bars.append(click.progressbar(length=total, label=label, file=sys.stderr))
            bars[0].__enter__()
        bars[0].update(done - bars[0].pos)

    try:
        yield show
    finally:
        if bars:
            bars[0].__exit__(None, None, None)


@main.command()
@click.option(
    "--pred",
    multiple=True,
    required=True,
    metavar="[NAME=]DIR",
    callback=parse_methods,
    help="Folder of enhanced images; again for each method to compare.",
)
@click.option("--gt", type=AnyPath(), metavar="DIR", help="Ground truth.")
@click.option(
    "--input",
    "input_",
    type=AnyPath(),
    metavar="DIR",
    help="Unenhanced images, scored as the method `input`.",
)
@click.option(
    "--out",
    type=AnyPath(),
    default=Path("cellqa-results"),
    show_default=True,
    metavar="DIR",
    help="Where to write.",
)
@click.option(
    "--pixel-size",
    type=Positive(),
    metavar="UM",
    help="In micrometres [default: as the files say].",
)
@click.option(
    "--data-range",
    default="auto",
    show_default=True,
    callback=parse_data_range,
    metavar="auto|dtype|set|VALUE",
    help="Range of PSNR and SSIM. auto: 255 for 8 bits, else max - min of the ground truth.",
)
@click.option("--metrics", callback=parse_metrics, metavar="A,B", help="Only these [default: all].")
@click.option(
    "--compat",
    type=click.Choice(["ciegan"]),
    help="Definitions of the CIEGAN authors' program, to compare with published tables.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=2**30,
    show_default=True,
    metavar="N",
    help="Refuse planes of more pixels.",
)
@click.option(
    "--engine",
    default="local",
    show_default=True,
    callback=parse_engine,
    metavar="local|dask[=ADDRESS|FILE.json]",
    help="Where to run: this machine, or a Dask cluster.",
)
@click.option(
    "--shard",
    default="1/1",
    callback=parse_shard,
    metavar="I/N",
    help="Score part I of N, for array jobs; join them with `cellqa merge`.",
)
@click.option("--resume", is_flag=True, help="Go on with an earlier run in --out.")
@jobs_option
@overwrite_option
def score(
    pred: dict[str, Path],
    gt: Path | None,
    input_: Path | None,
    out: Path,
    pixel_size: float | None,
    data_range: str | float,
    metrics: Any,
    compat: str | None,
    max_pixels: int,
    engine: str,
    shard: tuple[int, int],
    resume: bool,
    jobs: int,
    overwrite: bool,
) -> None:
    """Score folders of images, against ground truth or alone.

    Images are paired by name (without suffix). Writes scores.csv (a row for each image and
    method), summary.csv and run.json, and prints the means.
    """
    from cellqa.pairing import pair_folders
    from cellqa.run import Interrupted, score_to_folder
    from cellqa.score import ScoreOptions, compile_kernels

    if resume and overwrite:
        raise click.UsageError("--resume goes on with an earlier run, --overwrite replaces it")
    pairing = pair_folders(pred, gt=gt, raw=input_)
    options = ScoreOptions(metrics, data_range, pixel_size, compat, max_pixels)
    compile_kernels(_tell)
    _stop_in_order()
    try:
        with _engine(engine, jobs) as runner, _progress("Scoring") as progress:
            finished = score_to_folder(
                pairing,
                out,
                options=options,
                engine=runner,
                resume=resume,
                overwrite=overwrite,
                shard=shard,
                command=sys.argv,
                progress=progress,
            )
    except Interrupted as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is stopping already
        click.echo(
            f"\ninterrupted: {stop.done} of {stop.total} images are kept; go on with the same "
            "command and --resume in place of any --overwrite",
            err=True,
        )
        raise SystemExit(INTERRUPTED) from None
    _print_finished(finished)


@main.command()
@click.argument("parts", nargs=-1, required=True, type=AnyPath(), metavar="PART...")
@click.option("--out", type=AnyPath(), required=True, metavar="DIR", help="Where to write.")
@overwrite_option
def merge(parts: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Join the results of `cellqa score --shard` as if the run had not been split.

    PART is the --out folder of each part.
    """
    from cellqa.run import merge as merge_parts

    _print_finished(merge_parts(parts, out, overwrite=overwrite))


def _stop_in_order() -> None:
    """Take SIGTERM and SIGHUP, which clusters and closed terminals send, as an interrupt."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            with suppress(ValueError):  # not the main thread
                signal.signal(getattr(signal, name), interrupt)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(line, err=True)


@contextmanager
def _engine(name: str, jobs: int) -> Iterator[Any]:
    from cellqa.engines import open_engine

    runner = open_engine(name, jobs)
    try:
        yield runner
    finally:
        getattr(runner, "close", lambda: None)()


def _print_finished(finished: Any) -> None:
    from cellqa.tables import terminal_table

    if not finished.tally.rows:
        click.echo("this part of the run holds no images")
    click.echo(terminal_table(finished.tally, finished.summaries))
    click.echo("\nwrote " + ", ".join(str(path) for path in finished.paths))
    for warning in finished.warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    failures = [(r.image, r.method, r.reason) for r in finished.tally.failures]
    _report_failures(finished.tally.rows, failures, finished.paths[0])


def _report_failures(
    total: int, failures: list[tuple[str, str, str]], table: Path | None = None
) -> None:
    """Name what failed and end with status 3; where a table has the rest, ten are enough."""
    if not failures:
        return
    shown = failures[:10] if table else failures
    for image, method, reason in shown:
        click.echo(printable(f"failed: {image} ({method}): {reason}"), err=True)
    if len(failures) > len(shown):
        rest = len(failures) - len(shown)
        click.echo(f"... and {rest} more, each with its reason in {table}", err=True)
    click.echo(f"{len(failures)} of {total} failed", err=True)
    raise SystemExit(DONE_WITH_FAILURES)


@main.command()
@click.option("--markdown", is_flag=True, help="As the table of the README.")
def metrics(markdown: bool) -> None:
    """List the metrics: what they measure, direction, unit, range, definition, DOI."""
    from cellqa.registry import METRICS, markdown_table
    from cellqa.tables import align

    if markdown:
        click.echo(markdown_table())
        return
    head = ["name", "better", "unit", "measures", "range", "definition", "doi"]
    rows = [
        [m.name, m.arrow, m.unit or "-", m.measures, m.range, m.definition, m.doi] for m in METRICS
    ]
    click.echo(align([head, *rows], left=True))


@main.command()
@click.argument("images", nargs=-1, required=True, type=AnyPath())
@click.option(
    "--pixel-size",
    type=Positive(),
    metavar="UM",
    help="In micrometres [default: as the files say].",
)
@click.option("--fast", is_flag=True, help="The authors' fast mode, another estimator.")
@click.option(
    "--plot",
    type=AnyPath(),
    metavar="PNG|SVG",
    help="Draw the curves of both passes; of several planes into NAME-1.png, NAME-2.png ...",
)
def resolution(
    images: tuple[Path, ...], pixel_size: float | None, fast: bool, plot: Path | None
) -> None:
    """Resolution of each plane by decorrelation analysis: kc, resolution, A0."""
    from cellqa.analyse import analyse_resolution
    from cellqa.tables import align

    if plot and (plot.suffix.lower() not in (".png", ".svg", ".pdf") or not plot.parent.is_dir()):
        raise CellqaError(f"--plot: {str(plot)!r} must end in .png, .svg or .pdf, in a folder")
    rows, failures, found = analyse_resolution(images, pixel_size=pixel_size, fast=fast)
    if rows:
        click.echo(align([["plane", "kc", "resolution", "unit", "A0", "note"], *rows], left=True))
    if plot and found:
        from cellqa.figures import save_decorrelation

        click.echo("\nwrote " + ", ".join(map(str, save_decorrelation(plot, found))))
    _report_failures(len(rows) + len(failures), failures)


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
    from dataclasses import replace

    from cellqa.enhance import METHODS, enhance_files

    jobs, overwrite = options.pop("jobs"), options.pop("overwrite")
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = replace(METHODS[method], **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with _progress("Enhancing") as progress:
        done, failures = enhance_files(
            source, target, settings, jobs=jobs, overwrite=overwrite, progress=progress
        )
    click.echo(f"{settings.describe()}\nwrote {len(done)} images to {target}")
    _report_failures(len(done) + len(failures), [(n, method, r) for n, r in failures])


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


@main.command()
@click.argument("out", default="cellqa-demo", type=AnyPath())
@overwrite_option
@jobs_option
def demo(out: Path, overwrite: bool, jobs: int) -> None:
    """Make sample data, degrade, enhance and score it, and print the table. No download.

    OUT is the folder to write to [default: cellqa-demo].
    """
    from cellqa.demo import run_demo
    from cellqa.score import compile_kernels

    compile_kernels(_tell)
    with _progress("Scoring") as progress:
        table, paths = run_demo(out, overwrite=overwrite, jobs=jobs, progress=progress)
    click.echo(table)
    click.echo("\nwrote\n" + "\n".join(f"  {path}" for path in paths))
