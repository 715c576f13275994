"""MRC maps and tilt series, through mrcfile (extra `mrc`)."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition
from cellqa.io.base import ImageFile, PlaneIndex, check_size, in_micrometres, plane_indices
from cellqa.planes import Array

_TYPES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16}  # of the header's mode
_HEADER = 1024  # bytes, before the extended header


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; sections are focus planes, and volumes of a stack scenes.

    Raises
    ------
    ImageError
        Values are complex or of another type that is no pixel's, planes are too large, or the file
        ends before they do.
    """
    dtype, shape, offset = _stated(path, max_pixels)
    with warnings.catch_warnings():  # what is wrong with a header is an error
        warnings.simplefilter("error")
        file = mrcfile.open(path, mode="r", permissive=False, header_only=True)
    with file:
        header = file.header
        volumes = int(header.mz) if file.is_volume_stack() else shape[0]
        voxel = file.voxel_size
        sides = [in_micrometres(float(voxel[axis]), "angstrom") for axis in "xyz"]
    if volumes <= 0 or shape[0] % volumes:
        raise ImageError(f"{path.name}: {shape[0]} sections are no volumes of {volumes}")
    planes = plane_indices(s=shape[0] // volumes, z=volumes)

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        rows = (shape[1] if stop is None else stop) - start
        section = index.s * volumes + index.z
        at = offset + (section * shape[1] + start) * shape[2] * dtype.itemsize
        found = np.fromfile(path, dtype, rows * shape[2], offset=at).reshape(rows, shape[2])
        return np.asarray(found, dtype.newbyteorder("="))

    def acquisition() -> Acquisition:
        return Acquisition(z_step=sides[2] if volumes > 1 else None)

    return ImageFile(
        path,
        planes,
        shape[1:],
        dtype.newbyteorder("="),
        sides[0],
        load,
        decode_rows=load,
        acquisition=acquisition,
        pixel_size_y=sides[1],
    )


def _stated(path: Path, max_pixels: int) -> tuple[np.dtype[Any], tuple[int, int, int], int]:
    """Type, (sections, Y, X) and where pixels begin, before anything else is read."""
    with path.open("rb") as file:
        start = file.read(_HEADER)
        there = file.seek(0, 2)
    if len(start) < _HEADER or start[208:211] != b"MAP":
        raise ImageError(f"{path.name}: not an MRC file, or truncated")
    order = ">" if start[212:213] == b"\x11" else "<"
    x, y, sections, mode = struct.unpack_from(f"{order}4i", start)
    (extended,) = struct.unpack_from(f"{order}i", start, 92)
    if mode not in _TYPES:
        raise ImageError(f"{path.name}: values of MRC's mode {mode} are not read")
    check_size(path, y, x, max_pixels)
    dtype = np.dtype(_TYPES[mode]).newbyteorder(order)
    offset = _HEADER + extended
    stated = x * y * sections * dtype.itemsize
    if extended < 0 or sections <= 0 or there < offset + stated:
        raise ImageError(
            f"{path.name}: truncated, {stated} bytes of pixels are stated, "
            f"{max(there - offset, 0)} there"
        )
    return dtype, (sections, y, x), offset
