"""`ciegan enhance`, and the options that it shares with other commands that run a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cellqa.cli.options import (
    AnyPath,
    OutPath,
    TableChoice,
    engine_option,
    missing_option,
    opened_engine,
    overwrite_option,
    together,
)
from cellqa.errors import CellqaError
from cellqa.terminal import progress_bar, report_failures, warn
from ciegan.cli.group import device_option, main, need_torch
from ciegan.cli.mosaic import assemble_folder, failures_of, mosaics_beside, scan_options

if TYPE_CHECKING:
    from ciegan.enhancing.cluster import Cluster
    from ciegan.enhancing.enhancer import EnhanceOptions
    from ciegan.network.checkpoint import Checkpoint
    from ciegan.network.runner import Runner

_WITHOUT = 1e-3  # share of the pixels without an interval from which it is told
_AFTER_LOSS = "what is done is kept: run the command again to go on"


def _parse_places(ctx: Any, parameter: Any, value: str | None) -> frozenset[int] | None:
    """Parse A,B-C,... into numbers from 0."""
    if value is None:
        return None
    places: set[int] = set()
    for part in value.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise click.BadParameter(f"{part!r} is not a number from 0, or A-B")
        end = int(last) if dash else int(first)
        if not int(first) <= end < 10**6:
            raise click.BadParameter(f"{part!r} ends before it begins, or is absurd")
        places |= set(range(int(first), end + 1))
    return frozenset(places)


# of every command that runs a network on images
network_options: Any = together(
    click.option(
        "--channel",
        metavar="A,B-C",
        callback=_parse_places,
        help="Channels to enhance, from 0; others are copied [default: all].",
    ),
    click.option(
        "--z",
        metavar="A,B-C",
        callback=_parse_places,
        help="Focus planes to enhance [default: all].",
    ),
    click.option(
        "--t", metavar="A,B-C", callback=_parse_places, help="Times to enhance [default: all]."
    ),
    click.option(
        "--normalize",
        type=click.Choice(["auto", "train", "image", "stack", "folder", "none"]),
        default="auto",
        show_default=True,
        help="Black and white: as in training (of time series, the same in all frames), the "
        "training set's, each plane's own, the same in all planes of a file, in all images of IN, "
        "or 0 and 1.",
    ),
    click.option(
        "--keep-flux",
        is_flag=True,
        help="Keep the raw image's brightness: its means over surroundings of 16 pixels.",
    ),
    click.option(
        "--samples",
        type=click.IntRange(1, 8),
        default=1,
        show_default=True,
        metavar="N",
        help="Enhance N flips and turns; write their mean, and their spread into OUT-spread/.",
    ),
    click.option("--tile", type=int, help="Side of the tiles, in pixels [default: by memory]."),
    click.option(
        "--hot-pixels",
        type=TableChoice("ciegan.enhancing.enhancer:HOT_PIXELS"),
        default="keep",
        show_default=True,
        help="remove: enhance what is around them in their place.",
    ),
    click.option(
        "--check", is_flag=True, help="Measure whether results still explain their raw images."
    ),
    device_option,
    click.option(
        "--devices",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="CUDA devices that share the files.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "16", "32"]),
        default="auto",
        show_default=True,
        help="Bits of the network on CUDA; auto takes 16 where the result, rounded to its grey "
        "levels, is the same, as for 8-bit images.",
    ),
    click.option(
        "--compile/--no-compile",
        "compiled",
        default=None,
        help="Let torch.compile make kernels for the CUDA device, first or never [default: beside "
        "long work, once it pays].",
    ),
)


def open_network(
    run: Path,
    *,
    channel: frozenset[int] | None,
    z: frozenset[int] | None,
    t: frozenset[int] | None,
    normalize: str,
    samples: int,
    tile: int | None,
    hot_pixels: str,
    keep_flux: bool,
    check: bool,
    device: str,
    devices: int,
    precision: str,
    compiled: bool | None,
    here: bool = True,
) -> tuple[Checkpoint, EnhanceOptions, list[Runner]]:
    """A network on its devices, as the options say; on none where not `here`."""
    from ciegan.enhancing.enhancer import EnhanceOptions
    from ciegan.enhancing.folder import make_runners
    from ciegan.network.builtin import is_builtin
    from ciegan.network.checkpoint import load

    try:
        options = EnhanceOptions(
            normalize, channel, z, t, check, samples, tile, hot_pixels, keep_flux
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    checkpoint = load(run)
    if is_builtin(checkpoint.path):
        click.echo(f"network: {checkpoint.path.stem}, which comes with the package")
    runners = []
    if here:
        runners = make_runners(checkpoint, device, devices, precision=precision, compiled=compiled)
    return checkpoint, options, runners


@contextmanager
def _cluster(engine: str, jobs: int | None, network: Mapping[str, Any]) -> Iterator[Cluster | None]:
    """The cluster that `--engine` names; None for this machine without one."""
    if engine == "local":
        yield None
        return
    import torch

    from cellqa.engines.local import usable_cores
    from ciegan.enhancing.cluster import Cluster

    own = 1 if network["device"] != "cpu" and torch.cuda.is_available() else usable_cores()
    with opened_engine(engine, jobs or own, _AFTER_LOSS) as opened:
        yield Cluster(opened, network["device"], network["precision"], network["compiled"])


def _intervals(
    checkpoint: Checkpoint,
    source: Path,
    target: Path,
    coverage: int,
    options: EnhanceOptions,
    made: set[Path],
) -> list[tuple[str, str, str]]:
    """Write the maps of what was made, and tell where they say nothing; return what failed."""
    from ciegan.enhancing.intervals import write_intervals

    unknown, failed = write_intervals(checkpoint, source, target, coverage, options, made=made)
    click.echo(f"{coverage} % intervals of {len(unknown)} images beside {target}: -lower, -upper")
    without = {name: share for name, share in unknown.items() if share > _WITHOUT}
    if without:
        most = max(without, key=lambda name: without[name])
        warn(
            [
                f"{len(without)} images have pixels unlike those that were calibrated on, without "
                f"an interval (most in {most}: {without[most]:.1%})"
            ]
        )
    return [(name, "interval", why) for name, why in failed]


@main.command()
@click.argument("run", type=AnyPath())
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("target", metavar="OUT", type=OutPath())
@network_options
@click.option(
    "--mosaic",
    type=click.Choice(["before", "after"]),
    help="Assemble the tiles of scans, before they are enhanced (OUT holds whole scans, the raw "
    "ones stand in OUT-raw/) or after (into OUT-mosaic/).",
)
@scan_options
@click.option(
    "--interval",
    type=click.Choice(["50", "68", "80", "90", "95"]),
    help="Write within which grey levels that share of pixels lies in truth, into OUT-lower/ and "
    "OUT-upper/; see `ciegan calibrate`.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Processes, each with the network on the device [default: on CUDA, by the files].",
)
@engine_option
@missing_option
@overwrite_option
def enhance(
    run: Path,
    source: Path,
    target: Path,
    *,
    mosaic: str | None,
    interval: str | None,
    pattern: str | None,
    overlap: float | None,
    max_shift: float | None,
    reference: int,
    jobs: int | None,
    engine: str,
    overwrite: bool,
    **network: Any,
) -> None:
    """Enhance a file or folder with a trained network.

    RUN is the folder of `ciegan train`, its best.safetensors, an ONNX file of `ciegan export`, or
    `general`, a network that comes with the package.
    Names, layout, formats, bit depth and pixel size are kept; formats that are only read, such
    as CZI and ND2, become OME-TIFF. What is done already is skipped, so that the same command goes
    on after any end. OUT receives enhanced.csv. With --engine dask each worker of a cluster holds
    the network, on a device that it has; scans are assembled here.
    """
    need_torch()
    from cellqa.enhance.files import plan
    from cellqa.io.store_images import holds_images
    from ciegan.enhancing.folder import disagreeing, doubts, enhance_files
    from ciegan.enhancing.intervals import calibrated
    from ciegan.enhancing.levels import with_folder_levels
    from ciegan.enhancing.pool import beside

    here = engine == "local"
    if not here and network["devices"] > 1:
        raise click.UsageError("--devices: each worker of --engine has one; start more workers")
    checkpoint, options, runners = open_network(run, **network, here=here)
    if interval and options.keep_flux:
        raise click.UsageError("--interval was calibrated without --keep-flux: leave one out")
    if interval:
        calibrated(checkpoint)  # told before hours of work
    scan: dict[str, Any] = {
        "pattern": pattern,
        "overlap": overlap,
        "max_shift": max_shift,
        "reference": reference,
        "overwrite": True,  # what was assembled before is made again, from the same tiles
    }
    if mosaic == "after" and checkpoint.scale > 1:
        raise CellqaError(
            f"--mosaic after places tiles by the pixels of IN, and {run} gives {checkpoint.scale} "
            "times as many; take --mosaic before"
        )
    if mosaic and not holds_images(source):
        raise CellqaError("--mosaic: IN must be a folder of tiles, and OUT a folder")
    if not mosaic and (pattern or overlap or max_shift or reference):
        raise click.UsageError("--pattern, --overlap, --max-shift, --reference go with --mosaic")
    failures = []
    raw = source
    if mosaic == "before":
        plan(source, target)  # what is wrong with them is told before hours of work
        source = mosaics_beside(target, "raw", overwrite=overwrite)
        mosaics = assemble_folder(raw, source, **scan)
        failures += failures_of(mosaics)
        if len(failures) == len(mosaics):
            report_failures(len(mosaics), failures)
    # before a cluster is asked: its workers see single images
    options = with_folder_levels(options, checkpoint, source, target)
    for channel, low, high in options.levels:
        click.echo(f"black and white of channel {channel}, of all images: {low:.6g}, {high:.6g}")
    with _cluster(engine, jobs, network) as cluster, progress_bar("Enhancing") as progress:
        records = enhance_files(
            checkpoint,
            source,
            target,
            options,
            runners=runners,
            jobs=jobs,
            cluster=cluster,
            overwrite=overwrite,
            progress=progress,
        )
    counts = Counter(record.status for record in records)
    before = counts["skipped"] + counts["moved"]
    times = checkpoint.scale
    finer = f", with {times} times the pixels along each side" if times > 1 else ""
    click.echo(f"enhanced {counts['ok']} images, {before} were done before: {target}{finer}")
    if options.samples > 1 and counts["ok"]:
        maps = beside(target if holds_images(source) else target.parent, "spread")
        click.echo(f"spread of {options.samples} flips and turns: {maps}")
    if interval:
        jobs_and_records = zip(plan(source, target), records, strict=True)
        made = {job.source for job, record in jobs_and_records if record.status != "failed"}
        failures += _intervals(checkpoint, source, target, int(interval), options, made)
    warn(checkpoint.warnings)
    warn(doubts(records, hot_removed=options.hot_pixels == "remove"))
    warn(disagreeing(records))
    total = len(records) + len(failures)
    failures += [(r.image, "enhance", r.reason) for r in records if r.status == "failed"]
    if mosaic == "after":
        tiles = {job.source: job.target for job in plan(source, target)}
        place = mosaics_beside(target, "mosaic", overwrite=overwrite)
        mosaics = assemble_folder(source, place, tiles=tiles, **scan)
        failures += failures_of(mosaics)
        total += len(mosaics)
    report_failures(total, failures)
