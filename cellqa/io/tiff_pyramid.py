"""Smaller levels of large planes, gathered on the disk while the planes are written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.planes import Array

_SMALLEST = 1024  # side below which no smaller level is made
_ROWS = 1024  # of a level that are read at once


def levels_of(shape: tuple[int, ...]) -> int:
    """Smaller levels of a plane (Y, X) or (Y, X, S): each has half the sides of the one before.

    Examples
    --------
    >>> levels_of((1024, 700)), levels_of((5000, 300))
    (0, 3)
    """
    return max(0, (max(shape[:2]) - 1) // _SMALLEST).bit_length()


class HalfSize:
    """Planes of half the sides: means of 2 x 2 pixels; an odd last row or column is dropped.

    Parameters
    ----------
    folder : Path
        Where they are kept, in a file without a name.
    planes : int
    shape : tuple of int
        Of the whole planes, (Y, X) or (Y, X, S).
    dtype : numpy.dtype

    Attributes
    ----------
    shape : tuple of int
        Of the planes of half the sides.
    """

    def __init__(
        self, folder: Path, planes: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.whole = shape
        self.shape = (max(1, shape[0] // 2), max(1, shape[1] // 2), *shape[2:])
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (see `close`)
        self._kept = np.memmap(self._file, dtype, "w+", shape=(planes, *self.shape))

    def watch(self, blocks: Iterator[Array]) -> Iterator[Array]:
        """Hand the planes' blocks of rows on, as they come, and keep their halves."""
        height = self.whole[0]
        for kept in self._kept:
            held: list[Array] = []
            row = done = 0
            while row < height:
                block = next(blocks, None)
                if block is None:
                    return
                row += len(block)
                rows = np.concatenate([*held, block]) if held else block
                even = len(rows) if height == 1 else len(rows) // 2 * 2
                if even:
                    halves = self._halved(rows[:even])
                    kept[done : done + len(halves)] = halves
                    done += len(halves)
                held = [rows[even:].copy()] if even < len(rows) else []
                yield block  # last: nobody asks for more after the end

    def _halved(self, rows: Array) -> Array:
        """Means of an even number of rows, or of the only one."""
        high, wide = min(2, len(rows)), min(2, self.whole[1])
        part = rows[:, : wide * self.shape[1]]
        grouped = part.reshape(-1, high, self.shape[1], wide, *self.shape[2:])
        sums: Array = grouped.mean((1, 3), dtype=np.float64)
        return np.rint(sums) if self._kept.dtype.kind in "iu" else sums

    def blocks(self) -> Iterator[Array]:
        """The halves, plane by plane, in blocks of rows."""
        for plane in self._kept:
            for row in range(0, len(plane), _ROWS):
                yield np.asarray(plane[row : row + _ROWS])

    def close(self) -> None:
        """Give the room back."""
        del self._kept
        self._file.close()
