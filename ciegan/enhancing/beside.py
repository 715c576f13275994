"""Neighbours of planes: in the same file, or in files whose names tell time or focus."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from cellqa.errors import ImageError
from cellqa.io import ImageFile, PlaneIndex
from cellqa.io.isolated import open_safely
from cellqa.io.stores import is_there
from cellqa.planes import Array
from ciegan.config import Context
from ciegan.network.neighbours import stacked

Loaded = Callable[[ImageFile, PlaneIndex], Array]


def files_beside(path: Path, context: Context) -> list[Path]:
    """Files of the neighbours that are there, by name: `pos1_t01.tif` beside `pos1_t00.tif`."""
    place = context.place(path.name)
    names = [place.moved(offset) for offset in context.offsets[1:]] if place else []
    return [path.with_name(name) for name in names if name and is_there(path.with_name(name))]


class Beside:
    """Where the neighbours of a file's planes are.

    Parameters
    ----------
    source : ImageFile
    path : Path
        Of the file.
    context : Context
    files : ExitStack
        Closes the files of neighbours.

    Raises
    ------
    CellqaError
        The file of a neighbour cannot be read.
    """

    def __init__(self, source: ImageFile, path: Path, context: Context, files: ExitStack) -> None:
        self.context = context
        self._planes = {index: (source, index) for index in source.planes}
        several = len({self._number(index) for index in source.planes}) > 1
        place = None if several or not context.axis else context.place(path.name)
        self._others: dict[int, ImageFile] = {}
        if place:
            for offset in context.offsets[1:]:
                name = place.moved(offset)
                if name and is_there(path.with_name(name)):
                    self._others[offset] = files.enter_context(open_safely(path.with_name(name)))

    def _number(self, index: PlaneIndex) -> int:
        return int(getattr(index, self.context.axis)) if self.context.axis else 0

    @property
    def alone(self) -> bool:
        """Whether no plane has a neighbour, though the network looks for them."""
        several = len({self._number(index) for index in self._planes}) > 1
        return bool(self.context.axis) and not several and not self._others

    def of(self, index: PlaneIndex) -> list[tuple[ImageFile, PlaneIndex]]:
        """The neighbours of a plane, in the order of the offsets; the nearest for a missing one."""
        nearest = dict.fromkeys((-1, 1), self._planes[index])
        found = []
        for offset in self.context.offsets[1:]:
            side = 1 if offset > 0 else -1
            other = self._at(index, offset)
            if other is not None:
                nearest[side] = other
            found.append(nearest[side])
        return found

    def _at(self, index: PlaneIndex, offset: int) -> tuple[ImageFile, PlaneIndex] | None:
        if offset in self._others:
            file = self._others[offset]
            return (file, index) if index in file.planes else None
        moved = index._replace(**{self.context.axis: self._number(index) + offset})
        return self._planes.get(moved)

    def seen(self, index: PlaneIndex, pixels: Array, load: Loaded) -> Array:
        """Pixels of a plane with those of its neighbours, which `load` reads.

        Raises
        ------
        ImageError
            A neighbour is of another shape or type.
        """
        if not self.context.axis:
            return pixels
        planes = [pixels]
        for file, other in self.of(index):
            own = file is self._planes[index][0] and other == index
            found = pixels if own else np.asarray(load(file, other))
            if (found.shape, found.dtype) != (pixels.shape, pixels.dtype):
                raise ImageError(
                    f"{pixels.shape} {pixels.dtype}, and its neighbour is {found.shape} "
                    f"{found.dtype}"
                )
            planes.append(found)
        return stacked(planes)
