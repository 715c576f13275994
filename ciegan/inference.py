"""A trained generator on images of any size, in windows whose borders do not show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ciegan.data import Normalisation, scaled, unscaled
from ciegan.models import Generator

Array = npt.NDArray[Any]

WORKING_MEMORY = 0.6e9  # bytes of activations that a window may take
_LARGEST_WINDOW = 4096
_SMALLEST_TILE = 64

_sides: WeakKeyDictionary[Generator, int] = WeakKeyDictionary()


class Window(NamedTuple):
    """A part of an image that is computed at once.

    Attributes
    ----------
    inner : (slice, slice)
        What is kept of it, in the image.
    outer : (slice, slice)
        What is computed, in the image filled up to multiples of the stride.
    """

    inner: tuple[slice, slice]
    outer: tuple[slice, slice]


def windows(shape: tuple[int, int], tile: int, generator: Generator) -> Iterator[Window]:
    """Cover an image with tiles, each computed with as much around it as it depends on.

    The generator's radius is exact, so that every pixel becomes what it becomes in the whole image
    (but for the rounding of sums): there are no seams to blend away, whatever the tile.

    Parameters
    ----------
    shape : (int, int)
    tile : int
        Side of what is kept of a window, in pixels; rounded up to a multiple of the stride.
    generator : Generator
    """
    stride = generator.stride
    step = stride * math.ceil(tile / stride)
    margin = stride * math.ceil(generator.radius / stride)
    filled = [stride * math.ceil(n / stride) for n in shape]

    def along(n: int, whole: int) -> Iterator[tuple[slice, slice]]:
        for start in range(0, n, step):
            inner = slice(start, min(start + step, n))
            yield inner, slice(max(start - margin, 0), min(start + step + margin, whole))

    for rows, outer_rows in along(shape[0], filled[0]):
        for columns, outer_columns in along(shape[1], filled[1]):
            yield Window((rows, columns), (outer_rows, outer_columns))


def tile_side(generator: Generator) -> int:
    """Side of the tile whose window takes some `WORKING_MEMORY`.

    Activations of each layer are counted in a small image; what a layer takes in and gives out,
    and what skips past it, is there at once.
    """
    if generator in _sides:
        return _sides[generator]
    found = 0
    kept = 0

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal found, kept
        sizes = [t.numel() for t in (*inputs, output) if isinstance(t, torch.Tensor)]
        found = max(found, sum(sizes))
        kept = max(kept, *sizes)

    leaves = [m for m in generator.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(count) for m in leaves]
    side = 4 * generator.stride
    parameter = next(generator.parameters())
    try:
        with torch.inference_mode():
            generator(torch.zeros(1, generator.channels, side, side, device=parameter.device))
    finally:
        for hook in hooks:
            hook.remove()
    # twice what a layer holds: activation functions and sums make copies
    each = 4 * (2 * found + kept) / side**2
    window = min(math.isqrt(int(WORKING_MEMORY / each)), _LARGEST_WINDOW)
    # at least half of each side is kept, or most of the work would be for the margins
    reach = 2 * generator.radius
    _sides[generator] = max(window - reach, reach, _SMALLEST_TILE)
    return _sides[generator]


def enhance_windows(
    generator: Generator,
    read: Callable[[slice, slice], Array],
    write: Callable[[tuple[slice, slice], Array], None],
    shape: tuple[int, int],
    limits: tuple[float, float],
    *,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Enhance an image window by window, so that memory is bounded by the window.

    Parameters
    ----------
    generator : Generator
        In evaluation mode, on the device to use.
    read : callable
        Pixels of some rows and columns, (Y, X) or (Y, X, 3).
    write : callable
        Takes where pixels belong, and the pixels: float32, in the grey levels of the input.
    shape : (int, int)
    limits : (float, float)
        Grey levels of black and white.
    tile : int, optional
        By default as large as `WORKING_MEMORY` allows.
    progress : callable, optional
        Called with the number of windows done and of all.
    """
    parameter = next(generator.parameters())
    side = tile or tile_side(generator)
    every = list(windows(shape, side if generator.local else max(shape), generator))
    for number, (inner, outer) in enumerate(every, 1):
        rows, columns = (slice(o.start, min(o.stop, n)) for o, n in zip(outer, shape, strict=True))
        pixels = read(rows, columns)
        planes = scaled(pixels, limits)
        missing = [(0, o.stop - s.stop) for o, s in zip(outer, (rows, columns), strict=True)]
        planes = np.pad(planes, [(0, 0), *missing], mode="symmetric")
        with torch.inference_mode():
            batch = torch.from_numpy(planes)[None].to(parameter.device)
            found = generator(batch)[0].float().cpu().numpy()
        y, x = (
            slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
        )
        write(inner, unscaled(found[:, y, x], limits, pixels.ndim == 3))
        if progress:
            progress(number, len(every))


def enhance_plane(
    generator: Generator,
    pixels: Array,
    normalisation: Normalisation,
    *,
    whole: tuple[float, float] | None = None,
    tile: int | None = None,
) -> Array:
    """Enhance an image that is in memory.

    Parameters
    ----------
    generator : Generator
        In evaluation mode, on the device to use.
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
    normalisation : Normalisation
    whole : (float, float), optional
        Black and white of the image that the pixels were cut from.
    tile : int, optional
        As in `enhance_windows`; the result does not depend on it.

    Returns
    -------
    ndarray of float, shape of `pixels`
        In the grey levels of the input.
    """
    limits = normalisation.limits(pixels, whole)
    out = np.empty(pixels.shape, unscaled(np.zeros((1, 1, 1)), limits, False).dtype)

    def write(place: tuple[slice, slice], found: Array) -> None:
        out[place] = found

    enhance_windows(
        generator,
        lambda rows, columns: pixels[rows, columns],
        write,
        (pixels.shape[0], pixels.shape[1]),
        limits,
        tile=tile,
    )
    return out
