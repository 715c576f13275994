"""Maps of the interval of each pixel, from raw images and what a network made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellqa.disk import StrPath
from cellqa.enhance.files import plan
from cellqa.errors import CellqaError, ImageError, first_line
from cellqa.io import ImageFile, PlaneIndex, open_image, write_image
from cellqa.io.store_images import holds_images
from cellqa.planes import Array
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.pool import spread_path
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.intervals import Intervals
from ciegan.network.normalisation import PERCENTILES
from ciegan.network.percentiles import percentiles_of_rows

ENDS = ("lower", "upper")
_ROWS = 1024  # at once


def write_intervals(
    network: Checkpoint,
    source: StrPath,
    target: StrPath,
    coverage: int,
    options: EnhanceOptions,
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Write the lower and upper ends of all results, into OUT-lower/ and OUT-upper/, as float32.

    Planes that were copied have no interval; nor have pixels unlike any that the network was
    calibrated on: there both maps are nan.

    Returns
    -------
    dict, list of (str, str)
        Image to the share of its enhanced pixels without an interval; image and reason of those
        that failed.

    Raises
    ------
    CellqaError
        The network was not calibrated.
    """
    intervals = network.intervals
    if intervals is None:
        raise CellqaError(
            f"--interval: {network.path.name} was not calibrated; see `ciegan calibrate`"
        )
    source, target = Path(source), Path(target)
    work = plan(source, target)
    folder = target if holds_images(source) else target.parent
    unknown: dict[str, float] = {}
    failures: list[tuple[str, str]] = []
    for job in work:
        if not job.target.exists():
            continue  # its failure was told
        try:
            unknown[job.target.name] = _maps(
                job.source, job.target, folder, network, intervals, coverage, options
            )
        except (CellqaError, ValueError, OSError) as error:
            failures.append((job.target.name, first_line(error)))
    return unknown, failures


def _maps(
    source: Path,
    target: Path,
    folder: Path,
    network: Checkpoint,
    intervals: Intervals,
    coverage: int,
    options: EnhanceOptions,
) -> float:
    """Write both maps of a file; return the share of pixels that have none."""
    missing = total = 0
    with open_image(source) as raw, open_image(target) as made:
        if made.dtype.kind not in "uif" or len(raw.planes) != len(made.planes):
            raise ImageError("its result is not of this image")
        for end, name in enumerate(ENDS):

            def planes(end: int = end) -> Iterator[Array]:
                nonlocal missing, total
                for before, after in zip(raw.planes, made.planes, strict=True):
                    for rows in _bounds(
                        raw, made, before, after, network, intervals, coverage, options
                    ):
                        total += rows[end].size
                        missing += int(np.isnan(rows[end]).sum())
                        yield rows[end]

            place = spread_path(target, folder, folder.with_name(f"{folder.name}-{name}"))
            note = f"{name} end of the {coverage} % interval of what ciegan enhanced, not raw data"
            write_image(place, planes(), made, note, np.dtype(np.float32))
    return missing / total if total else 0.0


def _bounds(
    raw: ImageFile,
    made: ImageFile,
    before: PlaneIndex,
    after: PlaneIndex,
    network: Checkpoint,
    intervals: Intervals,
    coverage: int,
    options: EnhanceOptions,
) -> Iterator[tuple[Array, Array]]:
    """Lower and upper ends of a plane, some rows at a time, in grey levels."""
    shape = made.shape_of(after)
    if raw.shape_of(before) != shape:
        raise ImageError("its result is of another shape")

    def read(start: int, stop: int) -> Array:
        return raw.load_rows(before, start, stop)

    own = network.normalisation
    rule = {"auto": own.rule, "none": "train"}.get(options.normalize, options.normalize)
    levels = (0.0, 1.0) if options.normalize == "none" else (own.low, own.high)
    if rule == "image":
        low, high = percentiles_of_rows(read, shape[0], PERCENTILES)
        levels = (low, high)
    low, high = replace(own, rule=rule, low=levels[0], high=levels[1]).limits(np.empty(0), levels)
    for start in range(0, shape[0], _ROWS):
        stop = min(start + _ROWS, shape[0])
        if not options.chosen(before):
            nothing = np.full((stop - start, *shape[1:]), np.nan, np.float32)
            yield nothing, nothing
            continue
        level, old = (
            (rows.astype(np.float64) - low) / (high - low)
            for rows in (made.load_rows(after, start, stop), read(start, stop))
        )
        ends = intervals.bounds(level, np.abs(level - old), coverage)
        lower, upper = ((low + end * (high - low)).astype(np.float32) for end in ends)
        yield lower, upper
