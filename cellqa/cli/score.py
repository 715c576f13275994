"""`cellqa score` and `cellqa merge`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cellqa.cli.group import main
from cellqa.cli.kinds import MetricNames, Seconds, parse_time
from cellqa.cli.options import (
    AnyPath,
    OutPath,
    engine_option,
    files_option,
    gallery_option,
    jobs_option,
    json_option,
    missing_option,
    naming_options,
    opened_engine,
    overwrite_option,
    parse_camera,
    parse_data_range,
    parse_limits,
    parse_metrics,
    parse_objects,
    parse_shard,
    pixel_size_option,
    pred_option,
    table_option,
)
from cellqa.cli.printing import print_finished, write_page
from cellqa.errors import Interrupted
from cellqa.pairs.roles import GIVEN, LABELS, Role
from cellqa.terminal import (
    interrupted,
    progress_bar,
    tell,
)

if TYPE_CHECKING:
    from cellqa.metrics.metric import Metric

_AFTER_LOSS = "what was scored is kept: go on with --resume"


@main.command()
@pred_option
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
    type=OutPath(),
    default=Path("cellqa-results"),
    show_default=True,
    metavar="DIR",
    help="Where to write.",
)
@naming_options
@pixel_size_option
@click.option(
    "--data-range",
    default="auto",
    show_default=True,
    callback=parse_data_range,
    metavar="auto|dtype|set|percentile[:LOW,HIGH]|VALUE",
    help="Range of PSNR and SSIM. auto: 255 for 8 bits, else max - min of the ground truth.",
)
@click.option(
    "--metrics",
    type=MetricNames(),
    callback=parse_metrics,
    metavar="A,B",
    help="Only these [default: all].",
)
@click.option(
    "--frc-threshold",
    type=click.Choice(["1/7", "0.5", "half-bit"]),
    default="1/7",
    show_default=True,
    help="Correlation below which images no longer agree (frc_resolution).",
)
@click.option(
    "--colour",
    type=click.Choice(["auto", "channels"]),
    default="auto",
    show_default=True,
    help="Of red, green and blue: the one picture that they show, else their luminance; or each.",
)
@click.option(
    "--fit",
    type=click.Choice(["none", "affine"]),
    default="none",
    show_default=True,
    help="Add the scores after the best gain and offset: wrong brightness or wrong structure?",
)
@click.option(
    "--register",
    is_flag=True,
    help="Undo each image's displacement (shift_y, shift_x), and that against the input, before it "
    "is compared.",
)
@click.option(
    "--mask",
    type=AnyPath(),
    metavar="DIR",
    help="Masks or labels of the foreground, by name: adds scores over it, and objects.csv.",
)
@click.option(
    "--valid",
    type=AnyPath(),
    metavar="DIR",
    help="Where there is a picture (not 0), by name: the largest rectangle within is scored. "
    "Margins of one value are found without it.",
)
@click.option(
    "--foreground",
    type=click.Choice(["otsu"]),
    help="Scores over what stands out in the ground truth by Otsu's threshold.",
)
@click.option(
    "--objects",
    multiple=True,
    callback=parse_objects,
    metavar="auto|labels:[METHOD=]DIR|COMMAND",
    help="Adds the scores of objects, objects.csv and agreement.csv: counts, areas, intensities. "
    "auto: the built-in segmentation of truth and methods. COMMAND: any that makes labels of an "
    "image, as 'segment {in} {out}'. labels: those of the truth, and, given again, of METHOD.",
)
@click.option(
    "--objects-time",
    type=Seconds(0.01),
    default="10min",
    show_default=True,
    metavar="TIME",
    help="For each call of the command of --objects.",
)
@click.option(
    "--scale",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Enhanced images have N times the pixels of the input along each side.",
)
@click.option(
    "--camera",
    callback=parse_camera,
    metavar="GAIN,OFFSET,READ",
    help="Of the input: grey levels an electron, offset, read noise in grey levels; for "
    "unexplained [default: estimated from each image].",
)
@click.option(
    "--group",
    metavar="REGEX|CSV",
    help="What makes images belong together, as tiles of a field: named groups of a regular "
    "expression on the name, or a table with the columns image and group.",
)
@click.option(
    "--time",
    callback=parse_time,
    metavar="REGEX",
    help="Images are frames of time series: an expression on the name whose group t, else its "
    "first, is the time. Files with a time axis are series anyway.",
)
@click.option(
    "--fail-under",
    type=MetricNames(),
    callback=parse_limits,
    metavar="METRIC=VALUE,...",
    help="End with status 4 if the mean of a method is worse.",
)
@gallery_option
@files_option
@table_option
@json_option
@click.option("--no-report", is_flag=True, help="Write the tables only.")
@click.option("--maps", is_flag=True, help="Write maps of SSIM, error and consistency as TIFF.")
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
@engine_option
@missing_option
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
    metrics: list[str] | None,
    frc_threshold: str,
    colour: str,
    fit: str,
    register: bool,
    mask: Path | None,
    valid: Path | None,
    foreground: str | None,
    objects: tuple[str | None, dict[str, Path]],
    objects_time: float,
    scale: int,
    camera: tuple[float, float, float] | None,
    group: str | None,
    time: Any,
    fail_under: dict[str, float],
    gallery: int,
    files: bool,
    table: str,
    as_json: bool,
    no_report: bool,
    strip: tuple[str, ...],
    match: tuple[str, ...],
    pairs: Path | None,
    maps: bool,
    compat: str | None,
    max_pixels: int,
    engine: str,
    shard: tuple[int, int],
    resume: bool,
    jobs: int,
    overwrite: bool,
) -> None:
    """Score folders of images, against ground truth or alone.

    Images are paired by name. Writes scores.csv, summary.csv and run.json, and prints the means.
    """
    from cellqa.metrics.registry import for_run
    from cellqa.pairs.grouping import Grouping
    from cellqa.pairs.naming import parse_naming
    from cellqa.pairs.pairing import pair_folders
    from cellqa.scoring.compiling import compile_kernels
    from cellqa.scoring.options import ScoreOptions
    from cellqa.scoring.run import score_to_folder

    if resume and overwrite:
        raise click.UsageError("--resume goes on with an earlier run, --overwrite replaces it")
    needing: dict[str, Any] = {"--fit affine": fit == "affine", "--register": register}
    needing |= {"--mask": mask, "--foreground": foreground, "--objects": objects[0]}
    lonely = [option for option, given in needing.items() if given and gt is None]
    if lonely:
        raise click.UsageError(f"{lonely[0]} compares with the ground truth: give --gt")
    if mask is not None and foreground is not None:
        raise click.UsageError("--mask and --foreground both say what is foreground; give one")
    if camera is not None and input_ is None:
        raise click.UsageError("--camera is that of the --input: give that")
    if scale > 1 and input_ is None:
        raise click.UsageError("--scale is the size of the images against --input: give that")
    how, labels = objects
    _check_objects(how, labels, {*pred, "input"} if input_ else {*pred}, engine)
    masked = mask is not None or foreground is not None
    chosen = for_run(metrics, fit=fit == "affine", foreground=masked, objects=how is not None)
    if not masked and any(Role.MASK in m.needs for m in chosen):
        raise click.UsageError("--metrics: scores of the foreground need --mask or --foreground")
    _check_limits(fail_under, chosen, {Role.REFERENCE: gt, Role.RAW: input_})
    grouping = Grouping.parse(group) if group is not None else None
    roles = {*pred, *GIVEN, *(f"{LABELS}{name}" for name in labels)}
    naming = parse_naming(strip, match, pairs, roles)
    pairing = pair_folders(
        pred, reference=gt, raw=input_, mask=mask, valid=valid, labels=labels, naming=naming
    )
    options = ScoreOptions(
        chosen,
        data_range,
        pixel_size,
        compat,
        max_pixels,
        foreground=foreground,
        register=register,
        scale=scale,
        maps="maps" if maps else None,
        frc_threshold=frc_threshold,
        colour=colour,
        camera=camera,
        objects=how,
        objects_seconds=objects_time,
    )
    drawn = 0 if no_report else min(gallery, len(pairing.images))  # after, in the estimate
    compile_kernels(tell)
    try:
        with (
            opened_engine(engine, jobs, _AFTER_LOSS) as runner,
            progress_bar("Scoring", drawn) as progress,
            progress_bar("Following series", drawn) as following,
        ):
            finished = score_to_folder(
                pairing,
                out,
                options=options,
                engine=runner,
                grouping=grouping,
                times=time,
                resume=resume,
                overwrite=overwrite,
                shard=shard,
                command=sys.argv,
                parquet=table == "parquet",
                progress=progress,
                following=following,
            )
    except Interrupted as stop:
        interrupted(
            f": {stop.done} of {stop.total} images are kept; go on with the same command and "
            "--resume in place of any --overwrite"
        )
    if not no_report and finished.tally.rows:
        finished.paths.extend(write_page(out, gallery, jobs, files))
    print_finished(finished, fail_under, tuple(pred), as_json=as_json)


def _check_limits(
    limits: Mapping[str, float], chosen: Sequence[Metric], given: Mapping[Role, Path | None]
) -> None:
    """Refuse limits of what will not be computed: they would never act."""
    options = {Role.REFERENCE: "--gt", Role.RAW: "--input"}
    known = {metric.name: metric for metric in chosen}
    for name in limits:
        if name not in known:
            raise click.UsageError(f"--fail-under: {name} is not computed; see --metrics")
        for need in known[name].needs:
            if need in options and given[need] is None:
                raise click.UsageError(f"--fail-under: {name} needs {options[need]}")


def _check_objects(
    how: str | None, labels: dict[str, Path], methods: set[str], engine: str
) -> None:
    """Refuse ways to find objects that compare nothing, or that cannot start."""
    from cellqa.programs import is_program, words_of
    from cellqa.scoring.segmenting import AUTO, BY_LABELS

    unknown = next((name for name in labels if name not in methods | {"gt"}), None)
    if unknown:
        raise click.UsageError(
            f"--objects labels:{unknown}=...: there is no method of this name (gt for the truth)"
        )
    if labels and "gt" not in labels:
        raise click.UsageError("--objects: labels of a method need those of the truth: labels:DIR")
    if how == BY_LABELS and len(labels) < 2:
        raise click.UsageError(
            "--objects: labels of the truth are compared with those of methods: give "
            "labels:METHOD=DIR, or auto or a command as well, which segments what has no labels"
        )
    if how is None or how in (AUTO, BY_LABELS) or engine != "local":
        return
    program = words_of(how, {})[0]
    if not is_program(program):
        raise click.UsageError(f"--objects: there is no program {program!r}")
