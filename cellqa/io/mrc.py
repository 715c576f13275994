"""MRC (MRC2014): maps, tomograms and tilt series, as rows are stored."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition
from cellqa.io.base import ImageFile, PlaneIndex, check_size, in_micrometres, plane_indices
from cellqa.planes import Array

_TYPES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}  # by mode
_HEADER = 1024  # bytes, before the extended header
_ORDERS: dict[bytes, Literal["<", ">"]] = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_IMOD, _SIGNED = 1146047817, 1  # IMOD's bytes are unsigned, unless it says otherwise
_VOLUME_STACKS = range(401, 631)  # space groups


class _Header(NamedTuple):
    """What the header states: type, sections, sides of a plane, sections of a volume, and so on.

    Attributes
    ----------
    offset : int
        Bytes before the pixels.
    sides : tuple of (float or None)
        Of voxels, along X, Y and Z, in micrometres.
    """

    dtype: np.dtype[Any]
    sections: int
    shape: tuple[int, int]
    volume: int
    offset: int
    sides: tuple[float | None, ...]


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; sections are focus planes, and the volumes of a stack are scenes.

    Raises
    ------
    ImageError
        Values are complex or of another type that is no pixel's, planes are too large, or the file
        ends before they do.
    """
    header = _header(path)
    check_size(path, *header.shape, max_pixels)
    planes = plane_indices(s=header.sections // header.volume, z=header.volume)
    height, width = header.shape
    row = width * header.dtype.itemsize
    stated, there = header.sections * height * row, max(0, path.stat().st_size - header.offset)
    if there < stated:
        raise ImageError(f"{path.name}: truncated, {stated} bytes are stated, {there} there")
    native = header.dtype.newbyteorder("=")

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        rows = (height if stop is None else stop) - start
        first = (index.s * header.volume + index.z) * height + start
        at = header.offset + first * row
        found = np.fromfile(path, header.dtype, rows * width, offset=at)
        return np.asarray(found.reshape(rows, width), native)

    x, y, z = header.sides
    return ImageFile(
        path,
        planes,
        header.shape,
        native,
        x,
        load,
        decode_rows=load,
        acquisition=lambda: Acquisition(z_step=z if header.volume > 1 else None),
        pixel_size_y=y,
    )


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        start = file.read(_HEADER)
    order = _ORDERS.get(start[212:214])
    if len(start) < _HEADER or start[208:211] != b"MAP" or order is None:
        raise ImageError(f"{path.name}: not an MRC2014 file, or truncated")
    width, height, sections, mode = struct.unpack_from(f"{order}4i", start)
    sampled = struct.unpack_from(f"{order}3i", start, 28)
    cell = struct.unpack_from(f"{order}3f", start, 40)
    group, extended = struct.unpack_from(f"{order}2i", start, 88)
    stamp, flags = struct.unpack_from(f"{order}2i", start, 152)
    if mode not in _TYPES:
        raise ImageError(f"{path.name}: values of MRC's mode {mode} are not read")
    kind = np.uint8 if mode == 0 and stamp == _IMOD and not flags & _SIGNED else _TYPES[mode]
    volume = sampled[2] if group in _VOLUME_STACKS else sections
    if width <= 0 or height <= 0:
        raise ImageError(f"{path.name}: damaged, its header states {width} x {height} pixels")
    if sections <= 0 or volume <= 0 or sections % volume or extended < 0:
        raise ImageError(f"{path.name}: damaged, its header states {sections} sections of {volume}")
    pairs = zip(cell, sampled, strict=True)
    sides = tuple(in_micrometres(a / n, "angstrom") if n > 0 else None for a, n in pairs)
    return _Header(
        np.dtype(kind).newbyteorder(order),
        sections,
        (height, width),
        volume,
        _HEADER + extended,
        sides,
    )
