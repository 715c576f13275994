"""`ciegan mosaic`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.group import progress_bar, report_failures, warn
from cellqa.options import AnyPath, Positive, overwrite_option
from ciegan.cli.group import main


@main.command()
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("target", metavar="OUT", type=AnyPath())
@click.option(
    "--pattern",
    metavar="REGEX",
    help="Groups row and col in names; the rest names the scan [default: as in r01_c02, y1_x3].",
)
@click.option(
    "--overlap",
    type=float,
    metavar="SHARE",
    help="Of a side, that tiles with rows and columns share, as 0.1 [default: found].",
)
@click.option(
    "--max-shift",
    type=Positive(),
    metavar="PIXELS",
    help="How far tiles may lie from where they should [default: a tenth of their side].",
)
@click.option(
    "--reference",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="C",
    help="Channel by which tiles are placed; all others follow.",
)
@overwrite_option
def mosaic(
    source: Path,
    target: Path,
    pattern: str | None,
    overlap: float | None,
    max_shift: float | None,
    reference: int,
    overwrite: bool,
) -> None:
    """Assemble the tiles of scans into one image each.

    IN is a folder with everything below it, or one file with several scenes. Tiles belong together
    by row and column in their names, or by stage positions in their files. OUT receives
    SCAN.ome.tif for each scan, and mosaic.csv: where each tile lies, and how sure that is.
    """
    from ciegan.mosaic import Placing, assemble_scans, left_out, tell_placement

    try:
        options = Placing(overlap, max_shift, reference)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with progress_bar("Assembling") as progress:
        found = assemble_scans(
            source, target, pattern, options, overwrite=overwrite, progress=progress
        )
    for each in found:
        if each.placement is not None and not each.reason:
            line, warnings = tell_placement(each.scan, each.placement)
            click.echo(line)
            warn(warnings)
    done = sum(not each.reason for each in found)
    click.echo(f"assembled {done} of {len(found)} scans: {target}")
    alone = left_out(source, [each.scan for each in found])
    if alone:
        more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        warn([f"{alone[0]}{more}: in no scan, left out"])
    report_failures(
        len(found), [(each.scan.name, "mosaic", each.reason) for each in found if each.reason]
    )
