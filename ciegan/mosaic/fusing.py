"""One image of placed tiles: blended, in bands of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.ndimage

from cellqa.disk import StrPath
from cellqa.enhance.filters import as_type
from cellqa.errors import CellqaError
from cellqa.io import ImageFile, PlaneIndex, write_image
from cellqa.planes import Array
from ciegan.mosaic.placing import Placement, whole_and_fraction
from ciegan.mosaic.reading import TileFiles, check_tiles
from ciegan.mosaic.scans import Scan, Tile

SUFFIX = ".ome.tif"
_SPARE = 0.25  # of a tile's height that a band has more, so that bands are not too thin


def assemble(
    scan: Scan,
    placement: Placement,
    target: StrPath,
    tiles: Mapping[StrPath, StrPath] | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Fuse the tiles of a scan into one OME-TIFF, every time, channel and focus plane alike.

    Each tile is moved by the fraction of its position (cubic splines; fractions below 0.02 pixels
    are left out), in float32. Where tiles overlap, their mean is taken, each weighted by the
    distance to its borders, so that there are no steps. Integers are rounded and clipped; what no
    tile shows is 0.

    Parameters
    ----------
    scan : Scan
    placement : Placement
        Of that scan.
    target : path
        Ends in `.ome.tif`.
    tiles : mapping of path to path, optional
        Files to take the pixels from in place of the scan's own: enhanced ones, of the same shape.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    CellqaError
        The tiles differ, one cannot be read, or holds NaN or infinity.
    OSError
        The target cannot be written.
    """
    target = Path(target)
    instead = {Path(own): Path(other) for own, other in (tiles or {}).items()}
    own = tuple(replace(t, path=instead.get(t.path, t.path)) for t in scan.tiles)
    scan = replace(scan, tiles=own)
    with TileFiles() as files:
        first = check_tiles(scan, files)
        planes = tuple(index for index in first.planes if index.s == 0)
        like = _like(first, scan.tiles[0].scene, planes, placement.shape, target)
        note = (
            f"assembled from {len(scan.tiles)} tiles by ciegan {version('cellqa')}: "
            "overlaps are blended, not raw data"
        )

        def bands() -> Iterator[Array]:
            for number, index in enumerate(planes):
                for row, band in _bands(scan.tiles, placement, files, index, like):
                    yield band
                    if progress:
                        progress((number + row / placement.shape[0]) / len(planes))

        return write_image(target, bands(), like, note, first.dtype)


def _like(
    first: ImageFile,
    scene: int,
    planes: tuple[PlaneIndex, ...],
    shape: tuple[int, int],
    target: Path,
) -> ImageFile:
    """What the result is like: a tile, but for its size and place."""
    acquired = first.acquired()
    seconds = acquired.seconds[scene * len(planes) : (scene + 1) * len(planes)]
    names = acquired.channels_of(scene)
    taken = acquired._replace(seconds=seconds, positions=(), channels=names, scene_channels=())
    size_x, size_y = first.size_of(PlaneIndex(s=scene))
    return replace(
        first,
        path=target.with_suffix("").with_suffix(".mosaic"),  # no file to keep the flavour of
        planes=planes,
        shape=(*shape, *first.shape_of(PlaneIndex(s=scene))[2:]),
        scene_shapes=(),
        pixel_size=size_x,
        pixel_size_y=size_y,
        scene_sizes=(),
        acquisition=lambda: taken,
    )


def _bands(
    tiles: Sequence[Tile],
    placement: Placement,
    files: TileFiles,
    index: PlaneIndex,
    like: ImageFile,
) -> Iterator[tuple[int, Array]]:
    """Blocks of rows of one assembled plane, in order, each with the row after its last.

    Tiles are added from the top, each read once. No later tile reaches above the upper border of
    the one that is added, so that the rows above it are done. Sums are kept for the rows of little
    more than one tile: row k is row k modulo their number.
    """
    corners = [
        [whole_and_fraction(float(value)) for value in place] for place in placement.positions
    ]
    height, width = like.shape[:2]
    side = files.open(tiles[0].path).shape_of(PlaneIndex(s=tiles[0].scene))[0]
    room = side + math.ceil(_SPARE * side)
    sums = np.zeros((room, width, *like.shape[2:]), np.float32)
    weights = np.zeros((room, width), np.float32)
    top = 0

    def done(stop: int) -> Iterator[tuple[int, Array]]:
        nonlocal top
        while top < stop:
            rows = np.arange(top, min(stop, top + room)) % room
            weight = weights[rows].reshape(len(rows), width, *(1 for _ in like.shape[2:]))
            mean = np.divide(sums[rows], weight, out=np.zeros_like(sums[rows]), where=weight > 0)
            sums[rows], weights[rows] = 0, 0
            top += len(rows)
            yield top, as_type(mean, like.dtype)

    for number in sorted(range(len(tiles)), key=lambda k: corners[k][0][0]):
        (y, dy), (x, dx) = corners[number]
        if y + side > top + room:
            yield from done(y)
        pixels = _moved(tiles[number], files, index, (dy, dx))
        weight = np.outer(*(_ramp(n, d) for n, d in zip(pixels.shape[:2], (dy, dx), strict=True)))
        rows = np.arange(y, y + side) % room
        columns = slice(x, x + pixels.shape[1])
        weights[rows, columns] += weight
        sums[rows, columns] += pixels * weight.reshape(*weight.shape, *(1 for _ in like.shape[2:]))
    yield from done(height)


def _ramp(side: int, fraction: float) -> Array:
    """Distance of a moved tile's pixels to its nearer border, 0 beyond it."""
    at = np.arange(side) - fraction
    return np.clip(np.minimum(at + 1, side - at), 0, None).astype(np.float32) * (at >= 0)


def _moved(tile: Tile, files: TileFiles, index: PlaneIndex, by: tuple[float, float]) -> Array:
    """Pixels of a tile, moved down and right by fractions of a pixel."""
    pixels = files.open(tile.path).load(index._replace(s=tile.scene))
    if pixels.dtype.kind not in "uif":
        raise CellqaError(f"{tile.name}: of type {pixels.dtype}: not an image")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise CellqaError(f"{tile.name}: NaN or infinity in the image")
    pixels = pixels.astype(np.float32)
    if not any(by):
        return pixels
    samples = pixels.reshape(*pixels.shape[:2], -1)
    moved = np.empty_like(samples)
    for k in range(samples.shape[2]):
        scipy.ndimage.shift(samples[..., k], by, moved[..., k], order=3, mode="mirror")
    return moved.reshape(pixels.shape)
