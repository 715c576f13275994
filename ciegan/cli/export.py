"""`ciegan export`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.options import AnyPath, OutPath, TableChoice, overwrite_option
from cellqa.terminal import warn
from ciegan.cli.group import main, need_torch


@main.command()
@click.argument("run", type=AnyPath())
@click.argument("out", type=OutPath())
@click.option(
    "--to",
    required=True,
    type=TableChoice("ciegan.network.exports:EXPORTS"),
    help="OUT is NAME.onnx, NAME.pt, or NAME.zip.",
)
@click.option(
    "--author",
    "authors",
    multiple=True,
    metavar="NAME",
    help="Who trained the network, for bioimageio; again for each [default: unknown].",
)
@click.option(
    "--license",
    "licence",
    metavar="SPDX",
    help="Of the weights, for bioimageio [default: BSD-3-Clause].",
)
@overwrite_option
def export(
    run: Path, out: Path, to: str, authors: tuple[str, ...], licence: str | None, overwrite: bool
) -> None:
    """Write a trained network for other programs.

    RUN is the folder of `ciegan train`, or its best.safetensors; OUT is a file. It is read back and
    must give what the trained network gives, on sizes other than those it was made with, before it
    appears. `ciegan enhance` takes ONNX files too.
    """
    need_torch()
    if to != "bioimageio" and (authors or licence):
        raise click.UsageError("--author and --license are for --to bioimageio")
    from ciegan.network.export import export_network

    exported = export_network(
        run,
        out,
        to,
        authors=authors,
        licence=licence or "BSD-3-Clause",
        overwrite=overwrite,
    )
    click.echo(f"wrote {exported.path} ({exported.size / 1e6:.3g} MB)")
    click.echo(
        f"largest difference from the trained network: {exported.difference:.2g} (of -1 to 1)"
    )
    click.echo(f"axes {exported.axes}, float32; height and width in multiples of {exported.stride}")
    click.echo(f"halo of a tile: {exported.halo} pixels")
    if exported.scale > 1:
        click.echo(f"takes images that are enlarged {exported.scale} times, as ciegan.enlarge does")
    click.echo(f"normalisation: {exported.normalisation}")
    warn(exported.warnings)
