"""`ciegan mosaic`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cellqa.cli.options import AnyPath, OutPath, Positive, overwrite_option, together
from cellqa.errors import CellqaError
from cellqa.terminal import progress_bar, report_failures, warn
from ciegan.cli.group import main

if TYPE_CHECKING:
    from ciegan.mosaic import Assembled

# of every command that assembles scans
scan_options: Any = together(
    click.option(
        "--pattern",
        metavar="REGEX",
        help="Groups row and col in names; the rest names the scan "
        "[default: as in r01_c02, y1_x3].",
    ),
    click.option(
        "--overlap",
        type=float,
        metavar="SHARE",
        help="Of a side, that tiles with rows and columns share, as 0.1 [default: found].",
    ),
    click.option(
        "--max-shift",
        type=Positive(),
        metavar="PIXELS",
        help="How far tiles may lie from where they should [default: a tenth of their side].",
    ),
    click.option(
        "--reference",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="C",
        help="Channel by which tiles are placed; all others follow.",
    ),
)


def assemble_folder(
    source: Path,
    target: Path,
    *,
    pattern: str | None,
    overlap: float | None,
    max_shift: float | None,
    reference: int,
    **more: Any,
) -> list[Assembled]:
    """Assemble with a progress bar, and tell how sure each scan is."""
    from ciegan.mosaic import Placing, assemble_scans, left_out, tell_placement

    try:
        options = Placing(overlap, max_shift, reference)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with progress_bar("Assembling") as progress:
        mosaics = assemble_scans(source, target, pattern, options, progress=progress, **more)
    for each in mosaics:
        if each.placement is not None and not each.reason:
            line, warnings = tell_placement(each.scan, each.placement)
            click.echo(line)
            warn(warnings)
    done = sum(not each.reason for each in mosaics)
    click.echo(f"assembled {done} of {len(mosaics)} scans: {target}")
    alone = left_out(source, [each.scan for each in mosaics])
    if alone:
        more_of_them = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        warn([f"{alone[0]}{more_of_them}: in no scan, left out"])
    return mosaics


def mosaics_beside(folder: Path, what: str, *, overwrite: bool = False) -> Path:
    """A folder for mosaics beside the results: new, or of mosaics.

    Raises
    ------
    CellqaError
        It holds something else.
    """
    from ciegan.enhancing.pool import beside
    from ciegan.mosaic.run import MOSAIC_TABLE

    place = beside(folder, what)
    known = (place / MOSAIC_TABLE).exists()
    if place.exists() and not known and not overwrite and any(place.iterdir()):
        raise CellqaError(f"{str(place)!r} is needed for mosaics and holds something else")
    return place


def failures_of(mosaics: list[Assembled]) -> list[tuple[str, str, str]]:
    """Scans that failed, as `report_failures` takes them."""
    return [(each.scan.name, "mosaic", each.reason) for each in mosaics if each.reason]


@main.command()
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("target", metavar="OUT", type=OutPath())
@scan_options
@overwrite_option
def mosaic(source: Path, target: Path, *, overwrite: bool, **scan: Any) -> None:
    """Assemble the tiles of scans into one image each.

    IN is a folder with everything below it, or one file with several scenes. Tiles belong together
    by row and column in their names, or by stage positions in their files. OUT receives
    SCAN.ome.tif for each scan, and mosaic.csv: where each tile lies, and how sure that is.
    """
    mosaics = assemble_folder(source, target, overwrite=overwrite, **scan)
    report_failures(len(mosaics), failures_of(mosaics))
