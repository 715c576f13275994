"""Every scan below a folder assembled: what came of each, and the table of its tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cellqa.disk import StrPath, leaves
from cellqa.enhance.files import Job, refuse_taken
from cellqa.errors import CellqaError, first_line, printable
from cellqa.io import split_suffix
from cellqa.io.store_images import holds_images
from cellqa.shown import one_line
from cellqa.tables.cells import cell
from cellqa.tables.files import write_csv
from cellqa.terminal import Progress
from ciegan.mosaic.fusing import SUFFIX, assemble
from ciegan.mosaic.pairs import Placing
from ciegan.mosaic.placing import Placement, place
from ciegan.mosaic.scans import Scan, find_scans

MOSAIC_TABLE = "mosaic.csv"
COLUMNS = ("scan", "tile", "row", "col", "y", "x", "pairs", "correlation", "trusted")


@dataclass
class Assembled:
    """What became of a scan.

    Attributes
    ----------
    scan : Scan
    target : Path
    placement : Placement or None
        None where the tiles could not be placed.
    reason : str
        Why it failed; empty where it did not.
    """

    scan: Scan
    target: Path
    placement: Placement | None = None
    reason: str = ""

    __repr__ = one_line


def assemble_scans(
    source: StrPath,
    target: StrPath,
    pattern: str | None = None,
    options: Placing | None = None,
    *,
    tiles: Mapping[StrPath, StrPath] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Assembled]:
    """Assemble every scan in a file, or below a folder.

    Parameters
    ----------
    source : path
    target : path
        A folder, which receives SCAN.ome.tif and mosaic.csv.
    pattern : str, optional
        See `find_scans`.
    options : Placing, optional
    tiles : mapping of path to path, optional
        Files to take the pixels from in place of the source's: enhanced ones.
    overwrite : bool
        Replace files that exist in the target.
    progress : callable, optional
        Called with how much is done, and of how much.

    Returns
    -------
    list of Assembled
        One for each scan, in order; those that failed say why.

    Raises
    ------
    CellqaError
        There is no scan, or the target is a file, lies inside the source, or holds files of the
        same names.
    """
    source, target = Path(source), Path(target)
    scans = find_scans(source, pattern)
    mosaics = [Assembled(scan, target / f"{scan.name}{SUFFIX}") for scan in scans]
    _check_target(source, target, mosaics)
    if not overwrite:
        refuse_taken(
            [Job(source, path) for path in (*(f.target for f in mosaics), target / MOSAIC_TABLE)]
        )
    total = sum(2 * len(scan.tiles) for scan in scans)
    before = 0
    for each in mosaics:
        size = len(each.scan.tiles)

        def tell(share: float, start: int = before, size: int = size) -> None:
            if progress:
                progress(start + int(share * size), total)

        each.reason = _assembled(each, options, tiles, tell)
        before += 2 * size
        tell(2)
    target.mkdir(parents=True, exist_ok=True)
    write_csv(target / MOSAIC_TABLE, COLUMNS, (line for each in mosaics for line in _lines(each)))
    return mosaics


def _assembled(
    each: Assembled,
    options: Placing | None,
    tiles: Mapping[StrPath, StrPath] | None,
    tell: Callable[[float], None],
) -> str:
    """Place and fuse one scan; the reason where that fails."""
    try:
        each.placement = place(each.scan, options, progress=tell)
        assemble(
            each.scan, each.placement, each.target, tiles, progress=lambda share: tell(1 + share)
        )
    except CellqaError as error:
        return printable(" ".join(str(error).split()))
    except OSError as error:
        return f"{error.filename or each.target}: cannot be written " + (
            f"({error.strerror or first_line(error)})"
        )
    except (ValueError, RuntimeError, MemoryError) as error:  # a library's own
        return first_line(error)
    return ""


def tell_placement(scan: Scan, placement: Placement) -> tuple[str, list[str]]:
    """A line on how well a scan was placed, and what to distrust, a line each."""
    name = printable(scan.name)
    trusted = sum(pair.trusted for pair in placement.pairs)
    height, width = placement.shape
    line = (
        f"{name}: {len(scan.tiles)} tiles, {trusted} of {len(placement.pairs)} pairs trusted, "
        f"{height} x {width} pixels"
    )
    if trusted:
        line += f", residual {placement.residual:.2f} pixels"
    warnings = [
        f"{name}: {tile.name} hangs on no trusted pair; it lies where names or stage say"
        for k, tile in enumerate(scan.tiles)
        if len(scan.tiles) > 1 and not any(pair.trusted for pair in placement.pairs_of(k))
    ]
    missing = scan.missing()
    if missing:
        places = ", ".join(f"row {row} col {col}" for row, col in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        warnings.append(f"{name}: no tile for {places}{more}")
    return line, warnings


def _check_target(source: Path, target: Path, mosaics: Sequence[Assembled]) -> None:
    if (target.exists() and not target.is_dir()) or split_suffix(target.name)[1]:
        raise CellqaError(f"OUT: {str(target)!r} is not a folder; each scan becomes a file in it")
    outside = source.resolve()
    for path in (target, *(each.target for each in mosaics)):
        inside = path.resolve()
        if inside == outside or (holds_images(source) and outside in inside.parents):
            raise CellqaError(f"OUT: {str(path)!r} is or lies inside IN; give a folder outside it")
        if path != target and leaves(path, target):
            raise CellqaError(f"OUT: {str(path)!r} lies outside {str(target)!r}; rename the tiles")


def _lines(each: Assembled) -> Iterator[list[str]]:
    """A row of mosaic.csv for each tile that was placed."""
    if each.placement is None or each.reason:
        return
    for k, tile in enumerate(each.scan.tiles):
        pairs = each.placement.pairs_of(k)
        known = [pair.correlation for pair in pairs if not math.isnan(pair.correlation)]
        y, x = (cell(round(float(value), 4)) for value in each.placement.positions[k])
        yield [
            printable(each.scan.name),
            tile.name,
            "" if tile.row is None else str(tile.row),
            "" if tile.col is None else str(tile.col),
            y,
            x,
            str(len(pairs)),
            f"{sum(known) / len(known):.4f}" if known else "",
            str(sum(pair.trusted for pair in pairs)),
        ]
