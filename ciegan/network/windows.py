"""A trained generator on images of any size, in windows whose borders do not show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from cellqa.errors import CellqaError, ImageError
from cellqa.planes import Array
from ciegan.models import Generator
from ciegan.network.launching import Result, Window
from ciegan.network.neighbours import middle
from ciegan.network.normalisation import Normalisation
from ciegan.network.runner import SMALLEST_TILE, Runner


def tile_side(length: int, window: int, generator: Generator) -> int:
    """Side of the fewest tiles along a length whose windows are not longer than `window`.

    A window has margins where the image goes on, so that two tiles may be larger than three.

    Examples
    --------
    >>> from ciegan.models import GENERATORS
    >>> network = GENERATORS["resunet"](1)
    >>> network.radius, network.stride
    (56, 8)
    >>> [tile_side(length, 1024, network) for length in (1024, 1800, 4096)]
    [1024, 900, 820]
    """
    stride = generator.stride
    window = window // stride * stride
    margin = stride * math.ceil(generator.radius / stride)
    if length <= window:
        return length
    if length <= 2 * (window - margin):
        return math.ceil(length / 2)
    most = max(window - 2 * margin, SMALLEST_TILE)
    return math.ceil(length / math.ceil(length / most))


class Band(NamedTuple):
    """Some rows of an enhanced image.

    Attributes
    ----------
    raw : ndarray, shape (Y, X) or (Y, X, 3)
    enhanced : ndarray, shape of `raw`
        In the grey levels of the raw image.
    spread : ndarray of float32, shape of `raw`, or None
        Standard deviation over the samples, in the same grey levels.
    clipped : int
        Values beyond the range of the type.
    """

    raw: Array
    enhanced: Array
    spread: Array | None
    clipped: int


class Span(NamedTuple):
    """Some rows or columns: those kept, and those computed, in the image filled to the stride."""

    kept: slice
    computed: slice


def span(start: int, length: int, side: int, generator: Generator) -> Span:
    """The rows or columns from `start` on, with as much around them as they depend on.

    The generator's radius is exact, so that every pixel becomes what it becomes in the whole image
    (but for the rounding of sums): there are no seams to blend away, whatever the tile.

    Parameters
    ----------
    start : int
        A multiple of the stride.
    length : int
        Rows or columns of the image.
    side : int
        Of the tile; rounded up to a multiple of the stride.
    generator : Generator
    """
    stride = generator.stride
    step = stride * math.ceil(side / stride)
    margin = stride * math.ceil(generator.radius / stride)
    filled = stride * math.ceil(length / stride)
    kept = slice(start, min(start + step, length))
    return Span(kept, slice(max(start - margin, 0), min(start + step + margin, filled)))


def enhance_bands(
    runner: Runner,
    read: Callable[[int, int], Array],
    shape: tuple[int, ...],
    limits: tuple[float, float],
    *,
    dtype: np.dtype[Any] | None = None,
    tile: int | None = None,
    samples: int = 1,
) -> Iterator[Band]:
    """Enhance an image band by band, so that memory is bounded by a band of tiles.

    Parameters
    ----------
    runner : Runner
    read : callable
        Returns the rows from the first to below the second number, (Y, X) or (Y, X, 3), with
        neighbours if the generator sees any (`ciegan.network.neighbours.stacked`). It is called
        from another thread, for the next band while one is computed.
    shape : tuple of int
        Of the image.
    limits : (float, float)
        Grey levels of black and white.
    dtype : numpy.dtype, optional
        Of the result, which is rounded and clipped to it; by default float32, or float64 where
        grey levels are too large for it.
    tile : int, optional
        By default the fewest that memory allows. Results do not depend on it.
    samples : int
        Flips and quarter turns of which the mean is taken, 1 to 8.

    Raises
    ------
    CellqaError
        Not even small tiles fit into memory.
    """
    generator, height = runner.generator, shape[0]
    side, across = (tile or tile_side(n, runner.window, generator) for n in shape[:2])
    if not generator.local:
        side, across = shape[:2]

    def fetch(rows: Span) -> Array:
        stop = min(rows.computed.stop, height)
        return _filled(read(rows.computed.start, stop), rows.computed, shape[1], generator.stride)

    with ThreadPoolExecutor(1) as ahead:  # whose thread is made when it is needed
        start = 0
        rows = span(start, height, side, generator)
        pixels = fetch(rows)
        while start < height:
            pending = None
            if rows.kept.stop < height:
                following = span(rows.kept.stop, height, side, generator)
                pending = ahead.submit(fetch, following)
            try:
                enhanced = _band(
                    runner, pixels, rows, shape[1], across, limits, dtype=dtype, samples=samples
                )
            except MemoryError:
                if max(side, across) <= SMALLEST_TILE or not generator.local:
                    raise CellqaError(
                        "not enough memory for this network, even with the smallest tiles"
                    ) from None
                side, across = (max(n // 2, SMALLEST_TILE) for n in (side, across))
                rows = span(start, height, side, generator)
                pixels = fetch(rows)
                continue
            own = slice(rows.kept.start - rows.computed.start, rows.kept.stop - rows.computed.start)
            yield Band(middle(pixels[own, : shape[1]], generator.channels), *enhanced)
            start = rows.kept.stop
            if pending:
                rows, pixels = following, pending.result()


def _filled(pixels: Array, rows: slice, width: int, stride: int) -> Array:
    """Rows reflected to multiples of the stride, at the end of the image."""
    below = rows.stop - rows.start - len(pixels)
    right = stride * math.ceil(width / stride) - width
    if not below and not right:
        return pixels
    rest = [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, [(0, below), (0, right), *rest], mode="symmetric")


def _band(
    runner: Runner,
    pixels: Array,
    rows: Span,
    width: int,
    side: int,
    limits: tuple[float, float],
    *,
    dtype: np.dtype[Any] | None,
    samples: int,
) -> Result:
    """One band of tiles; on CUDA they are on their way together."""
    generator = runner.generator
    y = slice(rows.kept.start - rows.computed.start, rows.kept.stop - rows.computed.start)
    begun = []
    start = 0
    while start < width:
        columns = span(start, width, side, generator)
        x = slice(
            columns.kept.start - columns.computed.start, columns.kept.stop - columns.computed.start
        )
        window = Window(pixels[:, columns.computed], (y, x), limits, dtype, samples)
        begun.append(runner.submit(window))
        start = columns.kept.stop
    tiles = [done() for done in begun]
    if len(tiles) == 1:
        return tiles[0]
    spreads = [tile.spread for tile in tiles if tile.spread is not None]
    return Result(
        np.concatenate([tile.pixels for tile in tiles], axis=1),
        np.concatenate(spreads, axis=1) if spreads else None,
        sum(tile.clipped for tile in tiles),
    )


def enhance_plane(
    generator: Generator | Runner,
    pixels: Array,
    normalisation: Normalisation,
    *,
    whole: tuple[float, float] | None = None,
    tile: int | None = None,
) -> Array:
    """Enhance an image that is in memory.

    Parameters
    ----------
    generator : Generator or Runner
        In evaluation mode, on the device to use.
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
        With neighbours if the generator sees any (`ciegan.network.neighbours.stacked`).
    normalisation : Normalisation
    whole : (float, float), optional
        Black and white of the image that the pixels were cut from.
    tile : int, optional
        As in `enhance_bands`; the result does not depend on it.

    Returns
    -------
    ndarray of float, (Y, X) or (Y, X, 3)
        In the grey levels of the input.

    Raises
    ------
    ImageError
        A value is NaN or infinite.
    """
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ImageError("NaN or infinity in the image")
    runner = generator if isinstance(generator, Runner) else _runner_of(generator)
    limits = normalisation.limits(middle(pixels, runner.generator.channels), whole)
    bands = enhance_bands(runner, lambda a, b: pixels[a:b], pixels.shape, limits, tile=tile)
    return np.concatenate([band.enhanced for band in bands])


def _runner_of(generator: Generator) -> Runner:
    """A runner that leaves the generator where and as it is: in full precision, while training."""
    parameter = next(generator.parameters(), torch.zeros(()))
    runner = Runner(generator, precision="32", batch=1)
    runner.device = parameter.device
    return runner
