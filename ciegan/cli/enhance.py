"""`ciegan enhance`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cellqa.cli.group import progress_bar, report_failures, warn
from cellqa.options import AnyPath, overwrite_option
from ciegan.cli.group import device_option, main, need_torch


def _parse_places(ctx: Any, parameter: Any, value: str | None) -> frozenset[int] | None:
    """Parse A,B-C,... into numbers from 0."""
    if value is None:
        return None
    found: set[int] = set()
    for part in value.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise click.BadParameter(f"{part!r} is not a number from 0, or A-B")
        end = int(last) if dash else int(first)
        if not int(first) <= end < 10**6:
            raise click.BadParameter(f"{part!r} ends before it begins, or is absurd")
        found |= set(range(int(first), end + 1))
    return frozenset(found)


@main.command()
@click.argument("run", type=AnyPath())
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("target", metavar="OUT", type=AnyPath())
@click.option(
    "--channel",
    metavar="A,B-C",
    callback=_parse_places,
    help="Channels to enhance, from 0; others are copied [default: all].",
)
@click.option(
    "--z", metavar="A,B-C", callback=_parse_places, help="Focus planes to enhance [default: all]."
)
@click.option(
    "--t", metavar="A,B-C", callback=_parse_places, help="Times to enhance [default: all]."
)
@click.option(
    "--normalize",
    type=click.Choice(["auto", "train", "image", "none"]),
    default="auto",
    show_default=True,
    help="Black and white: as in training, the training set's, each plane's own, or 0 and 1.",
)
@click.option("--tile", type=int, help="Side of the tiles, in pixels [default: by memory].")
@click.option(
    "--check", is_flag=True, help="Measure whether results still explain their raw images."
)
@device_option
@overwrite_option
def enhance(
    run: Path,
    source: Path,
    target: Path,
    channel: frozenset[int] | None,
    z: frozenset[int] | None,
    t: frozenset[int] | None,
    normalize: str,
    tile: int | None,
    check: bool,
    device: str,
    overwrite: bool,
) -> None:
    """Enhance a file or folder with a trained network.

    RUN is the folder of `ciegan train`, or its best.safetensors. Names, layout, formats, bit depth
    and pixel size are kept; CZI, ND2 and OME-Zarr become OME-TIFF. What is done already is skipped,
    so that the same command goes on after any end. OUT receives enhanced.csv.
    """
    need_torch()
    from ciegan.checkpoint import choose_device, load
    from ciegan.enhancing import EnhanceOptions, disagreeing, enhance_files

    try:
        options = EnhanceOptions(normalize, channel, z, t, check, tile)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    chosen = choose_device(device)
    network = load(run)
    with progress_bar("Enhancing") as progress:
        records = enhance_files(
            network,
            run,
            source,
            target,
            options,
            device=chosen,
            overwrite=overwrite,
            progress=progress,
        )
    counts = {status: sum(r.status == status for r in records) for status in ("ok", "skipped")}
    click.echo(f"enhanced {counts['ok']} images, {counts['skipped']} were done before: {target}")
    warn(network.warnings)
    warn(disagreeing(records))
    report_failures(
        len(records), [(r.image, "enhance", r.reason) for r in records if r.status == "failed"]
    )
