"""A file format: the Portable FloatMap, which holds one grey plane of 32-bit floats."""

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
    with path.open("rb") as file:
        kind, size, scale = (file.readline(100) for _ in range(3))
        offset = file.tell()
    if kind.strip() != b"Pf":
        raise ValueError("not a grey Portable FloatMap")
    width, height = map(int, size.split())
    check_size(path, height, width, max_pixels)
    stored = np.dtype("<f4" if float(scale) < 0 else ">f4")

    def load(index: PlaneIndex) -> npt.NDArray[Any]:
        rows = np.fromfile(path, stored, height * width, offset=offset).reshape(height, width)
        return rows[::-1].astype(np.float32)  # the lowest row comes first

    return ImageFile(path, plane_indices(), (height, width), np.dtype(np.float32), None, load)


def write_file(
    path: Path,
    blocks: Iterable[npt.NDArray[Any]],
    like: ImageFile,
    note: str,
    dtype: np.dtype[Any],
) -> None:
    """Write blocks of rows; the format has no room for the note."""
    pixels = np.concatenate(list(blocks))
    header = f"Pf\n{pixels.shape[1]} {pixels.shape[0]}\n-1.0\n"
    path.write_bytes(header.encode() + pixels[::-1].astype("<f4").tobytes())


# reader and writer are modules, which are loaded when such a file comes
PFM = Format("Portable FloatMap", (".pfm",), reader=__name__, writer=__name__, several=False)
