"""Image files as a network sees them: without hot pixels where that was asked for, enlarged."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

import numpy as np

from cellqa.errors import ImageError
from cellqa.io import ImageFile, PlaneIndex
from cellqa.planes import Array
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.enlarging import enlarged
from ciegan.enhancing.hot_pixels import cleaned


def as_seen(
    file: ImageFile,
    scale: int,
    options: EnhanceOptions,
    hot: MutableMapping[PlaneIndex, int] | None = None,
    *,
    every: bool = False,
) -> ImageFile:
    """An open file with the pixels that a network is given.

    Parameters
    ----------
    file : ImageFile
        Closed with what is returned.
    scale : int
        Times that the network's images are enlarged.
    options : EnhanceOptions
    hot : mutable mapping of PlaneIndex to int, optional
        Receives the number of hot pixels of each plane that is loaded whole.
    every : bool
        Remove hot pixels of all planes, as those that are not enhanced count for black and white,
        too; else of those that are.
    """
    remove = options.hot_pixels == "remove"
    if hot is None and not remove:
        return enlarged(file, scale)
    last: list[tuple[PlaneIndex, Array]] = []

    def load(index: PlaneIndex) -> Array:
        pixels = file.load(index)
        counted = pixels.dtype.kind in "uif" and pixels.dtype != np.float16  # others are refused
        if not counted or not (every or options.chosen(index)):
            return pixels
        made, number = cleaned(pixels)
        if hot is not None:
            hot[index] = number
        return made if remove else pixels

    def load_rows(index: PlaneIndex, start: int, stop: int) -> Array:
        if not (every or options.chosen(index)):
            return file.load_rows(index, start, stop)
        if file.is_large(index):
            raise ImageError("too large to remove hot pixels (--hot-pixels)")
        if not last or last[0][0] != index:  # its rows are asked for one after the other
            last[:] = [(index, load(index))]
        return last[0][1][start:stop]

    seen = replace(file, decode=load)
    if remove and file.decode_rows:
        seen = replace(seen, decode_rows=load_rows)
    return enlarged(seen, scale)
