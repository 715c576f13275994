"""Maps of the interval of each pixel, from raw images and what a network made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from cellqa.disk import StrPath
from cellqa.enhance.files import Job, plan
from cellqa.errors import CellqaError, ImageError, first_line
from cellqa.io import ImageFile, PlaneIndex, carriers, split_suffix, write_image
from cellqa.io.isolated import open_safely
from cellqa.io.store_images import holds_images
from cellqa.planes import Array
from ciegan.enhancing.enhancer import (
    EnhanceOptions,
    Levels,
    grey_picture,
    levels_of_series,
    limits_of,
    normalisation_of,
)
from ciegan.enhancing.opening import as_seen
from ciegan.enhancing.pool import beside, spread_path
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.intervals import Intervals

ENDS = ("lower", "upper")
_ROWS = 1024  # at once


def write_intervals(
    network: Checkpoint,
    source: StrPath,
    target: StrPath,
    coverage: int,
    options: EnhanceOptions,
    *,
    made: Container[Path] | None = None,
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Write the lower and upper ends of results, into OUT-lower/ and OUT-upper/.

    As float32, or float64 of types whose values that does not hold.

    Those of a lone file go beside it, as NAME-lower and NAME-upper.

    Planes that were copied have no interval; nor have pixels unlike any that the network was
    calibrated on: there both maps are nan.

    Parameters
    ----------
    network : Checkpoint
    source, target : path
        As they were enhanced.
    coverage : int
    options : EnhanceOptions
    made : container of Path, optional
        The sources whose results are of what they hold now; None takes all that have a result.

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
    intervals = calibrated(network)
    source, target = Path(source), Path(target)
    work = plan(source, target)
    folder = target if holds_images(source) else None
    places = _places([job.target for job in work], folder)
    unknown: dict[str, float] = {}
    failures: list[tuple[str, str]] = []
    for job in work:
        if not job.target.exists() or (made is not None and job.source not in made):
            continue  # its failure was told
        try:
            unknown[job.target.name] = _maps(
                job, places[job.target], network, intervals, coverage, options
            )
        except (CellqaError, ValueError, OSError) as error:
            failures.append((job.target.name, first_line(error)))
    return unknown, failures


def calibrated(network: Checkpoint) -> Intervals:
    """The intervals of a network.

    Raises
    ------
    CellqaError
        It has none.
    """
    if network.intervals is None:
        raise CellqaError(
            f"--interval: {network.path.name} was not calibrated: give the run itself, after "
            "`ciegan calibrate`"
        )
    return network.intervals


def _places(targets: Sequence[Path], folder: Path | None) -> dict[Path, dict[str, Path]]:
    """Where the maps of each result go: beside the folder of results, or beside a lone file."""
    if folder is None:
        names = {target: _stem(target) for target in targets}
        return {
            target: {end: target.with_name(f"{stem}-{end}{suffix}") for end in ENDS}
            for target, (stem, suffix) in names.items()
        }
    usual = {target: spread_path(target, folder, beside(folder, ENDS[0])) for target in targets}
    taken = Counter(usual.values())
    found = {}
    for target, place in usual.items():
        # names that differ in their suffix alone keep it
        name = place.name if taken[place] == 1 else f"{target.name}.tif"
        inside = target.parent.relative_to(folder)
        found[target] = {end: beside(folder, end) / inside / name for end in ENDS}
    return found


def _stem(target: Path) -> tuple[str, str]:
    """Name and suffix of a lone file's maps; what holds no float32 becomes TIFF."""
    place = spread_path(target, target.parent, target.parent)
    return split_suffix(place.name)


def _maps(
    job: Job,
    places: Mapping[str, Path],
    network: Checkpoint,
    intervals: Intervals,
    coverage: int,
    options: EnhanceOptions,
) -> float:
    """Write both maps of a file; return the share of pixels that have none."""
    missing = total = 0
    opened = open_safely(job.source)
    source = as_seen(opened, network.scale, options)
    with source as raw, open_safely(job.target) as made:
        whole = as_seen(opened, network.scale, options, every=True)
        levels = levels_of_series(whole, network, options)
        exact = made.dtype.itemsize <= (4 if made.dtype.kind == "f" else 2)
        dtype = np.dtype(np.float32 if exact else np.float64)
        if made.dtype.kind not in "uif" or len(raw.planes) != len(made.planes):
            raise ImageError("its result is not of this image")
        for end, name in enumerate(ENDS):

            def planes(end: int = end) -> Iterator[Array]:
                nonlocal missing, total
                for before, after in zip(raw.planes, made.planes, strict=True):
                    for rows in _bounds(
                        raw, made, before, after, network, intervals, coverage, options, levels
                    ):
                        if options.chosen(before):
                            total += rows[end].size
                            missing += int(np.isnan(rows[end]).sum())
                        yield rows[end].astype(dtype, copy=False)

            note = f"{name} end of the {coverage} % interval of what ciegan enhanced, not raw data"
            write_image(places[name], planes(), made, note, dtype)
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
    levels: Levels,
) -> Iterator[tuple[Array, Array]]:
    """Lower and upper ends of a plane, some rows at a time, in grey levels, as float64."""
    shape = made.shape_of(after)
    if raw.shape_of(before) != shape:
        raise ImageError("its result is of another shape")

    def read(start: int, stop: int) -> Array:
        return raw.load_rows(before, start, stop)

    chosen = options.chosen(before)
    picture = grey_picture(raw, before, network) if chosen else None
    # of a grey picture in colours, the others stay as they are: nothing of them was enhanced
    samples = slice(None) if picture is None else list(carriers(raw.load(before)) or ())
    own = levels.get((before.s, before.c))
    if chosen and not own:
        seen = read if picture is None else lambda a, b: picture[a:b]
        own = limits_of(normalisation_of(network, options), seen, shape[0])
    for start in range(0, shape[0], _ROWS):
        stop = min(start + _ROWS, shape[0])
        both = np.full((2, stop - start, *shape[1:]), np.nan)
        if chosen and own:
            low, high = own
            level, old = (
                (rows[..., samples].astype(np.float64) - low) / (high - low)
                for rows in (made.load_rows(after, start, stop), read(start, stop))
            )
            ends = intervals.bounds(level, np.abs(level - old), coverage)
            for end, values in zip(both, ends, strict=True):
                end[..., samples] = low + values * (high - low)
        yield both[0], both[1]
