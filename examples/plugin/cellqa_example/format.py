"""A file format: NumPy's own, which holds one plane."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa import Format, ImageFile, PlaneIndex
from cellqa.io.base import check_size, plane_indices


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Read the header alone; what is wrong with it may raise anything."""
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    if pixels.ndim != 2:
        raise ValueError(f"{pixels.ndim} axes, and not Y and X")
    height, width = pixels.shape
    check_size(path, height, width, max_pixels)

    def load(index: PlaneIndex) -> npt.NDArray[Any]:
        return np.array(pixels)

    return ImageFile(path, plane_indices(), pixels.shape, pixels.dtype, None, load)


def write_file(
    path: Path,
    blocks: Iterable[npt.NDArray[Any]],
    like: ImageFile,
    note: str,
    dtype: np.dtype[Any],
) -> None:
    """Write blocks of rows; the format has no room for the note."""
    np.save(path, np.concatenate(list(blocks)).astype(dtype, copy=False))


# reader and writer are modules, which are loaded when such a file comes
NPY = Format("NumPy", (".npy",), reader=__name__, writer=__name__, several=False)
