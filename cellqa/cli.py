"""The command `cellqa`: each command parses its options, calls one function, prints the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cellqa.errors import CellqaError, printable

DONE_WITH_FAILURES = 3
INTERRUPTED = 130  # as shells report SIGINT


class _Positive(click.ParamType[float]):
    """A finite number above 0."""

    name = "number"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is not a finite number above 0", parameter, ctx)
        return number


class _Path(click.Path):
    """A path; an empty one (a shell variable that is not set) is an error."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        if not str(value):
            self.fail("the path is empty", parameter, ctx)
        return Path(value)


class _Commands(click.Group):
    """Turns every error that a user can cause into one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
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


def _jobs(ctx: click.Context, parameter: click.Parameter, value: int | None) -> int:
    from cellqa.engines.local import usable_cores

    return value or usable_cores()


jobs_option = click.option(
    "--jobs", type=click.IntRange(1), callback=_jobs, help="Processes [default: one a core]."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the results of an earlier run."
)


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


def _methods(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Parse [NAME=]DIR; the name is the folder's where none is given."""
    methods: dict[str, Path] = {}
    for value in values:
        name, equals, folder = value.partition("=")
        if not equals or Path(value).exists():
            name, folder = Path(value).absolute().name, value
        if not name or not folder:
            raise click.BadParameter(f"{value!r} lacks a name or a folder; give [NAME=]DIR")
        if name in methods:
            raise click.BadParameter(f"two methods are called {name!r}; name them: NAME={folder}")
        if name in ("input", "gt"):
            raise click.BadParameter(
                f"{name!r} is the name of another role; give a name: NAME={folder}"
            )
        methods[name] = Path(folder)
    return methods


def _metrics(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    from cellqa.registry import METRICS, select

    try:
        return METRICS if value is None else select(value.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _data_range(ctx: click.Context, parameter: click.Parameter, value: str) -> str | float:
    if value in ("auto", "dtype", "set"):
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 1e-150 < number < 1e150:  # its square must be a number
        raise click.BadParameter(f"must be auto, dtype, set or a number above 0, got {value!r}")
    return number


def _engine_name(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if value not in ("local", "dask") and not value.removeprefix("dask="):
        raise click.BadParameter("the address is empty")
    if value not in ("local", "dask") and not value.startswith("dask="):
        raise click.BadParameter(f"must be local, dask, dask=ADDRESS or dask=FILE, got {value!r}")
    return value


def _shard(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    part, _, number = value.partition("/")
    if not (part.isdecimal() and number.isdecimal() and 1 <= int(part) <= int(number)):
        raise click.BadParameter(f"must be I/N with I from 1 to N, got {value!r}")
    return int(part), int(number)


@main.command()
@click.option(
    "--pred",
    multiple=True,
    required=True,
    metavar="[NAME=]DIR",
    callback=_methods,
    help="Folder of enhanced images; again for each method to compare.",
)
@click.option("--gt", type=_Path(), metavar="DIR", help="Ground truth.")
@click.option(
    "--input",
    "input_",
    type=_Path(),
    metavar="DIR",
    help="Unenhanced images, scored as the method `input`.",
)
@click.option(
    "--out",
    type=_Path(),
    default=Path("cellqa-results"),
    show_default=True,
    metavar="DIR",
    help="Where to write.",
)
@click.option(
    "--pixel-size",
    type=_Positive(),
    metavar="UM",
    help="In micrometres [default: as the files say].",
)
@click.option(
    "--data-range",
    default="auto",
    show_default=True,
    callback=_data_range,
    metavar="auto|dtype|set|VALUE",
    help="Range of PSNR and SSIM. auto: 255 for 8 bits, else max - min of the ground truth.",
)
@click.option("--metrics", callback=_metrics, metavar="A,B", help="Only these [default: all].")
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
    callback=_engine_name,
    metavar="local|dask[=ADDRESS|FILE.json]",
    help="Where to run: this machine, or a Dask cluster.",
)
@click.option(
    "--shard",
    default="1/1",
    callback=_shard,
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
        click.echo(
            f"\ninterrupted: {stop.done} of {stop.total} images are kept; go on with the same "
            "command and --resume",
            err=True,
        )
        raise SystemExit(INTERRUPTED) from None
    _print_finished(finished)


@main.command()
@click.argument("parts", nargs=-1, required=True, type=_Path(), metavar="PART...")
@click.option("--out", type=_Path(), required=True, metavar="DIR", help="Where to write.")
@overwrite_option
def merge(parts: tuple[Path, ...], out: Path, overwrite: bool) -> None:
    """Join the results of `cellqa score --shard` as if the run had not been split.

    PART is the --out folder of each part.
    """
    from cellqa.run import merge as merge_parts

    _print_finished(merge_parts(parts, out, overwrite=overwrite))


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
@click.argument("images", nargs=-1, required=True, type=_Path())
@click.option(
    "--pixel-size",
    type=_Positive(),
    metavar="UM",
    help="In micrometres [default: as the files say].",
)
@click.option("--fast", is_flag=True, help="The authors' fast mode, another estimator.")
@click.option(
    "--plot",
    type=_Path(),
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
        click.argument("source", metavar="IN", type=_Path()),
        click.argument("target", metavar="OUT", type=_Path()),
        click.option(
            "--kernel", type=click.IntRange(3, 255), help="Gaussian's side in pixels, odd."
        ),
        click.option("--sigma", type=_Positive(), help="Gaussian's sigma in pixels."),
        click.option("--amount", type=_Positive(), help="Weight of the unsharp mask."),
        click.option("--clip-limit", type=_Positive(), help="CLAHE's clip limit."),
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
@click.argument("out", default="cellqa-demo", type=_Path())
@overwrite_option
@jobs_option
def demo(out: Path, overwrite: bool, jobs: int) -> None:
    """Make sample data, degrade, enhance and score it, and print the table. No download.

    OUT is the folder to write to [default: cellqa-demo].
    """
    from cellqa.demo import run_demo

    with _progress("Scoring") as progress:
        table, paths = run_demo(out, overwrite=overwrite, jobs=jobs, progress=progress)
    click.echo(table)
    click.echo("\nwrote\n" + "\n".join(f"  {path}" for path in paths))
