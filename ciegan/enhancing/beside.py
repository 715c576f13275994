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
    return list(_files_by_offset(path, context).values())


def _files_by_offset(path: Path, context: Context) -> dict[int, Path]:
    named = context.named(path.name, lambda name: is_there(path.with_name(name)))
    return {offset: path.with_name(name) for offset, name in named.items()}


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

    Attributes
    ----------
    alone : bool
        Whether no plane has a neighbour, though the network looks for them.

    Raises
    ------
    CellqaError
        The file of a neighbour cannot be read.
    """

    def __init__(self, source: ImageFile, path: Path, context: Context, files: ExitStack) -> None:
        self.context = context
        self._planes: dict[PlaneIndex, tuple[ImageFile, PlaneIndex]] = {}
        self._others: dict[int, ImageFile] = {}
        self.alone = False
        if not context.axis:
            return
        self._planes = {index: (source, index) for index in source.planes}
        if len({self._number(index) for index in source.planes}) > 1:
            return
        self._others = {
            offset: files.enter_context(open_safely(other))
            for offset, other in _files_by_offset(path, context).items()
        }
        self.alone = not self._others

    def _number(self, index: PlaneIndex) -> int:
        return int(getattr(index, self.context.axis))

    def of(self, index: PlaneIndex) -> list[tuple[ImageFile, PlaneIndex]]:
        """The neighbours of a plane, in the order of the offsets; the nearest for a missing one."""
        return self.context.nearest(self._planes[index], lambda by: self._at(index, by))

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
