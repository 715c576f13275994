"""`ciegan check`."""

from __future__ import annotations

import math
from pathlib import Path

import click

from cellqa.cli.options import AnyPath
from cellqa.terminal import align, warn
from ciegan.cli.group import main, need_torch


@main.command()
@click.argument("run", type=AnyPath())
@click.option(
    "--data", type=AnyPath(), help="As `ciegan prepare` makes it: does RUN know its images?"
)
@click.option("--split", default="test", show_default=True, help="Of the data.")
def check(run: Path, data: Path | None, split: str) -> None:
    """Show RUN what it should make nothing of, and images that it does not know.

    Of noise on a blank field, or around a lone spot, a network must not make structure: `made` is
    the structure in its result as a multiple of that in the noise, 1 at most. With --data, images
    of that split are shown as they are, and changed: other pixel sizes, contrast, brightness,
    focus. `unlike` above 1 means that `ciegan enhance` would warn of such an image.
    """
    need_torch()
    from ciegan.data.tile_pairs import read_split
    from ciegan.judging.nulls import check_nothing, check_others
    from ciegan.network.checkpoint import load

    network = load(run)
    found = check_nothing(network)
    if data is not None:
        found += check_others(network, read_split(data, split))
    rows = [["image", "made", "unlike", "told", "rsp"]]
    for each in found:
        numbers = (each.made, each.unlike, each.rsp)
        made, unlike, rsp = ("" if math.isnan(v) else f"{v:.2f}" for v in numbers)
        rows.append([each.name, made, unlike, f"{each.told:.0%}" if unlike else "", rsp])
    click.echo(align(rows))
    told = [each.warning for each in found if each.warning]
    if network.familiar is None:
        told.append("the weights do not know what they were trained on: no `unlike`")
    warn(told)
